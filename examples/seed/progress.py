"""Print an answer, and count it as it comes."""

from collections.abc import Iterator

from fastgpt_client import ChatClient, Event


def show(events: Iterator[Event]) -> None:
    for event in events:
        print(event.text, end="", flush=True)


def count(events: Iterator[Event]) -> int:
    return sum(bool(event.text) for event in events)


def main() -> None:
    with ChatClient() as client, client.stream("Explain quantum computing") as reply:
        _, pieces = reply.feed(show, count)
        answer = reply.final()
    print(f"\n\nPieces of text: {pieces}")
    if answer.usage is not None:
        # The server's own count, summed over the nodes: a piece of text is not a token.
        print(f"Tokens: {answer.usage.output_tokens}")


if __name__ == "__main__":
    main()

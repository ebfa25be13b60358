"""Print an answer as it comes."""

from fastgpt_client import ChatClient


def main() -> None:
    with ChatClient() as client, client.stream("Tell me a short story about AI") as reply:
        for event in reply:
            print(event.text, end="", flush=True)
    print()


if __name__ == "__main__":
    main()

"""Fan one stream out to three consumers: a printer, a token counter and a word buffer."""

import sys
from functools import partial

import anyio

from fastgpt_client import AsyncChatClient
from fastgpt_client.consumers import count_tokens, print_text, print_words


async def main() -> None:
    async with (
        AsyncChatClient() as client,
        client.stream("Tell me a short story") as reply,
    ):
        _, tokens, _ = await reply.feed(
            print_text,
            count_tokens,
            partial(print_words, file=sys.stderr),
        )
    print(f"{tokens}, {reply.timings.events} events")


if __name__ == "__main__":
    anyio.run(main)

"""Print an answer by whole words, in Chinese too, where no spaces tell them apart."""

import anyio

from fastgpt_client import AsyncChatClient
from fastgpt_client.consumers import print_words


async def main() -> None:
    async with (
        AsyncChatClient() as client,
        client.stream("What is machine learning?") as reply,
    ):
        await reply.feed(print_words)


if __name__ == "__main__":
    anyio.run(main)

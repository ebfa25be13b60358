"""Print an answer as it comes."""

import anyio

from fastgpt_client import AsyncChatClient


async def main() -> None:
    async with (
        AsyncChatClient() as client,
        client.stream("Tell me a short story") as reply,
    ):
        async for event in reply:
            print(event.text, end="", flush=True)
    print()


if __name__ == "__main__":
    anyio.run(main)

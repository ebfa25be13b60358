"""Print an answer as it comes, in an asyncio program; trio works the same way."""

import asyncio

from fastgpt_client import AsyncChatClient


async def main() -> None:
    async with (
        AsyncChatClient() as client,
        client.stream("Tell me about async/await") as reply,
    ):
        async for event in reply:
            print(event.text, end="", flush=True)
    print()


if __name__ == "__main__":
    asyncio.run(main())

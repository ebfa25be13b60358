"""Keep the text of a reply that fails before its end."""

import sys

import anyio

from fastgpt_client import AsyncChatClient, FastGPTError


async def main() -> int:
    async with AsyncChatClient() as client:
        try:
            async with client.stream("Tell me a short story") as reply:
                async for event in reply:
                    print(event.text, end="", flush=True)
        except FastGPTError as error:
            # One exception, whatever went wrong and however many consumers there were.
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            print(f"kept {len(error.partial)} characters: {error.partial!r}", file=sys.stderr)
            return 1
    print()
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))

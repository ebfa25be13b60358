"""Bound a call that would otherwise hang, and see which limit rang."""

import anyio

from fastgpt_client import AsyncChatClient, ReplyTimeoutError, Timeouts

LIMITS = Timeouts(connect=5, first_token=20, idle=25, total=120)


async def main() -> None:
    async with AsyncChatClient(timeouts=LIMITS) as client:
        try:
            # The limits of the client hold for every reply; a call may have its own.
            answer = await client.ask("Tell me a short story", timeouts=Timeouts(total=0.5))
        except ReplyTimeoutError as error:
            print(f"{error.clock} rang after {error.seconds:g} s; so far: {error.partial!r}")
        else:
            print(answer.text)
            print(f"first token after {answer.timings.first_token:.3f} s")


if __name__ == "__main__":
    anyio.run(main)

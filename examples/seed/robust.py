"""Bound a call in time, keep what came of it, and say what went wrong."""

import sys

from fastgpt_client import (
    APIError,
    AuthenticationError,
    ChatClient,
    FastGPTError,
    ReplyTimeoutError,
    Timeouts,
)


def main() -> int:
    limits = Timeouts(connect=5, first_token=20, idle=25, total=120)
    try:
        with ChatClient(timeouts=limits) as client, client.stream("Hello") as reply:
            for event in reply:
                print(event.text, end="", flush=True)
    except AuthenticationError as error:
        print(f"check the key: {error}", file=sys.stderr)
    except APIError as error:
        print(f"\nthe server said no ({error.status_text}): {error}", file=sys.stderr)
    except ReplyTimeoutError as error:
        print(f"\nthe clock {error.clock!r} rang; kept {error.partial!r}", file=sys.stderr)
    except FastGPTError as error:
        print(f"\nthe answer is not whole: {error}; kept {error.partial!r}", file=sys.stderr)
    else:
        print()
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())

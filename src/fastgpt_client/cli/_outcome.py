"""Turn what went wrong into one or two lines that say what to do, and into an exit code."""

from __future__ import annotations

from typing import Final

import click

from .._errors import (
    APIError,
    AuthenticationError,
    ChatBusyError,
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    NotAnEventStreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    UsageError,
    ValidationError,
    WorkflowError,
)
from ._reasons import reason
from ._safe import visible

COMPLETE: Final = 0
API_ERROR: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 3
TIME_LIMIT: Final = 4
#: As shells have it: 128 and the number of the signal.
CTRL_C: Final = 130
READER_GONE: Final = 141

EXIT_CODES: Final = """\
\b
Exit codes:
  0    the answer is complete
  1    the server said no, a node of the workflow failed, or something unforeseen
  2    wrong usage, settings or files; nothing was sent
  3    the network failed, or the answer broke off
  4    a time limit ran out
  130  Ctrl-C (143: terminated; 141: the reader of the output went away)
"""

_ADVICE: Final[tuple[tuple[type[FastGPTError], str], ...]] = (
    (
        AuthenticationError,
        "Check FASTGPT_API_KEY: `fastgpt doctor` shows where the key comes from.",
    ),
    (PermissionDeniedError, "This key may not use that app or chat: check --app-id and the key."),
    (QuotaExceededError, "Top them up in FastGPT, or use the key of another team."),
    (ChatBusyError, "This chat is being answered already: wait, or take another --chat-id."),
    (
        NotFoundError,
        "Check --app-id and FASTGPT_BASE_URL, or try --api v1; see `fastgpt doctor`.",
    ),
    (ValidationError, "The server could not accept the request: check --app-id, --var, the text."),
    (WorkflowError, "Look at this run in the app's logs in FastGPT: a node of it failed."),
    (
        APIError,
        "The failure is on the server's side; its logs say more. See `fastgpt doctor`.",
    ),
    (ReplyInterruptedError, "Nothing is asked twice by itself: asking again starts a new run."),
    (
        NotAnEventStreamError,
        "Does FASTGPT_BASE_URL lead to FastGPT itself? See `fastgpt doctor`.",
    ),
    (ReplyTooLargeError, "The answer is larger than the client takes."),
)


def exit_code(error: BaseException) -> int:
    """Return the exit code that stands for ``error``."""
    if isinstance(error, InvalidArgumentError | UsageError):
        return USAGE
    if isinstance(error, ReplyTimeoutError):
        return TIME_LIMIT
    if isinstance(error, APIError | WorkflowError):
        return API_ERROR
    if isinstance(error, FastGPTError):
        return INTERRUPTED
    return API_ERROR


def advice(error: BaseException) -> str:
    """Return a sentence that says what to do, or ``""``."""
    if isinstance(error, RateLimitError):
        wait = error.retry_after
        return "Too many requests: " + (f"wait {wait:.0f} s." if wait else "wait a little.")
    if isinstance(error, ReplyTimeoutError):
        option = {"first_token": "first", "idle": "idle", "total": "total"}.get(error.clock)
        if option is None:
            return "The line or the server may be down: `fastgpt doctor` probes it."
        return f"Allow more with --timeout-{option} SECONDS (0 for no limit)."
    if isinstance(error, ConnectError):
        why = reason(error) or "Is FASTGPT_BASE_URL right and the server up?"
        return f"{why} `fastgpt doctor` checks FASTGPT_BASE_URL."
    if isinstance(error, APIError) and error.status_code in range(300, 400):
        return "Set FASTGPT_BASE_URL to the address that the server really has."
    for kind, words in _ADVICE:
        if isinstance(error, kind):
            return words
    return ""


def explain(error: BaseException) -> str:
    """Return the one or two lines that a user sees instead of a traceback."""
    if isinstance(error, FastGPTError):
        lines = [f"error: {visible(error.message) or type(error).__name__}"]
        if words := advice(error):
            lines.append(words)
        return "\n".join(lines)
    if isinstance(error, OSError):
        return f"error: {error.strerror or error}" + (
            f": {error.filename}" if error.filename else ""
        )
    return (
        f"error: unexpected {type(error).__name__}: {error}\n"
        "Run the command again with --debug for the traceback."
    )


def explain_usage(error: click.ClickException) -> str:
    """Return the lines for a command line, or settings, that cannot be used."""
    lines = [f"error: {error.format_message()}"]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        lines.append(f"`{error.ctx.command_path} --help` tells what it takes.")
    return "\n".join(lines)

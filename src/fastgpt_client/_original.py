"""Take the original SDK's names and options for what they can mean here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import attrs

from ._errors import InvalidArgumentError
from ._limits import Timeouts
from ._requests import ChatRequest

_T = TypeVar("_T")

#: Seconds for an answer without ``stream``, unless the caller says otherwise. No byte comes before
#: its end (recorded, 4.14.7), and the server gives a model call as long (FastGPT source, 4.16.0).
WHOLE_SECONDS: Final = 600.0


def either(old_name: str, old: _T | None, name: str, new: _T | None) -> _T | None:
    """Return the one of two twin arguments that was given.

    :raises InvalidArgumentError: if both were.
    """
    if old is not None and new is not None:
        raise InvalidArgumentError(
            f"{old_name} and {name} are the same argument: pass one of them", field=name
        )
    return old if new is None else new


@attrs.frozen
class ConnectRetries:
    """Say how often and when a connection is tried again.

    Only a failure to connect is followed by another try: nothing was sent then. A chat request is
    billed and saved, so it is never sent again once the server may have it.

    :param count: how many more times.
    :param delay: seconds before the first of them; each next wait is twice as long.
    """

    count: int = 0
    delay: float = 1.0

    @classmethod
    def of(cls, max_retries: int, retry_delay: float) -> ConnectRetries:
        """Check what a caller gave.

        :raises InvalidArgumentError: if one of them is negative or not a number.
        """
        if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
            raise InvalidArgumentError(
                f"max_retries must be a whole number, 0 or more, not {max_retries!r}",
                field="max_retries",
            )
        if not _is_number(retry_delay) or not 0 <= retry_delay < math.inf:
            raise InvalidArgumentError(
                f"retry_delay must be a number of seconds, 0 or more, not {retry_delay!r}",
                field="retry_delay",
            )
        return cls(max_retries, retry_delay)

    def waits(self) -> Iterator[float]:
        """Yield the seconds to wait before each further try."""
        for turn in range(self.count):
            yield self.delay * 2.0**turn


def check_timeout(timeout: float | None) -> None:
    """Refuse a ``timeout`` that is no positive number of seconds.

    :raises InvalidArgumentError: if it is none; limits by name are in :class:`Timeouts`.
    """
    if timeout is not None and not (_is_number(timeout) and timeout > 0):
        raise InvalidArgumentError(
            f"timeout must be a positive number of seconds or None, not {timeout!r} "
            "(timeouts=Timeouts(…) takes limits by name)",
            field="timeout",
        )


def check_pause(value: float, field: str) -> None:
    """Refuse a pause that is no positive and finite number of seconds.

    :raises InvalidArgumentError: if it is none.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise InvalidArgumentError(
            f"{field} must be a positive number of seconds, not {value!r}", field=field
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@attrs.frozen(kw_only=True)
class CompletionCall:
    """Hold one ``create_chat_completion``, checked and ready to be sent.

    :param request: what to send.
    :param stream: whether an event stream is asked for.
    :param limits: the time limits.
    :param timeout: seconds for an answer without ``stream``, or ``None``.
    :param max_bytes: bytes that the body may have.
    """

    request: ChatRequest
    stream: bool
    limits: Timeouts
    timeout: float | None
    max_bytes: int

    @property
    def accept(self) -> str:
        """The media type that is asked for."""
        return "text/event-stream" if self.stream else "application/json"

    def until_headers(self) -> tuple[Any, float]:
        """Return the clock that bounds the wait for the headers, and its seconds."""
        limits = self.limits
        if not self.stream:
            total = limits.seconds("total")
            whole = self.timeout or (WHOLE_SECONDS if total == math.inf else total)
            return "total", min(total, whole)
        clocks = (
            ("first_token", limits.seconds("first_token")),
            ("total", limits.seconds("total")),
        )
        return min(clocks, key=lambda pair: pair[1])

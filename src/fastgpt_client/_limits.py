"""Hold the two values by which a caller bounds a reply: how to subscribe, how long to wait."""

from __future__ import annotations

import math
from typing import Any, Literal

import attrs

from ._errors import InvalidArgumentError

#: Bytes of the body that one reply may have unless the caller says otherwise (64 MiB).
MAX_REPLY_BYTES = 64 * 1024 * 1024
#: Bytes that one event may have. The server sends a model's delta as one frame whatever its
#: size; 5 MB were seen (recorded, 4.14.7).
MAX_EVENT_BYTES = 16 * 1024 * 1024


def _a_count(_: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidArgumentError(
            f"{attribute.name} must be a whole number of events, 0 or more, not {value!r}",
            field=attribute.name,
        )


@attrs.frozen
class Policy:
    """Say what happens when a subscription is read more slowly than the reply arrives.

    Use :meth:`lossless`, :meth:`paced` or :meth:`live`.
    """

    kind: Literal["lossless", "paced", "live"]
    buffer: int = attrs.field(default=0, validator=_a_count)

    @classmethod
    def lossless(cls) -> Policy:
        """Read every event at one's own pace; nobody waits (the default)."""
        return cls("lossless")

    @classmethod
    def paced(cls, buffer: int = 0) -> Policy:
        """Make the producer wait, so that the server feels a slow consumer.

        :param buffer: how many events the producer may be ahead, besides the one in hand.
        :raises InvalidArgumentError: if ``buffer`` is negative or not a whole number.
        """
        return cls("paced", buffer)

    @classmethod
    def live(cls, buffer: int = 64) -> Policy:
        """Keep only the newest events: the oldest are dropped and counted.

        :param buffer: how many unread events are kept, at least 1.
        :raises InvalidArgumentError: if ``buffer`` is not a positive whole number.
        """
        return cls("live", buffer)

    def __attrs_post_init__(self) -> None:
        if self.kind not in ("lossless", "paced", "live"):
            raise InvalidArgumentError(
                f"a policy is Policy.lossless(), .paced() or .live(), not {self.kind!r}",
                field="kind",
            )
        if self.kind == "live" and self.buffer < 1:
            raise InvalidArgumentError(
                f"a live subscription keeps at least 1 event, not {self.buffer}", field="buffer"
            )


def _seconds(_: Any, attribute: attrs.Attribute[float | None], value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidArgumentError(
            f"the time limit {attribute.name} must be a positive number of seconds, or None to "
            f"switch it off, not {value!r}",
            field=attribute.name,
        )


def _finite(value: Any) -> Any:
    # A limit that never rings is none, and not every timer takes infinity.
    return None if isinstance(value, float) and value == math.inf else value


def _limit(default: float | None) -> Any:
    return attrs.field(default=default, converter=_finite, validator=_seconds)


@attrs.frozen(kw_only=True)
class Timeouts:
    """Name the limits of a reply, in seconds; ``None`` switches one off.

    :param connect: for a connection, TLS included; also for a free place in the pool.
    :param first_token: from sending until the first text, reasoning, interactive question or
        plugin output. FastGPT may hold back even the headers until then.
    :param idle: from one event to the next, heartbeats not counted.
    :param silence: from one byte to the next. FastGPT sends a heartbeat every 10 s (recorded,
        4.14.7 and 4.16.0), so silence means a dead line.
    :param total: for the whole reply, from sending to its end. It bounds the network: the time
        that paced consumers make the producer wait does not count.
    :param close: for late events after ``[DONE]``, and for the clean-up when the block is left.
    :param consumer: how long one paced subscription may make the producer wait.
    :raises InvalidArgumentError: if a limit is not a positive number or ``None``.
    """

    connect: float | None = _limit(10)
    first_token: float | None = _limit(120)
    idle: float | None = _limit(120)
    silence: float | None = _limit(35)
    total: float | None = _limit(None)
    close: float | None = _limit(2)
    consumer: float | None = _limit(None)

    def seconds(self, clock: str) -> float:
        """Return the limit of a clock in seconds, ``math.inf`` if it is switched off.

        :param clock: its name, such as ``idle``.
        """
        value: float | None = getattr(self, clock)
        return math.inf if value is None else value

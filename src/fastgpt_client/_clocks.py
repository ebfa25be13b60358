"""Keep the time stamps of one reply, and one watchdog that wakes at the nearest deadline."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._limits import Timeouts

#: What the watchdog can ring: the clocks that run while a body is read, the end of the wait for
#: late events, and the warning about a paced subscription.
Bell = Literal["first_token", "idle", "silence", "total", "consumer", "close", "warning"]

#: Seconds for which a paced subscription may hold the producer up before a warning names it.
WARN_AFTER: Final = 10.0
#: How often the watchdog lets others run before it believes that a deadline has passed: bytes may
#: be waiting behind a consumer that held the event loop.
_SECOND_LOOKS: Final = 5


@attrs.define(eq=False)
class Clocks:
    """Hold the time stamps that the producer writes, in seconds of the event loop's clock.

    :param limits: the caller's limits.
    :param started: when the request was sent.
    """

    limits: Timeouts
    started: float
    #: When the last byte of the body came, ``None`` before the first.
    last_byte: float | None = None
    #: When the last event came that was no heartbeat.
    last_progress: float = 0.0
    #: When the first text, reasoning, question or plugin output came.
    first_token: float | None = None
    #: When ``[DONE]`` came.
    done: float | None = None
    #: When the reply ended.
    ended: float | None = None
    #: Since when the producer waits for a paced subscription, ``None`` if it does not.
    held_since: float | None = None
    #: The name of that subscription.
    held_by: str = ""
    _held: float = 0.0
    _warned: bool = False

    def hold(self, name: str, now: float) -> None:
        """Stop the clocks of the network: the producer waits for a consumer."""
        self.held_since = now
        self.held_by = name

    def release(self, now: float) -> None:
        """Let the clocks of the network go on from where they stood."""
        assert self.held_since is not None
        held = now - self.held_since
        self.held_since = None
        self._held += held
        self.last_progress += held
        if self.last_byte is not None:
            self.last_byte += held
        if self.done is not None:
            self.done += held

    def warn_once(self) -> bool:
        """Tell whether the warning is due, which it is once a reply."""
        first, self._warned = not self._warned, True
        return first

    def nearest(self) -> tuple[Bell, float]:
        """Return which deadline comes next, and when."""
        limit = self.limits.seconds
        deadlines: list[tuple[float, Bell]] = []
        if self.held_since is not None:
            deadlines.append((self.held_since + limit("consumer"), "consumer"))
            if not self._warned:
                deadlines.append((self.held_since + WARN_AFTER, "warning"))
        elif self.done is not None:
            deadlines.append((self.done + limit("close"), "close"))
        else:
            if self.first_token is None:
                deadlines.append((self.started + self._held + limit("first_token"), "first_token"))
            else:
                deadlines.append((self.last_progress + limit("idle"), "idle"))
            deadlines.append((self.started + self._held + limit("total"), "total"))
        if self.held_since is None and self.last_byte is not None:
            deadlines.append((self.last_byte + limit("silence"), "silence"))
        when, bell = min(deadlines, default=(math.inf, "total"))
        return bell, when


@attrs.define(eq=False)
class Watchdog:
    """Sleep until the nearest deadline, look twice, and ring.

    :param clocks: the stamps to look at.
    :param ring: called with the name of the clock whose deadline passed; it returns whether the
        watch is over.
    """

    clocks: Clocks
    ring: Callable[[Bell], bool]
    #: Its deadline is how long the watchdog sleeps; there is none before it runs.
    _sleep: anyio.CancelScope | None = None
    _over: bool = False

    def look(self) -> None:
        """Look at the stamps again: a deadline may have come nearer than the one slept for."""
        if self._sleep is not None:
            self._sleep.deadline = min(self._sleep.deadline, self.clocks.nearest()[1])

    def stop(self) -> None:
        """End the watch."""
        self._over = True
        if self._sleep is not None:
            self._sleep.cancel()

    async def run(self) -> None:  # noqa: ASYNC910 - it sleeps, unless it is over
        """Watch until a deadline ends the reply, or until :meth:`stop`."""
        while not self._over:
            _, until = self.clocks.nearest()
            with anyio.CancelScope(deadline=until, shield=True) as self._sleep:
                # An event that nobody sets: sleep_forever() keeps a kilobyte more on trio.
                await anyio.Event().wait()
            if self._over:
                return
            with anyio.CancelScope(shield=True):  # noqa: ASYNC912 - yields five times
                for _ in range(_SECOND_LOOKS):
                    await checkpoint()
            bell, when = self.clocks.nearest()
            if not self._over and when <= anyio.current_time() and self.ring(bell):
                return

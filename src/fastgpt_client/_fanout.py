"""Fan one transcript out: hold what the subscriptions of one reply share, and wake them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NoReturn

import attrs
from anyio.lowlevel import current_token

from ._errors import FastGPTError, UsageError
from ._events import Event
from ._subscription import Subscription

if TYPE_CHECKING:
    from ._limits import Policy
    from ._permits import Permits


@attrs.define(eq=False)
class Fanout:
    """Hold what the subscriptions of one reply share."""

    events: list[Event]
    ended: bool = attrs.field(default=False, init=False)
    closed: bool = attrs.field(default=False, init=False)
    failure: FastGPTError | None = attrs.field(default=None, init=False)
    #: How many readers were at the failure and could not raise it, since they were cancelled there.
    owed: int = attrs.field(default=0, init=False)
    #: How many events the subscriptions were told of.
    announced: int = attrs.field(default=0, init=False)
    waiting: list[Subscription] = attrs.field(factory=list, init=False)
    permits: list[Permits] = attrs.field(factory=list, init=False)
    #: The event loop of the block, ``None`` where there is none.
    loop: object = attrs.field(default=None, init=False)
    _subscriptions: weakref.WeakSet[Subscription] = attrs.field(factory=weakref.WeakSet, init=False)

    def subscribe(self, policy: Policy, name: str) -> Subscription:
        """Open a subscription."""
        if self.closed:
            raise UsageError(
                "subscribe() was called after the reply's block: what arrived is in .text, "
                ".reasoning, .status and .failure"
            )
        subscription = Subscription(self, policy, name)
        self._subscriptions.add(subscription)
        return subscription

    def check_loop(self) -> None:
        """Refuse to wait in another event loop than the block's, where nobody would wake.

        :raises UsageError: if it is another.
        """
        if self.loop is not None and current_token() != self.loop:
            raise UsageError(
                "this reply lives in another event loop, where its block is: read it there, or "
                "from another thread with anyio.from_thread.run()"
            )

    def wake(self) -> None:
        """Send a wake-up token to each subscription that waits."""
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            for subscription in waiting:
                subscription._wake()

    def paced(self) -> list[Permits]:
        """Return the permits of the paced subscriptions that are still open."""
        if self.permits:
            self.permits = [permits for permits in self.permits if not permits.closed]
        return self.permits

    def end(self, failure: FastGPTError | None) -> None:
        """Let every subscription come to its end: ``failure``, or a complete one."""
        if self.ended:
            return
        self.ended = True
        self.failure = failure
        self.wake()
        for permits in self.permits:
            permits.send.close()

    def close(self) -> None:
        """Close every subscription."""
        self.closed = True
        for subscription in list(self._subscriptions):
            subscription.close()

    @property
    def open_subscriptions(self) -> int:
        """How many subscriptions are not closed."""
        return len(self._subscriptions)

    def forget(self, subscription: Subscription) -> None:
        """Take a closed subscription from the list."""
        self._subscriptions.discard(subscription)

    def raise_failure(self) -> NoReturn:
        """Raise the failure as an exception of its own, with the common cause."""
        assert self.failure is not None
        raise self.failure._twin()

"""Read one reply, which lives in the portal of a client, from threads."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, final

import anyio

from ._errors import FastGPTError, UsageError
from ._events import Event
from ._portal import Latch, Portal
from ._reply import Reply
from ._subscription import Subscription, SubscriptionStatistics

if TYPE_CHECKING:
    from typing import Self


class ConsumerCancelled(BaseException):
    """Unwind a consumer's thread whose reading was cancelled.

    It is no :class:`Exception`, so that the consumer's own handlers let it pass.
    """


class Link:
    """Reach one reply in its event loop from threads.

    :param portal: the thread with the event loop.
    :param reply: the reply.
    """

    def __init__(self, portal: Portal, reply: Reply) -> None:
        self.portal = portal
        self.reply = reply
        #: Whether the reply's block was left, so that nothing of it changes any more.
        self.over = False
        #: One for each ``feed()``, set when its threads are done.
        self.feeds: list[Latch] = []
        self._forgotten: deque[Subscription] = deque()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function in the event loop and wait for its result.

        :raises FastGPTError: what the function raises; the reply's failure if the client was
            closed by another thread; :class:`UsageError` if there is no event loop any more.
        """
        try:
            return self.portal.call(self._tidied, function, *args)
        except (anyio.ClosedResourceError, anyio.BusyResourceError) as error:
            raise UsageError(str(error)) from error
        except UsageError:
            failure = self.reply.failure
            if failure is None or self.portal.running:
                raise
            raise failure._twin() from None

    async def _tidied(self, function: Callable[..., Any], *args: Any) -> Any:
        while self._forgotten:
            self._forgotten.popleft().close()
        result = function(*args)
        # A task of its own for each call, so nobody waits for a checkpoint.
        return await result if inspect.isawaitable(result) else result  # noqa: ASYNC910

    def look(self, name: str) -> Any:
        """Return an attribute of the reply, read where the reply is written."""
        if not self.over and self.portal.running:
            try:
                return self.call(getattr, self.reply, name)
            except UsageError:
                if self.portal.running:
                    raise
        if not self.over:
            # Closed by another thread just now: when that is done, nothing changes any more.
            self.portal.join()
        return getattr(self.reply, name)

    def close_when_forgotten(self, holder: object, subscription: Subscription) -> None:
        """Close a subscription after its holder is gone.

        The garbage collector runs in any thread, so that is only noted, and done with the next
        call or at the end of the block.
        """
        weakref.finalize(holder, self._forgotten.append, subscription).atexit = False


@final
class BlockingSubscription(Iterator[Event]):
    """Read the events of one reply in one thread: ``for event in subscription``."""

    def __init__(
        self,
        link: Link,
        subscription: Subscription,
        adopt: Callable[[FastGPTError], object] | None = None,
    ) -> None:
        self._link = link
        self._subscription = subscription
        self._adopt = adopt
        self._inbox: deque[Event] = deque()
        self._fetching: anyio.Lock | None = None
        self._thread: int | None = None
        self._ended = False
        self._cancelled = False
        link.close_when_forgotten(self, subscription)

    def __repr__(self) -> str:
        return repr(self._subscription).replace("<", "<Blocking", 1)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        thread = threading.get_ident()
        if self._thread != thread:
            self._take_by(thread)
        while not self._inbox:
            if self._ended:
                raise StopIteration
            try:
                self._link.call(self._fetch)
            except anyio.EndOfStream:
                self._ended = True
            except FastGPTError as error:
                if self._cancelled:
                    raise ConsumerCancelled from None
                if self._adopt is not None:
                    self._adopt(error)
                raise
        return self._inbox.popleft()

    def _take_by(self, thread: int) -> None:
        if self._thread is not None:
            raise UsageError(
                f"the subscription {self.name!r} belongs to the thread that first read it: give "
                "each thread a subscription of its own with reply.subscribe()"
            )
        self._thread = thread

    async def _fetch(self) -> None:
        # One at a time, and into the inbox: a read that Ctrl-C interrupted goes on here, and what
        # it gets is there for the next.
        if self._fetching is None:
            self._fetching = anyio.Lock()
        async with self._fetching:
            if not self._inbox:
                self._inbox.extend(await self._subscription.receive_many())

    @property
    def name(self) -> str:
        """The name that warnings and errors call it by."""
        return self._subscription.name

    @property
    def dropped(self) -> int:
        """How many events a live subscription skipped."""
        return self._subscription.dropped

    def statistics(self) -> SubscriptionStatistics:
        """Tell how many events were handed out, are unread, and were dropped."""
        told = self._subscription.statistics()
        here = len(self._inbox)
        return SubscriptionStatistics(
            received=told.received - here,
            behind=told.behind + here,
            dropped=told.dropped,
            tasks_waiting=told.tasks_waiting,
        )

    def close(self) -> None:
        """Leave the reply: hold nobody up, and hand out nothing more."""
        self._inbox.clear()
        if not self._link.over and self._link.portal.running:
            self._link.call(self._subscription.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def close_when_cancelled(self) -> None:
        """Wait until this task is cancelled, then let the thread that reads go on to its end."""
        try:
            await anyio.sleep_forever()
        finally:
            self._cancelled = True
            self._subscription.close()

"""Read one transcript beside others, by a cursor and a memory object stream of one's own.

The cursor into the transcript says *what* a reader gets; the stream says only *when*. So an item
of the stream may get lost, as native asyncio cancellation does to a hand-over, and nothing that
the reader should see is lost with it.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, final

import anyio
import attrs
from anyio.abc import ObjectReceiveStream
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ._events import Event
from ._permits import Permits

if TYPE_CHECKING:
    from typing import Self

    from ._fanout import Fanout
    from ._limits import Policy

#: How many items a reader may take before it must yield to the event loop. A checkpoint an item
#: costs more than the whole rest of the fan-out; between two yields nobody else runs, so nobody
#: else can cancel.
BURST = 64


@attrs.frozen(kw_only=True)
class SubscriptionStatistics:
    """Tell how far a subscription is.

    :param received: events handed out.
    :param behind: events that arrived and were not handed out yet.
    :param dropped: events that a live subscription skipped.
    :param tasks_waiting: 1 if a task waits for the next event.
    """

    received: int
    behind: int
    dropped: int
    tasks_waiting: int


@final
class Subscription(ObjectReceiveStream[Event]):
    """Read the events of one reply at one's own pace.

    It is a receive stream as anyio has them: ``async for``, :meth:`receive`, ``async with``.
    Leaving it unread costs nothing, unless it is paced.
    """

    def __init__(self, fanout: Fanout, policy: Policy, name: str) -> None:
        self._fanout = fanout
        self._events = fanout.events
        self._policy = policy
        self._name = name
        self._start = len(self._events) if policy.kind == "live" else 0
        self._cursor = self._start
        #: Up to here ``__anext__`` may hand out without looking at anything else.
        self._free = 0
        self._dropped = 0
        self._closed = False
        self._reading = False
        self._queued = False
        self._met_failure = False
        self._owes_failure = False
        self._iterator: int | None = None
        self._loop_checked = False
        self._finalizer: Any = None
        self._permits: Permits | None = None
        self._granted = 0
        self._permit_in_doubt = False
        if policy.kind == "paced":
            self._open_stream(policy.buffer)
            self._permits = Permits(name, self._send)
            fanout.permits.append(self._permits)
            # For the events before the subscription the producer does not wait.
            self._granted = len(self._events)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"at {self._cursor} of {len(self._events)}"
        return f"<Subscription {self._name!r}, {self._policy.kind}, {state}>"

    @property
    def name(self) -> str:
        """The name that warnings and errors call it by."""
        return self._name

    @property
    def dropped(self) -> int:
        """How many events a live subscription skipped."""
        return self._dropped

    @property
    def met_failure(self) -> bool:
        """Whether the reply's failure was raised from here."""
        return self._met_failure

    def statistics(self) -> SubscriptionStatistics:
        """Tell how many events were handed out, are unread, and were dropped."""
        return SubscriptionStatistics(
            received=self._cursor - self._start - self._dropped,
            behind=len(self._events) - self._cursor,
            dropped=self._dropped,
            tasks_waiting=int(self._reading),
        )

    def __aiter__(self) -> Self:
        self._fanout.check_loop()
        task = anyio.get_current_task().id
        if self._iterator not in (None, task):
            raise self._busy("another task iterates it already")
        self._iterator = task
        return self

    async def __anext__(self) -> Event:
        cursor = self._cursor
        if cursor < self._free:
            self._cursor = cursor + 1
            return self._events[cursor]  # noqa: ASYNC910 - a checkpoint in 64 items, see BURST
        if await self._advance():
            cursor = self._cursor
            self._cursor = cursor + 1
            return self._events[cursor]
        self._iterator = None
        raise StopAsyncIteration

    async def receive(self) -> Event:
        """Return the next event.

        :raises anyio.EndOfStream: at the end of a complete or stopped reply.
        :raises anyio.ClosedResourceError: if the subscription was closed.
        :raises anyio.BusyResourceError: if another task is waiting on it.
        :raises FastGPTError: at the end of a reply that failed, after everything that arrived.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def receive_many(self) -> list[Event]:
        """Return the events that arrived and were not read yet: at least one, at most 64.

        This is for a consumer that does one thing for many events, such as one write. A paced or
        live subscription returns one.

        :raises anyio.EndOfStream: at the end, as :meth:`receive`, which raises the same errors.
        """
        if not await self._advance():
            raise anyio.EndOfStream
        first = self._cursor
        self._cursor = max(self._free, first + 1)
        return self._events[first : self._cursor]

    async def _advance(self) -> bool:
        """Wait until there is an event at the cursor, and tell whether there is one."""
        if self._closed:
            raise self._gone()
        if self._reading:
            raise self._busy("another task is waiting on it")
        fanout = self._fanout
        if not self._loop_checked:
            self._loop_checked = True
            fanout.check_loop()
        self._reading = True
        try:
            if self._permits is not None:
                await self._wait_for_permit()
            elif self._cursor < len(self._events) or fanout.ended:
                await checkpoint()
            else:
                await self._wait_for_token()
        except BaseException:
            self._iterator = None  # the loop is over
            if fanout.failure is not None and self._cursor >= len(self._events):
                self._owe_failure(True)
            raise
        finally:
            self._reading = False
        if self._closed:
            raise self._gone()
        end = len(self._events)
        if self._policy.kind == "live" and end - self._cursor > self._policy.buffer:
            self._dropped += end - self._policy.buffer - self._cursor
            self._cursor = end - self._policy.buffer
        if self._cursor < end:
            if self._policy.kind == "lossless":
                self._free = min(end, self._cursor + BURST)
            return True
        if fanout.failure is not None:
            self._met_failure = True
            self._iterator = None
            self._owe_failure(False)
            fanout.raise_failure()
        return False

    def _owe_failure(self, owes: bool) -> None:
        """Note whether the block must raise the failure in this reader's place."""
        self._fanout.owed += owes - self._owes_failure
        self._owes_failure = owes

    async def _wait_for_token(self) -> None:  # noqa: ASYNC910 - receive() yields before it raises
        fanout = self._fanout
        if self._finalizer is None:
            self._open_stream(1)
        try:
            while True:
                if not self._queued:
                    self._queued = True
                    fanout.waiting.append(self)
                await self._receive.receive()
                if self._cursor < len(self._events) or fanout.ended or self._closed:
                    return
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            pass  # close() was called meanwhile
        finally:
            if self._queued:
                self._queued = False
                fanout.waiting.remove(self)

    def _wake(self) -> None:
        self._queued = False
        # A token that a cancelled wait left behind serves as well, and a subscription that was
        # closed has been woken by that.
        with contextlib.suppress(anyio.WouldBlock, anyio.ClosedResourceError):
            self._send.send_nowait(0)

    async def _wait_for_permit(self) -> None:  # noqa: ASYNC910 - receive() yields before it raises
        assert self._permits is not None
        if self._fanout.ended:
            self._granted = len(self._events)
        elif self._permit_in_doubt and not self._receive.statistics().current_buffer_used:
            # Native asyncio cancellation may have thrown away a permit on its way here.
            self._permit_in_doubt = False
            self._granted = max(self._granted, self._permits.handed + 1)
        if self._cursor < self._granted or self._fanout.ended:
            await checkpoint()
            return
        try:
            self._granted = await self._receive.receive() + 1
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._granted = len(self._events)  # the end, or close() was called meanwhile
        except BaseException:
            self._permit_in_doubt = True
            raise

    def _open_stream(self, buffer: int) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[int](buffer)
        self._finalizer = weakref.finalize(self, _close_stream, self._send, self._receive)
        self._finalizer.atexit = False

    def close(self) -> None:
        """Leave the reply: hold nobody up, and hand out nothing more."""
        if self._closed:
            return
        self._closed = True
        self._free = 0
        if self._finalizer is not None:
            self._finalizer()
        self._fanout.forget(self)

    async def aclose(self) -> None:
        """Do what :meth:`close` does."""
        self.close()
        await checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _gone(self) -> anyio.ClosedResourceError:
        return anyio.ClosedResourceError(
            f"the subscription {self._name!r} is closed, by close() or by the end of the reply's "
            "block: subscribe() again inside the block"
        )

    def _busy(self, why: str) -> anyio.BusyResourceError:
        error = anyio.BusyResourceError("reading")
        error.args = (
            f"the subscription {self._name!r} belongs to one task and {why}: give each task a "
            "subscription of its own with reply.subscribe()",
        )
        return error


def _close_stream(
    send: MemoryObjectSendStream[int], receive: MemoryObjectReceiveStream[int]
) -> None:
    # The sending end first: that wakes a reader on every version of anyio.
    send.close()
    receive.close()

"""Hold the block of one reply open in the portal while blocking code is in its own block."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, final

import anyio

from ._blocking_reply import BlockingReply
from ._blocking_subscription import Link
from ._connections import closed_early
from ._errors import FastGPTError, UsageError
from ._feed import is_failure_of, leaves
from ._portal import Latch

if TYPE_CHECKING:
    from types import TracebackType

    from ._portal import Portal
    from ._reply import Reply


@final
class BlockingBlock(AbstractContextManager["BlockingReply"]):
    """Enter and leave an asynchronous block in one task of the portal.

    What the body raises stays in its own thread: the asynchronous block is only left.

    :param owner: the client, which lives as long as the block, as its thread must.
    :param portal: the thread with the event loop.
    :param block: the asynchronous block.
    """

    def __init__(
        self, owner: object, portal: Portal, block: AbstractAsyncContextManager[Reply]
    ) -> None:
        self._owner = owner
        self._portal = portal
        self._block = block
        self._begun = False
        #: Set when the asynchronous block was entered, or could not be.
        self._ready = Latch()
        #: Set when the asynchronous block was left.
        self._over = Latch()
        self._given_up = False
        self._scope: anyio.CancelScope | None = None
        self._left: anyio.Event | None = None
        #: What entering or leaving the asynchronous block raised.
        self._error: BaseException | None = None
        self._entered: Reply | None = None
        self._reply: BlockingReply | None = None
        self._link: Link | None = None
        #: What observers set while the block was entered, such as the current span.
        self._set: Mapping[contextvars.ContextVar[Any], Any] = {}
        self._restore: list[Callable[[], None]] = []

    def __enter__(self) -> BlockingReply:
        if self._begun:
            raise UsageError("a block of stream() can be entered once: call stream() again")
        self._begun = True
        self._portal.start()
        try:
            self._portal.submit(self._host, context=contextvars.copy_context())
            self._ready.wait()
            reply = self._entered
            if reply is None:
                raise self._error or closed_early("client")
        except BaseException as error:
            self._give_up()
            if isinstance(error, Exception) and self._portal.closed:
                # In a thread, where nothing is cancelled.
                raise closed_early("client") from error  # noqa: ASYNC104
            raise
        self._link = Link(self._portal, reply)
        self._reply = BlockingReply(self._link)
        for variable, value in self._set.items():
            self._restore.append(functools.partial(variable.reset, variable.set(value)))
        return self._reply

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._link is not None
        assert self._reply is not None
        while self._restore:
            with contextlib.suppress(ValueError):  # left in another thread, where nothing was set
                self._restore.pop()()
        if self._portal.forked:
            # The reply goes on in the process that was forked from.
            return
        try:
            with contextlib.suppress(UsageError):  # the client was closed, and the block with it
                self._portal.submit(self._leave)
            self._over.wait()
            self._link.over = True
            for feed in self._link.feeds:
                feed.wait()
        except BaseException:
            # Ctrl-C once more: the portal goes on with the clean-up, which has a limit.
            self._give_up(wait=False)
            raise
        if exc is None:
            if isinstance(self._error, FastGPTError):
                self._reply._adopt(self._error)
            if self._error is not None:
                raise self._error
        elif isinstance(exc, BaseExceptionGroup):
            self._raise_bare(exc)

    def _raise_bare(self, group: BaseExceptionGroup[BaseException]) -> None:
        """Raise what is in a group as the asynchronous block does."""
        for leaf in leaves(group):
            if isinstance(leaf, KeyboardInterrupt | SystemExit):
                raise leaf
        assert self._reply is not None
        failure = self._reply.failure
        if failure is not None and is_failure_of(self._reply, group):
            raise self._reply._adopt(failure._twin())

    async def _host(self) -> None:  # noqa: ASYNC910 - a task of its own
        try:
            with anyio.CancelScope() as self._scope:
                if self._given_up:
                    return  # noqa: ASYNC910
                before = contextvars.copy_context()
                async with self._block as reply:
                    self._set = _changed_since(before)
                    self._left = anyio.Event()
                    self._entered = reply
                    self._ready.set()
                    await self._left.wait()
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()
            self._over.set()

    def _leave(self) -> None:
        if self._left is not None:
            self._left.set()

    def _cancel(self) -> bool:
        if self._scope is None:
            return False
        self._scope.cancel()
        return True

    def _give_up(self, *, wait: bool = True) -> None:
        """Cancel the asynchronous block, which closes its connection."""
        # Ctrl-C may have come before the block's task was begun; it then looks at this.
        self._given_up = True
        with contextlib.suppress(UsageError):
            begun = self._portal.call(self._cancel)
            if begun and wait:
                self._over.wait()


def _changed_since(before: contextvars.Context) -> Mapping[contextvars.ContextVar[Any], Any]:
    """Return the context variables that have another value by now, with it."""
    missing = object()
    return {
        variable: value
        for variable, value in contextvars.copy_context().items()
        if before.get(variable, missing) is not value
    }

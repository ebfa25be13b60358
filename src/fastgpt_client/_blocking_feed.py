"""Run the consumers of a blocking reply in threads, by the rules of the asynchronous one."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread

from ._blocking_subscription import BlockingSubscription, ConsumerCancelled, Link
from ._portal import Latch
from ._reply import name_of
from ._subscription import Subscription

BlockingConsumer = Callable[[BlockingSubscription], Any]


class BlockingFeed:
    """Run the consumers of one ``feed()``, each in a thread."""

    def __init__(self, link: Link, functions: Sequence[BlockingConsumer]) -> None:
        self._link = link
        self._consumers = [
            self._threaded(function, contextvars.copy_context()) for function in functions
        ]
        self._limiter: anyio.CapacityLimiter | None = None
        #: Set when every thread is done.
        self.over = Latch()
        #: What is no :class:`Exception` and so must not be raised in the event loop.
        self.exits: list[BaseException] = []

    async def run(self, options: dict[str, Any]) -> tuple[Any, ...]:
        """Do it all."""
        # The event loop's own limit, which all replies share, could keep one consumer waiting
        # for others that wait for it.
        self._limiter = anyio.CapacityLimiter(len(self._consumers))
        try:
            return await self._link.reply.feed(*self._consumers, **options)
        finally:
            self.over.set()

    def _threaded(self, function: BlockingConsumer, context: contextvars.Context) -> Any:
        async def consumer(subscription: Subscription) -> Any:
            events = BlockingSubscription(self._link, subscription)
            results: list[Any] = []
            errors: list[BaseException] = []

            def work() -> None:
                try:
                    results.append(context.run(function, events))
                except BaseException as error:  # noqa: ASYNC103 - raised by the task
                    errors.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(events.close_when_cancelled)
                await anyio.to_thread.run_sync(work, limiter=self._limiter)
                group.cancel_scope.cancel()
            for error in errors:
                if isinstance(error, Exception):
                    raise error
                if not isinstance(error, ConsumerCancelled):
                    self.exits.append(error)
                    raise RuntimeError("a consumer asked the program to exit")
            return results[0] if results else None

        consumer.__name__ = name_of(function)
        return consumer

"""Run several consumers over one reply in a task group, and sort out who failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._errors import FastGPTError
from ._subscription import Subscription

Consumer = Callable[[Subscription], Awaitable[Any]]
OnFailure = Literal["drain", "cancel"]
OnError = Literal["cancel", "isolate"]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that ``error`` consists of: itself, or the leaves of a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def is_failure_of(reply: object, error: BaseException) -> bool:
    """Tell whether ``error`` is nothing but ``reply``'s own failure, once or in groups."""
    return all(isinstance(leaf, FastGPTError) and leaf.reply is reply for leaf in leaves(error))


@attrs.define(eq=False)
class Feed:
    """Hold the consumers of one ``feed()``; each runs under a cancel scope of its own."""

    reply: object
    subscriptions: Sequence[Subscription]
    on_error: OnError
    results: list[Any] = attrs.field(init=False)
    errors: list[Exception] = attrs.field(factory=list, init=False)
    met_failure: bool = attrs.field(default=False, init=False)
    _scopes: list[anyio.CancelScope] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.results = [None] * len(self.subscriptions)
        self._scopes = [anyio.CancelScope() for _ in self.subscriptions]

    def cancel(self, *, but: int | None = None) -> None:
        """Cancel every consumer, or every one but one."""
        for place, scope in enumerate(self._scopes):
            if place != but:
                scope.cancel()

    async def run(self, consumers: Sequence[Consumer]) -> None:
        """Run the consumers to their ends; what they raised is in :attr:`errors`."""
        try:
            async with anyio.create_task_group() as group:
                for place, consumer in enumerate(consumers):
                    group.start_soon(self._run_one, place, consumer)
        finally:
            for subscription in self.subscriptions:
                self.met_failure = self.met_failure or subscription.met_failure
                subscription.close()

    def settle(self) -> None:
        """Note that the reply's failure is told, whichever consumer was cancelled before it."""
        for subscription in self.subscriptions:
            subscription._owe_failure(False)

    async def _run_one(self, place: int, consumer: Consumer) -> None:
        await checkpoint()
        subscription = self.subscriptions[place]
        with self._scopes[place], subscription:
            try:
                self.results[place] = await consumer(subscription)
            except Exception as error:
                if is_failure_of(self.reply, error):
                    self.met_failure = True
                    return
                self.errors.append(error)
                if self.on_error == "cancel":
                    self.cancel(but=place)

"""Keep native asyncio cancellation out of the HTTP library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import anyio

from ._feed import leaves

T = TypeVar("T")

#: Seconds for undoing what was done when nobody wanted it any more.
_UNDO_SECONDS: Final = 2.0


async def sheltered(
    call: Callable[[], Awaitable[T]], undo: Callable[[T], Awaitable[Any]] | None = None
) -> T:
    """Await ``call()`` in a task of its own and return what it returned.

    ``task.cancel()`` and ``asyncio.timeout`` pass the shields that the HTTP library puts around
    the bookkeeping of its pool, and a connection is then left in it for ever (seen with httpcore
    1.0.9). Through a task group they arrive as a cancellation that shields hold back.

    :param call: what to do.
    :param undo: takes the result back if the caller is cancelled when it is there already.
    """
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:  # noqa: ASYNC910 - as far as what is called
        try:
            results.append(await call())
        except Exception as error:
            errors.append(error)

    try:
        async with anyio.create_task_group() as group:  # noqa: ASYNC112 - the task is the point
            group.start_soon(run)
    except BaseException as error:
        if results and undo is not None:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _UNDO_SECONDS):
                await undo(results[0])
        for leaf in leaves(error):
            # trio delivers Ctrl-C where the main task waits, and that may be this group.
            if isinstance(leaf, KeyboardInterrupt | SystemExit):
                raise leaf from None  # noqa: ASYNC104 - it outranks being cancelled
        raise
    if errors:
        raise errors[0]
    return results[0]

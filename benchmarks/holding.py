"""Measure how long others on the event loop wait while a burst is read."""

from __future__ import annotations

import time

import anyio
from anyio.lowlevel import checkpoint

from .readers import Reader
from .timing import Backend, run


async def _longest_gap(server: str, reader: Reader, events: int) -> float:
    longest = 0.0
    async with reader.open(server) as read, anyio.create_task_group() as group:

        async def tick() -> None:
            nonlocal longest
            last = time.thread_time()
            while True:
                await checkpoint()
                now = time.thread_time()
                longest = max(longest, now - last)
                last = now

        await read("/burst/10")
        group.start_soon(tick)
        await checkpoint()
        await checkpoint()
        longest = 0.0
        await read(f"/burst/{events}")
        group.cancel_scope.cancel()
    return longest


def longest_gap(server: str, reader: Reader, backend: Backend, events: int) -> float:
    """Return the longest time for which another task did not run, in milliseconds.

    CPU time of the thread is what is counted, since on a shared machine a wall clock shows other
    processes too.

    :param server: the server's URL.
    :param reader: how to read.
    :param backend: on which event loop.
    :param events: how many events come in one burst.
    """
    seconds = run(backend, _longest_gap, server, reader, events)
    assert isinstance(seconds, float)
    return seconds * 1e3

"""Measure in a process of its own what other measurements would disturb."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from fastgpt_client import AsyncChatClient

from . import readers
from . import streams as streams_module
from .server import ROOT
from .streams import Kind, Streams
from .timing import Backend, run


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _open_streams(server: str, kind: Kind, streams: int) -> float:
    """Return the bytes that each of ``streams`` open streams keeps."""
    seen = 0
    everybody = anyio.Event()
    target = streams

    def see(_: str | bytes) -> None:
        nonlocal seen
        seen += 1
        if seen >= target:
            everybody.set()

    async with readers.httpx_client() as http, anyio.create_task_group() as group:
        opener = Streams(kind, http, f"{server}/hold")
        # The first ones load what is loaded late.
        target = seen_each = 2 if kind == "raw" else 1
        group.start_soon(opener.read, see)
        await everybody.wait()
        everybody = anyio.Event()
        before = _resident()
        target = seen_each * (streams + 1)
        for _ in range(streams):
            group.start_soon(opener.read, see)
        await everybody.wait()
        kept = _resident() - before
        group.cancel_scope.cancel()
    return kept / streams


async def _long_reply(server: str, kind: Kind, events: int) -> float:
    """Return the bytes that a reply keeps for each of its events."""
    async with readers.httpx_client() as http:
        client = AsyncChatClient(readers.KEY, f"{server}/burst/{events}", http_client=http)
        async with client.stream("hi", max_reply_bytes=readers.MAX_BYTES) as reply:
            before = _resident()
            async for _ in reply:
                pass
            return (_resident() - before) / events


def _in_a_process(what: str, *arguments: object) -> list[float]:
    command = [sys.executable, "-m", __name__, what, *map(str, arguments)]
    ended = subprocess.run(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=300
    )
    return [float(word) for word in ended.stdout.split()]


def memory_of_a_stream(server: str, kind: Kind, backend: Backend, streams: int) -> float:
    """Return the resident bytes of an open stream, its consumer waiting.

    :param server: the server's URL.
    :param kind: how to read.
    :param backend: on which event loop.
    :param streams: how many are opened.
    """
    return _in_a_process("stream", server, kind, backend, streams)[0]


def memory_of_an_event(server: str, backend: Backend, events: int) -> float:
    """Return the resident bytes that a reply keeps for each event.

    :param server: the server's URL.
    :param backend: on which event loop.
    :param events: how many come.
    """
    return _in_a_process("event", server, "ours", backend, events)[0]


def delay(
    server: str, kind: Kind, backend: Backend, streams: int, events: int, a_second: int
) -> tuple[float, float]:
    """Do what :func:`streams.delay` does, where no other library fills the heap.

    A full garbage collection holds everything up for as long as the heap is large.
    """
    half, most = _in_a_process("delay", server, kind, backend, streams, events, a_second)
    return half, most


def import_seconds(statement: str) -> float:
    """Return the seconds of CPU that a fresh interpreter takes for ``statement``."""
    before = _seconds_of_children()
    subprocess.run([sys.executable, "-c", statement], check=True, timeout=60)  # noqa: S603
    return _seconds_of_children() - before


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _main(arguments: Sequence[str]) -> None:
    what, server, kind_name, backend, *numbers = arguments
    kind: Kind = "raw" if kind_name == "raw" else "ours"
    counts = [int(number) for number in numbers]
    if what == "delay":
        streams, events, a_second = counts
        print(*streams_module.delay(server, kind, backend, streams, events, a_second))
    else:
        measure = _open_streams if what == "stream" else _long_reply
        print(run(backend, measure, server, kind, *counts))


if __name__ == "__main__":
    _main(sys.argv[1:])

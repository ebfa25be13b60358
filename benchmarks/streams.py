"""Measure many streams at once: what an event costs, and how late it comes."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal

import anyio
import anyio.to_thread
import httpx

from fastgpt_client import AsyncChatClient

from . import readers, wire
from .timing import Backend, run

Kind = Literal["raw", "ours"]
_STAMP: Final = re.compile(rb"\d{19}")
#: Connections that are being opened at one time.
_OPENING: Final = 50


async def tell(server: str, path: str) -> None:
    """Ask the server for something that is no reply."""

    def ask() -> None:
        with urllib.request.urlopen(server + path, timeout=60) as response:  # noqa: S310
            response.read()

    await anyio.to_thread.run_sync(ask)


class Streams:
    """Open streams of one kind over one HTTP client.

    :param kind: ``"raw"`` for httpx and nothing else, ``"ours"`` for one loop over a reply.
    :param http: the HTTP client.
    :param url: the server's URL with the path of the replies.
    """

    def __init__(self, kind: Kind, http: httpx.AsyncClient, url: str) -> None:
        self._kind = kind
        self._http = http
        self._url = url
        self._client = AsyncChatClient(readers.KEY, url, http_client=http)
        self._opening = anyio.Semaphore(_OPENING)
        self._opened = 0

    async def wait_opened(self, streams: int) -> None:
        """Wait until so many replies have been opened and their readers wait."""
        while self._opened < streams:  # noqa: ASYNC110 - nobody is timed yet
            await anyio.sleep(0.05)
        await anyio.sleep(0.2)

    async def read(self, see: Callable[[str | bytes], None]) -> None:
        """Read one reply and call ``see`` with the text of each event, or each chunk of bytes."""
        if self._kind == "raw":
            async with self._raw() as response:
                async for chunk in response.aiter_raw():
                    see(chunk)
            return
        await self._opening.acquire()
        async with self._client.stream("hi") as reply:
            self._opening.release()
            self._opened += 1
            async for event in reply:
                see(event.text)

    @asynccontextmanager
    async def _raw(self) -> AsyncIterator[httpx.Response]:
        await self._opening.acquire()
        url = self._url + readers.PATH
        async with self._http.stream(
            "POST", url, headers=readers.HEADERS, json=readers.BODY
        ) as response:
            self._opening.release()
            self._opened += 1
            yield response


class _Countdown:
    """Note when every stream has shown as much as it should."""

    def __init__(self, streams: int, size: int) -> None:
        self._missing = [size] * streams
        self._unfinished = streams
        self.finished = anyio.Event()

    def see(self, place: int, part: str | bytes) -> None:
        self._missing[place] -= len(part)
        if self._missing[place] == 0:
            self._unfinished -= 1
            if not self._unfinished:
                self.finished.set()


async def _at_once(server: str, kind: Kind, streams: int, events: int, size: int) -> float:
    countdown = _Countdown(streams, size)
    async with readers.httpx_client() as http, anyio.create_task_group() as group:
        opener = Streams(kind, http, f"{server}/gate/{events}")
        for place in range(streams):
            group.start_soon(opener.read, partial(countdown.see, place))
        await opener.wait_opened(streams)
        await tell(server, f"/waiting/{streams}")
        start = time.process_time()
        await tell(server, "/open")
        await countdown.finished.wait()
        seconds = time.process_time() - start
        await tell(server, f"/waiting/{streams}")
        await tell(server, "/open")
    return seconds


def cost_at_once(server: str, kind: Kind, backend: Backend, streams: int, events: int) -> float:
    """Return microseconds of CPU an event, opening and closing left out.

    :param server: the server's URL.
    :param kind: how to read.
    :param backend: on which event loop.
    :param streams: how many streams are open at once.
    :param events: how many events each has.
    """
    size = wire.text_length(events) if kind == "ours" else wire.body_length(events)
    seconds = run(backend, _at_once, server, kind, streams, events, size)
    assert isinstance(seconds, float)
    return seconds / (streams * events) * 1e6


async def _delays(server: str, kind: Kind, streams: int, events: int, a_second: int) -> list[float]:
    delays: list[float] = []

    def see_text(text: str | bytes) -> None:
        delays.append((time.monotonic_ns() - int(text)) / 1e6)

    def see_bytes(chunk: str | bytes) -> None:
        assert isinstance(chunk, bytes)
        for stamp in _STAMP.findall(chunk):
            see_text(stamp)

    async with readers.httpx_client() as http, anyio.create_task_group() as group:
        opener = Streams(kind, http, f"{server}/stamped/{events}/{a_second}")
        for _ in range(streams):
            group.start_soon(opener.read, see_text if kind == "ours" else see_bytes)
        await opener.wait_opened(streams)
        await tell(server, f"/waiting/{streams}")
        await tell(server, "/open")
        # Not before all have ended: closing two hundred streams holds the last events up.
        await tell(server, f"/waiting/{streams}")
        await tell(server, "/open")
    return sorted(delays)


def delay(
    server: str, kind: Kind, backend: Backend, streams: int, events: int, a_second: int
) -> tuple[float, float]:
    """Return the median and the 99th percentile of the delays, in milliseconds.

    A delay is the time from the server's writing an event to the consumer's seeing it.

    :param server: the server's URL.
    :param kind: how to read.
    :param backend: on which event loop.
    :param streams: how many streams are open at once.
    :param events: how many events each has.
    :param a_second: how many of them come in a second.
    """
    delays = run(backend, _delays, server, kind, streams, events, a_second)
    assert isinstance(delays, list)
    return delays[len(delays) // 2], delays[len(delays) * 99 // 100]

"""Script a response behind the HTTP library's mock transport: no socket, so virtual time works."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import os
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from fastgpt_client import AsyncChatClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fastgpt_client import Reply, Timeouts


#: For what only asyncio has, such as ``task.cancel()`` and ``asyncio.timeout``.
asyncio_only = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"debug": True}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}),
            id="asyncio+uvloop",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
            ),
        ),
    ],
    indirect=True,
)


def http_library() -> Any:
    """Return the HTTP library under test, as ``http_client_factory`` does."""
    return importlib.import_module(os.environ.get("FASTGPT_TEST_HTTP", "httpx"))


# --- frames ------------------------------------------------------------------------------------


def frame(event: str, data: str) -> bytes:
    return f"event: {event}\ndata: {data}\n\n".encode()


def answer(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"delta": {"role": "assistant", **delta}, "index": 0, "finish_reason": finish_reason}
    whole = {"id": "", "object": "", "created": 0, "model": "", "choices": [choice]}
    return frame("answer", json.dumps(whole, ensure_ascii=False))


def delta(text: str) -> bytes:
    return answer({"content": text})


def deltas(count: int, start: int = 0) -> list[bytes]:
    """Make frames whose texts are ``<0>``, ``<1>``, …"""
    return [delta(f"<{number}>") for number in range(start, start + count)]


def told(count: int, start: int = 0) -> str:
    """Return the text of :func:`deltas`."""
    return "".join(f"<{number}>" for number in range(start, start + count))


HEARTBEAT = delta("")
TERMINAL = answer({"content": None}, "stop")
DONE = frame("answer", "[DONE]")
#: The ordinary end of a stream.
FINISH = TERMINAL + DONE
STATUS = frame("flowNodeStatus", '{"status":"running","name":"AI"}')
ERROR = frame(
    "error",
    '{"code":500004,"statusText":"aiPointsNotEnough","message":"no points left","data":null}',
)


# --- steps -------------------------------------------------------------------------------------


@attrs.frozen
class At:
    """Have the following steps only so many seconds after the request, read or not."""

    seconds: float


@attrs.frozen
class End:
    """End the body cleanly."""


@attrs.frozen
class Turn:
    """Let other tasks run before the next step, as a read from a socket does."""


Step = bytes | At | End | Turn | Exception


@attrs.define(eq=False)
class Wire:
    """Be the body of one response: what it has is read when the client reads.

    Steps are pushed by the test, before or while it is read; without one the reader waits.
    """

    steps: deque[Step] = attrs.field(factory=deque)
    started: float = 0.0
    #: Chunks that were read.
    reads: int = 0
    closed: bool = False
    #: What closing it raises, if it does.
    close_error: Exception | None = None
    _more: anyio.Event = attrs.field(factory=lambda: anyio.Event())

    def push(self, *steps: Step) -> None:
        self.steps.extend(steps)
        self._more.set()

    def finish(self, *steps: Step) -> None:
        self.push(*steps, FINISH, End())

    async def read(self) -> bytes:
        while True:
            while not self.steps:
                self._more = anyio.Event()
                await self._more.wait()
            step = self.steps[0]
            if isinstance(step, At):
                wait = self.started + step.seconds - anyio.current_time()
                if wait > 0:
                    await anyio.sleep(wait)
                self.steps.popleft()
            elif isinstance(step, End):
                raise StopAsyncIteration
            elif isinstance(step, Turn):
                await anyio.lowlevel.checkpoint()
                self.steps.popleft()
            else:
                self.steps.popleft()
                if isinstance(step, Exception):
                    raise step
                self.reads += 1
                # As the libraries do: a chunk that is there is handed out without waiting.
                return step


@functools.cache
def _stream_type(library: Any) -> Any:
    class WireStream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, wire: Wire) -> None:
            self._wire = wire

        def __aiter__(self) -> WireStream:
            return self

        async def __anext__(self) -> bytes:
            try:
                return await self._wire.read()
            except BaseException:
                # As httpcore does, whatever ends the reading.
                self._wire.closed = True
                raise

        async def aclose(self) -> None:
            self._wire.closed = True
            await anyio.lowlevel.checkpoint()
            if self._wire.close_error is not None:
                raise self._wire.close_error

    return WireStream


@attrs.define(eq=False)
class Scripted:
    """Answer every request with the same steps; the mock transport's handler.

    :param steps: the body of each response.
    :param headers_after: seconds until the headers come.
    :param error: the name of the library's exception that is raised instead, after that time.
    """

    steps: Sequence[Step] = ()
    headers_after: float = 0.0
    error: str | None = None
    requests: list[Any] = attrs.field(factory=list)
    wires: list[Wire] = attrs.field(factory=list)

    @property
    def wire(self) -> Wire:
        """The body of the newest response."""
        return self.wires[-1]

    async def __call__(self, request: Any) -> Any:
        library = http_library()
        self.requests.append(request)
        # The library's own clock, which the transport keeps, begins now.
        started = anyio.current_time()
        limits = request.extensions["timeout"]
        if self.error in ("ConnectTimeout", "PoolTimeout"):
            limit = limits["connect" if self.error == "ConnectTimeout" else "pool"]
            if limit is None or self.headers_after < limit:
                await anyio.sleep(self.headers_after)
            else:
                await anyio.sleep(limit)
                raise getattr(library, self.error)("", request=request)
        else:
            await anyio.sleep(self.headers_after)
            if self.error is not None:
                raise getattr(library, self.error)("it broke", request=request)
        wire = Wire(deque(self.steps), started)
        self.wires.append(wire)
        return library.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_stream_type(library)(wire)
        )

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[AsyncChatClient]:
        library = http_library()
        async with library.AsyncClient(transport=library.MockTransport(self)) as http:
            async with AsyncChatClient("key", "http://test", http_client=http, **options) as client:
                yield client


@asynccontextmanager
async def open_reply(
    *steps: Step, timeouts: Timeouts | None = None, limit: float = 5, **options: Any
) -> AsyncIterator[tuple[Reply, Wire]]:
    """Open one reply whose body is scripted; every wait in it is bounded.

    :param steps: what the body has from the start.
    :param timeouts: the reply's limits.
    :param limit: seconds for the whole.
    """
    server = Scripted(steps)
    with anyio.fail_after(limit):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=timeouts, **options) as reply:
                yield reply, server.wire


async def settle() -> None:
    """Let every other task run until it waits for something that this task must do.

    With scripted bodies nothing comes from outside, so some rounds of the event loop are enough;
    ``anyio.wait_all_tasks_blocked()`` takes a tenth of a second on asyncio.
    """
    for _ in range(60):
        await anyio.lowlevel.checkpoint()


async def collect(source: Any) -> str:
    """Read to the end and return the text."""
    return "".join([event.text async for event in source])

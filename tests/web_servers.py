"""Run ASGI applications on real web servers, on a loopback socket."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from .raw_http import RawClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def _backend(options: dict[str, Any], name: str, module: str, label: str) -> Any:
    missing = importlib.util.find_spec(module) is None
    skip = pytest.mark.skipif(missing, reason=f"{module} is not installed")
    return pytest.param((name, options), id=label, marks=skip)


_ASYNCIO = [
    _backend({"debug": True}, "asyncio", "asyncio", "asyncio"),
    _backend({"use_uvloop": True}, "asyncio", "uvloop", "asyncio+uvloop"),
]
_TRIO = _backend({}, "trio", "trio", "trio")

#: Each server on each event loop that it runs on; uvicorn knows no trio.
on_each_server = pytest.mark.parametrize(
    "server_name, anyio_backend",
    [
        pytest.param(name, *backend.values, id=f"{name}-{backend.id}", marks=backend.marks)
        for name, backends in (("hypercorn", [*_ASYNCIO, _TRIO]), ("uvicorn", _ASYNCIO))
        for backend in backends
    ],
    indirect=["anyio_backend"],
)


@attrs.define(eq=False)
class WebServer:
    """An application that is served.

    :param port: where on 127.0.0.1.
    """

    port: int

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[RawClient]:
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            yield RawClient(stream)

    async def get(self, path: str, *headers: str) -> tuple[str, str]:
        """Return head and body of one whole response."""
        async with self.connect() as browser:
            await browser.send(request(path, *headers))
            head, _, body = (await browser.rest()).partition(b"\r\n\r\n")
        chunked = b"transfer-encoding: chunked" in head.lower()
        return head.decode(), (unchunk(body) if chunked else body).decode()


def request(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def unchunk(body: bytes) -> bytes:
    data = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            assert body == b"\r\n"
            return data
        data += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]


@asynccontextmanager
async def serve(application: Any, name: str, backend: str) -> AsyncIterator[WebServer]:
    """Serve an application in the caller's event loop.

    :param application: the ASGI application.
    :param name: ``hypercorn`` or ``uvicorn``.
    :param backend: ``asyncio`` or ``trio``.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    with listener:
        port = listener.getsockname()[1]
        starter = {"hypercorn": _hypercorn, "uvicorn": _uvicorn}[name]
        async with anyio.create_task_group() as tg:
            stop, stopped = anyio.Event(), anyio.Event()

            async def run() -> None:
                # Also when a test fails the server closes what it has open.
                with anyio.CancelScope(shield=True):
                    await starter(application, listener, backend, stop)
                stopped.set()

            tg.start_soon(run)
            try:
                yield WebServer(port)
            finally:
                stop.set()
                with anyio.move_on_after(5, shield=True):
                    await stopped.wait()


async def _hypercorn(
    application: Any, listener: socket.socket, backend: str, stop: anyio.Event
) -> None:
    from hypercorn.config import Config

    config = Config()
    # It takes the socket over and closes it.
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 1
    config.errorlog = logging.getLogger("hypercorn.error")
    module = importlib.import_module(f"hypercorn.{backend}")
    await module.serve(application, config, shutdown_trigger=stop.wait, mode="asgi")


async def _uvicorn(
    application: Any, listener: socket.socket, backend: str, stop: anyio.Event
) -> None:
    import uvicorn

    assert backend == "asyncio"
    config = uvicorn.Config(application, http="h11", lifespan="auto", ws="none", log_config=None)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tg:
        tg.start_soon(server.serve, [listener])
        await stop.wait()
        server.should_exit = True

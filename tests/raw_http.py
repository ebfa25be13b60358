"""A plain HTTP client on a socket, which sees every byte and every kind of end."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import attrs
from anyio.abc import SocketStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastgpt_client.testing import FakeFastGPT

V1 = "/api/v1/chat/completions"
V2 = "/api/v2/chat/completions"
STOP = "/api/v2/chat/stop"

#: Every answer of a production build starts with these.
SECURITY_HEADERS = [
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Referrer-Policy",
    "Permissions-Policy",
]


def question(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """The body of a completions request with one user message."""
    return {"messages": [{"role": "user", "content": text}], **fields}


def request_bytes(
    path: str,
    body: Any = None,
    *,
    key: str | None = "fastgpt-test-key",
    method: str = "POST",
    headers: tuple[str, ...] = (),
) -> bytes:
    """A whole request; ``body`` is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    lines += [f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@attrs.define
class RawResponse:
    """A response as its bytes came."""

    head: bytes
    chunks: list[bytes]
    wire_body: bytes

    @property
    def status_line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name, value) for name, value in (line.split(": ", 1) for line in lines)]

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.define
class RawClient:
    """One connection to the server."""

    stream: SocketStream
    buffer: bytes = b""

    async def send(self, data: bytes) -> None:
        with anyio.fail_after(5):
            await self.stream.send(data)

    async def more(self) -> bytes:
        """Read what comes next, in one read."""
        with anyio.fail_after(5):
            return await self.stream.receive()

    async def until(self, mark: bytes) -> bytes:
        """Read up to and with a mark; what comes after it stays for the next call."""
        while mark not in self.buffer:
            self.buffer += await self.more()
        at = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:at], self.buffer[at:]
        return found

    async def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.buffer += await self.more()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    async def response(self) -> RawResponse:
        """Read one complete response."""
        head = await self.until(b"\r\n\r\n")
        response = RawResponse(head, [], b"")
        length = response.header("Content-Length")
        if length is not None:
            response.wire_body = await self.exactly(int(length))
            response.chunks = [response.wire_body]
            return response
        assert response.header("Transfer-Encoding") == "chunked"
        while True:
            size = await self.until(b"\r\n")
            data = await self.exactly(int(size, 16) + 2)
            response.wire_body += size + data
            if size == b"0\r\n":
                return response
            response.chunks.append(data[:-2])

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        while True:
            try:
                self.buffer += await self.more()
            except anyio.EndOfStream:
                found, self.buffer = self.buffer, b""
                return found

    async def post(self, path: str, body: Any = None, **options: Any) -> RawResponse:
        await self.send(request_bytes(path, body, **options))
        return await self.response()


@asynccontextmanager
async def connect(server: FakeFastGPT) -> AsyncIterator[RawClient]:
    port = urlsplit(server.base_url).port
    assert port is not None
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield RawClient(stream)


async def post(server: FakeFastGPT, path: str, body: Any = None, **options: Any) -> RawResponse:
    """Send one request on a connection of its own and read the response."""
    async with connect(server) as client:
        return await client.post(path, body, **options)


async def ask(server: FakeFastGPT, path: str = V1, *, stream: bool = True, **fields: Any) -> bytes:
    return (await post(server, path, question(stream=stream, **fields))).body

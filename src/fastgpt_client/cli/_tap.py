"""Write down what the network brings while the client reads it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs
import httpx
from anyio.lowlevel import checkpoint

from ..testing._recording import RecordingWriter


@attrs.define(eq=False)
class Tap:
    """Record the completions exchange of an HTTP client.

    :param writer: takes what comes.
    """

    _writer: RecordingWriter
    _sent: float = attrs.field(default=0.0, init=False)

    def client(self) -> httpx.AsyncClient:
        """Return a client that is recorded; who gets it closes it."""
        return httpx.AsyncClient(
            limits=httpx.Limits(max_connections=None),
            event_hooks={"request": [self._request], "response": [self._response]},
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the request was sent."""
        return time.monotonic() - self._sent

    async def _request(self, request: httpx.Request) -> None:
        await checkpoint()
        if _is_completion(request):
            self._sent = time.monotonic()

    async def _response(self, response: httpx.Response) -> None:
        await checkpoint()
        request = response.request
        if not _is_completion(request):
            return
        parts: Any = request.stream
        body = b"".join([part async for part in parts])
        self._writer.begin(
            request={
                "method": request.method,
                "path": request.url.path,
                "body": json.loads(body or b"null"),
            },
            status=response.status_code,
            headers=response.headers.multi_items(),
            client=_version(),
        )
        stream: Any = response.stream
        response.stream = _TappedStream(stream.__aiter__(), stream, self._writer, self)


@attrs.define(eq=False)
class _TappedStream(httpx.AsyncByteStream):
    """A response's body that is written down as it is read.

    Not an async generator: those are left to the garbage collector when they are left early.
    """

    _chunks: Any
    _stream: Any
    _writer: RecordingWriter
    _tap: Tap

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            data: bytes = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._writer.end(self._tap.elapsed, "complete")
            raise
        except Exception as error:
            self._writer.end(self._tap.elapsed, "broken", f"{type(error).__name__}: {error}")
            raise
        except BaseException:  # cancelled, which ends the library's generators for good
            self._writer.end(self._tap.elapsed, "left")
            raise
        self._writer.arrived(self._tap.elapsed, data)
        return data

    async def aclose(self) -> None:
        self._writer.end(self._tap.elapsed, "left")
        await self._stream.aclose()


def _is_completion(request: httpx.Request) -> bool:
    return request.url.path.endswith("/chat/completions")


def _version() -> str:
    try:
        return version("fastgpt-client")
    except PackageNotFoundError:  # run from a source tree
        return ""

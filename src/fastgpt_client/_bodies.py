"""Give the HTTP library the body of a request, and read that of a response, leaving nothing behind.

The library's own iterators are async generators: a cancellation, or a ``break``, leaves them to the
garbage collector, and trio warns of each.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import anyio

from ._encoding import Inflater

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class RequestBody:
    """Give the HTTP library the body of a request.

    The library's own streams are async generators, which a cancellation leaves to the garbage
    collector; this is a plain iterator.

    :param data: the body.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        #: Whether all of it was written, so that the server may act on it.
        self.written: bool = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._data, self.taken)

    def taken(self) -> None:
        """Note that the library came back for more, so the body was written."""
        self.written = True


class _Once:
    def __init__(self, data: bytes, taken: Any) -> None:
        self._data: bytes | None = data
        self._taken = taken

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, None
        if data is None:
            self._taken()
            raise StopAsyncIteration
        return data  # noqa: ASYNC910 - the library writes to the network next


@functools.cache
def stream_type(library: Any) -> Any:
    """Return a class of the library's streams that gives it a :class:`RequestBody`.

    :param library: httpx or httpx2.
    """

    class RequestStream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, body: RequestBody) -> None:
            self._body = body

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._body.__aiter__()

    return RequestStream


class ResponseBody:
    """Iterate over the decoded body of a response, and end the iteration from inside.

    :param response: the library's response, its body not read yet.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        # Not aiter_raw(), which costs another tenth of the whole.
        self._chunks = response.stream.__aiter__()
        #: Undoes a content encoding, or ``None``; FastGPT sends streams without (recorded).
        self.inflater = Inflater.for_encoding(response.headers.get("content-encoding", ""))

    def __aiter__(self) -> AsyncIterator[bytes]:
        # The library's own iterator, without a call of ours around each chunk.
        chunks: AsyncIterator[bytes] = self._chunks
        return chunks

    async def unwind(self) -> None:  # noqa: ASYNC910 - what it awaits is cancelled
        """End the library's chain of async generators from its innermost one.

        Closing the outer one leaves the inner ones to the garbage collector, and trio warns of
        each. A read under a cancelled scope unwinds them all, and closes the connection if the
        body was not at its end.
        """
        with anyio.CancelScope(shield=True) as scope:  # noqa: ASYNC912 - cancelled from the start
            scope.cancel()
            try:
                while True:
                    await self._chunks.__anext__()
            except StopAsyncIteration:
                pass
            except Exception:
                # The network failed as well; whoever unwinds knows already how the reply ended.
                return  # noqa: ASYNC910 - whoever unwinds is leaving

    async def aclose(self) -> None:
        """Give the connection back to the pool, or close it if the body was not at its end."""
        await self._response.aclose()

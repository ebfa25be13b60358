"""Read one HTTP response, in tasks or in threads, and close it from wherever that is asked for."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Generic, TypeVar

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._bodies import ResponseBody
from ._encoding import Inflater
from ._errors import FastGPTError, ReplyInterruptedError, ReplyTimeoutError, UsageError
from ._library import explain

#: Seconds for closing a connection, which waits for no answer.
_CLOSE_SECONDS: Final = 2.0

_C = TypeVar("_C", "AsyncConnection", "Connection")


def closed_early(what: str = "response") -> FastGPTError:
    """Return the error of a read whose response was closed meanwhile.

    :param what: what was closed: the response, or the client.
    """
    return ReplyInterruptedError(f"the {what} was closed before the reply ended")


def rang(clock: Any, seconds: float) -> FastGPTError:
    """Return the error of a clock that ran out while a response was read.

    :param clock: the clock's name.
    :param seconds: its limit.
    """
    words = {
        "first_token": "the server sent nothing, not even headers, within {:g} s (first_token)",
        "silence": "not even a heartbeat came for {:g} s (silence): the line is dead",
        "total": "the reply was not complete within {:g} s (total)",
    }[clock]
    return ReplyTimeoutError(words.format(seconds), clock=clock, seconds=seconds)


@attrs.define(eq=False)
class AsyncConnection:
    """Read a response in one task at a time.

    :param library: the HTTP library.
    :param response: its response, the body not read yet.
    """

    library: Any
    response: Any
    #: What was closed, ``""`` while it is open.
    closed: str = attrs.field(default="", init=False)
    _body: ResponseBody = attrs.field(init=False)
    _chunks: AsyncIterator[bytes] = attrs.field(init=False)
    _reading: anyio.CancelScope | None = attrs.field(default=None, init=False)
    _idle: anyio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._body = ResponseBody(self.response)
        self._chunks = self._body.__aiter__()

    async def read(self, most: int, deadline: float) -> bytes | None:
        """Return the next bytes of the body, or ``None`` at its end.

        :param most: bytes that the result may have.
        :param deadline: when to stop waiting, in the event loop's time.
        :raises TimeoutError: at the deadline.
        :raises UsageError: if another task is reading.
        :raises FastGPTError: if the network fails, or the response is closed meanwhile.
        """
        if self._reading is not None:
            raise UsageError("this response is being read by another task: one at a time")
        if self.closed:
            raise closed_early(self.closed)
        chunk = b""
        try:
            with anyio.CancelScope(deadline=deadline) as self._reading:
                chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            return None  # noqa: ASYNC910 - the caller closes the response
        except Exception as error:
            raise explain(self.library, error) from error
        finally:
            scope, self._reading = self._reading, None
            if self._idle is not None:
                self._idle.set()
        if scope is not None and scope.cancelled_caught:
            if self.closed:
                raise closed_early(self.closed)
            raise TimeoutError
        return _inflated(self._body.inflater, chunk, most)

    async def aclose(self, what: str = "response") -> None:
        """Close the response; a task that reads it gets an error.

        :param what: what was closed: the response, or the client.
        """
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            await checkpoint()
            if self._reading is not None:
                self.closed = what
                self._idle = anyio.Event()
                self._reading.cancel()
                await self._idle.wait()
            elif self.closed:
                return
            self.closed = what
            await self._body.unwind()
            await self.response.aclose()


@attrs.define(eq=False)
class Connection:
    """Read a response in one thread at a time.

    :param library: the HTTP library.
    :param response: its response, the body not read yet.
    """

    library: Any
    response: Any
    #: What was closed, ``""`` while it is open.
    closed: str = attrs.field(default="", init=False)
    _inflater: Inflater | None = attrs.field(init=False)
    _chunks: Iterator[bytes] = attrs.field(init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _pid: int = attrs.field(factory=os.getpid, init=False)

    def __attrs_post_init__(self) -> None:
        self._inflater = Inflater.for_encoding(self.response.headers.get("content-encoding", ""))
        self._chunks = iter(self.response.stream)

    def limit_reads(self, seconds: float | None) -> None:
        """Bound every wait for bytes of the body; call it before the first.

        The HTTP library looks at this limit when it begins with the body.
        """
        self.response.request.extensions["timeout"]["read"] = seconds

    def read(self, most: int) -> bytes | None:
        """Return the next bytes of the body, or ``None`` at its end.

        :param most: bytes that the result may have.
        :raises TimeoutError: if the limit for a wait passed.
        :raises UsageError: if another thread is reading, or this is a forked process.
        :raises FastGPTError: if the network fails, or the response is closed meanwhile.
        """
        if os.getpid() != self._pid:
            raise UsageError(
                "this response belongs to the process that forked this one: ask again here, "
                "through a client of this process"
            )
        if not self._lock.acquire(blocking=False):
            raise UsageError("this response is being read by another thread: one at a time")
        try:
            if self.closed:
                raise closed_early(self.closed)
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            return _inflated(self._inflater, chunk, most)
        except FastGPTError:
            raise
        except Exception as error:
            if self.closed:
                raise closed_early(self.closed) from error
            if isinstance(error, self.library.ReadTimeout):
                raise TimeoutError from error
            raise explain(self.library, error) from error
        except BaseException:
            # Ctrl-C: whatever the program does next, the server must know.
            self.closed = "response"
            raise
        finally:
            if self.closed:
                self._close()
            self._lock.release()

    def close(self, what: str = "response") -> None:
        """Close the response; a thread that reads it gets an error.

        :param what: what was closed: the response, or the client.
        """
        if os.getpid() != self._pid:
            return
        if self._lock.acquire(blocking=False):
            try:
                if not self.closed:
                    self.closed = what
                    self._close()
            finally:
                self._lock.release()
            return
        self.closed = what
        # Closing a socket does not wake a thread that waits on it, ending the traffic does; the
        # thread then closes.
        stream = self.response.extensions.get("network_stream")
        sock = stream.get_extra_info("socket") if stream is not None else None
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self.response.close()


def _inflated(inflater: Inflater | None, chunk: bytes, most: int) -> bytes:
    return chunk if inflater is None else inflater.feed(chunk, most)


class Register(Generic[_C]):
    """Keep the open connections of a client, whatever becomes of their responses."""

    def __init__(self) -> None:
        self._open: set[_C] = set()
        self._forgotten: deque[_C] = deque()

    def add(self, connection: _C, response: object) -> None:
        """Keep a connection.

        :param connection: what to close at last.
        :param response: the object in the caller's hands; once that is gone, the connection is
            due.
        """
        self._open.add(connection)
        # A finalizer may run anywhere, so it does nothing but note.
        weakref.finalize(response, self._forgotten.append, connection).atexit = False

    def discard(self, connection: _C) -> None:
        """Forget a connection that was closed."""
        self._open.discard(connection)

    def due(self) -> list[_C]:
        """Take out the connections whose responses are gone."""
        due = []
        while self._forgotten:
            connection = self._forgotten.popleft()
            if connection in self._open:
                self._open.discard(connection)
                due.append(connection)
        return due

    def all(self) -> list[_C]:
        """Take out every connection."""
        found = list(self._open)
        self._open.clear()
        return found

    def __contains__(self, connection: _C) -> bool:
        return connection in self._open

    def __len__(self) -> int:
        return len(self._open)

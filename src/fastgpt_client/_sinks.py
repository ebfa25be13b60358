"""Write text to a file without holding up the event loop.

Three ways, by what the file is:

* A pipe, a FIFO or a socket: wait until the kernel says that it takes bytes, then write no more
  than it surely takes. No thread, so cancelling is exact. On Linux the same for a terminal,
  which promises no number of bytes and so is opened a second time, non-blocking: to make the
  program's own descriptor so would make it so for the shell as well.
* A regular file, which is always "ready", and a terminal elsewhere: a worker thread.
* An object without a file descriptor of its own (``io.StringIO``, a notebook's output, a test's
  capture): its ``write`` is called where it is. A notebook has a ``fileno()`` too, of the
  wrong place, so only the plain stack of ``open()`` is trusted with one.

But for such a terminal, the text goes through the file's own text layer: its encoding, error
handler and newline translation apply, and the order of what the program itself prints is kept.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TextIO, TypeAlias
from weakref import WeakValueDictionary

import anyio
import attrs
from anyio.lowlevel import RunVar, checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What one ``write(2)`` to a socket surely takes once poll said "writable", in bytes: poll waits
#: for a good part of the send buffer, the smallest of which is near 2 KiB. For a pipe it is
#: ``PIPE_BUF`` (POSIX), unless another process writes to it at the same moment.
_SOCKET_LIMIT = 512

#: How many pieces a write that may not wait puts out at most.
_PIECES_NOWAIT = 16


class Writable(Protocol):
    """Anything that text can be written to."""

    def write(self, text: str, /) -> object:
        """Take ``text``."""


#: What a printing consumer writes to.
Target: TypeAlias = TextIO | Writable | anyio.AsyncFile[str]


class Sink(Protocol):
    """Where a consumer writes."""

    async def write(self, text: str) -> None:
        """Write all of ``text`` and flush it.

        :raises OSError: if the file cannot be written; ``BrokenPipeError`` if its reader is gone.
        """

    def write_nowait(self, text: str) -> None:
        """Write, without waiting, what a cancelled :meth:`write` left, then ``text``.

        What does not go out at once is given up, and so is any error: the caller has a
        cancellation to pass on.
        """


@attrs.define(eq=False)
class _Gate:
    """Let one task, and one thread, write to a file at a time."""

    tasks: anyio.Lock = attrs.field(factory=lambda: anyio.Lock(fast_acquire=True))
    # An abandoned thread is still in its write when its task has left.
    threads: threading.Lock = attrs.field(factory=threading.Lock)
    # Of its own: a program that has filled the default limiter can still print.
    limiter: anyio.CapacityLimiter = attrs.field(factory=lambda: anyio.CapacityLimiter(1))


_gates: RunVar[WeakValueDictionary[tuple[int, int], _Gate]] = RunVar("_gates")


def _gate_of(status: os.stat_result) -> _Gate:
    """Return the gate of a file: standard output and error on one terminal share it."""
    gates = _gates.get(None)
    if gates is None:
        gates = WeakValueDictionary()
        _gates.set(gates)
    key = (status.st_dev, status.st_ino)
    gate = gates.get(key)
    if gate is None:
        gate = gates[key] = _Gate()
    return gate


@attrs.define(eq=False)
class _DirectSink:
    _file: Writable
    _text: str = attrs.field(default="", init=False)

    async def write(self, text: str) -> None:
        self._text += text
        await checkpoint()
        self._put()

    def write_nowait(self, text: str) -> None:
        self._text += text
        with suppress(OSError, ValueError):
            self._put()

    def _put(self) -> None:
        text, self._text = self._text, ""
        if text:
            self._file.write(text)
            flush = getattr(self._file, "flush", None)
            if flush is not None:
                flush()


@attrs.define(eq=False)
class _NullSink:
    async def write(self, text: str) -> None:
        await checkpoint()

    def write_nowait(self, text: str) -> None:
        pass


@attrs.define(eq=False)
class _ThreadSink:
    _file: io.TextIOWrapper
    _gate: _Gate
    #: A regular file's write ends by itself and is let end; a stopped terminal's does not.
    _regular: bool
    _text: str = attrs.field(default="", init=False)

    async def write(self, text: str) -> None:
        self._text += text
        async with self._gate.tasks:
            await anyio.to_thread.run_sync(
                self._put, abandon_on_cancel=not self._regular, limiter=self._gate.limiter
            )

    def write_nowait(self, text: str) -> None:
        self._text += text
        if self._regular and not self._gate.threads.locked():
            with suppress(OSError, ValueError):
                self._put()

    def _put(self) -> None:
        with self._gate.threads:
            text, self._text = self._text, ""
            self._file.write(text)
            self._file.flush()


@attrs.define(eq=False)
class _PolledSink:
    _file: io.TextIOWrapper
    _gate: _Gate
    #: Bytes that one write takes without blocking once the descriptor is writable.
    _limit: int
    _text: str = attrs.field(default="", init=False)
    _place: int = attrs.field(default=0, init=False)
    #: Whether the text layer may hold bytes that a non-blocking descriptor refused.
    _unflushed: bool = attrs.field(default=False, init=False)

    async def write(self, text: str) -> None:
        self._take(text)
        async with self._gate.tasks:
            with self._descriptor() as descriptor:
                while True:
                    if _ready(descriptor):
                        await checkpoint()
                    else:
                        await anyio.wait_writable(descriptor)
                    self._step(descriptor)
                    if not self._unfinished:
                        break

    def write_nowait(self, text: str) -> None:
        try:
            self._gate.tasks.acquire_nowait()
        except anyio.WouldBlock:
            return
        try:
            with suppress(OSError, ValueError), self._descriptor() as descriptor:
                self._take(text)
                for _ in range(_PIECES_NOWAIT):
                    if not self._unfinished or not _ready(descriptor):
                        break
                    self._step(descriptor)
        finally:
            self._gate.tasks.release()

    @contextmanager
    def _descriptor(self) -> Iterator[int]:
        yield self._file.fileno()

    def _take(self, text: str) -> None:
        self._text = self._text[self._place :] + text
        self._place = 0

    @property
    def _unfinished(self) -> bool:
        return self._unflushed or self._place < len(self._text)

    def _step(self, descriptor: int) -> None:
        """Write one piece. Does not block if the descriptor is writable."""
        try:
            self._file.flush()  # what the program printed before and did not flush
            self._unflushed = False
            if self._place < len(self._text) and _ready(descriptor):
                piece = self._piece()
                self._place += len(piece)
                self._unflushed = True
                self._file.write(piece)
                self._file.flush()
                self._unflushed = False
        except BlockingIOError:
            # The descriptor is non-blocking and somebody else took the room: the bytes are in
            # the buffer, and the next flush goes on with them.
            self._unflushed = True

    def _piece(self) -> str:
        """Return the next characters whose bytes fit into one write."""
        size = self._limit
        while True:
            piece = self._text[self._place : self._place + size]
            # The text layer does not tell whether it translates newlines: count the longest.
            needed = len(_encode(self._file, piece)) + 4 * piece.count("\n")
            if needed <= self._limit or len(piece) == 1:
                return piece
            size = len(piece) // 2


@attrs.define(eq=False)
class _TerminalSink(_PolledSink):
    _path: str = ""
    _bytes: bytes = attrs.field(default=b"", init=False)

    @contextmanager
    def _descriptor(self) -> Iterator[int]:
        descriptor = _open_terminal(self._path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _take(self, text: str) -> None:
        self._bytes += _encode(self._file, text)

    @property
    def _unfinished(self) -> bool:
        return bool(self._bytes)

    def _step(self, descriptor: int) -> None:
        # Other than the sink's own text, this could wait; a program seldom leaves much.
        self._file.flush()
        with suppress(BlockingIOError):
            self._bytes = self._bytes[os.write(descriptor, self._bytes[: self._limit]) :]


def _ready(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # An error or a hang-up is "ready" as well: the write then tells which.
    return bool(poll.poll(0))


def _encode(file: io.TextIOWrapper, text: str) -> bytes:
    return text.encode(file.encoding, file.errors or "strict")


def _open_terminal(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)


def sink_for(file: Target | None) -> Sink:
    """Return the sink that writes to ``file``.

    :param file: a text file of any kind, or ``None`` for nowhere (a program without a console
        has ``sys.stdout`` set to it).
    """
    if file is None:
        return _NullSink()
    plain: Writable = file.wrapped if isinstance(file, anyio.AsyncFile) else file
    # A subclass may do something else with its text than write it to the descriptor.
    if type(plain) is not io.TextIOWrapper:
        return _DirectSink(plain)
    descriptor = _descriptor_of(plain)
    if descriptor is None:
        return _DirectSink(plain)
    status = os.fstat(descriptor)
    mode = status.st_mode
    gate = _gate_of(status)
    if sys.platform != "win32" and hasattr(select, "poll"):
        if stat.S_ISFIFO(mode):
            return _PolledSink(plain, gate, select.PIPE_BUF)
        if stat.S_ISSOCK(mode):
            return _PolledSink(plain, gate, min(_SOCKET_LIMIT, select.PIPE_BUF))
        if sys.platform == "linux" and (path := _terminal_of(descriptor)) is not None:
            return _TerminalSink(plain, gate, select.PIPE_BUF, path)
    return _ThreadSink(plain, gate, stat.S_ISREG(mode))


def _descriptor_of(file: io.TextIOWrapper) -> int | None:
    try:
        raw = getattr(file.buffer, "raw", file.buffer)
        return file.fileno() if isinstance(raw, io.RawIOBase) else None
    except (OSError, ValueError):
        # No descriptor behind it, or closed: then its write says so.
        return None


def _terminal_of(descriptor: int) -> str | None:
    """Return the path of a terminal that can be opened again, else ``None``."""
    try:
        path = os.ttyname(descriptor)
        os.close(_open_terminal(path))
    except OSError:
        # No terminal, one of another user (after su), or one from outside the container.
        return None
    return path

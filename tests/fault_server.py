"""A server on raw sockets that breaks where it is told, to the byte.

It runs in threads, so that it is the same under every event loop and is never held up by one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import attrs

from .scripted import DONE, HEARTBEAT, STATUS, TERMINAL, delta, frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random
    from typing import Self

_PATIENCE = 5.0


# --- what a connection does --------------------------------------------------------------------


@attrs.frozen
class Drip:
    """Write the data one byte at a time."""

    data: bytes


@attrs.frozen
class Endless:
    """Write the data again and again until the client closes the connection."""

    data: bytes


@attrs.frozen
class Gate:
    """Wait until the test calls :meth:`FaultServer.release`."""


@attrs.frozen
class Wait:
    """Let so many seconds pass."""

    seconds: float


@attrs.frozen
class Silence:
    """Keep the connection open and say nothing until the client closes it."""


@attrs.frozen
class Fin:
    """Close the connection in the orderly way."""


@attrs.frozen
class Reset:
    """Close the connection with a reset."""


@attrs.frozen
class Request:
    """Wait for the next request, and note it."""


Step = bytes | Drip | Endless | Gate | Wait | Silence | Fin | Reset | Request
#: What most connections begin with.
REQUEST = Request()


class _ClientGoneError(Exception):
    pass


@attrs.define(eq=False)
class FaultServer:
    """Play steps on each connection: the first script on the first connection, and so on.

    The last script is for all further connections.

    :param scripts: the steps of each connection.
    :param tls: to be spoken before, or ``None``.
    """

    scripts: deque[Sequence[Step]]
    tls: ssl.SSLContext | None = None
    #: The requests, head and body.
    requests: list[bytes] = attrs.field(factory=list)
    #: How many connections were made.
    accepted: int = 0
    #: What the server's own threads met, for the test to look at.
    errors: list[BaseException] = attrs.field(factory=list)
    _listener: socket.socket = attrs.field(init=False)
    _threads: list[threading.Thread] = attrs.field(factory=list)
    _sockets: list[socket.socket] = attrs.field(factory=list)
    _gate: threading.Event = attrs.field(factory=threading.Event)
    _closing: bool = False

    @classmethod
    def of(cls, *steps: Step, tls: ssl.SSLContext | None = None) -> Self:
        """Make a server that answers every first request of a connection with the same steps."""
        return cls(deque([(REQUEST, *steps)]), tls)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def release(self) -> None:
        self._gate.set()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2000)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self.release()
        # Wakes the thread that accepts, on every system.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE).close()
        for open_socket in self._sockets:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        self.wait_closed()
        self._listener.close()
        assert self.errors == []

    def wait_closed(self) -> None:
        """Wait until every thread is through, which needs the clients to be gone."""
        for thread in list(self._threads):
            if self._closing or thread is not self._threads[0]:
                thread.join(_PATIENCE)
                assert not thread.is_alive(), "the client left a connection open"

    def _start(self, run: Any, *args: Any) -> None:
        def guarded() -> None:
            try:
                run(*args)
            except BaseException as error:  # noqa: ASYNC103 - of a thread; looked at
                self.errors.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            self.accepted += 1
            script = self.scripts[0] if len(self.scripts) == 1 else self.scripts.popleft()
            self._sockets.append(connection)
            self._start(self._serve, connection, script)

    def _serve(self, connection: socket.socket, script: Sequence[Step]) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._sockets.append(connection)
            for step in script:
                self._play(connection, step)
        except (OSError, _ClientGoneError):
            pass  # the client's right
        finally:
            connection.close()

    def _play(self, connection: socket.socket, step: Step) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, Drip):
            for place in range(len(step.data)):
                connection.sendall(step.data[place : place + 1])
        elif isinstance(step, Endless):
            while True:
                connection.sendall(step.data)
        elif isinstance(step, Gate):
            self._gate.wait(_PATIENCE)
        elif isinstance(step, Wait):
            time.sleep(step.seconds)
        elif isinstance(step, Silence):
            while connection.recv(65536):
                pass
        elif isinstance(step, Request):
            self.requests.append(_read_request(connection))
        elif isinstance(step, Reset):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _ClientGoneError
        else:
            raise _ClientGoneError


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    while len(body) < size:
        body += _receive(connection)
    return head + b"\r\n\r\n" + body


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise _ClientGoneError
    return data


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# --- what is sent ------------------------------------------------------------------------------


def head(
    status: str = "200 OK", content_type: str | None = "text/event-stream", *further: str
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *further]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def whole(status: str, content_type: str | None, body: bytes, *further: str) -> bytes:
    """A response with a length."""
    return head(status, content_type, f"Content-Length: {len(body)}", *further) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
CHUNKED_HEAD = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")

#: Each frame of a reply, with the text that it adds.
FRAMES: tuple[tuple[bytes, str], ...] = (
    (STATUS, ""),
    (delta("Once "), "Once "),
    (delta("你好，🌍 "), "你好，🌍 "),
    (HEARTBEAT, ""),
    (delta("upon"), "upon"),
    (TERMINAL, ""),
    (DONE, ""),
    (frame("flowResponses", "[]"), ""),
)
BODY = b"".join(data for data, _ in FRAMES)
TEXT = "".join(text for _, text in FRAMES)


@attrs.frozen
class Arrived:
    """What a client must have understood after some bytes of the body.

    :param text: the text of the frames that are whole.
    """

    head: bool
    body: bytes
    text: str = ""
    terminal: bool = False
    done: bool = False


def arrived(body: bytes, *, has_head: bool = True) -> Arrived:
    """Tell what the beginning of :data:`BODY` says."""
    text, terminal, done, end = "", False, False, 0
    for data, words in FRAMES:
        end += len(data)
        if end > len(body):
            break
        text += words
        terminal = terminal or data == TERMINAL
        done = done or data == DONE
    return Arrived(has_head, body, text, terminal, done)


@attrs.frozen
class Wire:
    """A whole response as bytes, and which of them are the body's.

    :param pieces: the bytes in order; true marks those of the body.
    """

    pieces: tuple[tuple[bytes, bool], ...]

    @classmethod
    def chunked(cls, chunks: Sequence[bytes]) -> Wire:
        pieces: list[tuple[bytes, bool]] = [(CHUNKED_HEAD, False)]
        for data in chunks:
            pieces += [(b"%x\r\n" % len(data), False), (data, True), (b"\r\n", False)]
        return cls((*pieces, (LAST_CHUNK, False)))

    @classmethod
    def until_close(cls, body: bytes = BODY) -> Wire:
        return cls(((head(), False), (body, True)))

    @property
    def data(self) -> bytes:
        return b"".join(data for data, _ in self.pieces)

    def before(self, offset: int) -> Arrived:
        """Tell what has arrived when ``offset`` bytes have."""
        body, left = b"", offset
        for data, is_body in self.pieces:
            if is_body:
                body += data[:left]
            left = max(0, left - len(data))
        return arrived(body, has_head=offset >= len(self.pieces[0][0]))


def cut(data: bytes, random: Random, most: int = 60) -> Iterator[bytes]:
    """Cut data into pieces of random sizes."""
    place = 0
    while place < len(data):
        size = random.randint(1, most)
        yield data[place : place + size]
        place += size


End = Literal["silence", "reset", "fin"]
END: dict[End, Step] = {"silence": Silence(), "reset": Reset(), "fin": Fin()}

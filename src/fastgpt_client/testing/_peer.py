"""Hold one accepted socket: bytes in, bytes out, and every way of ending it.

The server uses plain non-blocking sockets and anyio's readiness calls, not anyio's socket
streams: on asyncio those keep written bytes in a buffer that a close may throw away, and send
a FIN before they can send an RST, so that faults would look different from loop to loop.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable

import anyio
import attrs
from anyio.lowlevel import checkpoint

_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


@attrs.define(eq=False)
class Peer:
    """The other end of one connection.

    :param socket: the accepted socket; this object closes it.
    :param on_close: is called once when it is closed.
    """

    _socket: socket.socket
    _on_close: Callable[[], None]
    closed: bool = False

    def __attrs_post_init__(self) -> None:
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def receive(self) -> bytes:
        """Wait for bytes; none means that the other side is gone or this one was closed."""
        await checkpoint()
        while not self.closed:
            try:
                await anyio.wait_readable(self._socket)
                return self._socket.recv(65536)
            except (BlockingIOError, InterruptedError):
                continue
            except (OSError, anyio.ClosedResourceError):
                break
        return b""

    async def send(self, data: bytes) -> bool:
        """Give all bytes to the kernel; ``False`` if the other side is gone.

        Nothing else runs between the last byte's hand-over and the return.
        """
        await checkpoint()
        view = memoryview(data)
        while view and not self.closed:
            try:
                view = view[self._socket.send(view) :]
            except (BlockingIOError, InterruptedError):
                try:
                    await anyio.wait_writable(self._socket)
                except (OSError, anyio.ClosedResourceError):
                    return False
            except OSError:
                return False
        return not view

    def close(self) -> None:
        """Close the connection; what was sent before still arrives, then a FIN."""
        if not self.closed:
            self.closed = True
            anyio.notify_closing(self._socket)
            self._socket.close()
            self._on_close()

    def reset(self) -> None:
        """Close the connection with an RST."""
        if not self.closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self.close()

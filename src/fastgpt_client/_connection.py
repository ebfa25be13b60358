"""Send one response to a browser over an ASGI connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class BrowserLeftError(Exception):
    """Say that sending is pointless."""


@attrs.define(eq=False)
class Connection:
    """Send a response whose status may still change until its first byte.

    :param send: the ASGI callable.
    :param status: the status, unless :meth:`refuse` comes first.
    :param headers: the headers that go with it.
    """

    _send: Send
    _status: int
    _headers: Headers
    started: bool = attrs.field(default=False, init=False)
    #: Whether the last message is on its way.
    finishing: bool = attrs.field(default=False, init=False)
    _sent_at: float = attrs.field(factory=anyio.current_time, init=False)
    #: The heartbeat comes from another task.
    _lock: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)

    async def write(self, data: bytes) -> None:
        """Send a part of the body, and the start of the response before the first."""
        async with self._lock:
            await self._body(data, more=True)

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        async with self._lock:
            await self._body(data, more=False)

    async def refuse(self, status: int, headers: Headers, body: bytes = b"") -> bool:
        """Send another response instead, and tell whether that was possible."""
        async with self._lock:
            if self.started:
                return False
            self._status, self._headers = status, headers
            await self._body(body, more=False)
            return True

    async def wait_left(self, receive: Receive) -> None:
        """Wait until the browser leaves, and for ever if that is after the last message.

        :param receive: the ASGI callable.
        """
        while (await receive())["type"] != "http.disconnect":  # noqa: ASYNC110 - the body's rest
            await checkpoint()
        if self.finishing:
            # Servers tell of their own end too, inside of send(), which must not be cancelled
            # then: hypercorn would leave the connection open.
            await anyio.sleep_forever()

    async def beat(self, every: float, heartbeat: bytes) -> None:
        """Send a heartbeat whenever nothing else was sent for ``every`` seconds."""
        while True:
            await anyio.sleep_until(self._sent_at + every)
            async with self._lock:
                if not self.finishing and anyio.current_time() >= self._sent_at + every:
                    await self._body(heartbeat, more=True)

    async def _body(self, data: bytes, *, more: bool) -> None:
        self.finishing = not more
        if not self.started:
            self.started = True
            await self._put(
                {
                    "type": "http.response.start",
                    "status": self._status,
                    "headers": [*self._headers],
                }
            )
        await self._put({"type": "http.response.body", "body": data, "more_body": more})

    async def _put(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            # Servers may say so in this way too (ASGI specification, HTTP 2.4).
            raise BrowserLeftError from error
        self._sent_at = anyio.current_time()


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header of the request, or ``None``.

    :param scope: the connection's scope.
    :param name: the header's name in lower case.
    """
    for key, value in scope["headers"]:
        if key.lower() == name:
            return str(value, "latin-1")
    return None

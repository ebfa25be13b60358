"""Speak the server side of HTTP/1.1 on one connection, with h11."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import attrs
import h11
from anyio.lowlevel import checkpoint

from ._peer import Peer

if TYPE_CHECKING:
    from ._wire import HeaderList

_MAX_BODY = 64 * 1024 * 1024
_REASONS = {
    200: "OK",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@attrs.frozen
class RecordedRequest:
    """A request as the server received it.

    :param method: the HTTP method.
    :param target: path and query as sent.
    :param headers: names in lower case and values, in order.
    :param body: the bytes of the body.
    :param connection: number of the connection it came on, from 1.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    connection: int

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields; of a repeated one the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def header(self, name: str) -> str | None:
        """Return the first header of a name, or ``None``.

        :param name: the name, in any case.
        """
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    @property
    def json(self) -> Any:
        """The parsed body.

        :raises ValueError: if the body is not JSON.
        """
        return json.loads(self.body)


@attrs.define(eq=False)
class Exchange:
    """One request and the answer to it.

    :param request: the request, read to its end.
    """

    request: RecordedRequest
    _connection: Connection
    drip: float | None = None
    left: bool = False
    finished: bool = False
    on_leave: Callable[[], None] | None = None
    spoke_raw: bool = False
    _head: bytes = b""

    def start(self, status: int, headers: HeaderList, reason: str | None = None) -> None:
        """Prepare status line and headers; they go out with the first bytes of the body."""
        phrase = _REASONS.get(status, "") if reason is None else reason
        head = self._connection.encode(
            h11.Response(status_code=status, headers=headers, reason=phrase.encode("latin-1"))
        )
        self._head = head.replace(b"\r\ntransfer-encoding:", b"\r\nTransfer-Encoding:")

    async def body(self, data: bytes) -> None:
        """Send a part of the body, in one write and one HTTP chunk."""
        await self._deliver(self._connection.encode(h11.Data(data=data)))

    async def end(self) -> None:
        """Send the end of the body."""
        await self._deliver(self._connection.encode(h11.EndOfMessage()))
        self.finished = True

    async def whole(
        self, status: int, headers: HeaderList, data: bytes, reason: str | None = None
    ) -> None:
        """Send a complete answer in one write."""
        self.start(status, headers, reason)
        wire = self._connection.encode(h11.Data(data=data))
        await self._deliver(wire + self._connection.encode(h11.EndOfMessage()))
        self.finished = True

    async def half(self, data: bytes) -> None:
        """Send the first half of what :meth:`body` would, then close."""
        wire = self._connection.encode(h11.Data(data=data))
        await self._deliver(wire[: len(wire) // 2])
        self.close()

    async def raw(self, data: bytes, cut: int | None) -> None:
        """Send bytes on the socket as they are, at most ``cut`` in one write."""
        self.spoke_raw = True
        size = cut or max(len(data), 1)
        for at in range(0, len(data), size):
            await self._deliver(data[at : at + size])
        self.finished = True
        await checkpoint()

    def close(self) -> None:
        """Close the connection with a FIN."""
        self.finished = True
        self._connection.peer.close()

    def reset(self) -> None:
        """Close the connection with an RST."""
        self.finished = True
        self._connection.peer.reset()

    async def _deliver(self, data: bytes) -> None:
        wire, self._head = self._head + data, b""
        if self.drip is None:
            await self._connection.peer.send(wire)
            return
        for at in range(len(wire)):
            await self._connection.peer.send(wire[at : at + 1])
            await anyio.sleep(self.drip)
        await checkpoint()


Handler = Callable[[Exchange], Awaitable[None]]


@attrs.define(eq=False)
class Connection:
    """One connection: a task that reads all the time, and one that answers.

    Reading never stops, because only a read tells that the client has gone.

    :param peer: the socket.
    :param number: counts the server's connections, from 1.
    :param keep_alive: seconds that an idle connection stays open after an answer.
    :param handle: answers one request.
    :param on_disconnect: is called when the client leaves before the end of its answer.
    """

    peer: Peer
    number: int
    keep_alive: float
    _handle: Handler
    _on_disconnect: Callable[[], None]
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.SERVER))
    _arrived: anyio.Event = attrs.field(factory=anyio.Event)
    _exchange: Exchange | None = None

    async def serve(self) -> None:
        """Answer requests until either side closes the connection."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen)
                await self._answer_all()
                tasks.cancel_scope.cancel()
        finally:
            self.peer.close()

    def encode(self, event: h11.Event) -> bytes:
        """The bytes of an HTTP event."""
        return self._http.send(event) or b""

    async def _listen(self) -> None:
        while data := await self.peer.receive():
            self._http.receive_data(data)
            self._wake()
        exchange = self._exchange
        if exchange is not None and not exchange.finished and not self.peer.closed:
            exchange.left = True
            if exchange.on_leave is not None:
                exchange.on_leave()
            self._on_disconnect()
        # A real server takes even a half-closed connection for a client that has gone.
        self.peer.close()
        self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()

    async def _answer_all(self) -> None:
        idle_limit: float | None = None
        while True:
            request: h11.Request | None = None
            with anyio.move_on_after(idle_limit):
                request = await self._read_head()
            if request is None:
                return
            body = await self._read_body()
            if body is None:
                return
            self._exchange = Exchange(self._recorded(request, body), self)
            await self._handle(self._exchange)
            if self.peer.closed or not self._next_cycle(self._exchange):
                return
            self._exchange = None
            idle_limit = self.keep_alive

    async def _read_head(self) -> h11.Request | None:
        request = await self._next_event()
        return request if isinstance(request, h11.Request) else None

    async def _read_body(self) -> bytes | None:
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            if len(body) <= _MAX_BODY:
                body += event.data
        return bytes(body) if isinstance(event, h11.EndOfMessage) else None

    async def _next_event(self) -> h11.Event | None:
        await checkpoint()
        while not self.peer.closed:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                await self._reject(error.error_status_hint)
                return None
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(
                        status_code=100, headers=[], reason=b"Continue"
                    )
                    await self.peer.send(self.encode(go_on))
                await self._arrived.wait()
            elif isinstance(event, h11.Event):
                return event
            else:
                return None
        return None

    async def _reject(self, status: int) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            reason = _REASONS.get(status, "Bad Request").encode()
            bad = h11.Response(status_code=status, headers=[("Connection", "close")], reason=reason)
            await self.peer.send(self.encode(bad) + self.encode(h11.EndOfMessage()))
        await checkpoint()

    def _recorded(self, request: h11.Request, body: bytes) -> RecordedRequest:
        headers = tuple((key.decode(), value.decode("latin-1")) for key, value in request.headers)
        return RecordedRequest(
            request.method.decode(), request.target.decode(), headers, body, self.number
        )

    def _next_cycle(self, exchange: Exchange) -> bool:
        if exchange.spoke_raw:
            # h11 was passed by, so it cannot count on; begin again with what it has not read.
            unread, _ = self._http.trailing_data
            self._http = h11.Connection(h11.SERVER)
            if unread:
                self._http.receive_data(unread)
            return True
        if not (self._http.our_state is h11.DONE is self._http.their_state):
            return False
        self._http.start_next_cycle()
        return True

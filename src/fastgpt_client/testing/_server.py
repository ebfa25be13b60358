"""Serve FastGPT's wire on a loopback socket, inside the caller's own event loop."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.abc
import attrs
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from ._answers import RawResponse, Refusal, Status
from ._completions import Answer, Chat, RateLimit
from ._dialect import Dialect
from ._http import Connection, Exchange, RecordedRequest
from ._peer import Peer
from ._respond import Responder
from ._run import Gates
from ._scenes import STORY, chat_script, question_of
from ._script import Script
from ._seen import Seen

if TYPE_CHECKING:
    import socket
    from types import TracebackType

AnswerSource = Answer | Callable[[RecordedRequest], Answer | Awaitable[Answer]]

#: The only key that the server accepts unless it is given another.
API_KEY = "fastgpt-test-key"
#: An app id of the right shape; the server accepts any.
APP_ID = "65f0000000000000000000aa"


@attrs.frozen
class _Route:
    answer: Any
    check_key: bool


@attrs.define(eq=False, kw_only=True)
class FakeFastGPT(Seen):
    """Play a FastGPT server in the caller's own task, on 127.0.0.1 and a free port.

    It speaks the wire of a real server, byte for byte: headers, chunks, order of the events,
    errors. What it answers is scripted by the caller; what it was asked is recorded. Use it
    with ``async with``: leaving the block closes every connection and ends every run. Not
    thread-safe. A client that reads slowly holds the script up; a real server buffers without
    a bound.

    :param server_version: the FastGPT version to play; ``4.16.0`` and ``4.14.7`` are recorded,
        others follow FastGPT's history as far as it is known.
    :param api_key: the only key that is accepted.
    :param heartbeat_every: seconds between two heartbeats of a stream, from its start; ``None``
        for none. A real server takes 10.
    :param keep_alive: seconds that an idle connection stays open after an answer.
    :param rate_limit: requests a minute before a 429; ``None`` for no limit and no
        ``X-RateLimit`` headers.
    :param plugin_app: ``True`` to play a plugin app: messages may be missing, details are on.
    :param port: the port to listen on, 0 for a free one.
    :raises ValueError: if ``server_version`` is not three numbers.
    """

    server_version: str = "4.16.0"
    api_key: str = attrs.field(default=API_KEY, repr=False)
    heartbeat_every: float | None = attrs.field(default=10.0, repr=False)
    keep_alive: float = attrs.field(default=5.0, repr=False)
    rate_limit: int | None = attrs.field(default=None, repr=False)
    plugin_app: bool = attrs.field(default=False, repr=False)
    port: int = attrs.field(default=0, repr=False)

    app_id: str = attrs.field(default=APP_ID, init=False, repr=False)
    #: Every request, oldest first, whatever became of it.
    requests: list[RecordedRequest] = attrs.field(factory=list, init=False, repr=False)
    #: Connections accepted so far.
    connections: int = attrs.field(default=0, init=False)
    #: Connections open now.
    open_connections: int = attrs.field(default=0, init=False)
    #: How often a client left before the end of its answer.
    disconnects: int = attrs.field(default=0, init=False)

    _chat: Chat = attrs.field(init=False, repr=False)
    _gates: Gates = attrs.field(init=False, repr=False)
    _routes: dict[tuple[str, str], _Route] = attrs.field(factory=dict, init=False, repr=False)
    _queue: list[AnswerSource] = attrs.field(factory=list, init=False, repr=False)
    _default: AnswerSource = attrs.field(default=STORY, init=False, repr=False)
    _errors: list[Exception] = attrs.field(factory=list, init=False, repr=False)
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False, repr=False)
    _tasks: anyio.abc.TaskGroup | None = attrs.field(default=None, init=False, repr=False)
    _listener: anyio.abc.Listener[Any] | None = attrs.field(default=None, init=False, repr=False)
    _url: str = attrs.field(default="", init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._gates = Gates(self._notify)
        self._chat = Chat(
            Responder(Dialect.of(self.server_version), self.keep_alive),
            self.api_key,
            self.heartbeat_every,
            self.plugin_app,
            RateLimit(self.rate_limit),
            self._next_answer,
            self._notify,
            self._gates,
        )

    # --- the block -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("a FakeFastGPT can be entered once; make another one")
        tasks = anyio.create_task_group()
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        raw_socket = SocketAttribute.raw_socket
        bound: socket.socket = listener.listeners[0].extra(raw_socket)  # noqa: S610  # no Django
        self._url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self._listener = listener
        self._tasks = await tasks.__aenter__()
        tasks.start_soon(self._accept, bound)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        assert self._listener is not None
        self._tasks.cancel_scope.cancel()
        try:
            # The caller's own exception is not given to the group, which would wrap it. No
            # shield: it waits for tasks that are cancelled and have nothing to wait for.
            await self._tasks.__aexit__(None, None, None)  # noqa: ASYNC102
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._listener.aclose()
        if exc is None and self._errors:
            if len(self._errors) == 1:
                raise self._errors[0]
            raise ExceptionGroup("handlers of the fake server failed", self._errors)

    @property
    def base_url(self) -> str:
        """Where the server listens, such as ``http://127.0.0.1:40123``.

        :raises RuntimeError: if the block has not been entered.
        """
        if not self._url:
            raise RuntimeError("enter the server's block first: async with FakeFastGPT() as server")
        return self._url

    # --- what it answers -----------------------------------------------------------------------

    def reply(
        self,
        answer: str | Iterable[str],
        *,
        reasoning: str | Iterable[str] = "",
        error: str = "",
        pause: float = 0.0,
    ) -> None:
        """Answer every completions request from now on with this text.

        :param answer: the text, which is cut into deltas, or the deltas themselves.
        :param reasoning: what the model thinks before, text or pieces.
        :param error: make the model's node fail with this text after the deltas.
        :param pause: seconds between two deltas.
        """
        deltas = answer if isinstance(answer, str) else list(answer)
        thoughts = reasoning if isinstance(reasoning, str) else list(reasoning)

        def played(request: RecordedRequest) -> Script:
            return chat_script(
                deltas,
                question=question_of(request.json.get("messages")),
                reasoning=thoughts,
                error=error,
                pause=pause,
                version=self.server_version,
            )

        self._default = played

    def script(self, answer: AnswerSource) -> None:
        """Answer every completions request from now on in this way.

        :param answer: a :class:`Script`, :class:`Status`, :class:`Refusal` or
            :class:`RawResponse`, a text, or a function (also ``async``) that takes the
            :class:`RecordedRequest` and returns one of them.
        """
        self._default = answer

    def enqueue(self, *answers: AnswerSource) -> None:
        """Answer the next completions requests in these ways, one request each.

        Requests that are refused before their run, for a wrong key for example, take none.

        :param answers: as for :meth:`script`.
        """
        self._queue.extend(answers)

    def play_raw(self, raw: bytes, *, cut: int | None = None, close: bool = False) -> None:
        """Answer the next completions request with exactly these bytes.

        :param raw: a whole HTTP response, status line and all.
        :param cut: at most this many bytes in one write; ``None`` for one write.
        :param close: ``True`` to close the connection after it.
        """
        self.enqueue(RawResponse(raw, cut, close))

    def route(self, method: str, path: str, answer: Any, *, check_key: bool = True) -> None:
        """Answer another endpoint, or one of the server's own in another way.

        :param method: the HTTP method, or ``*`` for any.
        :param path: the exact path without the query.
        :param answer: a :class:`Status`, :class:`Refusal` or :class:`RawResponse`; a function
            (also ``async``) that takes the :class:`RecordedRequest` and returns what may stand
            here; anything else is the ``data`` of the success envelope.
        :param check_key: ``False`` to answer without an API key too.
        """
        self._routes[method.upper(), path] = _Route(answer, check_key)

    def open_gate(self, name: str) -> None:
        """Let the runs go on that wait at ``WaitFor(name)``, now and later.

        :param name: the gate.
        """
        self._gates.open(name)

    def close_gate(self, name: str) -> None:
        """Make an opened gate hold the next runs again.

        :param name: the gate.
        """
        self._gates.close(name)

    # --- inside --------------------------------------------------------------------------------

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _accept(self, bound: socket.socket) -> None:
        assert self._tasks is not None
        while True:
            await anyio.wait_readable(bound)
            try:
                accepted, _ = bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue
            self.connections += 1
            self.open_connections += 1
            peer = Peer(accepted, self._connection_closed)
            connection = Connection(
                peer, self.connections, self.keep_alive, self._handle, self._client_left
            )
            self._tasks.start_soon(connection.serve)
            self._notify()

    def _connection_closed(self) -> None:
        self.open_connections -= 1
        self._notify()

    def _client_left(self) -> None:
        self.disconnects += 1
        self._notify()

    async def _handle(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        self._notify()
        await checkpoint()
        try:
            await self._dispatch(exchange)
        except Exception as error:  # raised when the block is left
            self._errors.append(error)
            exchange.close()

    async def _dispatch(self, exchange: Exchange) -> None:
        method, path = exchange.request.method, exchange.request.path
        route = self._routes.get((method, path)) or self._routes.get(("*", path))
        dialect = self._chat.respond.dialect
        if route is not None:
            await self._answer_route(exchange, route)
        elif path == "/api/v1/chat/completions":
            await self._chat.complete(exchange, "v1")
        elif path == "/api/v2/chat/completions" and dialect.has_v2:
            await self._chat.complete(exchange, "v2")
        elif path == "/api/v2/chat/stop" and dialect.has_stop:
            await self._chat.stop(exchange)
        elif path.endswith("/") and path != "/":
            await self._chat.respond.redirect(exchange)
        else:
            await self._chat.respond.not_found(exchange)

    async def _answer_route(self, exchange: Exchange, route: _Route) -> None:
        refusal = self._chat.key_refusal(exchange.request) if route.check_key else None
        answer = refusal or await self._called(route.answer, exchange.request)
        if isinstance(answer, (Status, Refusal, RawResponse, Script)):
            await self._chat.respond.give(exchange, answer)
        else:
            await self._chat.respond.succeed(exchange, answer)

    async def _next_answer(self, request: RecordedRequest) -> Answer:
        source = self._queue.pop(0) if self._queue else self._default
        answer: Answer = await self._called(source, request)
        if isinstance(answer, str):
            question = question_of(request.json.get("messages"))
            return chat_script(answer, question=question, version=self.server_version)
        return answer

    async def _called(self, source: Any, request: RecordedRequest) -> Any:
        await checkpoint()
        answer = source(request) if callable(source) else source
        return await answer if inspect.isawaitable(answer) else answer

"""Send a reply to a browser, from any ASGI framework, and stop the model when the browser leaves.

A block of ``client.stream()`` inside a generator that is given to a streaming response breaks as
soon as the browser leaves: the framework finishes the generator in another task. Here one
coroutine owns the block, watches for the browser to leave, and sends.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from ._answer import Answer, Status
from ._connection import BrowserLeftError, Connection, Receive, Scope, Send, header
from ._errors import (
    FastGPTError,
    InvalidArgumentError,
    RateLimitError,
    ReplyInterruptedError,
    UsageError,
)
from ._rendering import Problem, Render, Rendering, describe, http_status, rendering
from ._subscription import Subscription

if TYPE_CHECKING:
    from starlette.responses import Response as _Response

    from ._client import AsyncChatClient
    from ._limits import Policy
    from ._messages import Messages
    from ._reply import Reply
else:
    # FastAPI looks whether an endpoint returns, and is annotated to return, a Response of
    # Starlette's. Nothing of it is needed where it is not installed.
    try:
        from starlette.responses import Response as _Response
    except ImportError:
        _Response = object

__all__ = ["Rendering", "ReplyResponse", "SubscriptionResponse", "describe", "http_status"]

_log = logging.getLogger("fastgpt_client.asgi")

#: Seconds of silence after which a page gets a sign of life; proxies give up after 30 to 60.
HEARTBEAT_SECONDS: Final = 15.0


class _EventResponse(_Response):
    """What both responses have in common."""

    def __init__(
        self,
        render: Render,
        policy: Policy | None,
        heartbeat: float | None,
        headers: Mapping[str, str] | None,
        describe: Callable[[FastGPTError], Problem],
        background: Any,
    ) -> None:
        # Starlette's own __init__ renders a body that is known, so it is left out.
        if heartbeat is not None and not heartbeat > 0:
            raise InvalidArgumentError(
                f"heartbeat must be a positive number of seconds, or None, not {heartbeat!r}",
                field="heartbeat",
            )
        self.status_code = 200
        #: Awaited after the response, as Starlette and FastAPI do with their background tasks.
        self.background = background
        self._rendering = rendering(render)
        self._policy = policy
        self._heartbeat = heartbeat
        self._describe = describe
        defaults = {
            "content-type": self._rendering.media_type,
            "cache-control": "no-store",
            # Or browsers hold text back to guess at its type, and nginx to fill a buffer.
            "x-content-type-options": "nosniff",
            "x-accel-buffering": "no",
        }
        given = {name.lower(): value for name, value in (headers or {}).items()}
        #: The headers; Starlette's ``headers`` and ``set_cookie`` work on them.
        self.raw_headers: list[tuple[bytes, bytes]] = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (defaults | given).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        :raises UsageError: if the request is not HTTP, or the client cannot be used here.
        """
        if scope["type"] != "http":
            raise UsageError(f"{type(self).__name__} answers HTTP, not {scope['type']!r}")
        connection = Connection(send, self.status_code, self.raw_headers)
        failures: list[Exception] = []

        async def until_one_ends(part: Callable[..., Awaitable[None]], *args: Any) -> None:
            await checkpoint()
            try:
                await part(*args)
            except BrowserLeftError:
                pass
            except Exception as error:
                failures.append(error)
            group.cancel_scope.cancel()

        # A failure is raised after the group, as itself.
        async with anyio.create_task_group() as group:
            group.start_soon(until_one_ends, connection.wait_left, receive)
            every, heartbeat = self._heartbeat, self._rendering.heartbeat
            if every is not None and heartbeat is not None:
                group.start_soon(until_one_ends, connection.beat, every, heartbeat)
            await until_one_ends(self._answer, scope, connection)
        if failures:
            raise failures[0]
        if self.background is not None:
            await self.background()

    async def _answer(self, scope: Scope, connection: Connection) -> None:
        if scope["method"] == "HEAD":
            await connection.finish()
            return
        try:
            answer = await self._show(header(scope, b"last-event-id"), connection)
        except (InvalidArgumentError, UsageError):
            raise
        except FastGPTError as error:
            _log.warning("a reply to a browser failed: %s: %s", type(error).__name__, error)
            await self._tell(error, connection)
        else:
            if answer is not None:
                end = self._rendering.end
                await connection.finish(b"" if end is None else end(answer))

    async def _show(self, last_event_id: str | None, connection: Connection) -> Answer | None:
        """Send the events, and return the answer at a good end; ``None`` if all is said."""
        raise NotImplementedError

    async def _copy(self, events: Subscription, connection: Connection, after: int = -1) -> None:
        render = self._rendering.event
        while True:
            await checkpoint()
            try:
                batch = await events.receive_many()
            except anyio.EndOfStream:
                return
            parts = [part for event in batch if event.index > after and (part := render(event))]
            if parts:
                await connection.write(b"".join(parts))

    async def _tell(self, error: FastGPTError, connection: Connection) -> None:
        problem = self._describe(error)
        headers = [
            (b"content-type", b"application/json"),
            *(pair for pair in self.raw_headers if pair[0] != b"content-type"),
        ]
        if isinstance(error, RateLimitError) and error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
        body = msgspec.json.encode({"error": problem})
        if await connection.refuse(http_status(error), headers, body):
            return
        if self._rendering.error is None:
            raise error
        await connection.finish(self._rendering.error(problem))


class ReplyResponse(_EventResponse):
    """Ask FastGPT and send the answer to the browser as it comes.

    It is an ASGI application, so frameworks take it as a response. One coroutine owns the block,
    the watch and the sending: when the browser leaves, the block is left, which stops the model.
    A failure before the first byte is an HTTP status with a JSON body; later it is an event
    ``error`` (with ``render="plain"``, a last line). After the last event comes an event ``end``.
    An ``EventSource`` that connects again gets 204, which ends it: asking again would cost again.

    :param client: the client to ask with, open as long as the application is.
    :param messages: as for :meth:`AsyncChatClient.stream`.
    :param render: ``"events"`` sends each event as a server-sent event named as its class, with
        its fields as JSON, but not what holds the inside of the workflow (node responses,
        variables, unknown events); ``"text"`` sends server-sent events whose data is the piece of
        text; ``"plain"`` sends the text alone. Or a function of an event that returns bytes or
        ``None``, or a :class:`Rendering`.
    :param policy: what happens when the browser is slow; :meth:`Policy.lossless` by default.
    :param heartbeat: seconds of silence before a comment is sent, which keeps proxies from giving
        up; the first one also starts the response. ``None`` for none; plain text has none.
    :param headers: further headers of the response.
    :param describe: makes what the page is told of an error, with at least ``type`` and
        ``message``; :func:`describe` by default, which tells nothing of the server's own words.
    :param background: awaited without arguments after the response.
    :param stream_options: as for :meth:`AsyncChatClient.stream`.
    :raises InvalidArgumentError: if an argument cannot be used.
    """

    #: The reply, once the server took the question; after the response it holds what came.
    reply: Reply | None

    def __init__(
        self,
        client: AsyncChatClient,
        messages: Messages | None,
        render: Render = "events",
        *,
        policy: Policy | None = None,
        heartbeat: float | None = HEARTBEAT_SECONDS,
        headers: Mapping[str, str] | None = None,
        describe: Callable[[FastGPTError], Problem] = describe,
        background: Callable[[], Awaitable[Any]] | None = None,
        **stream_options: Any,
    ) -> None:
        super().__init__(render, policy, heartbeat, headers, describe, background)
        self.reply = None
        self._open = partial(client.stream, messages, **stream_options)
        # Wrong arguments are refused here, where the endpoint can be seen.
        if not hasattr(self._open(), "__aenter__"):
            raise InvalidArgumentError(
                f"client must be an AsyncChatClient, not {client!r}", field="client"
            )

    async def _show(self, last_event_id: str | None, connection: Connection) -> Answer | None:
        if last_event_id is not None:
            await connection.refuse(204, [])
            return None
        async with self._open() as reply:
            self.reply = reply
            with reply.subscribe(self._policy, name="browser") as events:
                await self._copy(events, connection)
            return reply.answer


class SubscriptionResponse(_EventResponse):
    """Show a reply that somebody else holds to one more browser.

    The holder of the block decides how long the reply can be read. A browser that leaves closes
    its own subscription and nothing else. An ``EventSource`` that connects again goes on after the
    last event that it saw, so give each reply a URL of its own.

    :param reply: the reply, inside its block.
    :param render: what the browser gets, as for :class:`ReplyResponse`.
    :param policy: what happens when the browser is slow, lossless by default.
    :param heartbeat: seconds of silence after which a comment is sent, ``None`` for never.
    :param headers: further headers.
    :param describe: returns the words for a failure.
    :param background: runs after the response.
    :raises InvalidArgumentError: if an argument cannot be used.
    """

    def __init__(
        self,
        reply: Reply,
        render: Render = "events",
        *,
        policy: Policy | None = None,
        heartbeat: float | None = HEARTBEAT_SECONDS,
        headers: Mapping[str, str] | None = None,
        describe: Callable[[FastGPTError], Problem] = describe,
        background: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        super().__init__(render, policy, heartbeat, headers, describe, background)
        self.reply = reply

    async def _show(self, last_event_id: str | None, connection: Connection) -> Answer | None:
        seen = last_event_id or ""
        after = int(seen) if seen.isascii() and seen.isdecimal() else -1
        with self.reply.subscribe(self._policy, name="browser") as events:
            try:
                await self._copy(events, connection, after)
            except anyio.ClosedResourceError:
                raise ReplyInterruptedError("the reply's block was left before its end") from None
        if self.reply.status is Status.ABANDONED:
            raise ReplyInterruptedError("the reply's block was left before its end")
        return self.reply.answer

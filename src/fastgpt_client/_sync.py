"""Talk to one server from blocking code."""

from __future__ import annotations

import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeVar, final

import anyio.lowlevel

from ._blocking_around import BlockingAroundChat
from ._blocking_block import BlockingBlock
from ._blocking_http import BlockingHTTP
from ._blocking_responses import ChatResponse
from ._client import AsyncChatClient
from ._connections import Connection, Register
from ._errors import UsageError
from ._http import HTTP
from ._limits import MAX_REPLY_BYTES, Timeouts
from ._portal import Portal
from ._requests import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from typing import Self

    from ._answer import Answer
    from ._blocking_reply import BlockingReply
    from ._messages import Messages
    from ._reply import Reply
    from ._requests import API

_log = logging.getLogger("fastgpt_client.sync")

T = TypeVar("T")


@final
class ChatClient(BlockingAroundChat):
    """Talk to one FastGPT server from blocking code.

    :meth:`create_chat_completion` is plain blocking HTTP: no thread, no event loop.
    :meth:`stream` and :meth:`ask` run the asynchronous client in one thread that this client
    starts when it is first needed and ends in :meth:`close`; several threads may use them at
    once.

    In a thread whose event loop is running, every call works and holds that loop up until it
    returns, so it is logged once as a warning: use :class:`AsyncChatClient` there. A process that
    is forked from this one cannot use this client, and is told so.

    :param api_key: the API key; ``FASTGPT_API_KEY`` if it is ``None``. A missing key fails at the
        first call.
    :param base_url: the server's URL, with or without ``/api`` at its end; ``FASTGPT_BASE_URL``,
        then ``http://localhost:3000``, if it is ``None``.
    :param app_id: the app's id, 24 hexadecimal digits. A key that is bound to an app does without,
        except for stopping a v2 run.
    :param api: which completions endpoint to use.
    :param timeouts: the limits of every reply.
    :param http_client: the caller's own ``httpx.Client`` or ``httpx2.Client`` for the calls
        without an event loop, which stays open. Its timeouts do not apply.
    :param async_http_client: makes an ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` for
        :meth:`stream` and :meth:`ask`; it is called in this client's thread, and what it made is
        closed with this client. Needed beside ``http_client``, whose proxies and certificates
        would otherwise not hold there.
    :param max_reply_bytes: bytes that the body of one reply may have, 64 MiB by default.
    :param timeout: seconds for a connection, if that is less than ``timeouts`` says, and for the
        whole of a :meth:`create_chat_completion` without ``stream``. Streams are bounded by
        ``timeouts``, since a good one may take longer than any one number.
    :param max_retries: how many more times to try to connect when that fails. A request that may
        have reached the server is never sent again: it is billed and saved.
    :param retry_delay: seconds before the first of those tries; each next wait is twice as long.
    :param enable_logging: log each request at level ``INFO`` instead of ``DEBUG``, to the logger
        ``fastgpt_client.http``: method, URL, status and time, never the key or a message.
    :raises InvalidArgumentError: if one of them cannot be used; ``.field`` names it.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        app_id: str | None = None,
        api: API = "v1",
        timeouts: Timeouts | None = None,
        http_client: object = None,
        async_http_client: Callable[[], object] | None = None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        timeout: float | None = None,
        max_retries: int = 0,
        retry_delay: float = 1.0,
        enable_logging: bool = False,
    ) -> None:
        secret: Any = None if api_key is None else Secret.of(api_key)
        del api_key
        # Holds the settings, and is used only in the portal.
        self._async = AsyncChatClient(
            secret,
            base_url,
            app_id=app_id,
            api=api,
            timeouts=timeouts,
            max_reply_bytes=max_reply_bytes,
            timeout=timeout,
            max_retries=max_retries,
            retry_delay=retry_delay,
            enable_logging=enable_logging,
        )
        self._portal = Portal()
        self._lock = threading.Lock()
        self._http = None if http_client is None else self._configured(http_client)
        self._cannot_stream = http_client is not None and async_http_client is None
        if async_http_client is not None:
            self._async._make_http = lambda: _owned(async_http_client())
        self._responses: Register[Connection] = Register()
        self._closed = False
        self._warned_of_loop = False

    def __repr__(self) -> str:
        if not hasattr(self, "_async"):
            return "<ChatClient, not made>"  # in a traceback with locals
        return repr(self._async).replace("AsyncChatClient", "ChatClient", 1)

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        portal: Portal | None = getattr(self, "_portal", None)
        if portal is not None and portal.running:
            _warn(f"unclosed {self!r}: use 'with', or close()", ResourceWarning, source=self)
            portal.abandon(self._async.aclose)

    def close(self) -> None:
        """End every open reply and response with an error that says so, and all connections.

        In a forked process this does nothing: the connections are the other process's.
        """
        if self._closed:
            return
        self._closed = True
        if self._portal.forked:
            return
        try:
            for connection in self._responses.all():
                connection.close("client")
            self._portal.close(self._async.aclose)
        finally:
            if self._http is not None:
                self._http.close()

    def stream(
        self,
        messages: Messages | None,
        *,
        chat_id: str | None = None,
        app_id: str | None = None,
        detail: bool = True,
        variables: Mapping[str, Any] | None = None,
        response_chat_item_id: str | None = None,
        timeouts: Timeouts | None = None,
        api: API | None = None,
        raise_on_node_error: bool = True,
        max_reply_bytes: int | None = None,
        resumable: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> AbstractContextManager[BlockingReply]:
        """Ask, and hold the reply while it arrives: ``with client.stream(…) as reply``.

        It runs :meth:`AsyncChatClient.stream` in the thread of this client, so limits, policies,
        failures and stopping are the same. Ctrl-C in the main thread leaves the block at once,
        closes the connection, which on v1 stops the model, and on v2 asks the server to stop.

        :param messages: a text (one user message), or a sequence of messages as dicts or
            :class:`Message` values; ``None`` for a plugin app, which takes ``variables`` only.
        :param chat_id: the chat to go on with.
        :param app_id: the app, if not the client's own.
        :param detail: whether the server tells of nodes, tools, variables and questions.
        :param variables: the workflow's global variables, or a plugin's inputs.
        :param response_chat_item_id: the id of the answer in the chat's records.
        :param timeouts: the limits of this reply.
        :param api: ``"v1"`` or ``"v2"``, if not the client's own.
        :param raise_on_node_error: whether a node that failed and was not caught makes the reply
            fail with :class:`WorkflowError`.
        :param max_reply_bytes: bytes that this reply may have.
        :param resumable: whether a v2 server keeps what it sends, for :meth:`resume`.
        :param extra: further fields of the request's body, such as ``customUid``.
        :raises FastGPTError: when the block is entered, if the server refuses, cannot be reached
            or does not answer in time; nothing is sent again by itself.
        :raises InvalidArgumentError: at once, if an argument cannot be sent.
        :raises UsageError: if the client was closed, belongs to another process, or has an
            ``http_client`` and no ``async_http_client``.
        """
        self._check_streams()
        block = self._async.stream(
            messages,
            chat_id=chat_id,
            app_id=app_id,
            detail=detail,
            variables=variables,
            response_chat_item_id=response_chat_item_id,
            timeouts=timeouts,
            api=api,
            raise_on_node_error=raise_on_node_error,
            max_reply_bytes=max_reply_bytes,
            resumable=resumable,
            extra=extra,
        )
        return self._open(block)

    def ask(self, messages: Messages | None, **options: Any) -> Answer:
        """Ask, and return the whole answer.

        It streams underneath, so that every limit and error of :meth:`stream` works here too.

        :param messages: as for :meth:`stream`.
        :param options: as for :meth:`stream`.
        :raises FastGPTError: as :meth:`stream` and :meth:`BlockingReply.final`.
        """
        with self.stream(messages, **options) as reply:
            return reply.final()

    def create_chat_completion(
        self,
        messages: Messages | None = None,
        stream: bool = False,
        chatId: str | None = None,  # noqa: N803 - the original SDK's names
        detail: bool = False,
        variables: Mapping[str, Any] | None = None,
        responseChatItemId: str | None = None,  # noqa: N803
        *,
        chat_id: str | None = None,
        response_chat_item_id: str | None = None,
        appId: str | None = None,  # noqa: N803
        app_id: str | None = None,
        timeouts: Timeouts | None = None,
        api: API | None = None,
        max_reply_bytes: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> ChatResponse:
        """Send a completion and return its response, as the original SDK does.

        The parameters are those of :meth:`AsyncChatClient.create_chat_completion`. A blocking
        read has one limit, so ``total`` is looked at between two reads of a stream, of which
        heartbeats make one every 10 s.

        :raises FastGPTError: if there is no key, the server cannot be reached or does not answer
            in time. What the server refuses is raised by the response.
        :raises InvalidArgumentError: if an argument cannot be sent.
        :raises UsageError: if the client was closed or belongs to another process.
        """
        self._check_usable()
        call = self._async._completion(
            messages,
            stream=stream,
            detail=detail,
            ids=(chatId, chat_id, responseChatItemId, response_chat_item_id, appId, app_id),
            variables=variables,
            timeouts=timeouts,
            api=api,
            max_reply_bytes=max_reply_bytes,
            extra=extra,
        )
        return ChatResponse.open(self._blocking(), self._async._target, call, self._responses)

    def _wait(self, function: Callable[[], Awaitable[T]]) -> T:
        self._check_streams()
        self._portal.start()
        ticket = self._portal.submit(function)
        try:
            result: T = ticket.result()
        except BaseException:
            if not ticket.is_set:
                # Ctrl-C: what was waited for must not go on.
                self._portal.cancel(ticket)
            raise
        return result

    def _open(
        self, block: AbstractAsyncContextManager[Reply]
    ) -> AbstractContextManager[BlockingReply]:
        self._check_streams()
        return BlockingBlock(self, self._portal, block)

    def _check_streams(self) -> None:
        self._check_usable()
        if self._cannot_stream:
            raise UsageError(
                "this client was made with http_client, a blocking one, and a stream needs an "
                "asynchronous one: pass async_http_client=lambda: httpx.AsyncClient(…) as well"
            )

    def _check_usable(self) -> None:
        self._portal.check_process()
        if self._closed:
            raise UsageError("this client is closed: make a new ChatClient")
        if not self._warned_of_loop and _in_event_loop():
            self._warned_of_loop = True
            _log.warning(
                "ChatClient is used in a thread whose event loop is running; the loop stands "
                "still until each call returns (AsyncChatClient lets it go on)"
            )

    def _blocking(self) -> BlockingHTTP:
        with self._lock:
            if self._http is None:
                self._http = self._configured(None)
            return self._http

    def _configured(self, client: object) -> BlockingHTTP:
        http = BlockingHTTP.new() if client is None else BlockingHTTP.wrap(client)
        http.retries = self._async._retries
        http.log_level = self._async._log_level
        return http


def _owned(client: object) -> HTTP:
    http = HTTP.wrap(client)
    http.owned = True
    return http


def _in_event_loop() -> bool:
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:
        return False
    return True

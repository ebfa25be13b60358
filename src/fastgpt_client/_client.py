"""Hold the settings and the connections; open replies."""

from __future__ import annotations

import logging
import os
import secrets
import weakref
from typing import TYPE_CHECKING, Any, Final, final

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._around import AroundChat
from ._block import Block
from ._connections import AsyncConnection, Register
from ._entrance import Entrance
from ._errors import InvalidArgumentError, UsageError
from ._exchange import Exchange
from ._http import HTTP
from ._limits import MAX_REPLY_BYTES, Timeouts
from ._observation import Asked, Observation, Observer
from ._original import CompletionCall, ConnectRetries, check_timeout, either
from ._requests import API, ChatRequest, Secret, chat_request, check_api, check_app_id, target
from ._responses import AsyncChatResponse
from ._resume import RESUMABLE, ResumeRequest, resume_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Self

    from ._answer import Answer
    from ._messages import Messages
    from ._reply import Reply

#: Seconds for telling the server of the runs that are left, and again for closing connections.
_CLOSE_SECONDS: Final = 2.0


@final
class AsyncChatClient(AroundChat):
    """Talk to one FastGPT server on asyncio or trio.

    It holds settings and a connection pool and no task, so it may be entered in one task and left
    in another. It belongs to the event loop in which it is first used.

    :param api_key: the API key; ``FASTGPT_API_KEY`` if it is ``None``. A missing key fails at the
        first call.
    :param base_url: the server's URL, with or without ``/api`` at its end; ``FASTGPT_BASE_URL``,
        then ``http://localhost:3000``, if it is ``None``.
    :param app_id: the app's id, 24 hexadecimal digits. A key that is bound to an app does without,
        except for stopping a v2 run.
    :param api: which completions endpoint to use. Leaving a v1 reply stops the model; a v2 run
        goes on until it is asked to stop (recorded, 4.14.7 and 4.16.0).
    :param timeouts: the limits of every reply.
    :param http_client: the caller's own ``httpx.AsyncClient`` or ``httpx2.AsyncClient``, which
        stays open. Its pool bounds how many replies may be open; its timeouts do not apply.
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
        max_reply_bytes: int = MAX_REPLY_BYTES,
        timeout: float | None = None,
        max_retries: int = 0,
        retry_delay: float = 1.0,
        enable_logging: bool = False,
    ) -> None:
        secret = Secret.of(os.environ.get("FASTGPT_API_KEY") if api_key is None else api_key)
        del api_key
        self._target = target(
            secret,
            base_url if base_url is not None else os.environ.get("FASTGPT_BASE_URL"),
        )
        check_app_id(app_id)
        check_api(api)
        self._app_id = app_id
        self._api: API = api
        self._timeouts = _timeouts(timeouts, Timeouts())
        check_timeout(timeout)
        if timeout is not None and timeout < self._timeouts.seconds("connect"):
            self._timeouts = attrs.evolve(self._timeouts, connect=timeout)
        self._timeout = timeout
        self._max_reply_bytes = _max_bytes(max_reply_bytes)
        self._retries = ConnectRetries.of(max_retries, retry_delay)
        self._log_level = logging.INFO if enable_logging else logging.DEBUG
        self._http = None if http_client is None else self._configured(HTTP.wrap(http_client))
        self._make_http: Callable[[], HTTP] = HTTP.new
        self._responses: Register[AsyncConnection] = Register()
        self._closed = False
        self._loop: object = None
        self._blocks: weakref.WeakSet[Block] = weakref.WeakSet()
        self._observers: tuple[Observer, ...] = ()
        self._homes: dict[str, str] = {}

    def __repr__(self) -> str:
        if not hasattr(self, "_homes"):
            return "<AsyncChatClient, not made>"  # in a traceback with locals
        state = ", closed" if self._closed else ""
        return f"<AsyncChatClient {self._target.base_url} {self._api}{state}>"

    async def __aenter__(self) -> Self:
        self._usable()
        await checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every open reply with an error that says so, and close the connections.

        On v2 the server is asked to stop the runs of those replies, if ``app_id`` is known.
        """
        self._closed = True
        blocks = list(self._blocks)
        for block in blocks:
            block.end()
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            async with anyio.create_task_group() as group:
                for block in blocks:
                    group.start_soon(block.wait_ended)
        # A limit of its own: what took too long above must not leave connections open.
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            await checkpoint()
            for connection in self._responses.all():
                await connection.aclose("client")
            if self._http is not None:
                await self._http.aclose()

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
    ) -> AbstractAsyncContextManager[Reply]:
        """Ask, and hold the reply while it arrives: ``async with client.stream(…) as reply``.

        :param messages: a text (one user message), or a sequence of messages as dicts or
            :class:`Message` values; ``None`` for a plugin app, which takes ``variables`` only.
        :param chat_id: the chat to go on with; the server then adds its history, so send only the
            newest message. On v2 the client makes one up, to be able to stop the run.
        :param app_id: the app, if not the client's own.
        :param detail: whether the server tells of nodes, tools, variables and questions. Without
            it a failed model looks like an empty answer (recorded, 4.14.7 and 4.16.0).
        :param variables: the workflow's global variables, or a plugin's inputs.
        :param response_chat_item_id: the id of the answer in the chat's records; take a fresh one
            each time.
        :param timeouts: the limits of this reply.
        :param api: ``"v1"`` or ``"v2"``, if not the client's own.
        :param raise_on_node_error: whether a node that failed and was not caught makes the reply
            fail with :class:`WorkflowError`.
        :param max_reply_bytes: bytes that this reply may have.
        :param resumable: whether a v2 server keeps what it sends, for :meth:`resume` (FastGPT
            source, 4.14.11 and later).
        :param extra: further fields of the request's body, such as ``customUid``.
        :raises FastGPTError: when the block is entered, if the server refuses, cannot be reached
            or does not answer in time; nothing is sent again by itself.
        :raises InvalidArgumentError: at once, if an argument cannot be sent.
        """
        api = self._api if api is None else api
        if api == "v2" and chat_id is None:
            chat_id = secrets.token_hex(12)
        app_id = self._app_id if app_id is None else app_id
        request = chat_request(
            messages,
            api=api,
            stream=True,
            detail=detail,
            chat_id=chat_id,
            app_id=app_id,
            variables=variables,
            response_chat_item_id=response_chat_item_id,
            extra=extra,
        )
        if resumable:
            request = attrs.evolve(request, headers=RESUMABLE)
        return self._block(request, timeouts, max_reply_bytes, raise_on_node_error)

    def resume(
        self,
        chat_id: str,
        *,
        app_id: str | None = None,
        timeouts: Timeouts | None = None,
        raise_on_node_error: bool = True,
        max_reply_bytes: int | None = None,
    ) -> AbstractAsyncContextManager[Reply]:
        """Attach to a chat's v2 run again: ``async with client.resume(…) as reply``.

        It is for a run that was started with ``resumable``. What was sent before comes first,
        between :class:`ResumePhase` events, then what is new; of a run that has ended, the saved
        answer. Leaving the block does not stop the run. FastGPT has it since 4.14.11 (source).

        :param chat_id: the chat's id.
        :param app_id: the app's id, if not the client's own.
        :param timeouts: the limits. Nothing but bytes that keep the line alive may come until the
            run ends: switch ``first_token`` and ``idle`` off for a long one.
        :param raise_on_node_error: as for :meth:`stream`.
        :param max_reply_bytes: bytes that this reply may have.
        :raises NotFoundError: when the block is entered, if the server cannot resume (4.14.7,
            recorded).
        :raises FastGPTError: when the block is entered, as :meth:`stream`.
        :raises InvalidArgumentError: at once, if an argument cannot be sent.
        """
        request = resume_request(self._app_id if app_id is None else app_id, chat_id)
        return self._block(request, timeouts, max_reply_bytes, raise_on_node_error)

    def _block(
        self,
        request: ChatRequest | ResumeRequest,
        timeouts: Timeouts | None,
        max_reply_bytes: int | None,
        raise_on_node_error: bool,
    ) -> AbstractAsyncContextManager[Reply]:
        limits = _timeouts(timeouts, self._timeouts)
        most = self._max_reply_bytes if max_reply_bytes is None else _max_bytes(max_reply_bytes)
        block = Block(
            self._target,
            request,
            limits,
            most,
            raise_on_node_error,
            request.app_id,
            Observation(self._observers, Asked(self._target.base_url, request)),
        )
        return Entrance(block.open(self._usable, self._blocks.add))

    async def ask(self, messages: Messages | None, **options: Any) -> Answer:
        """Ask, and return the whole answer.

        It streams underneath, so that every limit and error of :meth:`stream` works here too.

        :param messages: as for :meth:`stream`.
        :param options: as for :meth:`stream`.
        :raises FastGPTError: as :meth:`stream` and :meth:`Reply.final`.
        """
        async with self.stream(messages, **options) as reply:
            return await reply.final()

    async def create_chat_completion(
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
    ) -> AsyncChatResponse:
        """Send a completion and return its response, as the original SDK does.

        New programs use :meth:`stream` or :meth:`ask`. Close the client, or the response, when
        its lines are not read to the end: on v1 that stops the model.

        :param messages: as for :meth:`stream`.
        :param stream: whether the answer comes as lines, or whole.
        :param chatId: ``chat_id``, by the original's name.
        :param detail: whether the server tells of nodes, tools, variables and questions.
        :param variables: the workflow's global variables, or a plugin's inputs.
        :param responseChatItemId: ``response_chat_item_id``, by the original's name.
        :param chat_id: the chat to go on with.
        :param response_chat_item_id: the id of the answer in the chat's records.
        :param appId: ``app_id``, by the original's name.
        :param app_id: the app, if not the client's own.
        :param timeouts: the limits of this call. With ``stream``: ``connect``, ``first_token`` for
            the headers, ``silence``, ``total`` and ``close``. Without: ``connect`` and ``total``,
            or else the client's ``timeout``, or else 600 s.
        :param api: ``"v1"`` or ``"v2"``, if not the client's own.
        :param max_reply_bytes: bytes that this reply may have.
        :param extra: further fields of the request's body, such as ``customUid``.
        :raises FastGPTError: if there is no key, the server cannot be reached or does not answer
            in time. What the server refuses is raised by the response.
        :raises InvalidArgumentError: if an argument cannot be sent.
        """
        call = self._completion(
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
        return await AsyncChatResponse.open(self._usable(), self._target, call, self._responses)

    def _completion(
        self,
        messages: Messages | None,
        *,
        stream: bool,
        ids: tuple[str | None, ...],
        timeouts: Timeouts | None,
        api: API | None,
        max_reply_bytes: int | None,
        **fields: Any,
    ) -> CompletionCall:
        old_chat, chat_id, old_item, item_id, old_app, app_id = ids
        app_id = either("appId", old_app, "app_id", app_id)
        request = chat_request(
            messages,
            api=self._api if api is None else api,
            stream=bool(stream),
            chat_id=either("chatId", old_chat, "chat_id", chat_id),
            app_id=self._app_id if app_id is None else app_id,
            response_chat_item_id=either(
                "responseChatItemId", old_item, "response_chat_item_id", item_id
            ),
            **fields,
        )
        most = self._max_reply_bytes if max_reply_bytes is None else _max_bytes(max_reply_bytes)
        return CompletionCall(
            request=request,
            stream=bool(stream),
            limits=_timeouts(timeouts, self._timeouts),
            timeout=self._timeout,
            max_bytes=most,
        )

    def _exchange(self) -> Exchange:
        http = self._usable()
        return Exchange(http, self._target, self._timeouts.connect, self._homes)

    def _configured(self, http: HTTP) -> HTTP:
        http.retries = self._retries
        http.log_level = self._log_level
        return http

    def _usable(self) -> HTTP:
        if self._closed:
            raise UsageError("this client is closed: make a new AsyncChatClient")
        loop = anyio.lowlevel.current_token()
        if self._loop is None:
            self._loop = loop
        elif self._loop != loop:
            raise UsageError(
                "this client was first used in another event loop, where its connections live: "
                "make one AsyncChatClient for each anyio.run(), asyncio.run() or trio.run()"
            )
        if self._http is None:
            self._http = self._configured(self._make_http())
        if self._http.client.is_closed:
            raise UsageError("the client that was passed as http_client is closed: pass another")
        return self._http


def _timeouts(given: Timeouts | None, default: Timeouts) -> Timeouts:
    if given is None:
        return default
    if not isinstance(given, Timeouts):
        raise InvalidArgumentError(
            f"timeouts must be Timeouts(first_token=…, idle=…, …), not {given!r}",
            field="timeouts",
        )
    return given


def _max_bytes(value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(
            f"max_reply_bytes must be a positive whole number of bytes, not {value!r}",
            field="max_reply_bytes",
        )
    return value

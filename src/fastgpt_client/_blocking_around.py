"""Call the endpoints around the chat through a blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ._around import call_seconds, check_call
from ._blocking_conversation import BlockingConversation
from ._blocking_exchange import BlockingExchange
from ._call import CALL_SECONDS, Call, Page, any_call
from ._uploads import UPLOAD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._attachments import UploadedFile
    from ._blocking_http import BlockingHTTP
    from ._blocking_reply import BlockingReply
    from ._client import AsyncChatClient
    from ._limits import Timeouts
    from ._reply import Reply
    from ._requests import API
    from ._sources import Uploadable
    from ._uploads import Progress

T = TypeVar("T")


class BlockingAroundChat:
    """Give a blocking client what is around the chat itself.

    :meth:`call`, :meth:`request` and :meth:`iterate` are plain blocking HTTP; the others run the
    asynchronous client in this client's thread.
    """

    _async: AsyncChatClient

    def _blocking(self) -> BlockingHTTP:
        raise NotImplementedError

    def _check_usable(self) -> None:
        raise NotImplementedError

    def _wait(self, function: Callable[[], Awaitable[T]]) -> T:
        raise NotImplementedError

    def _open(
        self, block: AbstractAsyncContextManager[Reply]
    ) -> AbstractContextManager[BlockingReply]:
        raise NotImplementedError

    def call(self, call: Call[T], *, timeout: float | None = CALL_SECONDS) -> T:
        """Send a call of :mod:`fastgpt_client.endpoints` and return its result.

        :param call: what to ask.
        :param timeout: seconds for all of it.
        :raises FastGPTError: if the server refuses, cannot be reached or does not answer in time
            (:class:`ReplyTimeoutError` with clock ``total``).
        """
        check_call(call)
        seconds = call_seconds(timeout)
        self._check_usable()
        client = self._async
        exchange = BlockingExchange(
            self._blocking(), client._target, client._timeouts.connect, client._homes
        )
        return exchange.call(call, seconds)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: object = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        binary: bool = False,
        timeout: float | None = CALL_SECONDS,
    ) -> Any:
        """Call an endpoint for which there is no function; see :meth:`AsyncChatClient.request`."""
        call = any_call(
            method,
            path,
            query=query,
            json=json,
            body=body,
            content_type=content_type,
            binary=binary,
        )
        return self.call(call, timeout=timeout)

    def iterate(self, first: Call[Page[T]], *, timeout: float | None = CALL_SECONDS) -> Iterator[T]:
        """Iterate over all pages of a list: ``for item in client.iterate(call)``.

        Records come from the newest back.

        :param first: the call for the first page.
        :param timeout: seconds for each page.
        """
        following: Call[Page[T]] | None = first
        while following is not None:
            page = self.call(following, timeout=timeout)
            yield from page.in_list_order()
            following = page.next

    def upload(
        self,
        file: Uploadable,
        *,
        chat_id: str,
        app_id: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        progress: Progress | None = None,
        timeout: float | None = UPLOAD_SECONDS,
    ) -> UploadedFile:
        """Upload a file for a chat.

        :param file: a path, bytes, or a file that is open in binary mode and can be sought.
        :param chat_id: the chat's id.
        :param app_id: the app's id, if not the client's own.
        :param name: the file's name, if it does not tell it itself; the ending tells the type.
        :param content_type: its media type, if its name does not tell.
        :param progress: called in the client's own thread with the bytes sent and the file's bytes.
        :param timeout: seconds for all of it.
        :raises FastGPTError: as :meth:`AsyncChatClient.upload`.
        """
        upload = partial(
            self._async.upload,
            file,
            chat_id=chat_id,
            app_id=app_id,
            name=name,
            content_type=content_type,
            progress=progress,
            timeout=timeout,
        )
        return self._wait(upload)

    def conversation(
        self, chat_id: str | None = None, *, app_id: str | None = None, api: API | None = None
    ) -> BlockingConversation:
        """Hold one chat; see :meth:`AsyncChatClient.conversation`."""
        conversation = self._async.conversation(chat_id, app_id=app_id, api=api)
        return BlockingConversation(self, conversation)

    def resume(
        self,
        chat_id: str,
        *,
        app_id: str | None = None,
        timeouts: Timeouts | None = None,
        raise_on_node_error: bool = True,
        max_reply_bytes: int | None = None,
    ) -> AbstractContextManager[BlockingReply]:
        """Attach to a chat's v2 run again: ``with client.resume(…) as reply``.

        :param chat_id: the chat's id.
        :param app_id: the app's id, if not the client's own.
        :param timeouts: the limits, as for :meth:`AsyncChatClient.resume`.
        :param raise_on_node_error: as for :meth:`ChatClient.stream`.
        :param max_reply_bytes: bytes that this reply may have.
        :raises FastGPTError: as :meth:`AsyncChatClient.resume`.
        """
        block = self._async.resume(
            chat_id,
            app_id=app_id,
            timeouts=timeouts,
            raise_on_node_error=raise_on_node_error,
            max_reply_bytes=max_reply_bytes,
        )
        return self._open(block)

"""Call the endpoints around the chat through an asynchronous client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anyio.lowlevel import checkpoint

from ._call import CALL_SECONDS, Call, Page, any_call
from ._conversation import Conversation
from ._errors import InvalidArgumentError
from ._original import check_timeout
from ._uploads import UPLOAD_SECONDS, Progress, Upload

if TYPE_CHECKING:
    from typing import Self

    from ._attachments import UploadedFile
    from ._exchange import Exchange
    from ._requests import API
    from ._sources import Uploadable

T = TypeVar("T")


class AroundChat:
    """Give an asynchronous client what is around the chat itself."""

    _app_id: str | None

    def _exchange(self) -> Exchange:
        raise NotImplementedError

    # The limits here have an error of their own, so that ASYNC109 does not apply.
    async def call(self, call: Call[T], *, timeout: float | None = CALL_SECONDS) -> T:  # noqa: ASYNC109
        """Send a call of :mod:`fastgpt_client.endpoints` and return its result.

        :param call: what to ask.
        :param timeout: seconds for all of it; :class:`Timeouts` bounds replies, and of calls only
            the time for a connection.
        :raises FastGPTError: if the server refuses, cannot be reached or does not answer in time
            (:class:`ReplyTimeoutError` with clock ``total``). Nothing is sent again by itself but
            to another home of the endpoint, when the server has no such page.
        """
        check_call(call)
        return await self._exchange().call(call, call_seconds(timeout))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: object = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        binary: bool = False,
        timeout: float | None = CALL_SECONDS,  # noqa: ASYNC109
    ) -> Any:
        """Call an endpoint for which there is no function, with this client's key and errors.

        :param method: the HTTP method.
        :param path: the path from ``/api`` on, without a query.
        :param query: the query parameters; ``None`` values are left out.
        :param json: the body, which is sent as JSON.
        :param body: the body as bytes, instead of ``json``.
        :param content_type: the media type of ``body``.
        :param binary: whether the answer is bytes, not JSON.
        :param timeout: seconds for all of it.
        :returns: the ``data`` of FastGPT's envelope, the whole JSON if there is no envelope, or
            bytes.
        :raises FastGPTError: as :meth:`call`.
        :raises InvalidArgumentError: if an argument could not be sent.
        """
        call = any_call(
            method,
            path,
            query=query,
            json=json,
            body=body,
            content_type=content_type,
            binary=binary,
        )
        return await self.call(call, timeout=timeout)

    def iterate(
        self, first: Call[Page[T]], *, timeout: float | None = CALL_SECONDS
    ) -> PageIterator[T]:
        """Iterate over all pages of a list: ``async for item in client.iterate(call)``.

        Records come from the newest back.

        :param first: the call for the first page.
        :param timeout: seconds for each page.
        """
        return PageIterator(self, first, timeout)

    async def upload(
        self,
        file: Uploadable,
        *,
        chat_id: str,
        app_id: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        progress: Progress | None = None,
        timeout: float | None = UPLOAD_SECONDS,  # noqa: ASYNC109
    ) -> UploadedFile:
        """Upload a file for a chat; put it into a message with :func:`fastgpt_client.user`.

        Files are read in a worker thread. The file store is another server, and gets neither the
        API key nor cookies.

        :param file: a path, bytes, or a file that is open in binary mode and can be sought.
        :param chat_id: the chat's id.
        :param app_id: the app's id, if not the client's own.
        :param name: the file's name, if it does not tell it itself; the ending tells the type.
        :param content_type: its media type, if its name does not tell.
        :param progress: called in the event loop with the bytes sent and the file's bytes.
        :param timeout: seconds for all of it.
        :raises FastGPTError: if the server or the file store refuses, cannot be reached or takes
            too long.
        :raises InvalidArgumentError: if the file is missing, unreadable, nameless or too large.
        """
        app_id = need_app_id(self._app_id if app_id is None else app_id)
        upload = Upload(self._exchange(), app_id, chat_id, progress)
        return await upload.run(file, name, content_type, call_seconds(timeout))

    def conversation(
        self,
        chat_id: str | None = None,
        *,
        app_id: str | None = None,
        api: API | None = None,
    ) -> Conversation:
        """Hold one chat: its id, its last answer, and what can be done to it.

        :param chat_id: the chat to go on with; a fresh one if it is ``None``.
        :param app_id: the app's id, if not the client's own. Only :meth:`Conversation.stream` and
            :meth:`Conversation.ask` do without, with a key that is bound to an app.
        :param api: ``"v1"`` or ``"v2"``, if not the client's own.
        :raises InvalidArgumentError: if an argument could not be sent.
        """
        client: Any = self
        return Conversation(client, chat_id, app_id, api)


class PageIterator(Generic[T]):
    """Iterate over the items of a list, fetching its pages one after the other."""

    def __init__(self, client: AroundChat, first: Call[Page[T]], timeout: float | None) -> None:
        self._client = client
        self._following: Call[Page[T]] | None = first
        self._timeout = timeout
        self._items: Iterator[T] = iter(())

    def __repr__(self) -> str:
        following = self._following
        more = "at its last page" if following is None else f"next {following.paths[0]}"
        return f"<PageIterator, {more}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        # Before an item is taken: whoever is cancelled here has lost none.
        await checkpoint()
        while True:
            for item in self._items:
                return item
            if self._following is None:
                raise StopAsyncIteration
            page = await self._client.call(self._following, timeout=self._timeout)
            self._following = page.next
            self._items = iter(page.in_list_order())


def need_app_id(app_id: str | None) -> str:
    """Return the app's id.

    :raises InvalidArgumentError: if it is not known.
    """
    if app_id is None:
        raise InvalidArgumentError(
            "this needs app_id, the 24 hexadecimal digits in the app's address: pass it here or "
            "to the client",
            field="app_id",
        )
    return app_id


def check_call(call: object) -> None:
    """Refuse what is no call.

    :raises InvalidArgumentError: if it is none.
    """
    if not isinstance(call, Call):
        raise InvalidArgumentError(
            f"call must come from fastgpt_client.endpoints, not {call!r:.80}", field="call"
        )


def call_seconds(timeout: float | None) -> float:
    """Return the limit of a call in seconds.

    :raises InvalidArgumentError: if it is no positive number or ``None``.
    """
    check_timeout(timeout)
    return float("inf") if timeout is None else timeout

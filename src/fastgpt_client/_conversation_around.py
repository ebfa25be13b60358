"""Do what can be done to one chat beside asking: read it, judge it, rename it, delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import endpoints
from ._errors import InvalidArgumentError
from ._uploads import UPLOAD_SECONDS
from .endpoints._check import count as check_count

if TYPE_CHECKING:
    from ._around import PageIterator
    from ._attachments import UploadedFile
    from ._call import Call, Page
    from ._client import AsyncChatClient
    from ._recovery import Turn
    from ._sources import Uploadable
    from ._uploads import Progress
    from .endpoints import ChatDetails, Record

_RECORDS_AT_ONCE: Final = 100


class AroundConversation:
    """Give a conversation what is around its questions and answers.

    :param client: the asynchronous client.
    :param chat_id: the chat's id.
    :param app_id: the app's id, or ``None`` if it is not known.
    """

    def __init__(self, client: AsyncChatClient, chat_id: str, app_id: str | None) -> None:
        self._client = client
        self._chat_id = chat_id
        self._app = app_id
        self._turn: Turn | None = None

    @property
    def chat_id(self) -> str:
        """The chat's id."""
        return self._chat_id

    @property
    def app_id(self) -> str | None:
        """The app's id, or ``None`` if it is not known."""
        return self._app

    @property
    def answer_id(self) -> str | None:
        """The id of the last answer's record, or ``None`` if nothing was asked."""
        return None if self._turn is None else self._turn.data_id

    async def history(self, limit: int | None = None) -> tuple[Record, ...]:
        """Return the chat's records, oldest first.

        :param limit: only so many of the newest; all if it is ``None``.
        :raises FastGPTError: if the server refuses, cannot be reached or does not answer in time.
        """
        if limit is not None:
            check_count(limit, "limit", least=1)
        size = _RECORDS_AT_ONCE if limit is None else min(limit, _RECORDS_AT_ONCE)
        app_id = self._app_id("reading the history")
        page = await self._client.call(endpoints.records(app_id, self._chat_id, page_size=size))
        found = list(page.items)
        while page.next is not None and (limit is None or len(found) < limit):
            page = await self._client.call(page.next)
            found[:0] = page.items
        return tuple(found if limit is None else found[-limit:])

    def records(self) -> PageIterator[Record]:
        """Iterate over the chat's records from the newest back."""
        return self._client.iterate(self._first_records())

    def _first_records(self) -> Call[Page[Record]]:
        return endpoints.records(self._app_id("reading records"), self._chat_id)

    async def feedback(
        self,
        *,
        good: str | bool | None = None,
        bad: str | bool | None = None,
        data_id: str | None = None,
    ) -> None:
        """Praise an answer, complain about it, or take back what was said.

        Praise clears a complaint, and neither of them clears all (recorded, 4.14.7).

        :param good: the praise, in words or just ``True``.
        :param bad: the complaint, in words or just ``True``.
        :param data_id: the answer's id, if it is not the last one.
        :raises FastGPTError: as :meth:`history`; :class:`ServerError` if there is no such answer.
        """
        data_id = self.answer_id if data_id is None else data_id
        if data_id is None:
            raise InvalidArgumentError(
                "nothing was asked in this conversation: pass data_id", field="data_id"
            )
        app_id = self._app_id("feedback")
        await self._client.call(
            endpoints.give_feedback(
                app_id, self._chat_id, data_id, good=_words(good), bad=_words(bad)
            )
        )

    async def details(self) -> ChatDetails:
        """Return the chat's title and variables, and what its app is.

        :raises FastGPTError: as :meth:`history`.
        """
        return await self._client.call(
            endpoints.chat_details(self._app_id("the details"), self._chat_id)
        )

    async def rename(self, title: str) -> None:
        """Give the chat a title of the user's own; ``""`` goes back to the server's.

        :param title: the title.
        :raises FastGPTError: as :meth:`history`. A chat without an answer is not known yet, and
            then nothing happens.
        """
        await self._client.call(
            endpoints.update_chat(self._app_id("renaming"), self._chat_id, custom_title=title)
        )

    async def pin(self, pinned: bool = True) -> None:
        """Pin the chat to the top of the list, or take it off there.

        :param pinned: whether it is pinned.
        :raises FastGPTError: as :meth:`history`.
        """
        await self._client.call(
            endpoints.update_chat(self._app_id("pinning"), self._chat_id, pinned=pinned)
        )

    async def delete(self) -> None:
        """Take the chat off the list; :func:`endpoints.erase_chats` erases one for good.

        :raises FastGPTError: as :meth:`history`.
        """
        await self._client.call(endpoints.delete_chat(self._app_id("deleting"), self._chat_id))

    async def suggested_questions(
        self, *, model: str | None = None, prompt: str | None = None
    ) -> tuple[str, ...]:
        """Ask a model what the user might ask next.

        :param model: the model to ask, if not the app's own.
        :param prompt: what to tell it, if not the app's own words.
        :raises FastGPTError: as :meth:`history`.
        """
        call = endpoints.suggested_questions(
            self._app_id("suggesting questions"), self._chat_id, model=model, prompt=prompt
        )
        return await self._client.call(call)

    async def upload(
        self,
        file: Uploadable,
        *,
        name: str | None = None,
        content_type: str | None = None,
        progress: Progress | None = None,
        timeout: float | None = UPLOAD_SECONDS,  # noqa: ASYNC109 - it has an error of its own
    ) -> UploadedFile:
        """Upload a file for this chat, as :meth:`AsyncChatClient.upload`.

        :param file: a path, bytes, or a file that is open in binary mode.
        :param name: its name, if it does not tell it itself.
        :param content_type: its media type, if its name does not tell.
        :param progress: called with the bytes sent and the file's bytes.
        :param timeout: seconds for all of it.
        :raises FastGPTError: as :meth:`AsyncChatClient.upload`.
        """
        return await self._client.upload(
            file,
            chat_id=self._chat_id,
            app_id=self._app_id("uploading"),
            name=name,
            content_type=content_type,
            progress=progress,
            timeout=timeout,
        )

    def _app_id(self, what: str) -> str:
        if self._app is None:
            raise InvalidArgumentError(
                f"{what} needs app_id, the 24 hexadecimal digits in the app's address: pass it to "
                "client.conversation() or to the client",
                field="app_id",
            )
        return self._app


def _words(value: str | bool | None) -> str | None:
    if value is True:
        return "yes"
    return None if value is False else value

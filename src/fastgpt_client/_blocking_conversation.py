"""Hold one chat from blocking code; the asynchronous conversation does the work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, final

from ._uploads import UPLOAD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from ._answer import Answer
    from ._attachments import UploadedFile
    from ._blocking_reply import BlockingReply
    from ._call import Call, Page
    from ._conversation import Conversation
    from ._interactive import Interactive
    from ._limits import Timeouts
    from ._messages import Message, Messages
    from ._reply import Reply, StopOutcome
    from ._sources import Uploadable
    from ._uploads import Progress
    from .endpoints import ChatDetails, Record

T = TypeVar("T")


class Host(Protocol):
    """Do the work of asynchronous code for blocking code."""

    def _wait(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run a function in the event loop and wait for its result."""
        ...

    def _open(
        self, block: AbstractAsyncContextManager[Reply]
    ) -> AbstractContextManager[BlockingReply]:
        """Hold a reply's block open in the event loop."""
        ...

    def iterate(self, first: Call[Page[T]]) -> Iterator[T]:
        """Iterate over all pages of a list."""
        ...


@final
class BlockingConversation:
    """Hold one chat; ``client.conversation()`` of a :class:`ChatClient` makes one.

    Everything is what it is of a :class:`Conversation`, without ``await``.
    """

    def __init__(self, host: Host, conversation: Conversation) -> None:
        self._host = host
        self._conversation = conversation

    def __repr__(self) -> str:
        return repr(self._conversation).replace("<", "<Blocking", 1)

    @property
    def chat_id(self) -> str:
        """The chat's id."""
        return self._conversation.chat_id

    @property
    def app_id(self) -> str | None:
        """The app's id, or ``None`` if it is not known."""
        return self._conversation.app_id

    @property
    def pending(self) -> Interactive | None:
        """The question that the workflow waits on, as far as this object has seen."""
        return self._conversation.pending

    @property
    def answer_id(self) -> str | None:
        """The id of the last answer's record, or ``None`` if nothing was asked."""
        return self._conversation.answer_id

    def stream(
        self, messages: Messages | Message, **options: Any
    ) -> AbstractContextManager[BlockingReply]:
        """Ask, and hold the reply while it arrives; see :meth:`Conversation.stream`.

        :param messages: a text or a message; of several, only the last is sent.
        :param options: as for :meth:`Conversation.stream`.
        """
        return self._host._open(self._conversation.stream(messages, **options))

    def ask(self, messages: Messages | Message, **options: Any) -> Answer:
        """Ask, and return the whole answer; see :meth:`Conversation.ask`.

        :param messages: as for :meth:`stream`.
        :param options: as for :meth:`stream`.
        """
        with self.stream(messages, **options) as reply:
            return reply.final()

    def resume(
        self, *, timeouts: Timeouts | None = None, raise_on_node_error: bool = True
    ) -> AbstractContextManager[BlockingReply]:
        """Attach to this chat's run again; see :meth:`Conversation.resume`.

        :param timeouts: the limits.
        :param raise_on_node_error: as for :meth:`stream`.
        """
        return self._host._open(
            self._conversation.resume(timeouts=timeouts, raise_on_node_error=raise_on_node_error)
        )

    def stop(self) -> StopOutcome:
        """Stop the reply at hand, or a run that was left behind; see :meth:`Conversation.stop`."""
        return self._host._wait(self._conversation.stop)

    def recover(self, *, timeout: float | None = 300.0, poll_every: float = 1.0) -> Answer:
        """Wait until the last answer is saved; see :meth:`Conversation.recover`.

        :param timeout: seconds to wait.
        :param poll_every: seconds between two looks.
        """
        return self._host._wait(
            partial(self._conversation.recover, timeout=timeout, poll_every=poll_every)
        )

    def history(self, limit: int | None = None) -> tuple[Record, ...]:
        """Return the chat's records, oldest first; see :meth:`Conversation.history`.

        :param limit: only so many of the newest; all if it is ``None``.
        """
        return self._host._wait(partial(self._conversation.history, limit))

    def records(self) -> Iterator[Record]:
        """Iterate over the chat's records from the newest back."""
        return self._host.iterate(self._conversation._first_records())

    def refresh(self) -> Interactive | None:
        """Look up whether the workflow waits for an answer; see :meth:`Conversation.refresh`."""
        return self._host._wait(self._conversation.refresh)

    def withdraw_question(self) -> bool:
        """Take the workflow's question back; see :meth:`Conversation.withdraw_question`."""
        return self._host._wait(self._conversation.withdraw_question)

    def feedback(
        self,
        *,
        good: str | bool | None = None,
        bad: str | bool | None = None,
        data_id: str | None = None,
    ) -> None:
        """Praise an answer, or complain about it; see :meth:`Conversation.feedback`.

        :param good: the praise, in words or just ``True``.
        :param bad: the complaint, in words or just ``True``.
        :param data_id: the answer's id, if it is not the last one.
        """
        self._host._wait(partial(self._conversation.feedback, good=good, bad=bad, data_id=data_id))

    def details(self) -> ChatDetails:
        """Return the chat's title and variables, and what its app is."""
        return self._host._wait(self._conversation.details)

    def rename(self, title: str) -> None:
        """Give the chat a title of the user's own; see :meth:`Conversation.rename`.

        :param title: the title; ``""`` goes back to the server's.
        """
        self._host._wait(partial(self._conversation.rename, title))

    def pin(self, pinned: bool = True) -> None:
        """Pin the chat to the top of the list, or take it off there.

        :param pinned: whether it is pinned.
        """
        self._host._wait(partial(self._conversation.pin, pinned))

    def delete(self) -> None:
        """Take the chat off the list; see :meth:`Conversation.delete`."""
        self._host._wait(self._conversation.delete)

    def suggested_questions(
        self, *, model: str | None = None, prompt: str | None = None
    ) -> tuple[str, ...]:
        """Ask what the user might ask next; see :meth:`Conversation.suggested_questions`.

        :param model: the model to ask, if not the app's own.
        :param prompt: what to tell it, if not the app's own words.
        """
        return self._host._wait(
            partial(self._conversation.suggested_questions, model=model, prompt=prompt)
        )

    def upload(
        self,
        file: Uploadable,
        *,
        name: str | None = None,
        content_type: str | None = None,
        progress: Progress | None = None,
        timeout: float | None = UPLOAD_SECONDS,
    ) -> UploadedFile:
        """Upload a file for this chat; see :meth:`Conversation.upload`.

        :param file: a path, bytes, or a file that is open in binary mode.
        :param name: its name, if it does not tell it itself.
        :param content_type: its media type, if its name does not tell.
        :param progress: called in the client's own thread with the bytes sent and the file's bytes.
        :param timeout: seconds for all of it.
        """
        upload = partial(
            self._conversation.upload,
            file,
            name=name,
            content_type=content_type,
            progress=progress,
            timeout=timeout,
        )
        return self._host._wait(upload)

"""Ask one question and let a view show the answer; Ctrl-C stops it on the server too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._answer import Answer, Status
from .._errors import FastGPTError
from . import _outcome
from ._run import Interrupts

if TYPE_CHECKING:
    from .._client import AsyncChatClient
    from .._reply import Reply, StopOutcome
    from .._subscription import Subscription
    from ._message import Question


@attrs.frozen(kw_only=True)
class Turn:
    """Hold one question's answer and how it ended.

    :param answer: what came, also of a failed or stopped answer.
    :param failure: why it failed, or ``None``.
    :param stopped: what is known of stopping it, or ``None`` if nobody did.
    :param interrupted: the exit code of the signal that ended it, or ``None``.
    """

    answer: Answer
    failure: FastGPTError | None = None
    stopped: StopOutcome | None = None
    interrupted: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code that tells how it ended."""
        if self.interrupted is not None:
            return self.interrupted
        return _outcome.COMPLETE if self.failure is None else _outcome.exit_code(self.failure)


class View(Protocol):
    """Show an answer while it comes."""

    @abstractmethod
    def shown(self) -> AbstractContextManager[None]:
        """Show the answer while the block runs, from before the question is sent."""

    async def animate(self) -> None:
        """Draw again and again, for ever."""

    async def consume(self, subscription: Subscription) -> None:
        """Take the events."""

    def stopping(self) -> None:
        """Show that the server is being asked to stop."""

    def finish(self, turn: Turn) -> None:
        """Show how it ended."""


@attrs.define(eq=False)
class Asking:
    """Hold one question on its way.

    :param client: the client to ask through.
    :param question: the question.
    :param view: what shows the answer.
    :param interrupts: what tells of Ctrl-C.
    :param chat_id: the chat.
    :param options: further arguments of :meth:`AsyncChatClient.stream`.
    :param typed: reads what is typed meanwhile and calls back for ``/stop``.
    """

    client: AsyncChatClient
    question: Question
    view: View
    interrupts: Interrupts
    chat_id: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    typed: Any = None
    _reply: Reply | None = attrs.field(default=None, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=lambda: anyio.CancelScope(), init=False)
    _stop: anyio.Event = attrs.field(factory=lambda: anyio.Event(), init=False)
    _stopped: anyio.Event = attrs.field(factory=lambda: anyio.Event(), init=False)
    _outcome: StopOutcome | None = attrs.field(default=None, init=False)

    async def run(self) -> Turn:
        """Ask, show the answer, and tell how it ended.

        :raises OSError: if the answer cannot be written.
        """
        self.interrupts.on_first = self._stop_it
        failure: FastGPTError | None = None
        error: Exception | None = None
        with self.view.shown():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_when_asked)
                tasks.start_soon(self.view.animate)
                if self.typed is not None:
                    tasks.start_soon(self.typed.watch, self._stop_it)
                with self._scope:
                    try:
                        await self._stream()
                    except FastGPTError as caught:
                        failure = caught
                    except Exception as caught:  # raised below, where no group wraps it
                        error = caught
                tasks.cancel_scope.cancel()
        if error is not None:
            raise error
        await checkpoint()
        turn = Turn(
            answer=self._answer(),
            failure=failure,
            stopped=self._outcome,
            interrupted=self.interrupts.exit_code if self.interrupts.count else None,
        )
        self.view.finish(turn)
        return turn

    async def _stream(self) -> None:
        messages = await self.question.messages(self.client, self.chat_id)
        async with self.client.stream(
            messages, chat_id=self.chat_id, **self.options
        ) as self._reply:
            await self._reply.feed(self.view.consume)
            if self._stop.is_set():
                await self._stopped.wait()

    def _answer(self) -> Answer:
        if self._reply is not None:
            return self._reply.answer
        status = Status.STOPPED if self._stop.is_set() else Status.FAILED
        return Answer(status=status, chat_id=self.chat_id)

    def _stop_it(self) -> None:
        self._stop.set()
        if self._reply is None:
            # The server has not answered yet: hanging up is all there is.
            self._scope.cancel()

    async def _stop_when_asked(self) -> None:
        await self._stop.wait()
        if self._reply is not None:
            self.view.stopping()
            self._outcome = await self._reply.stop()
        self._stopped.set()

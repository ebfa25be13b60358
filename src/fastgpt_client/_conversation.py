"""Ask in one chat, answer the workflow's questions, and find answers that were lost."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, final

import anyio
import attrs

from . import endpoints
from ._conversation_around import AroundConversation
from ._conversation_block import NotedBlock
from ._errors import APIError, InvalidArgumentError, UsageError
from ._messages import Message, Messages, to_wire
from ._original import check_pause, check_timeout
from ._recovery import Recovery, Turn
from ._requests import check_api, check_app_id, check_chat_id
from ._stop import RunStopper

if TYPE_CHECKING:
    from ._answer import Answer
    from ._client import AsyncChatClient
    from ._interactive import Interactive
    from ._limits import Timeouts
    from ._reply import Reply, StopOutcome
    from ._requests import API
    from .endpoints import Record


@final
class Conversation(AroundConversation):
    """Hold one chat; ``client.conversation()`` makes one.

    Only the newest message is sent, since the server has the others. One reply at a time: a
    server of 4.14.7 runs two side by side and mixes them up, newer ones refuse the second.

    While the workflow waits for an answer, :attr:`pending` is its question, and the next message
    is always taken for the answer.
    """

    def __init__(
        self, client: AsyncChatClient, chat_id: str | None, app_id: str | None, api: API | None
    ) -> None:
        check_chat_id(chat_id)
        check_app_id(app_id)
        if api is not None:
            check_api(api)
        super().__init__(
            client,
            secrets.token_hex(12) if chat_id is None else chat_id,
            client._app_id if app_id is None else app_id,
        )
        self._api: API = client._api if api is None else api
        self._pending: Interactive | None = None
        self._reply: Reply | None = None

    def __repr__(self) -> str:
        waiting = f", waits for {self._pending.kind}" if self._pending is not None else ""
        return f"<Conversation {self._chat_id!r} {self._api}{waiting}>"

    @property
    def pending(self) -> Interactive | None:
        """The question that the workflow waits on, as far as this object has seen."""
        return self._pending

    # --- asking --------------------------------------------------------------------------------

    def stream(
        self, messages: Messages | Message, **options: Any
    ) -> AbstractAsyncContextManager[Reply]:
        """Ask, and hold the reply while it arrives.

        On v2 the server is asked to keep what it sends, so that :meth:`resume` works where it
        can.

        :param messages: a text or a message; of several, only the last is sent. While
            :attr:`pending` is a question, a text must be an answer to it; anything else is built
            with ``pending.answer(…)``, and a :class:`Message` is sent as it is.
        :param options: as for :meth:`AsyncChatClient.stream`, but ``chat_id``, ``app_id``,
            ``api`` and ``response_chat_item_id``.
        :raises FastGPTError: when the block is entered, as for :meth:`AsyncChatClient.stream`.
        :raises InvalidArgumentError: at once, if an argument cannot be sent, or the text is no
            answer to :attr:`pending`.
        """
        for name in ("chat_id", "app_id", "api", "response_chat_item_id"):
            if name in options:
                raise InvalidArgumentError(f"a conversation has a {name} already", field=name)
        message = self._newest(messages)
        asked = self._pending
        data_id = secrets.token_hex(12)
        turn = Turn(data_id)
        if asked is not None and self._turn is not None and asked.kind != "agentAsk":
            turn = attrs.evolve(self._turn, answers=self._turn.answers + 1)
        options.setdefault("resumable", self._api == "v2")
        block = self._client.stream(
            [message],
            chat_id=self._chat_id,
            app_id=self._app,
            api=self._api,
            response_chat_item_id=data_id,
            **options,
        )
        return NotedBlock(block, partial(self._sent, turn))

    async def ask(self, messages: Messages | Message, **options: Any) -> Answer:
        """Ask, and return the whole answer.

        :param messages: as for :meth:`stream`.
        :param options: as for :meth:`stream`.
        :raises FastGPTError: as :meth:`stream` and :meth:`Reply.final`.
        """
        async with self.stream(messages, **options) as reply:
            return await reply.final()

    def resume(
        self, *, timeouts: Timeouts | None = None, raise_on_node_error: bool = True
    ) -> AbstractAsyncContextManager[Reply]:
        """Attach to this chat's run again (v2, FastGPT 4.14.11 and later).

        What was sent before comes first, between ``ResumePhase`` events, then what is new; of a
        run that has ended, the saved answer. Leaving the block does not stop the run.

        :param timeouts: the limits. Nothing but bytes that keep the line alive may come until the
            run ends: switch ``first_token`` and ``idle`` off for a long one.
        :param raise_on_node_error: as for :meth:`AsyncChatClient.stream`.
        :raises NotFoundError: when the block is entered, if the server cannot resume (4.14.7):
            use :meth:`recover`.
        :raises FastGPTError: as :meth:`stream`.
        """
        block = self._client.resume(
            self._chat_id,
            app_id=self._app_id("resuming"),
            timeouts=timeouts,
            raise_on_node_error=raise_on_node_error,
        )
        return NotedBlock(block, partial(self._sent, self._turn))

    async def stop(self) -> StopOutcome:
        """Stop the reply at hand, or the run that a lost v2 connection left behind.

        :returns: what is known, as :meth:`Reply.stop`. That the server could not be told is
            logged as a warning, with the reason.
        """
        if self._reply is not None:
            return await self._reply.stop()
        if self._api == "v1":
            await anyio.lowlevel.checkpoint()
            return "ended"
        exchange = self._client._exchange()
        app_id = self._app_id("stopping a run")
        stopper = RunStopper(
            exchange.http, exchange.target, app_id, self._chat_id, exchange.connect
        )
        return await stopper.stop()

    async def recover(
        self,
        *,
        timeout: float | None = 300.0,  # noqa: ASYNC109 - it has an error of its own
        poll_every: float = 1.0,
    ) -> Answer:
        """Wait until the last answer is saved, and return it.

        For a v2 run whose connection was lost: it goes on, and its answer is saved at its end
        (recorded, 4.14.7). Failures of the network while waiting are no reason to give up.

        :param timeout: seconds to wait.
        :param poll_every: seconds between two looks.
        :raises ReplyTimeoutError: if it is not saved in time, or never, because the server had
            refused it.
        :raises WorkflowError: if a node failed and nothing caught it.
        :raises FastGPTError: if the server refuses to tell.
        :raises UsageError: if nothing was asked, or on v1, where a run ends with its connection.
        """
        check_timeout(timeout)
        check_pause(poll_every, "poll_every")
        if self._turn is None:
            raise UsageError("nothing was asked in this conversation, so there is no lost answer")
        if self._api == "v1":
            raise UsageError(
                "a v1 run ends with its connection, so there is no answer to wait for: use "
                'api="v2" for runs that go on'
            )
        lost = Recovery(self._client, self._app_id("recovering"), self._chat_id, self._turn)
        answer = await lost.wait(float("inf") if timeout is None else timeout, poll_every)
        self._pending = answer.interactive
        failure = lost.failure_of(answer)
        if failure is not None:
            raise failure
        return answer

    # --- the question --------------------------------------------------------------------------

    async def refresh(self) -> Interactive | None:
        """Look up whether the workflow waits for an answer, for a chat that went on elsewhere.

        :returns: the question, which is :attr:`pending` then.
        :raises FastGPTError: as :meth:`history`.
        """
        record = await self._last_answer()
        self._pending = None if record is None else record.interactive
        if record is not None:
            self._turn = Turn(record.data_id, sum(record.content.answered))
        return self._pending

    async def withdraw_question(self) -> bool:
        """Take back the question that the workflow waits on, so that the next message is none.

        There is no cancel on the server; deleting the paused answer has that effect (recorded,
        4.14.7).

        :returns: whether there was a question.
        :raises FastGPTError: as :meth:`history`.
        """
        record = await self._last_answer()
        asks = record is not None and record.interactive is not None
        if record is not None and asks:
            app_id = self._app_id("deleting a record")
            await self._client.call(endpoints.delete_record(app_id, self._chat_id, record.data_id))
        self._pending = None
        return asks

    # --- inside --------------------------------------------------------------------------------

    def _newest(self, messages: Messages | Message) -> Message | Mapping[str, Any]:
        if isinstance(messages, str) and self._pending is not None:
            return self._pending.answer(messages)
        if isinstance(messages, Message):
            return messages
        if isinstance(messages, Sequence) and not isinstance(messages, str) and messages:
            messages = [messages[-1]]
        return to_wire(messages)[-1] if messages is not None else _nothing()

    def _sent(self, turn: Turn | None, reply: Reply | None) -> None:
        # Without a reply nobody knows, so that both must be looked for: answer and question.
        before = self._turn, self._pending
        self._turn, self._pending = turn, None
        if reply is not None:
            self._reply = reply
            reply._at_end.append(lambda: self._ended(reply, before))

    def _ended(self, reply: Reply, before: tuple[Turn | None, Interactive | None]) -> None:
        if self._reply is reply:
            self._reply = None
        if isinstance(reply.failure, APIError) and not reply._transcript.events:
            # A refusal in the form of a stream: nothing was asked.
            self._turn, self._pending = before
        else:
            self._pending = reply._transcript.interactive

    async def _last_answer(self) -> Record | None:
        call = endpoints.records(self._app_id("looking it up"), self._chat_id, page_size=4)
        page = await self._client.call(call)
        answers = [record for record in page.items if record.role == "assistant"]
        return answers[-1] if answers else None


def _nothing() -> Mapping[str, Any]:
    raise InvalidArgumentError(
        "messages is None: ask something (a plugin app holds no conversation)", field="messages"
    )

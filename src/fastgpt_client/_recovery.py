"""Find the saved answer of a run whose connection was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import attrs

from . import endpoints
from ._answer import Answer, Status, uncaught
from ._content import read_content
from ._errors import ReplyTimeoutError, TransportError, WorkflowError
from ._nodes import sum_usage

if TYPE_CHECKING:
    from ._client import AsyncChatClient
    from .endpoints import Record


@attrs.frozen
class Turn:
    """Say what was asked last.

    :param data_id: the id of the answer's record.
    :param answers: how many questions of the workflow were answered in that record. An answer to
        one goes on in the same record (recorded, 4.14.7).
    """

    data_id: str
    answers: int = 0


@attrs.define(eq=False)
class Recovery:
    """Look for the answer to what was asked last.

    :param client: the client.
    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param turn: what was asked.
    """

    client: AsyncChatClient
    app_id: str
    chat_id: str
    turn: Turn
    _error: str | None = attrs.field(default=None, init=False)

    async def wait(self, seconds: float, poll_every: float) -> Answer:
        """Look until the answer is saved, whatever the network does meanwhile.

        :param seconds: how long.
        :param poll_every: seconds between two looks.
        :raises ReplyTimeoutError: if it is not saved in time.
        :raises APIError: if the server refuses to tell.
        """
        with anyio.move_on_after(seconds):
            while True:
                try:
                    record = await self._saved()
                    if record is not None:
                        return await self._answer(record)
                except (TransportError, ReplyTimeoutError):
                    # The network again.
                    pass
                await anyio.sleep(poll_every)
        raise ReplyTimeoutError(
            f"the answer was not saved within {seconds:g} s (total)",
            clock="total",
            seconds=seconds,
        )

    def failure_of(self, answer: Answer) -> WorkflowError | None:
        """Return the error that an uncaught failed node means, or ``None``.

        :param answer: the answer that was found.
        """
        failed = uncaught(answer.nodes)
        if not failed and (self._error is None or answer.nodes):
            return None
        words = failed[-1].error if failed else self._error
        return WorkflowError(
            f"the workflow failed: {words or 'it said no more'}",
            nodes=failed,
            partial=answer.text,
        )

    async def _saved(self) -> Record | None:
        record = await self._record()
        if record is None:
            return None
        # Newer servers may have a record before its run has ended.
        details = await self.client.call(endpoints.chat_details(self.app_id, self.chat_id))
        if details.generating is None:
            return record
        return None if details.generating else await self._record()

    async def _record(self) -> Record | None:
        call = endpoints.records(self.app_id, self.chat_id, page_size=10)
        turn = self.turn
        for record in (await self.client.call(call)).items:
            # 4.16.0 gives the question the same id (FastGPT source).
            if record.role == "assistant" and record.data_id == turn.data_id:
                return record if sum(record.content.answered) >= turn.answers else None
        return None

    async def _answer(self, record: Record) -> Answer:
        call = endpoints.node_responses(self.app_id, self.chat_id, record.data_id)
        nodes = await self.client.call(call)
        usage = sum_usage(nodes)
        content = read_content(_after_answers(record.raw.get("value"), self.turn.answers))
        outputs = [node.plugin_output for node in nodes if node.plugin_output is not None]
        self._error = record.error
        return Answer(
            text=content.text,
            reasoning=content.reasoning,
            status=Status.COMPLETE,
            nodes=nodes,
            tool_calls=content.tool_calls,
            interactive=content.pending,
            duration=record.duration,
            usage=usage if usage.total_tokens else None,
            chat_id=self.chat_id,
            plugin_output=outputs[-1] if outputs else None,
        )


def _after_answers(value: object, answers: int) -> object:
    """Return the parts of a record that came after the last of so many answers."""
    if not answers or not isinstance(value, list):
        return value
    left = answers
    for place, part in enumerate(value):
        left -= sum(read_content([part]).answered)
        if left <= 0:
            return value[place + 1 :]
    return []

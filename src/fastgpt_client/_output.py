"""Read events in batches and write what becomes of them, however the reply ends."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._events import AnswerDelta, Event, FastAnswer
from ._sinks import Sink


@attrs.define(eq=False)
class Batches:
    """Take what has arrived in one go where the subscription can, else event by event."""

    _subscription: AsyncIterable[Event]
    _receive_many: Callable[[], Awaitable[list[Event]]] | None = attrs.field(init=False)
    _iterator: AsyncIterator[Event] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._receive_many = getattr(self._subscription, "receive_many", None)
        if self._receive_many is None:
            self._iterator = aiter(self._subscription)

    async def receive(self) -> list[Event] | None:
        """Return the next events, or ``None`` at a complete end."""
        try:
            if self._receive_many is not None:
                return await self._receive_many()
            return [await anext(cast("AsyncIterator[Event]", self._iterator))]
        except (anyio.EndOfStream, StopAsyncIteration):
            await checkpoint()
            return None


@attrs.define(eq=False)
class Paragraphs:
    """Render the text, and the reasoning as paragraphs of its own."""

    _reasoning: bool
    _thinking: bool | None = attrs.field(default=None, init=False)

    def render(self, events: Sequence[Event]) -> str:
        if not self._reasoning:
            return "".join([event.text for event in events])
        parts: list[str] = []
        for event in events:
            if isinstance(event, AnswerDelta | FastAnswer) and event.reasoning:
                self._add(parts, event.reasoning, thinking=True)
            if event.text:
                self._add(parts, event.text, thinking=False)
        return "".join(parts)

    def _add(self, parts: list[str], text: str, *, thinking: bool) -> None:
        if self._thinking not in (None, thinking):
            parts.append("\n\n")
        self._thinking = thinking
        parts.append(text)


async def write_out(
    subscription: AsyncIterable[Event],
    sink: Sink,
    render: Callable[[Sequence[Event]], str],
    *,
    rest: Callable[[], str] = str,
    end: str = "",
) -> None:
    """Write what ``render`` makes of the events, then ``rest()`` and ``end``, however it ends."""
    last = ""
    failure: Exception | None = None
    batches = Batches(subscription)

    def tail() -> str:
        text = rest()
        closed = (last + text).endswith(end) or not (last or text)
        return text if closed else text + end

    try:
        await checkpoint()
        while True:
            try:
                events = await batches.receive()
            except Exception as error:
                failure = error
                break
            if events is None:
                break
            text = render(events)
            if text:
                last = (last + text)[-max(len(end), 1) :]
                await sink.write(text)
        text = tail()
        last = end
        if text:
            await sink.write(text)
    except anyio.get_cancelled_exc_class():
        sink.write_nowait(tail())
        raise
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame

"""Keep every event of one reply, numbered, and what they amount to so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from ._answer import Answer, Status, Timings, ToolUse, uncaught
from ._api_errors import api_error
from ._content import read_content
from ._decode import HEARTBEAT, TERMINAL, ErrorFrame, decode
from ._errors import WorkflowError
from ._events import (
    AnswerDelta,
    ChatTitle,
    Event,
    FastAnswer,
    FlowResponses,
    Interactive,
    NodeResponse,
    ResumeCompleted,
    ToolCall,
    ToolParams,
    ToolResponse,
    VariablesUpdated,
    WorkflowDuration,
)
from ._nodes import Node, sum_usage

if TYPE_CHECKING:
    from ._sse import ServerSentEvent


_ANSWERS: Final = (AnswerDelta, FastAnswer)


@attrs.define(eq=False)
class Transcript:
    """Record the events of a reply; consumers keep a cursor into :attr:`events`."""

    #: Every published event; an event's index is its place here.
    events: list[Event] = attrs.field(factory=list, init=False)
    #: Whether text, reasoning, a question or plugin output came: the first token.
    has_content: bool = attrs.field(default=False, init=False)
    #: Whether ``[DONE]`` was seen.
    done: bool = attrs.field(default=False, init=False)
    #: Whether a ``finish_reason`` was seen.
    terminal: bool = attrs.field(default=False, init=False)
    heartbeats: int = attrs.field(default=0, init=False)
    interactive: Interactive | None = attrs.field(default=None, init=False)
    _text: list[str] = attrs.field(factory=list, init=False)
    _reasoning: list[str] = attrs.field(factory=list, init=False)
    _nodes: dict[tuple[str, str], Node] = attrs.field(factory=dict, init=False)
    _tools: dict[str, ToolUse] = attrs.field(factory=dict, init=False)
    _variables: Mapping[str, Any] | None = attrs.field(default=None, init=False)
    _title: str | None = attrs.field(default=None, init=False)
    _duration: float | None = attrs.field(default=None, init=False)

    @property
    def complete(self) -> bool:
        """Whether the server said that the reply is whole."""
        return self.done or self.terminal

    @property
    def text(self) -> str:
        """The text so far."""
        return _joined(self._text)

    @property
    def reasoning(self) -> str:
        """The model's reasoning so far."""
        return _joined(self._reasoning)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The node responses so far."""
        return tuple(self._nodes.values())

    def take(self, frame: ServerSentEvent) -> bool:
        """Record one server-sent event and tell whether it was published.

        Heartbeats, the terminal chunk and ``[DONE]`` are noted but not published.

        :param frame: the event as the decoder gave it.
        :raises BadEventError: if it should have carried text and could not be read.
        :raises APIError: if it is the server's error event; its class tells which.
        """
        item = decode(frame[0], frame[1], len(self.events))
        if isinstance(item, _ANSWERS):
            if item.text:
                self._text.append(item.text)
            if item.reasoning:
                self._reasoning.append(item.reasoning)
            if item.finish_reason is not None:
                self.terminal = True
            self.has_content = True
        elif isinstance(item, Event):
            self._note(item)
            if isinstance(item, ResumeCompleted):
                self.events.append(item)
                self._add_saved(item)
                return True
        elif isinstance(item, ErrorFrame):
            raise api_error(200, item.payload)
        else:
            if item is HEARTBEAT:
                self.heartbeats += 1
            elif item is TERMINAL:
                self.terminal = True
            else:
                self.done = True
            return False
        self.events.append(item)
        return True

    def _note(self, event: Event) -> None:
        if isinstance(event, NodeResponse):
            self._add_nodes((event.node,))
        elif isinstance(event, FlowResponses):
            self._add_nodes(event.nodes)
        elif isinstance(event, ToolCall | ToolParams | ToolResponse):
            self._add_tool(event)
        elif isinstance(event, Interactive):
            self.interactive = event
            self.has_content = True
        elif isinstance(event, VariablesUpdated):
            self._variables = event.variables
        elif isinstance(event, WorkflowDuration):
            self._duration = event.seconds
        elif isinstance(event, ChatTitle):
            self._title = event.title

    def _add_saved(self, completed: ResumeCompleted) -> None:
        """Publish what the saved answer of a resumed chat has beyond what came before."""
        saved = read_content(_last_answer(completed.records))
        text = _beyond(self.text, saved.text)
        reasoning = _beyond(self.reasoning, saved.reasoning)
        here: dict[str, Any] = {"name": completed.name, "raw": completed.raw}
        if text or reasoning:
            self._text.append(text)
            self._reasoning.append(reasoning)
            self.events.append(AnswerDelta(text, reasoning, index=len(self.events), **here))
        for use in saved.tool_calls:
            self._tools.setdefault(use.id, use)
        if saved.pending is not None and self.interactive is None:
            self.interactive = attrs.evolve(saved.pending, index=len(self.events), **here)
            self.events.append(self.interactive)
        self.has_content = True

    def _add_nodes(self, nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            # A resumed node is sent again under the same id (recorded, 4.16.0); a server that
            # sends no ids gets a place for each.
            key = (node.id or f"#{len(self._nodes)}", node.parent_id or "")
            self._nodes.pop(key, None)
            self._nodes[key] = node
            if node.plugin_output is not None:
                self.has_content = True

    def _add_tool(self, event: ToolCall | ToolParams | ToolResponse) -> None:
        use = self._tools.get(event.tool_id) or ToolUse(id=event.tool_id)
        changes: dict[str, Any] = {}
        if event.tool_name:
            changes["name"] = event.tool_name
        if event.function_name:
            changes["function_name"] = event.function_name
        if event.params and not isinstance(event, ToolResponse):
            # The server sends fragments, to be put together by the call's id (recorded).
            changes["arguments"] = use.arguments + event.params
        if isinstance(event, ToolResponse):
            changes["response"] = event.response
        self._tools[event.tool_id] = attrs.evolve(use, **changes)

    def workflow_error(self) -> WorkflowError | None:
        """Return the error that an uncaught failed node means, or ``None``."""
        failed = uncaught(self.nodes)
        if not failed:
            return None
        node = failed[-1]
        words = node.error or "it said no more"
        return WorkflowError(
            f"the workflow's node {node.name!r} failed: {words}",
            nodes=failed,
            partial=self.text,
        )

    def answer(self, status: Status, timings: Timings, chat_id: str | None) -> Answer:
        """Return what the events amount to.

        :param status: where the reply stands.
        :param timings: what the producer measured.
        :param chat_id: the chat's id, if the client knows it.
        """
        nodes = self.nodes
        usage = sum_usage(nodes)
        plugin_outputs = [n.plugin_output for n in nodes if n.plugin_output is not None]
        return Answer(
            text=self.text,
            reasoning=self.reasoning,
            status=status,
            nodes=nodes,
            tool_calls=tuple(self._tools.values()),
            variables=self._variables,
            title=self._title,
            interactive=self.interactive,
            duration=self._duration,
            usage=usage if usage.total_tokens else None,
            timings=timings,
            chat_id=chat_id,
            plugin_output=plugin_outputs[-1] if plugin_outputs else None,
        )


def _last_answer(records: Mapping[str, Any]) -> object:
    items = records.get("list")
    for item in reversed(items if isinstance(items, list) else []):
        if isinstance(item, dict) and item.get("obj") == "AI":
            return item.get("value")
    return None


def _beyond(before: str, whole: str) -> str:
    return whole[len(before) :] if whole.startswith(before) else ""


def _joined(parts: list[str]) -> str:
    # Joined once and kept, so that reading .text at every event costs a copy and no second join.
    if len(parts) > 1:
        parts[:] = ["".join(parts)]
    return parts[0] if parts else ""

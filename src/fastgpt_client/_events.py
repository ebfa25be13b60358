"""Name everything that the server may send while it answers.

Which events come, and when, is a fact of the server: recorded from FastGPT 4.14.7 and 4.16.0, or
from FastGPT's source where a class says so. Without ``detail`` only answers come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ._event_base import Event
from ._interactive import FormField, Interactive, Option, Question, QuestionOption
from ._nodes import Node

__all__ = [
    "AnswerDelta",
    "ChatTitle",
    "Event",
    "FastAnswer",
    "FlowResponses",
    "FormField",
    "Interactive",
    "NodeResponse",
    "NodeStatus",
    "Option",
    "Plan",
    "PlanStatus",
    "PlanStep",
    "Question",
    "QuestionOption",
    "ResumeCompleted",
    "ResumePhase",
    "ResumeUnavailable",
    "SandboxStatus",
    "SkillCall",
    "ToolCall",
    "ToolParams",
    "ToolResponse",
    "UnknownEvent",
    "VariablesUpdated",
    "WorkflowDuration",
]


@attrs.frozen
class AnswerDelta(Event):
    """Carry the next piece of the answer.

    :param text: the piece of text, ``""`` if there is only reasoning.
    :param reasoning: the piece of the model's reasoning, ``""`` if there is none.
    :param finish_reason: set if the piece is said to be the last. FastGPT sends the reason in a
        chunk of its own, which is no event.
    :param response_value_id: the id of the nested workflow or tool that speaks (since 4.14.7).
    """

    text: str  # pyright: ignore[reportIncompatibleMethodOverride]
    reasoning: str = ""
    finish_reason: str | None = None
    response_value_id: str | None = None


@attrs.frozen
class FastAnswer(Event):
    """Carry the whole text of a fixed-reply node, or output of a tool.

    The server puts a line feed in front.

    :param text: the whole text.
    :param reasoning: as in :class:`AnswerDelta`, like what follows.
    :param finish_reason: set if the piece is said to be the last.
    :param response_value_id: the id of the nested workflow or tool that speaks.
    """

    text: str  # pyright: ignore[reportIncompatibleMethodOverride]
    reasoning: str = ""
    finish_reason: str | None = None
    response_value_id: str | None = None


@attrs.frozen
class NodeStatus(Event):
    """Say that a node of the workflow started.

    :param status: ``running``.
    :param node_name: the node's name; in tool and agent loops, also the model's name.
    """

    status: str
    node_name: str


@attrs.frozen
class NodeResponse(Event):
    """Carry the response of a node that finished (v2).

    :param node: the response; :attr:`Node.parent_id` tells which node it ran inside.
    """

    node: Node


@attrs.frozen
class FlowResponses(Event):
    """Carry the responses of all nodes, once (v1).

    It comes before ``[DONE]`` from 4.16.0 and after it from 4.14.7 and older servers.

    :param nodes: the responses, nested.
    """

    nodes: tuple[Node, ...]


@attrs.frozen
class ToolCall(Event):
    """Say that the model calls a tool.

    :param tool_id: the id of the call, which its other events repeat.
    :param tool_name: the tool's name for people.
    :param function_name: the tool's name for the model.
    :param params: the start of the arguments, usually ``""``.
    :param response: ``""`` at this point.
    :param tool_avatar: where the tool's picture is.
    :param response_value_id: the id under which the server shows the call, or ``None``.
    """

    tool_id: str
    tool_name: str = ""
    function_name: str = ""
    params: str = ""
    response: str = ""
    tool_avatar: str = ""
    response_value_id: str | None = None


@attrs.frozen
class ToolParams(Event):
    """Carry the next piece of a tool call's arguments.

    :param tool_id: the id of the call.
    :param tool_name: ``""``; :class:`ToolCall` told it.
    :param function_name: ``""``.
    :param params: the piece of the arguments, which are JSON when they are whole.
    :param response: ``""``.
    :param tool_avatar: ``""``.
    :param response_value_id: the id of the nested workflow or tool that calls.
    """

    tool_id: str
    tool_name: str = ""
    function_name: str = ""
    params: str = ""
    response: str = ""
    tool_avatar: str = ""
    response_value_id: str | None = None


@attrs.frozen
class ToolResponse(Event):
    """Carry what a tool returned.

    :param tool_id: the id of the call.
    :param tool_name: ``""``; :class:`ToolCall` told it.
    :param function_name: ``""``.
    :param params: ``""``.
    :param response: what it returned. The server may cut the middle out of a long one (FastGPT
        source, 4.16.0).
    :param tool_avatar: ``""``.
    :param response_value_id: the id of the nested workflow or tool that called.
    """

    tool_id: str
    tool_name: str = ""
    function_name: str = ""
    params: str = ""
    response: str = ""
    tool_avatar: str = ""
    response_value_id: str | None = None


@attrs.frozen
class VariablesUpdated(Event):
    """Carry the chat's global variables after a change: all of them, not only the changed.

    :param variables: the values by their keys.
    """

    variables: Mapping[str, Any] = attrs.field(hash=False)


@attrs.frozen
class WorkflowDuration(Event):
    """Say how long the workflow ran.

    :param seconds: the time on the server.
    """

    seconds: float


@attrs.frozen
class ChatTitle(Event):
    """Carry the title that the server gave to a new chat (since 4.15).

    :param title: the title.
    """

    title: str


@attrs.frozen(kw_only=True)
class PlanStep:
    """Hold one step of an agent's plan.

    :param id: the step's id.
    :param name: what is to be done.
    :param description: more about it, or ``None``.
    :param status: ``pending``, ``in_progress``, ``done``, ``blocked`` or ``skipped``.
    :param note: a remark, or ``None``.
    """

    id: str = ""
    name: str = ""
    description: str | None = None
    status: str = "pending"
    note: str | None = None


@attrs.frozen
class Plan(Event):
    """Carry an agent's plan, which replaces the one before (FastGPT source, 4.16.0).

    :param plan_id: the plan's id.
    :param plan_name: what is planned.
    :param description: more about it, or ``None``.
    :param steps: the steps in order.
    :param response_value_id: the id under which the server shows the plan, or ``None``.
    """

    plan_id: str
    plan_name: str = ""
    description: str | None = None
    steps: tuple[PlanStep, ...] = ()
    response_value_id: str | None = None


@attrs.frozen
class PlanStatus(Event):
    """Say that an agent works on its plan (FastGPT source, 4.16.0).

    :param status: ``generating`` or ``updating``.
    """

    status: str


@attrs.frozen
class SandboxStatus(Event):
    """Say how far an agent's sandbox is (FastGPT source, 4.16.0).

    :param sandbox_id: the sandbox's id.
    :param phase: the phase, such as ``connecting`` or ``ready``.
    :param is_warm_start: whether a running sandbox was taken, or ``None``.
    :param skill_name: the skill that it is for, or ``None``.
    :param message: what the server says about it, or ``None``.
    """

    sandbox_id: str
    phase: str
    is_warm_start: bool | None = None
    skill_name: str | None = None
    message: str | None = None


@attrs.frozen
class SkillCall(Event):
    """Say that an agent loaded a skill (FastGPT source, 4.16.0).

    :param skill_id: the skill's id.
    :param skill_name: its name.
    :param description: what it does.
    :param path: where its text is in the sandbox.
    """

    skill_id: str
    skill_name: str = ""
    description: str = ""
    path: str = ""


@attrs.frozen
class ResumePhase(Event):
    """Say which part of a resumed reply follows (FastGPT source, 4.16.0).

    :param phase: ``catchup`` for what was sent before, ``live`` for what is new.
    """

    phase: str


@attrs.frozen
class ResumeCompleted(Event):
    """Carry the saved end of a chat that is not running any more (FastGPT source, 4.16.0).

    What the saved answer has beyond the text so far follows as an :class:`AnswerDelta`, and a
    question that waits for its answer as an :class:`Interactive`.

    :param chat_generate_status: 0 generating, 1 done, 2 failed, or ``None``.
    :param has_been_read: whether the answer was shown to its user, or ``None``.
    :param records: a page of the chat's records, ``list`` and ``total`` in it.
    """

    chat_generate_status: int | None = None
    has_been_read: bool | None = None
    records: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen
class ResumeUnavailable(Event):
    """Say that what was sent before is lost; the end of the chat follows later.

    :param reason: ``memoryPressure`` or ``mirrorUnavailable`` (FastGPT source, 4.16.0).
    """

    reason: str


@attrs.frozen
class UnknownEvent(Event):
    """Carry an event that this package does not know, or whose payload is not as documented.

    :param data: the payload as text. It may hold internal state of the workflow, so it is not part
        of the representation.
    """

    data: str = attrs.field(repr=False)

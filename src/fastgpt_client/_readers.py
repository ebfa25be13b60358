"""Read the events that are no answers: one JSON shape and one builder for each name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from . import _payloads as payloads
from ._events import (
    ChatTitle,
    Event,
    FlowResponses,
    NodeResponse,
    NodeStatus,
    Plan,
    PlanStatus,
    PlanStep,
    ResumeCompleted,
    ResumeUnavailable,
    SandboxStatus,
    SkillCall,
    ToolCall,
    ToolParams,
    ToolResponse,
    VariablesUpdated,
    WorkflowDuration,
)
from ._interactive import read_interactive
from ._nodes import is_node_response, read_node, read_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _node_status(got: payloads.WireStatus, index: int, name: str, raw: bytes) -> Event:
    return NodeStatus(got.status, got.name, index=index, name=name, raw=raw)


def _node_response(got: Any, index: int, name: str, raw: bytes) -> Event | None:
    if not is_node_response(got):
        return None
    return NodeResponse(read_node(got), index=index, name=name, raw=raw)


def _flow_responses(got: Any, index: int, name: str, raw: bytes) -> Event | None:
    nodes = read_nodes(got)
    return None if nodes is None else FlowResponses(nodes, index=index, name=name, raw=raw)


_TOOL_EVENTS: Final[Mapping[str, type[ToolCall | ToolParams | ToolResponse]]] = {
    "toolCall": ToolCall,
    "toolParams": ToolParams,
    "toolResponse": ToolResponse,
}


def _tool(got: payloads.WireToolEvent, index: int, name: str, raw: bytes) -> Event:
    tool = got.tool
    return _TOOL_EVENTS[name](
        tool.id,
        tool.tool_name or "",
        tool.function_name or "",
        tool.params or "",
        tool.response or "",
        tool.tool_avatar or "",
        got.response_value_id,
        index=index,
        name=name,
        raw=raw,
    )


def _variables(got: dict[str, Any], index: int, name: str, raw: bytes) -> Event:
    return VariablesUpdated(got, index=index, name=name, raw=raw)


def _interactive(got: Any, index: int, name: str, raw: bytes) -> Event | None:
    return read_interactive(got, index=index, name=name, raw=raw)


def _duration(got: payloads.WireDuration, index: int, name: str, raw: bytes) -> Event:
    return WorkflowDuration(got.duration_seconds, index=index, name=name, raw=raw)


def _title(got: payloads.WireTitle, index: int, name: str, raw: bytes) -> Event:
    return ChatTitle(got.title, index=index, name=name, raw=raw)


def _plan(got: payloads.WirePlanEvent, index: int, name: str, raw: bytes) -> Event:
    plan = got.plan
    steps = tuple(
        PlanStep(
            id=step.id,
            # Servers before 4.16.0 say task and title (FastGPT source, 4.15).
            name=step.name or step.title,
            description=step.description,
            status=step.status,
            note=step.note,
        )
        for step in plan.steps
    )
    return Plan(
        plan.plan_id,
        plan.name or plan.task,
        plan.description,
        steps,
        got.response_value_id,
        index=index,
        name=name,
        raw=raw,
    )


def _plan_status(got: payloads.WirePlanStatus, index: int, name: str, raw: bytes) -> Event:
    return PlanStatus(got.plan_status.status, index=index, name=name, raw=raw)


def _sandbox(got: payloads.WireSandbox, index: int, name: str, raw: bytes) -> Event:
    return SandboxStatus(
        got.sandbox_id,
        got.phase,
        got.is_warm_start,
        got.skill_name,
        got.message,
        index=index,
        name=name,
        raw=raw,
    )


def _skill(got: payloads.WireSkillCall, index: int, name: str, raw: bytes) -> Event:
    skill = got.skill
    return SkillCall(
        skill.id,
        skill.skill_name or "",
        skill.description or "",
        skill.skill_md_path or "",
        index=index,
        name=name,
        raw=raw,
    )


def _resume_completed(
    got: payloads.WireResumeCompleted, index: int, name: str, raw: bytes
) -> Event:
    return ResumeCompleted(
        got.chat_generate_status,
        got.has_been_read,
        got.records or {},
        index=index,
        name=name,
        raw=raw,
    )


def _resume_unavailable(got: payloads.WireReason, index: int, name: str, raw: bytes) -> Event:
    return ResumeUnavailable(got.reason, index=index, name=name, raw=raw)


def _typed(struct: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(struct).decode


_decode_tool: Final = _typed(payloads.WireToolEvent)

#: By wire name: what decodes the payload, and what makes an event of it, its index, its name and
#: its bytes, or ``None`` of a payload that does not fit.
READERS: Final[
    Mapping[
        str,
        tuple[Callable[[bytes], Any], Callable[[Any, int, str, bytes], Event | None]],
    ]
] = {
    "flowNodeStatus": (_typed(payloads.WireStatus), _node_status),
    "flowNodeResponse": (payloads.decode_any, _node_response),
    "flowResponses": (payloads.decode_any, _flow_responses),
    "toolCall": (_decode_tool, _tool),
    "toolParams": (_decode_tool, _tool),
    "toolResponse": (_decode_tool, _tool),
    "updateVariables": (payloads.decode_object, _variables),
    "interactive": (payloads.decode_any, _interactive),
    "workflowDuration": (_typed(payloads.WireDuration), _duration),
    "chatTitle": (_typed(payloads.WireTitle), _title),
    "plan": (_typed(payloads.WirePlanEvent), _plan),
    "planStatus": (_typed(payloads.WirePlanStatus), _plan_status),
    "sandboxStatus": (_typed(payloads.WireSandbox), _sandbox),
    "skillCall": (_typed(payloads.WireSkillCall), _skill),
    "resumeCompleted": (_typed(payloads.WireResumeCompleted), _resume_completed),
    "resumeUnavailable": (_typed(payloads.WireReason), _resume_unavailable),
}

"""Write exchanges by hand: frames, whole streams, refusals."""

from __future__ import annotations

import json
from typing import Any

import attrs

import fastgpt_client as f

from ..recordings import STREAM_HEAD, Exchange, stream_response
from ..understanding import Failure, Meaning


@attrs.frozen
class Frame:
    """One server-sent event, and the class of the event that it is, if it is one."""

    name: str
    data: str
    kind: type[f.Event] | None = None

    @property
    def wire(self) -> str:
        return (f"event: {self.name}\n" if self.name else "") + f"data: {self.data}\n\n"


@attrs.frozen
class Standin:
    """One exchange and what it means."""

    name: str
    exchange: Exchange
    meaning: Meaning


# --- frames -----------------------------------------------------------------------------------------


def event(name: str, payload: Any, kind: type[f.Event] | None) -> Frame:
    return Frame(name, json.dumps(payload, ensure_ascii=False, separators=(",", ":")), kind)


def chunk(name: str, delta: Any, finish: str | None, kind: type[f.Event] | None) -> Frame:
    choice = {"delta": {"role": "assistant", **delta}, "index": 0, "finish_reason": finish}
    payload = {"id": "", "object": "", "created": 0, "model": "", "choices": [choice]}
    return event(name, payload, kind)


def say(text: str, name: str = "answer") -> Frame:
    return chunk(
        name, {"content": text}, None, f.FastAnswer if name[:4] == "fast" else f.AnswerDelta
    )


def think(text: str, name: str = "answer") -> Frame:
    return chunk(name, {"reasoning_content": text}, None, f.AnswerDelta)


def heartbeat(name: str = "answer") -> Frame:
    return chunk(name, {"content": ""}, None, None)


def stop(name: str = "answer") -> Frame:
    return chunk(name, {"content": None}, "stop", None)


def done(name: str = "answer") -> Frame:
    return Frame(name, "[DONE]")


def runs(node: str) -> Frame:
    return event("flowNodeStatus", {"status": "running", "name": node}, f.NodeStatus)


def ran(node: Any) -> Frame:
    return event("flowNodeResponse", node, f.NodeResponse)


def all_ran(nodes: Any) -> Frame:
    return event("flowResponses", nodes, f.FlowResponses)


def took(seconds: float) -> Frame:
    return event("workflowDuration", {"durationSeconds": seconds}, f.WorkflowDuration)


def tool(name: str, kind: type[f.Event], **fields: str) -> Frame:
    blank = {"id": "call_7", "toolName": "", "toolAvatar": "", "functionName": ""}
    return event(name, {"tool": {**blank, **fields}, "responseValueId": "r1"}, kind)


def error(**payload: Any) -> Frame:
    return event("error", payload, None)


# --- whole exchanges ----------------------------------------------------------------------------------


def stream(
    name: str, *frames: Frame, api: Any = "v2", head: bytes = b"", **meaning: Any
) -> Standin:
    """A stream in FastGPT's chunks; ``head`` replaces the usual status line and headers."""
    body = "".join(frame.wire for frame in frames).encode()
    raw = stream_response(body)
    if head:
        raw = head + raw.removeprefix(STREAM_HEAD)
    detail = all(frame.name for frame in frames)
    events = [(frame.name, frame.kind, frame.data.encode()) for frame in frames if frame.kind]
    known = {"events": events, "body_bytes": len(body), **meaning}
    return Standin(name, Exchange(name, api, detail, raw), Meaning(**known))


def rewritten(
    source: Standin, name: str, raw: bytes, *, broken: bool = False, **meaning: Any
) -> Standin:
    """The same exchange as other bytes."""
    exchange = attrs.evolve(source.exchange, name=name, raw=raw, broken=broken)
    return Standin(name, exchange, attrs.evolve(source.meaning, **meaning))


def refused(name: str, status: str, body: Any, failure: Failure, *headers: str) -> Standin:
    """An answer that is no stream."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    media_type = () if isinstance(body, str) else ("Content-Type: application/json; charset=utf-8",)
    lines = [f"HTTP/1.1 {status}", *media_type, *headers, f"Content-Length: {len(data)}"]
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + data
    return Standin(name, Exchange(name, "v1", True, raw), Meaning(failure=failure))

"""Make the bytes that FastGPT writes: JSON, frames and headers. No I/O."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from ._script import Step
from ._steps import (
    Delta,
    Done,
    FastAnswer,
    Finish,
    Frame,
    Heartbeat,
    Interactive,
    NodeStatus,
    Raw,
    Reasoning,
    Title,
    ToolCall,
    ToolParams,
    ToolResponse,
    Variables,
)

if TYPE_CHECKING:
    from ._dialect import Dialect

HeaderList = list[tuple[str, str]]

# Every answer of a production build starts with these (recorded, 4.14.7).
_SECURITY: HeaderList = [
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "geolocation=(self), microphone=(self), camera=(self)"),
]
_SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> str:
    """Write JSON as a JavaScript server does.

    Compact, characters unescaped, whole floats without a point, no NaN, half a surrogate pair
    as its escape.
    """
    text = json.dumps(_js(value), ensure_ascii=False, separators=(",", ":"))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _js(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(key): _js(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_js(item) for item in value]
    return value


def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> str:
    """Write an answer chunk; ids, model and time are empty on a real server too."""
    return dumps(
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [
                {
                    "delta": {"role": "assistant", **delta},
                    "index": 0,
                    "finish_reason": finish_reason,
                }
            ],
        }
    )


@attrs.frozen
class WireFrame:
    """One server-sent event before it is written.

    :param event: the name that is written when the stream has details.
    :param data: the data line's text.
    :param detail_only: ``True`` if a stream without details leaves the frame out.
    :param always_named: ``True`` if the ``event:`` line is there even without details.
    """

    event: str | None
    data: str
    detail_only: bool = True
    always_named: bool = False

    def pieces(self, detail: bool) -> list[bytes]:
        """The writes that a server makes for this frame: none, one, or two."""
        if self.detail_only and not detail:
            return []
        data = f"data: {self.data}\n\n".encode(errors="surrogatepass")
        if self.event is None or not (detail or self.always_named):
            return [data]
        return [f"event: {self.event}\n".encode(), data]


def answer(data: str) -> WireFrame:
    """An ``answer`` frame with this data."""
    return WireFrame("answer", data, detail_only=False)


def error_data(code: int | None, status_text: str, message: str) -> str:
    """The payload of ``event: error``: known errors have a code, others only a message."""
    if code is None:
        return dumps({"message": message})
    return dumps({"code": code, "statusText": status_text, "message": message, "data": None})


def error_frame(code: int | None, status_text: str, message: str) -> WireFrame:
    """The frame that ends a failed stream; it is named in every mode."""
    data = error_data(code, status_text, message)
    return WireFrame("error", data, detail_only=False, always_named=True)


def error_envelope(
    dialect: Dialect,
    code: int | None,
    status_text: str,
    message: str,
    *,
    user_error: bool = False,
    zod_error: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The JSON that a refused call without a stream gets."""
    envelope: dict[str, Any] = {
        "code": 500 if code is None else code,
        "statusText": status_text or "error",
        "message": message,
        "data": None,
    }
    if zod_error is not None:
        envelope["zodError"] = zod_error
    elif user_error and dialect.marks_user_errors:
        envelope["errorType"] = "UserError"
    return envelope


def frame_of(step: Step, dialect: Dialect) -> WireFrame | None:
    """The frame of a step, or ``None`` if the step is something else than one event."""
    match step:
        case Delta(text):
            return answer(chunk({"content": text}))
        case Reasoning(text):
            return answer(chunk({"reasoning_content": text}))
        case Heartbeat():
            return answer(chunk({"content": ""}))
        case FastAnswer(text):
            return WireFrame("fastAnswer", chunk({"content": f"\n{text}"}), detail_only=False)
        case Finish():
            return answer(chunk({"content": None}, "stop"))
        case Done():
            return answer("[DONE]")
        case NodeStatus(name, status):
            return WireFrame("flowNodeStatus", dumps({"status": status, "name": name}))
        case ToolCall() | ToolParams() | ToolResponse():
            return _tool_frame(step, dialect)
        case Variables(values):
            return WireFrame("updateVariables", dumps(values))
        case Interactive(payload):
            return WireFrame("interactive", dumps({"interactive": payload}))
        case Title(text):
            return WireFrame("chatTitle", dumps({"title": text}))
        case Frame(event, payload):
            return WireFrame(event, dumps(payload))
        case Raw(event, data):
            return WireFrame(event, data, detail_only=False, always_named=True)
        case _:
            return None


def _tool_frame(step: ToolCall | ToolParams | ToolResponse, dialect: Dialect) -> WireFrame:
    tool: dict[str, Any] = {"id": step.id, "toolName": "", "toolAvatar": ""}
    name = "toolParams"
    if isinstance(step, ToolCall):
        name = "toolCall"
        tool |= {"toolName": step.name, "toolAvatar": step.avatar}
        tool |= {"functionName": step.function_name, "params": step.params}
    elif isinstance(step, ToolParams):
        tool["params"] = step.params
    else:
        name = "toolResponse"
        tool |= {"params": "", "response": step.response}
    if not dialect.modern_content:
        tool.setdefault("response", "")
    return WireFrame(name, dumps({"tool": tool, "responseValueId": step.id}))


def entity_tag(text: str) -> str:
    """The ``ETag`` of a JSON answer: a 64-bit FNV-1a hash folded to 52 bits, and the length."""
    units = text.encode("utf-16-le", errors="surrogatepass")
    value = 0xCBF29CE484222325
    for position in range(0, len(units), 2):
        value ^= units[position] | units[position + 1] << 8
        value = value * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    low = (value & 0xFFFF) ^ value >> 52
    folded = (value & 0x000FFFFFFFFF0000) | low
    return f'"{_base36(folded)}{_base36(len(units) // 2)}"'


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def _date() -> tuple[str, str]:
    return "Date", formatdate(usegmt=True)


def _first(extra: HeaderList) -> HeaderList:
    return [*_SECURITY, ("x-request-id", str(uuid4())), *extra]


def stream_headers(extra: HeaderList) -> HeaderList:
    """The headers of an event stream (h11 adds ``Transfer-Encoding``)."""
    return [
        *_first(extra),
        ("Connection", "keep-alive"),
        ("Content-Type", "text/event-stream;charset=utf-8"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Accel-Buffering", "no"),
        ("Cache-Control", "no-cache, no-transform"),
        _date(),
    ]


def refused_stream_headers(extra: HeaderList, keep_alive: float) -> HeaderList:
    """The headers of ``event: error`` before a stream has begun: no content type."""
    return [*_first(extra), *end_headers(keep_alive)]


def json_headers(
    text: str, extra: HeaderList, *, keep_alive: float | None, gzip: bool
) -> HeaderList:
    """The headers of a JSON answer.

    :param keep_alive: ``None`` for a finished run, whose handler says ``keep-alive`` itself.
    """
    length = [("Content-Encoding", "gzip")] if gzip else [("Content-Length", str(_bytes(text)))]
    body = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("ETag", entity_tag(text)),
        *length,
        ("Vary", "Accept-Encoding"),
    ]
    if keep_alive is None:
        return [*_first(extra), ("Connection", "keep-alive"), *body, _date()]
    return [*_first(extra), *body, *end_headers(keep_alive)]


def html_headers(text: str, keep_alive: float) -> HeaderList:
    """The headers of the page for an unknown path."""
    return [
        *_SECURITY,
        ("Cache-Control", "private, no-cache, no-store, max-age=0, must-revalidate"),
        ("X-Powered-By", "Next.js"),
        ("ETag", entity_tag(text)),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(_bytes(text))),
        ("Vary", "Accept-Encoding"),
        *end_headers(keep_alive),
    ]


def bare_headers(keep_alive: float) -> HeaderList:
    """The headers of what the web framework itself answers, before any handler."""
    return [*_SECURITY, *end_headers(keep_alive)]


def end_headers(keep_alive: float) -> HeaderList:
    """Date and connection headers as the web framework writes them last."""
    return [_date(), ("Connection", "keep-alive"), ("Keep-Alive", f"timeout={keep_alive:g}")]


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))

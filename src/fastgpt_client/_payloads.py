"""Decode the JSON of payloads, as the server writes it and as tolerantly as that allows.

The structs name only the fields that are read; msgspec skips the others without building them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

#: What a decoder raises at data that it cannot read; msgspec's errors are ValueErrors.
UNREADABLE: Final = (ValueError, RecursionError)


class WireDelta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None


class WireChoice(msgspec.Struct, gc=False):
    delta: WireDelta | None = None
    finish_reason: str | None = None


class WireChunk(msgspec.Struct, gc=False, rename="camel"):
    choices: list[WireChoice] | None = None
    # Any, because an odd id must not cost the text.
    response_value_id: Any = None


class WireStatus(msgspec.Struct, gc=False):
    name: str
    status: str = ""


class WireTool(msgspec.Struct, gc=False, rename="camel"):
    id: str
    tool_name: str | None = None
    tool_avatar: str | None = None
    function_name: str | None = None
    params: str | None = None
    response: str | None = None


class WireToolEvent(msgspec.Struct, gc=False, rename="camel"):
    tool: WireTool
    response_value_id: str | None = None


class WireDuration(msgspec.Struct, gc=False, rename="camel"):
    duration_seconds: float


class WireTitle(msgspec.Struct, gc=False):
    title: str


class WirePlanStep(msgspec.Struct, gc=False):
    id: str = ""
    name: str = ""
    title: str = ""
    description: str | None = None
    status: str = "pending"
    note: str | None = None


class WirePlan(msgspec.Struct, gc=False, rename="camel"):
    plan_id: str = ""
    name: str = ""
    task: str = ""
    description: str | None = None
    steps: list[WirePlanStep] = []


class WirePlanEvent(msgspec.Struct, gc=False, rename="camel"):
    plan: WirePlan
    response_value_id: str | None = None


class WirePlanState(msgspec.Struct, gc=False):
    status: str


class WirePlanStatus(msgspec.Struct, gc=False, rename="camel"):
    plan_status: WirePlanState


class WireSandbox(msgspec.Struct, gc=False, rename="camel"):
    sandbox_id: str
    phase: str
    is_warm_start: bool | None = None
    skill_name: str | None = None
    message: str | None = None


class WireSkill(msgspec.Struct, gc=False, rename="camel"):
    id: str
    skill_name: str | None = None
    description: str | None = None
    skill_md_path: str | None = None


class WireSkillCall(msgspec.Struct, gc=False):
    skill: WireSkill


class WireResumeCompleted(msgspec.Struct, rename="camel"):
    chat_generate_status: int | None = None
    has_been_read: bool | None = None
    records: dict[str, Any] | None = None


class WireReason(msgspec.Struct, gc=False):
    reason: str


decode_chunk: Final = msgspec.json.Decoder(WireChunk).decode
decode_any: Final[Callable[[bytes], Any]] = msgspec.json.Decoder().decode
decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


def as_text(data: bytes) -> str:
    """Return a payload as text; malformed UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", "replace")


def load(decoder: Callable[[bytes], _T], data: bytes) -> _T:
    """Decode, and once more after a repair if the data is not clean JSON.

    :param decoder: a msgspec decoder's ``decode``.
    :param data: the payload.
    :raises ValueError: if it is no JSON, or not of the decoder's shape.
    :raises RecursionError: if it is nested too deeply.
    """
    try:
        return decoder(data)
    except msgspec.ValidationError:
        raise
    except ValueError:
        return decoder(_repaired(data))


def _repaired(data: bytes) -> bytes:
    # Two things that msgspec rightly refuses and that must not cost a reply its text: malformed
    # UTF-8, and the escape of a lone surrogate, which a server sends for half an emoji (recorded
    # from 4.14.7). Both become U+FFFD. The standard json module reads them.
    value = json.loads(as_text(data), parse_constant=_null)
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _null(_: str) -> None:
    # NaN and Infinity, which JavaScript itself writes as null.
    return None

"""Turn one server-sent event into a typed event, or into a signal that is none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import attrs

from . import _payloads as payloads
from ._errors import BadEventError
from ._events import AnswerDelta, Event, FastAnswer, ResumePhase, UnknownEvent
from ._readers import READERS

__all__ = ["DONE", "HEARTBEAT", "TERMINAL", "ErrorFrame", "Signal", "decode"]

_logger: Final = logging.getLogger("fastgpt_client.events")
_decode_chunk: Final = payloads.decode_chunk


class Signal(Enum):
    """Say what came instead of an event."""

    #: An answer without content, which the server sends every 10 s to keep the line alive.
    HEARTBEAT = "heartbeat"
    #: An answer with nothing but a ``finish_reason``.
    TERMINAL = "terminal"
    #: ``[DONE]``.
    DONE = "done"


HEARTBEAT: Final = Signal.HEARTBEAT
TERMINAL: Final = Signal.TERMINAL
DONE: Final = Signal.DONE


@attrs.frozen
class ErrorFrame:
    """Hold an error that the server reported inside the stream.

    :param code: FastGPT's business code, or ``None``.
    :param status_text: FastGPT's stable name of the error, or ``""``.
    :param message: the server's words, mostly an untranslated key.
    :param payload: the decoded payload; text that is no JSON object is its ``message``.
    """

    code: int | None
    status_text: str
    message: str
    payload: Mapping[str, Any] = attrs.field(repr=False, hash=False)


class _AnswerDraft(Event):
    """Hold the fields of an answer event until it gets its class.

    Answers come by the thousand, and the constructor of a frozen class sets each field through
    ``object.__setattr__``: 0.9 µs, against 0.25 µs for this and a change of class. Both have the
    same base and the same slots, which is what makes the change possible.
    """

    __slots__ = AnswerDelta.__slots__  # type: ignore[attr-defined]
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    def __init__(
        self: Any,
        text: str,
        reasoning: str,
        finish_reason: str | None,
        response_value_id: str | None,
        index: int,
        name: str,
        raw: bytes,
    ) -> None:
        self.text = text
        self.reasoning = reasoning
        self.finish_reason = finish_reason
        self.response_value_id = response_value_id
        self.index = index
        self.name = name
        self.raw = raw


#: The class of an answer event, and its name on the wire. An event stream calls an event without a
#: name "message", as the HTML standard says.
_ANSWERS: Final[Mapping[str, tuple[type[AnswerDelta | FastAnswer], str]]] = {
    "answer": (AnswerDelta, "answer"),
    "message": (AnswerDelta, ""),
    "": (AnswerDelta, ""),
    "fastAnswer": (FastAnswer, "fastAnswer"),
}

#: What a chunk may hold beside its choices without any of it being text.
_NO_TEXT: Final = frozenset(
    {
        "choices",
        "created",
        "id",
        "model",
        "object",
        "responseValueId",
        "service_tier",
        "system_fingerprint",
        "usage",
    }
)


def decode(name: str, data: bytes, index: int) -> Event | Signal | ErrorFrame:
    """Read one server-sent event.

    :param name: its event name, ``"message"`` or ``""`` if it has none.
    :param data: its data.
    :param index: the index that it gets if it is an event.
    :returns: an event, or :data:`HEARTBEAT`, :data:`TERMINAL`, :data:`DONE` or an
        :class:`ErrorFrame`, which have no index.
    :raises BadEventError: if it should have carried text and could not be read.
    """
    kind = _ANSWERS.get(name)
    if kind is None:
        return _decode_other(name, data, index)
    try:
        chunk = _decode_chunk(data)
    except payloads.UNREADABLE:
        if data.strip() == b"[DONE]":
            return DONE
        try:
            chunk = payloads.load(payloads.decode_chunk, data)
        except payloads.UNREADABLE:
            found = _error_in(data)
            if found is not None:
                return found
            raise _bad_event(kind[1], "is not JSON or not shaped like an answer") from None
    choices = chunk.choices
    if not choices:
        return _without_choices(kind[1], data)
    choice = choices[0]
    delta = choice.delta
    text = reasoning = ""
    if delta is not None:
        text = delta.content or ""
        reasoning = delta.reasoning_content or ""
    finish_reason = choice.finish_reason or None
    if not text and not reasoning:
        return TERMINAL if finish_reason else _empty_answer(kind[1], data, index)
    value_id = chunk.response_value_id
    if value_id is not None and not isinstance(value_id, str):
        value_id = None
    draft: Any = _AnswerDraft(text, reasoning, finish_reason, value_id, index, kind[1], data)
    draft.__class__ = kind[0]
    event: Event = draft
    return event


def _without_choices(name: str, data: bytes) -> Signal | ErrorFrame:
    found = _error_in(data)
    if found is not None:
        return found
    try:
        payload = payloads.load(payloads.decode_object, data)
    except payloads.UNREADABLE:
        raise _bad_event(name, "has no choices") from None
    if any(value for key, value in payload.items() if key not in _NO_TEXT):
        raise _bad_event(name, "has no choices")
    return HEARTBEAT


def _empty_answer(name: str, data: bytes, index: int) -> Signal | ErrorFrame | UnknownEvent:
    # Heartbeats are rare and are not published, so a second look makes sure that nothing is lost
    # with one: the shapes of other chat APIs carry text elsewhere.
    try:
        payload = payloads.load(payloads.decode_object, data)
    except payloads.UNREADABLE:
        return _unknown(name, data, index)
    if payload.get("error"):
        return _error_frame(payload)
    choice = payload["choices"][0]
    if choice.get("text") or choice.get("message"):
        raise _bad_event(name, "has its text in an unexpected place")
    delta = choice.get("delta") or {}
    if any(value for key, value in delta.items() if key != "role"):
        return _unknown(name, data, index)
    return HEARTBEAT


def _bad_event(name: str, what: str) -> BadEventError:
    called = f"{name!r} event" if name else "event without a name"
    return BadEventError(f"the server sent an {called} that {what}; text may be lost")


def _error_in(data: bytes) -> ErrorFrame | None:
    """Return the error that a payload without a name is, or ``None`` if it is none."""
    try:
        payload = payloads.load(payloads.decode_object, data)
    except payloads.UNREADABLE:
        return None
    if payload.get("choices"):
        return None
    code = _code(payload)
    is_failure = code is not None and not 200 <= code < 300
    if payload.get("error") or (is_failure and ("message" in payload or "statusText" in payload)):
        return _error_frame(payload)
    return None


def _read_error(data: bytes) -> ErrorFrame:
    try:
        payload = payloads.load(payloads.decode_any, data)
    except payloads.UNREADABLE:
        payload = None
    if not isinstance(payload, dict):
        payload = {"message": payload if isinstance(payload, str) else payloads.as_text(data)}
    return _error_frame(payload)


def _error_frame(payload: dict[str, Any]) -> ErrorFrame:
    inner = payload.get("error")
    fields = inner if isinstance(inner, dict) and "message" not in payload else payload
    status_text = fields.get("statusText")
    message = fields.get("message") or inner
    return ErrorFrame(
        _code(fields),
        status_text if isinstance(status_text, str) else "",
        message if isinstance(message, str) else "",
        payload,
    )


def _code(payload: Mapping[str, Any]) -> int | None:
    code = payload.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _decode_other(name: str, data: bytes, index: int) -> Event | Signal | ErrorFrame:
    if data.strip() == b"[DONE]":
        return DONE
    if name == "error":
        return _read_error(data)
    if name == "resumePhase":
        # A bare word, the only payload that is no JSON.
        return ResumePhase(payloads.as_text(data), index=index, name=name, raw=data)
    known = READERS.get(name)
    if known is None:
        return _unknown(name, data, index)
    decoder, build = known
    try:
        event = build(payloads.load(decoder, data), index, name, data)
    except payloads.UNREADABLE:
        event = None
    return _unknown(name, data, index) if event is None else event


def _unknown(name: str, data: bytes, index: int) -> UnknownEvent:
    known = name in READERS or name in _ANSWERS
    what = "is not shaped as documented" if known else "is not known"
    _logger.debug("event %.80r %s; kept as UnknownEvent", name, what)
    return UnknownEvent(payloads.as_text(data), index=index, name=name, raw=data)

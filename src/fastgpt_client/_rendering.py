"""Turn a reply into what a browser is sent: server-sent events, or plain text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs
import msgspec

from ._answer import Answer
from ._errors import (
    APIError,
    ChatBusyError,
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    QuotaExceededError,
    RateLimitError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    ServerError,
    TransportError,
    ValidationError,
)
from ._events import (
    AnswerDelta,
    Event,
    FastAnswer,
    FlowResponses,
    NodeResponse,
    ResumeCompleted,
    UnknownEvent,
    VariablesUpdated,
)

#: What a page is told of an error: at least ``type`` and ``message``.
Problem = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Rendering:
    """Say what becomes of a reply on its way to a browser.

    :param event: makes the bytes of one event, or ``None`` for an event that is not shown.
    :param media_type: the ``Content-Type``.
    :param end: makes what follows a complete or stopped answer; nothing follows if ``None``.
    :param error: makes what follows a failure after the first byte, from what ``describe`` says
        of it. If ``None``, the body is cut off, which an HTTP client sees as an incomplete body.
    :param heartbeat: what is sent in the server's silence, ``None`` for nothing.
    """

    event: Callable[[Event], bytes | None]
    media_type: str = "application/octet-stream"
    end: Callable[[Answer], bytes] | None = None
    error: Callable[[Problem], bytes] | None = None
    heartbeat: bytes | None = None


Render = Literal["events", "text", "plain"] | Callable[[Event], bytes | None] | Rendering

#: Events that hold the inside of the workflow: prompts, quotes, variables, or nobody knows what.
_INTERNAL: Final = (NodeResponse, FlowResponses, VariablesUpdated, ResumeCompleted, UnknownEvent)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def _frame(name: str, data: bytes, index: int | None = None) -> bytes:
    place = b"" if index is None else b"id: %d\n" % index
    return b"%sevent: %s\ndata: %s\n\n" % (place, name.encode(), data)


def _kept(attribute: attrs.Attribute[Any], value: Any) -> bool:
    # The params of a tool call are its arguments; those of a question hold more than it shows.
    internal = attribute.name == "params" and not isinstance(value, str)
    return attribute.name not in ("raw", "name") and value is not None and not internal


def _typed_event(event: Event) -> bytes | None:
    if isinstance(event, _INTERNAL):
        return None
    if isinstance(event, AnswerDelta | FastAnswer):
        data = {"index": event.index, "text": event.text, "reasoning": event.reasoning}
    else:
        data = attrs.asdict(event, filter=_kept)
    return _frame(type(event).__name__, msgspec.json.encode(data), event.index)


def _text_event(event: Event) -> bytes | None:
    if not event.text:
        return None
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(event.text))
    return f"id: {event.index}\n{lines}\n".encode()


def _plain_text(event: Event) -> bytes | None:
    return event.text.encode() or None


def _end_event(answer: Answer) -> bytes:
    usage = answer.usage
    data = {
        "status": answer.status,
        "usage": None
        if usage is None
        else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        "duration": answer.duration,
        "first_token": answer.timings.first_token,
        "total": answer.timings.total,
    }
    return _frame("end", msgspec.json.encode(data))


def _error_event(problem: Problem) -> bytes:
    return _frame("error", msgspec.json.encode(problem))


def _error_line(problem: Problem) -> bytes:
    return f"\n[{problem['message']}]\n".encode()


_RENDERINGS: Final = {
    "events": Rendering(
        event=_typed_event,
        media_type="text/event-stream; charset=utf-8",
        end=_end_event,
        error=_error_event,
        heartbeat=b": \n\n",
    ),
    "text": Rendering(
        event=_text_event,
        media_type="text/event-stream; charset=utf-8",
        end=_end_event,
        error=_error_event,
        heartbeat=b": \n\n",
    ),
    "plain": Rendering(
        event=_plain_text, media_type="text/plain; charset=utf-8", error=_error_line
    ),
}


def rendering(render: Render) -> Rendering:
    """Return what ``render`` stands for.

    :raises InvalidArgumentError: if it is none of the names and cannot be called.
    """
    if isinstance(render, Rendering):
        return render
    if isinstance(render, str) and render in _RENDERINGS:
        return _RENDERINGS[render]
    if not isinstance(render, str) and callable(render):
        return Rendering(event=render)
    raise InvalidArgumentError(
        'render must be "events", "text", "plain", a Rendering, or a function of an event that '
        f"returns bytes or None, not {render!r}",
        field="render",
    )


#: The HTTP status and what a stranger may read. The server's own words go to the log: they may
#: name hosts, apps and models.
_KINDS: Final[tuple[tuple[type[FastGPTError], int, str], ...]] = (
    (RateLimitError, 429, "Too many requests: try again later."),
    (QuotaExceededError, 503, "The service has no quota left."),
    (ChatBusyError, 409, "This chat is being answered already."),
    (ValidationError, 400, "The service did not accept the question."),
    (ServerError, 502, "The service failed."),
    # A wrong key or app is a mistake of this site, not of the browser.
    (APIError, 502, "The service refused the question."),
    (ReplyTimeoutError, 504, "The answer took too long."),
    (ConnectError, 502, "The service cannot be reached."),
    (TransportError, 502, "The answer broke off."),
    (ReplyTooLargeError, 502, "The answer is too long."),
    (FastGPTError, 502, "The service failed."),
)


def http_status(error: FastGPTError) -> int:
    """Return the HTTP status that tells a browser of an error.

    :param error: the error.
    """
    return next(status for kind, status, _ in _KINDS if isinstance(error, kind))


def describe(error: FastGPTError) -> dict[str, Any]:
    """Say what went wrong in words that a stranger may read.

    That is ``type`` (the class) and ``message`` (a sentence of this package, not the server's);
    ``clock`` and ``seconds`` of a :class:`ReplyTimeoutError`, ``retry_after`` of a
    :class:`RateLimitError`.

    :param error: why the reply failed.
    """
    words = next(words for kind, _, words in _KINDS if isinstance(error, kind))
    problem: dict[str, Any] = {"type": type(error).__name__, "message": words}
    if isinstance(error, ReplyTimeoutError):
        problem |= {"clock": error.clock, "seconds": error.seconds}
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        problem["retry_after"] = error.retry_after
    return problem

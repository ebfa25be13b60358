"""Tell from status, headers and body what a response is that is not what was asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from ._api_errors import api_error, is_error_envelope
from ._errors import (
    APIError,
    FastGPTError,
    NotAnEventStreamError,
    ProtocolError,
    ReplyInterruptedError,
)
from ._requests import Target

#: Bytes of a body that tell what it is; more than are shown, so that a key in it is whole.
HEAD_BYTES: Final = 1000
#: What a line of an event stream begins with.
_FIELDS: Final = (b"event:", b"data:", b"id:", b"retry:", b":")


def media_type(headers: Mapping[str, str]) -> str:
    """Return the media type without its parameters, in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def may_be_event_stream(status_code: int, headers: Mapping[str, str]) -> bool:
    """Tell whether a response may be an event stream.

    FastGPT sends errors before a stream as an event with HTTP 200 and no content type at all
    (recorded, 4.14.7 and 4.16.0), so no content type counts as one.
    """
    return status_code == 200 and media_type(headers) in ("text/event-stream", "")


def refusal_in(
    status_code: int, headers: Mapping[str, str], data: bytes, target: Target
) -> APIError | None:
    """Return the error that a response tells of, or ``None`` if it tells of none.

    :param status_code: the HTTP status.
    :param headers: the response's headers.
    :param data: its body, or the beginning of it.
    :param target: what to redact.
    """
    if 300 <= status_code < 400:
        location = target.redact(headers.get("location", "?"))
        return APIError(
            f"the server redirects to {location!r} (HTTP {status_code}), "
            "which is not followed: correct base_url",
            status_code=status_code,
        )
    text = target.redact(data.decode("utf-8", "replace"))
    payload = target.redact_all(_parsed(text))
    if status_code >= 400 or is_error_envelope(payload):
        if payload is None:
            payload = text if media_type(headers) != "text/html" else ""
        return api_error(status_code, payload, headers=dict(headers.items()), now=time.time())
    return None


def no_event_stream(
    status_code: int, headers: Mapping[str, str], data: bytes, target: Target
) -> FastGPTError:
    """Return the error that a response means which should have been an event stream."""
    refusal = refusal_in(status_code, headers, data, target)
    if refusal is not None:
        return refusal
    return NotAnEventStreamError(instead("an event stream", status_code, headers, data, target))


def no_json(
    status_code: int, headers: Mapping[str, str], data: bytes, target: Target
) -> FastGPTError:
    """Return the error that a response means which should have been JSON."""
    refusal = refusal_in(status_code, headers, data, target)
    if refusal is not None:
        return refusal
    return ProtocolError(instead("the JSON of a completion", status_code, headers, data, target))


def instead(
    wanted: str, status_code: int, headers: Mapping[str, str], data: bytes, target: Target
) -> str:
    """Return words for a response that is not what was asked for."""
    begins = target.redact(data[:1000].decode("utf-8", "replace"))[:120]
    return (
        f"the server answered with {target.redact(media_type(headers)) or 'no content type'} (HTTP "
        f"{status_code}) instead of {wanted}: is base_url the FastGPT server itself? It begins "
        f"with {begins!r}"
    )


def broke_off(head: bytes, target: Target) -> FastGPTError:
    """Return the error of a body that ended without a ``finish_reason`` or ``[DONE]``.

    :param head: the beginning of the body, at least :data:`HEAD_BYTES` of it; ``b""`` if there
        were events in it.
    :param target: what to redact.
    """
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begins.startswith(b"{"):
        # An old server's error in JSON, of which nothing but the beginning says so.
        refusal = refusal_in(200, {}, begins, target)
        if refusal is not None:
            return refusal
    is_field = any(begins.startswith(field) or field.startswith(begins) for field in _FIELDS)
    if begins and not is_field:
        words = target.redact(begins.decode("utf-8", "replace"))[:120]
        return NotAnEventStreamError(
            f"the server sent something that is no event stream; it begins with {words!r}"
        )
    return ReplyInterruptedError(
        "the reply broke off: the server closed the stream without a finish_reason or [DONE]"
    )


def without_key(error: Exception, target: Target) -> Exception:
    """Return an error that shows no key, should a server or a proxy have echoed it.

    What the HTTP library says may quote what came over the wire.

    :param error: any error; its messages and those of its causes are changed.
    :param target: what to redact.
    """
    if isinstance(error, APIError):
        data = target.redact_all(error.response_data)
        if data != error.response_data:
            # From the whole text, since a message that was shortened may end inside the key.
            return api_error(error.status_code or 0, data)
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        clean = tuple(target.redact(arg) if isinstance(arg, str) else arg for arg in link.args)
        if clean != link.args:
            link.args = clean
        link = link.__cause__ or link.__context__
    return error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text.startswith(("event: error", "event:error")):
        data = text.partition("data:")[2]
        return _parsed(data.strip()) if data else None
    return None

"""Choose the class of an error that the server reported.

FastGPT's ``statusText`` is the stable key; numbers shift when upstream inserts entries, and the
HTTP status says little: a wrong key is HTTP 500 with code 514, or HTTP 200 on a stream (recorded,
4.14.7 and 4.16.0). ``message`` is mostly an untranslated key such as
``common:code_error.error_message.514``, so known errors get words of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from ._errors import (
    APIError,
    AuthenticationError,
    ChatBusyError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    ValidationError,
)

_KNOWN: Final[Mapping[str, tuple[type[APIError], str]]] = {
    "unAuthApiKey": (
        AuthenticationError,
        "the server does not know this API key: check api_key (or FASTGPT_API_KEY) and that it "
        "belongs to this server",
    ),
    "unAuthorization": (
        AuthenticationError,
        "the server saw no usable API key: pass api_key or set FASTGPT_API_KEY",
    ),
    "unAuthProToken": (AuthenticationError, "the server refused the token"),
    "unAuthApp": (PermissionDeniedError, "this API key may not use the app"),
    "unAuthChat": (PermissionDeniedError, "this API key may not use the chat"),
    "unAuthModel": (PermissionDeniedError, "this API key may not use the model"),
    "unAuthFile": (PermissionDeniedError, "this API key may not use the file"),
    "unAuthDatasetFile": (PermissionDeniedError, "this API key may not use the dataset's file"),
    "linkUnInvalid": (PermissionDeniedError, "the share link is not valid"),
    "appUnExist": (NotFoundError, "the server has no such app: check app_id"),
    "unExistCollection": (NotFoundError, "the server has no such collection"),
    "tooManyRequest": (RateLimitError, "too many requests"),
    "uploadFileIntervalLimit": (RateLimitError, "too many uploads"),
    "insufficientQuota": (QuotaExceededError, "the quota is used up"),
    "aiPointsNotEnough": (QuotaExceededError, "the team's AI points are used up"),
    "chatIsGenerating": (
        ChatBusyError,
        "this chat is being answered already: wait for it, stop it, or use another chat_id",
    ),
}

_BY_CODE: Final[Mapping[int, str]] = {
    403: "unAuthorization",
    510: "insufficientQuota",
    511: "unAuthModel",
    513: "unAuthFile",
    514: "unAuthApiKey",
    500004: "aiPointsNotEnough",
    502000: "appUnExist",
    502001: "unAuthApp",
    504000: "unAuthChat",
    504001: "chatIsGenerating",
}

#: Codes from here on are numbered in blocks and shift, so that an unknown name is worth more.
_FIRST_BLOCK: Final = 500_000

#: Errors without a code of their own, told by their text (recorded, 4.16.0).
_BY_MESSAGE: Final[Mapping[str, tuple[type[APIError], str]]] = {
    "messages is empty": (ValidationError, "the server saw no messages (messages is empty)"),
    "appId is empty": (
        ValidationError,
        "this API key is bound to no app: pass app_id (the server says: appId is empty)",
    ),
    # What 4.14.7 says instead of appUnExist (recorded).
    "app is empty": (
        NotFoundError,
        "the server has no such app: check app_id (the server says: app is empty)",
    ),
    "Key is expired": (AuthenticationError, "this API key is expired"),
}

_BY_STATUS: Final[Mapping[int, type[APIError]]] = {
    400: ValidationError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ChatBusyError,
    413: ValidationError,
    415: ValidationError,
    422: ValidationError,
    429: RateLimitError,
    431: ValidationError,
}

_SECONDS: Final = re.compile(r"\bin (\d{1,7}(?:\.\d{1,6})?) seconds?\b")


def is_error_envelope(payload: object) -> bool:
    """Tell whether a decoded JSON body is FastGPT's error envelope.

    Servers before 4.14 sent known errors with HTTP 200 (FastGPT source, 4.8.3), so the ``code``
    inside decides.

    :param payload: the decoded body.
    """
    if not isinstance(payload, Mapping) or "choices" in payload:
        return False
    code = payload.get("code")
    return isinstance(code, int) and not isinstance(code, bool) and not 200 <= code < 300


def api_error(
    status_code: int,
    payload: object,
    *,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
) -> APIError:
    """Build the error that a refusal of the server means.

    :param status_code: the HTTP status.
    :param payload: the decoded JSON body, the payload of an error event, or the body's text.
    :param headers: the response's headers, for the reset time of a rate limit.
    :param now: the wall clock in seconds since the epoch, to turn that time into seconds.
    :returns: an exception to raise; its class depends on ``statusText``, then on ``code``, then on
        the text, then on the HTTP status.
    """
    code, status_text, server_message = _fields(payload)
    known = _KNOWN.get(status_text)
    if known is None and (status_text in ("", "error") or (code or 0) < _FIRST_BLOCK):
        known = _KNOWN.get(_BY_CODE.get(code or 0, "")) or _BY_MESSAGE.get(server_message)
    if known is not None:
        cls, words = known
    else:
        cls = _BY_STATUS.get(code or 0) or _BY_STATUS.get(status_code) or ServerError
        words = server_message or f"the server answered with HTTP status {status_code}"
    words += _problems(payload)
    marks = [mark for mark in (status_text if status_text != "error" else "",) if mark]
    if code is not None and code != status_code:
        marks.append(f"code {code}")
    if status_code != 200:
        marks.append(f"HTTP {status_code}")
    message = f"{words} ({', '.join(marks)})" if marks else words
    fields: dict[str, Any] = {
        "status_code": status_code,
        "code": code,
        "status_text": status_text,
        "response_data": payload,
    }
    if cls is RateLimitError:
        fields["retry_after"] = _retry_after(server_message, headers or {}, now)
    return cls(message, **fields)


def _fields(payload: object) -> tuple[int | None, str, str]:
    if isinstance(payload, str):
        return None, "", _shorten(payload)
    if not isinstance(payload, Mapping):
        return None, "", ""
    inner = payload.get("error")
    if isinstance(inner, Mapping) and "message" not in payload:
        # The shape of OpenAI-like gateways in front of FastGPT.
        payload = inner
    code = payload.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        code = None
    status_text = payload.get("statusText")
    message = payload.get("message") or (inner if isinstance(inner, str) else "")
    return (
        code,
        status_text if isinstance(status_text, str) else "",
        _shorten(message) if isinstance(message, str) else "",
    )


def _problems(payload: object) -> str:
    # What the server's schema found: it names the fields (recorded, 4.14.7 and 4.16.0).
    found = payload.get("zodError") if isinstance(payload, Mapping) else None
    told = []
    for problem in found if isinstance(found, list) else []:
        if isinstance(problem, Mapping) and isinstance(problem.get("path"), list):
            where = ".".join(map(str, problem["path"]))
            told.append(f"{where}: {problem.get('message', '')}")
    return f" ({_shorten('; '.join(told))})" if told else ""


def _shorten(text: str, limit: int = 300) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _retry_after(message: str, headers: Mapping[str, str], now: float | None) -> float | None:
    found = _SECONDS.search(message)
    if found is not None:
        return float(found[1])
    lower = {name.lower(): value for name, value in headers.items()}
    seconds = _number(lower.get("retry-after"))
    if seconds is None and now is not None:
        # Milliseconds since the epoch (recorded, 4.14.7 and 4.16.0).
        reset = _number(lower.get("x-ratelimit-reset"))
        seconds = None if reset is None else reset / 1000 - now
    return None if seconds is None else max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

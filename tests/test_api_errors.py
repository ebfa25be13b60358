"""What the server says decides the class of its error; numbers and HTTP statuses come after."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgpt_client import (
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
from fastgpt_client._api_errors import api_error, is_error_envelope

KEY = "common:code_error.error_message.514"


def envelope(code: Any = None, name: str = "", message: Any = KEY, **more: Any) -> dict[str, Any]:
    """FastGPT's JSON error, and the payload of its error event."""
    return {"code": code, "statusText": name, "message": message, "data": None, **more}


# HTTP status, payload, class, and words of the message.
KNOWN: list[tuple[int, Any, type[APIError], str]] = [
    (500, envelope(514, "unAuthApiKey"), AuthenticationError, "does not know this API key"),
    (200, envelope(514, "unAuthApiKey"), AuthenticationError, "unAuthApiKey, code 514"),
    (403, envelope(403, "unAuthorization"), AuthenticationError, "no usable API key"),
    (500, envelope(403, "unAuthorization"), AuthenticationError, "HTTP 500"),
    (200, envelope(403, "unAuthorization"), AuthenticationError, "unAuthorization"),
    (500, envelope(403, "unAuthProToken"), AuthenticationError, "token"),
    (500, {"message": "Key is expired"}, AuthenticationError, "expired"),
    (500, envelope(502001, "unAuthApp"), PermissionDeniedError, "may not use the app"),
    (500, envelope(504000, "unAuthChat"), PermissionDeniedError, "may not use the chat"),
    (500, envelope(511, "unAuthModel"), PermissionDeniedError, "may not use the model"),
    (500, envelope(513, "unAuthFile"), PermissionDeniedError, "may not use the file"),
    (500, envelope(501, "linkUnInvalid"), PermissionDeniedError, "share link"),
    (500, envelope(502000, "appUnExist"), NotFoundError, "no such app"),
    (200, {"message": "app is empty"}, NotFoundError, "app is empty"),
    (500, envelope(500, "error", "app is empty"), NotFoundError, "no such app"),
    (429, envelope(429, "tooManyRequest"), RateLimitError, "too many requests"),
    (500, envelope(429, "tooManyRequest"), RateLimitError, "code 429"),
    (500, envelope(510, "insufficientQuota"), QuotaExceededError, "used up"),
    (200, envelope(500004, "aiPointsNotEnough"), QuotaExceededError, "AI points"),
    (500, envelope(504001, "chatIsGenerating"), ChatBusyError, "stop it"),
    (409, envelope(504001, "chatIsGenerating"), ChatBusyError, "another chat_id"),
    (500, envelope(500, "error", "messages is empty"), ValidationError, "messages is empty"),
    (200, {"message": "appId is empty"}, ValidationError, "pass app_id"),
    (
        400,
        envelope(400, "error", "Data validation error", zodError=[{"path": ["appId"]}]),
        ValidationError,
        "Data validation error",
    ),
    (500, envelope(400, "error", "Data validation error"), ValidationError, "code 400"),
    (200, {"message": "E11000 duplicate key error"}, ServerError, "E11000 duplicate key"),
    (500, envelope(500, "error", "boom", errorType="UserError"), ServerError, "boom (HTTP 500)"),
]


@pytest.mark.parametrize("status, payload, cls, words", KNOWN)
def test_what_fastgpt_says_decides_the_class(
    status: int, payload: Any, cls: type[APIError], words: str
) -> None:
    error = api_error(status, payload)
    assert type(error) is cls
    assert words in str(error)
    assert error.status_code == status
    assert error.code == payload.get("code")
    assert error.status_text == payload.get("statusText", "")
    assert error.response_data == payload
    # The server's key for a translation is not for people.
    assert "common:" not in str(error)


@pytest.mark.parametrize(
    "payload, cls",
    [
        # Numbers shift from version to version, names stay.
        (envelope(999999, "unAuthApiKey"), AuthenticationError),
        (envelope(502001, "chatIsGenerating"), ChatBusyError),
        (envelope(None, "appUnExist"), NotFoundError),
        (envelope("514", "unAuthApiKey"), AuthenticationError),
        # A name that is not known is worth more than a number that may have shifted to it.
        (envelope(500004, "teamMemberOverSize", "too many members"), ServerError),
        (envelope(502000, "invalidOwner", "not the owner"), ServerError),
        # A number without a name.
        (envelope(514), AuthenticationError),
        (envelope(514, "error"), AuthenticationError),
        ({"code": 500004}, QuotaExceededError),
        ({"code": 504001, "statusText": None, "message": None}, ChatBusyError),
        # Single numbers do not shift.
        (envelope(514, "newName"), AuthenticationError),
        # Business codes that are HTTP statuses.
        (envelope(404, "fileNotFound", "no file"), NotFoundError),
        (envelope(429, "error", "slow down"), RateLimitError),
    ],
)
def test_names_come_before_numbers_and_numbers_before_the_http_status(
    payload: Any, cls: type[APIError]
) -> None:
    assert type(api_error(500, payload)) is cls
    assert type(api_error(200, payload)) is cls


@pytest.mark.parametrize(
    "status, cls",
    [
        (400, ValidationError),
        (401, AuthenticationError),
        (402, QuotaExceededError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ChatBusyError),
        (413, ValidationError),
        (415, ValidationError),
        (422, ValidationError),
        (429, RateLimitError),
        (431, ValidationError),
        (405, ServerError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (529, ServerError),
        (200, ServerError),
    ],
)
@pytest.mark.parametrize("payload", ["", "Out of order", None, [], 5, True, {}, {"message": 5}])
def test_the_http_status_decides_when_nothing_else_is_known(
    status: int, cls: type[APIError], payload: Any
) -> None:
    error = api_error(status, payload)
    assert type(error) is cls
    assert (error.status_code, error.code, error.status_text) == (status, None, "")
    assert str(status) in str(error) or (status == 200 and str(error) == "Out of order")
    if payload == "Out of order":
        assert str(error).startswith("Out of order")


@pytest.mark.parametrize(
    "payload",
    [
        {"error": {"message": "model overloaded", "type": "x", "code": "overloaded"}},
        {"error": "model overloaded"},
        {"message": "model overloaded", "error": {"message": "other"}},
        {"message": "  model\n  overloaded\t"},
        "model overloaded\n",
    ],
)
def test_the_words_are_found_in_the_shapes_of_gateways_too(payload: Any) -> None:
    error = api_error(503, payload)
    assert type(error) is ServerError
    assert str(error) == "model overloaded (HTTP 503)"
    assert error.response_data == payload


def test_a_gateways_number_counts() -> None:
    error = api_error(200, {"error": {"message": "slow down", "code": 429}})
    assert (type(error), error.code) == (RateLimitError, 429)


@pytest.mark.parametrize("code", [True, "514", 514.0, None, [514]])
def test_a_code_is_a_whole_number_or_none(code: Any) -> None:
    error = api_error(500, {"code": code, "message": "boom"})
    assert (type(error), error.code) == (ServerError, None)


def test_long_words_are_cut() -> None:
    error = api_error(500, {"message": "ab " * 1000})
    assert len(str(error)) < 330
    assert "…" in str(error)


def test_what_is_said_twice_is_said_once() -> None:
    assert str(api_error(429, envelope(429, "error", "slow down"))) == "slow down (HTTP 429)"
    assert str(api_error(200, {"message": "slow down"})) == "slow down"


# --- when to ask again --------------------------------------------------------------------------------

NOW = 1_795_345_090.0


@pytest.mark.parametrize(
    "message, headers, now, seconds",
    [
        ("Please try again in 54 seconds.", {}, None, 54),
        ("Please try again in 1 second.", {}, None, 1),
        ("try again in 0.5 seconds", {}, None, 0.5),
        ("within 60 seconds for this team. Please try again in 7 seconds.", {}, None, 7),
        ("Maximum 3 requests per 60 seconds for this team.", {}, None, None),
        ("slow down", {}, NOW, None),
        # FastGPT's header is in milliseconds since the epoch.
        ("slow down", {"X-RateLimit-Reset": "1795345120500"}, NOW, 30.5),
        ("slow down", {"x-ratelimit-reset": "1795345080000"}, NOW, 0),
        ("slow down", {"X-RateLimit-Reset": "1795345120500"}, None, None),
        ("slow down", {"X-RateLimit-Reset": "soon"}, NOW, None),
        ("slow down", {"X-RateLimit-Reset": "nan"}, NOW, None),
        ("slow down", {"Retry-After": "12"}, NOW, 12),
        ("slow down", {"retry-after": "-3"}, NOW, 0),
        ("slow down", {"Retry-After": "inf"}, NOW, None),
        ("slow down", {"Retry-After": "12", "X-RateLimit-Reset": "1795345120500"}, NOW, 12),
        (
            "slow down",
            {"Retry-After": "Sun, 22 Nov 2026 10:58:10 GMT", "X-RateLimit-Reset": "1795345120500"},
            NOW,
            30.5,
        ),
        ("again in 5 seconds", {"Retry-After": "12"}, NOW, 5),
        ("again in 99999999999999999999 seconds", {}, NOW, None),
    ],
)
def test_the_seconds_to_wait_come_from_the_text_or_from_the_headers(
    message: str, headers: dict[str, str], now: float | None, seconds: float | None
) -> None:
    error = api_error(429, envelope(429, "error", message), headers=headers, now=now)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == pytest.approx(seconds) if seconds else error.retry_after == seconds


# --- envelopes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload, is_one",
    [
        (envelope(514, "unAuthApiKey"), True),
        ({"code": 500, "message": "x"}, True),
        ({"code": 200, "statusText": "", "data": {}}, False),
        ({"code": 204}, False),
        ({"choices": [], "code": 500}, False),
        ({"code": "500"}, False),
        ({"code": True}, False),
        ({"message": "x"}, False),
        ({}, False),
        ([514], False),
        ("code", False),
        (None, False),
    ],
)
def test_an_envelope_is_told_by_its_code(payload: Any, is_one: bool) -> None:
    assert is_error_envelope(payload) is is_one


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
ENVELOPES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("code", "statusText", "message", "data", "error"), JSON)
)


@given(
    st.integers(100, 599),
    JSON | ENVELOPES,
    st.dictionaries(st.sampled_from(["Retry-After", "X-RateLimit-Reset"]), st.text(max_size=20)),
    st.none() | st.floats(0, 1e12),
)
def test_whatever_a_server_says_becomes_an_error_of_ours(
    status: int, payload: Any, headers: dict[str, str], now: float | None
) -> None:
    error = api_error(status, payload, headers=headers, now=now)
    assert isinstance(error, APIError)
    assert str(error)
    assert isinstance(is_error_envelope(payload), bool)

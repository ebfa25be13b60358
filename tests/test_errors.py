"""Errors say whose fault it is, keep the text that came, and travel whole."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import threading
import traceback
from typing import Any

import pytest

import fastgpt_client
from fastgpt_client import (
    APIError,
    AuthenticationError,
    BadEventError,
    ChatBusyError,
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    Node,
    NotAnEventStreamError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    QuotaExceededError,
    RateLimitError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    ServerError,
    TransportError,
    UsageError,
    ValidationError,
    WorkflowError,
    _errors,
)

PARENTS: dict[type[FastGPTError], tuple[type[Exception], ...]] = {
    FastGPTError: (Exception,),
    APIError: (FastGPTError,),
    AuthenticationError: (APIError,),
    PermissionDeniedError: (APIError,),
    NotFoundError: (APIError,),
    ValidationError: (APIError,),
    RateLimitError: (APIError,),
    QuotaExceededError: (APIError,),
    ChatBusyError: (APIError,),
    ServerError: (APIError,),
    WorkflowError: (FastGPTError,),
    TransportError: (FastGPTError,),
    ConnectError: (TransportError,),
    ReplyInterruptedError: (TransportError,),
    ReplyTimeoutError: (FastGPTError, TimeoutError),
    ProtocolError: (FastGPTError,),
    NotAnEventStreamError: (ProtocolError,),
    BadEventError: (ProtocolError,),
    ReplyTooLargeError: (ProtocolError,),
    InvalidArgumentError: (FastGPTError, ValueError),
    UsageError: (FastGPTError, RuntimeError),
}
API_FIELDS = {
    "status_code": 500,
    "code": 514,
    "status_text": "unAuthApiKey",
    "response_data": {"code": 514, "data": [1, None]},
}
FIELDS: dict[type[FastGPTError], dict[str, Any]] = {
    RateLimitError: {**API_FIELDS, "retry_after": 12.5},
    WorkflowError: {"nodes": (Node(id="n", name="AI", error="no", raw={"x": [1]}),)},
    ReplyTimeoutError: {"clock": "idle", "seconds": 25.0},
    InvalidArgumentError: {"field": "messages[1].role"},
}

each_class = pytest.mark.parametrize("cls", PARENTS, ids=lambda cls: cls.__name__)


def fields_of(cls: type[FastGPTError]) -> dict[str, Any]:
    return FIELDS.get(cls, API_FIELDS if issubclass(cls, APIError) else {})


def make(cls: type[FastGPTError]) -> FastGPTError:
    return cls("what happened", partial="so far", **fields_of(cls))


def check(error: FastGPTError, cls: type[FastGPTError]) -> None:
    assert type(error) is cls
    assert str(error) == error.message == "what happened"
    assert error.args == ("what happened",)
    assert error.partial == "so far"
    for name, value in fields_of(cls).items():
        assert getattr(error, name) == value


# --- the tree -----------------------------------------------------------------------------------------


@each_class
def test_each_error_has_its_place_in_the_tree(cls: type[FastGPTError]) -> None:
    assert cls.__bases__ == PARENTS[cls]


def test_there_are_no_other_errors() -> None:
    defined = {
        value
        for value in vars(_errors).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert defined == PARENTS.keys()
    public = {
        getattr(fastgpt_client, name)
        for name in fastgpt_client.__all__
        if inspect.isclass(getattr(fastgpt_client, name))
        and issubclass(getattr(fastgpt_client, name), BaseException)
    }
    assert public == PARENTS.keys()


@each_class
def test_a_traceback_names_an_error_as_programs_import_it(cls: type[FastGPTError]) -> None:
    (last,) = traceback.format_exception_only(cls, cls("no"))
    assert last == f"fastgpt_client.{cls.__name__}: no\n"


def test_the_tree_is_drawn_where_it_is_defined() -> None:
    drawn = set(re.findall(r"\w+Error\b", _errors.__doc__ or ""))
    assert drawn == {cls.__name__ for cls in PARENTS} | {
        "TimeoutError",
        "ValueError",
        "RuntimeError",
    }


@each_class
def test_except_fastgpterror_catches_each_of_them(cls: type[FastGPTError]) -> None:
    with pytest.raises(FastGPTError) as caught:
        raise make(cls)
    check(caught.value, cls)
    assert caught.value.reply is None


@each_class
def test_each_error_can_be_made_with_a_message_alone_or_nothing(cls: type[FastGPTError]) -> None:
    assert str(cls("words")) == "words"
    assert str(cls()) == ""
    assert cls().partial == ""


def test_the_usual_builtin_classes_catch_what_they_stand_for() -> None:
    with pytest.raises(TimeoutError):
        raise ReplyTimeoutError("too late", clock="total", seconds=3)
    with pytest.raises(ValueError, match="no text"):
        raise InvalidArgumentError("no text", field="messages")
    with pytest.raises(RuntimeError):
        raise UsageError("closed")


def test_the_representation_names_the_class_and_tells_no_more_than_the_message() -> None:
    error = ServerError("no", partial="secret text", response_data={"secret": 1})
    assert repr(error) == "ServerError('no')"


# --- travelling ---------------------------------------------------------------------------------------


@each_class
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_each_error_travels_through_pickle(cls: type[FastGPTError], protocol: int) -> None:
    error = make(cls)
    # A reply holds what cannot travel.
    error.reply = threading.Lock()
    error.add_note("seen in a worker")
    travelled = pickle.loads(pickle.dumps(error, protocol))
    check(travelled, cls)
    assert travelled.reply is None
    assert travelled.__notes__ == ["seen in a worker"]


@each_class
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_each_error_can_be_copied(cls: type[FastGPTError], copied: Any) -> None:
    error = make(cls)
    again = copied(error)
    assert again is not error
    check(again, cls)


class OwnError(ServerError):
    """A subclass of a user's, with a signature of its own."""

    def __init__(self, place: str, number: int) -> None:
        super().__init__(f"{place} {number}", code=number)
        self.place = place


def test_a_subclass_with_another_signature_travels_too() -> None:
    travelled = pickle.loads(pickle.dumps(OwnError("Oslo", 7)))
    assert type(travelled) is OwnError
    assert (str(travelled), travelled.place, travelled.code) == ("Oslo 7", "Oslo", 7)


# --- twins --------------------------------------------------------------------------------------------


@each_class
def test_a_twin_is_equal_in_everything_but_its_traceback(cls: type[FastGPTError]) -> None:
    cause = OSError("gone")
    reply = object()
    try:
        try:
            raise cause
        except OSError as inner:
            raise make(cls) from inner
    except FastGPTError as error:
        original = error
        original.reply = reply
    twin = original._twin()
    assert twin is not original
    check(twin, cls)
    assert twin.reply is reply
    assert twin.__cause__ is cause
    assert twin.__suppress_context__
    assert twin.__context__ is None
    assert twin.__traceback__ is None
    assert original.__traceback__ is not None


def test_raising_twins_leaves_the_original_alone() -> None:
    original = make(ServerError)
    for _ in range(3):
        with pytest.raises(ServerError):
            raise original._twin()
    assert original.__traceback__ is None
    assert original.__context__ is None


def test_a_note_on_a_twin_is_not_a_note_on_the_others() -> None:
    original = make(ServerError)
    original.add_note("shared")
    first, second = original._twin(), original._twin()
    first.add_note("mine")
    assert first.__notes__ == ["shared", "mine"]
    assert second.__notes__ == original.__notes__ == ["shared"]

"""What is recorded of one response of the original SDK's call, whoever reads it from the network."""

from __future__ import annotations

from fastgpt_client import ReplyInterruptedError, ReplyTooLargeError
from fastgpt_client._limits import MAX_EVENT_BYTES
from fastgpt_client._received import Received
from fastgpt_client._requests import Target

from .scripted import FINISH, delta


def received() -> Received:
    return Received(
        status_code=200,
        headers={},
        target=Target("http://localhost", "key"),
        chat_id=None,
        max_bytes=4 * MAX_EVENT_BYTES,
    )


def test_what_comes_after_the_end_changes_nothing() -> None:
    one = received()
    one.take(delta("Once "))
    one.end(ReplyInterruptedError("reading was cancelled"))
    lines = list(one.lines)
    one.take(delta("more") + FINISH)
    one.end()
    assert list(one.lines) == lines
    assert isinstance(one.failure, ReplyInterruptedError)
    assert one.failure.partial == "Once "


def test_an_event_beyond_the_limit_ends_it_with_what_came_before() -> None:
    one = received()
    one.take(delta("Once ") + b"data: " + b"x" * MAX_EVENT_BYTES)
    assert one.ended
    assert isinstance(one.failure, ReplyTooLargeError)
    assert one.failure.partial == "Once "

"""What bounds a reply is checked when it is written down, before anything is sent."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from fastgpt_client import AsyncChatClient, InvalidArgumentError, Policy, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCKS = [field.name for field in attrs.fields(Timeouts)]
each_clock = pytest.mark.parametrize("clock", CLOCKS)


def test_the_limits_are_the_promised_ones() -> None:
    assert attrs.asdict(Timeouts()) == {
        "connect": 10,
        "first_token": 120,
        "idle": 120,
        "silence": 35,
        "total": None,
        "close": 2,
        "consumer": None,
    }


@each_clock
@pytest.mark.parametrize(
    "value", [0, 0.0, -1, -0.5, math.nan, -math.inf, True, False, "5", b"5", [5], Decimal(5), 5j]
)
def test_a_time_limit_that_is_no_positive_number_is_refused(clock: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"the time limit {clock} .* seconds") as caught:
        Timeouts(**{clock: value})
    assert caught.value.field == clock
    assert repr(value) in str(caught.value)


@each_clock
@pytest.mark.parametrize("value", [1, 0.001, 86_400.0])
def test_a_time_limit_is_any_positive_number(clock: str, value: float) -> None:
    limits = Timeouts(**{clock: value})
    assert getattr(limits, clock) == limits.seconds(clock) == value


@each_clock
@pytest.mark.parametrize("value", [None, math.inf])
def test_none_and_infinity_switch_a_time_limit_off(clock: str, value: float | None) -> None:
    limits = Timeouts(**{clock: value})
    assert getattr(limits, clock) is None
    assert limits.seconds(clock) == math.inf


def test_time_limits_are_values() -> None:
    limits = Timeouts(idle=3)
    assert limits == Timeouts(idle=3) != Timeouts(idle=4)
    assert hash(limits) == hash(Timeouts(idle=3))
    assert attrs.evolve(limits, total=9) == Timeouts(idle=3, total=9)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        limits.idle = 4  # type: ignore[misc]
    with pytest.raises(InvalidArgumentError):
        attrs.evolve(limits, total=-9)


def test_time_limits_have_names_and_no_order() -> None:
    with pytest.raises(TypeError):
        Timeouts(5)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Timeouts(read=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("timeouts", [5, {"idle": 5}, "5", Timeouts])
def test_a_client_takes_time_limits_of_the_right_type_only(timeouts: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="Timeouts\\(") as caught:
        AsyncChatClient("key", timeouts=timeouts)
    assert caught.value.field == "timeouts"
    with pytest.raises(InvalidArgumentError, match="Timeouts\\("):
        AsyncChatClient("key").stream("hello", timeouts=timeouts)


# --- policies -----------------------------------------------------------------------------------------


def test_policies_are_values_with_the_promised_buffers() -> None:
    assert Policy.lossless() == Policy.lossless()
    assert (Policy.lossless().kind, Policy.lossless().buffer) == ("lossless", 0)
    assert (Policy.paced().kind, Policy.paced().buffer) == ("paced", 0)
    assert (Policy.live().kind, Policy.live().buffer) == ("live", 64)
    assert Policy.paced(3) == Policy.paced(buffer=3) != Policy.live(3)
    assert Policy.paced(0).buffer == 0
    assert Policy.live(1).buffer == 1


@pytest.mark.parametrize("buffer", [-1, 1.5, math.inf, True, "3", None])
@pytest.mark.parametrize("policy", [Policy.paced, Policy.live])
def test_a_buffer_is_a_whole_number_of_events(policy: Any, buffer: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        policy(buffer)
    assert caught.value.field == "buffer"
    assert str(buffer) in str(caught.value)


@pytest.mark.parametrize("made", [lambda: Policy.live(0), lambda: Policy("live")])
def test_a_live_subscription_keeps_one_event_at_least(made: Callable[[], Policy]) -> None:
    with pytest.raises(InvalidArgumentError, match="at least 1") as caught:
        made()
    assert caught.value.field == "buffer"


@pytest.mark.parametrize("kind", ["", "Lossless", "lossles", None, 5, ["live"]])
def test_a_policy_of_another_kind_is_refused(kind: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Policy\.lossless\(\)") as caught:
        Policy(kind)
    assert caught.value.field == "kind"


# --- bytes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "64 MiB", None, math.inf])
def test_a_client_takes_a_positive_number_of_bytes_only(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="max_reply_bytes") as caught:
        AsyncChatClient("key", max_reply_bytes=value)
    assert caught.value.field == "max_reply_bytes"
    if value is not None:
        with pytest.raises(InvalidArgumentError, match="max_reply_bytes"):
            AsyncChatClient("key").stream("hello", max_reply_bytes=value)

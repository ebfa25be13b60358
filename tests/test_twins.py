"""What the asynchronous classes offer, the blocking ones offer by the same names and arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import fastgpt_client as f

TWINS = [
    (f.AsyncChatClient, f.ChatClient),
    (f.Conversation, f.BlockingConversation),
    (f.Reply, f.BlockingReply),
    (f.AsyncChatResponse, f.ChatResponse),
]
#: By what a blocking class calls it.
OTHER_NAMES = {"aclose": "close", "aiter_lines": "iter_lines"}
#: What one of the two has alone, with reasons.
ALONE = {
    "open_subscriptions",  # for tests of the event loop's own objects
    "open",  # how a response is made
}


def public(cls: Any) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def methods() -> list[Any]:
    return [
        pytest.param(one, other, name, id=f"{one.__name__}.{name}")
        for one, other in TWINS
        for name in sorted(public(one) - ALONE)
    ]


@pytest.mark.parametrize("one, other, name", methods())
def test_a_blocking_class_has_the_names_and_arguments_of_its_twin(
    one: Any, other: Any, name: str
) -> None:
    mine, theirs = getattr(one, name), getattr(other, OTHER_NAMES.get(name, name))
    assert callable(mine) == callable(theirs)
    if callable(mine):
        assert arguments(mine) == arguments(theirs)


@pytest.mark.parametrize("one, other", TWINS)
def test_a_blocking_class_has_no_names_of_its_own(one: Any, other: Any) -> None:
    assert public(other) - ALONE <= {OTHER_NAMES.get(name, name) for name in public(one)}


def arguments(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]

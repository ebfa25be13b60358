"""The reference has each public name, and each docstring says what its parameters are."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from fastgpt_client import Event

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
MODULES = [
    "fastgpt_client",
    "fastgpt_client.asgi",
    "fastgpt_client.consumers",
    "fastgpt_client.endpoints",
    "fastgpt_client.testing",
]
#: Made by the package alone: a reader gets one, and never writes its constructor's parameters.
HANDED_OUT = {
    "AsyncChatResponse",
    "BlockingConversation",
    "BlockingReply",
    "BlockingSubscription",
    "ChatResponse",
    "Conversation",
    "PageIterator",
    "Policy",
    "Reply",
    "Run",
    "Subscription",
}


def described() -> set[str]:
    """Return the names that the pages' directives describe."""
    names: set[str] = set()
    for page in REFERENCE.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        names |= set(re.findall(r"^\.\. (?:auto\w+|data):: (?:\w+\.)*(\w+)$", text, re.MULTILINE))
        for module in re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE):
            found = importlib.import_module(module)
            own = [name for name, one in vars(found).items() if is_of(one, module)]
            names |= set(getattr(found, "__all__", own))
    return names


def is_of(thing: Any, module: str) -> bool:
    return getattr(thing, "__module__", None) == module


@pytest.mark.parametrize("module", MODULES)
def test_each_public_name_is_in_the_reference(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert set(names) - described() - {"endpoints"} == set()


def test_a_name_that_is_not_described_is_found() -> None:
    assert "AsyncChatClient" in described()
    assert "NoSuchName" not in described()


def things() -> Iterator[Any]:
    seen: set[int] = set()
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            thing = getattr(importlib.import_module(module), name)
            if id(thing) not in seen and (inspect.isclass(thing) or inspect.isfunction(thing)):
                seen.add(id(thing))
                yield pytest.param(thing, id=name)


def functions(thing: Any) -> Iterator[tuple[str, Any, str]]:
    """Give what has parameters: its name, itself, and its docstring."""
    if inspect.isfunction(thing):
        yield thing.__name__, thing, inspect.getdoc(thing) or ""
        return
    if attrs.has(thing) and thing.__name__ not in HANDED_OUT:
        docs = [inspect.getdoc(base) or "" for base in thing.__mro__ if base is not object]
        yield thing.__name__, thing, "\n".join(docs)
    for name, value in vars(thing).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not name.startswith("_") and inspect.isfunction(function):
            # What a method of the blocking twin takes stands where it says that it is the twin's.
            yield f"{thing.__name__}.{name}", function, inspect.getdoc(getattr(thing, name)) or ""


@pytest.mark.parametrize("thing", [*things()])
def test_each_docstring_says_what_it_is_and_what_its_parameters_are(thing: Any) -> None:
    assert inspect.getdoc(thing)
    for name, function, doc in functions(thing):
        assert doc, f"{name} has no docstring"
        if "Blocking" in name or name.startswith(("ChatClient.", "ChatResponse.")):
            continue
        told = set(re.findall(r":param (\w+):", doc))
        if inspect.isclass(thing) and issubclass(thing, Event):
            told |= {"index", "name", "raw"}  # told once, for all events
        parameters = inspect.signature(function).parameters.values()
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        taken = {p.name for p in parameters if p.kind not in variable and p.name[0] != "_"}
        assert taken - told - {"self", "cls"} == set(), name

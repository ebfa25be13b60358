"""Read the question that a paused workflow puts to the user.

A stream sends the pause with all of its internal state and with every wrapper of a nested workflow
(recorded, 4.14.7 and 4.16.0; 4.16.0 JSON replies send neither). Only the question itself is kept
here: the memory of the nodes may hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from ._answering import answer_to
from ._event_base import Event

if TYPE_CHECKING:
    from ._messages import Message

__all__ = [
    "FormField",
    "Interactive",
    "Option",
    "Question",
    "QuestionOption",
    "read_interactive",
]

#: The server follows no more wrappers than this (FastGPT source, 4.16.0).
_MAX_WRAPPERS: Final = 20

#: State that belongs to wrappers and to the engine, not to the question.
_INTERNAL: Final = frozenset(
    {
        "childrenResponse",
        "currentIndex",
        "entryNodeIds",
        "iteration",
        "loopHistory",
        "loopResult",
        "memoryEdges",
        "memoryRequestMessages",
        "nodeOutputs",
        "skipNodeQueue",
        "toolParams",
        "usageId",
    }
)


@attrs.frozen
class Option:
    """Offer one of several answers.

    :param key: the option's key, such as ``option1``; in the list of a form field, its label.
    :param value: what the user sees, and exactly what the server wants back.
    """

    key: str
    value: str


@attrs.frozen(kw_only=True)
class FormField:
    """Ask for one value of a form.

    :param key: the key of the value in the answer.
    :param label: what the user sees.
    :param type: the kind of input, such as ``input``, ``numberInput`` or ``select``.
    :param value_type: the type of the value, such as ``string`` or ``number``.
    :param description: a longer explanation, or ``""``.
    :param default: what the form starts with, or ``None``.
    :param required: whether an answer without it is incomplete. The server does not check.
    :param max_length: the most characters of a text, or ``None``.
    :param min_length: the fewest characters of a password, or ``None``.
    :param min: the smallest number, or ``None``.
    :param max: the largest number, or ``None``.
    :param options: the values to choose from, empty for a free value.
    """

    key: str
    label: str = ""
    type: str = ""
    value_type: str = ""
    description: str = ""
    default: Any = attrs.field(default=None, hash=False)
    required: bool = False
    max_length: int | None = None
    min_length: int | None = None
    min: float | None = None
    max: float | None = None
    options: tuple[Option, ...] = ()


@attrs.frozen
class QuestionOption:
    """Offer one answer to a question of an agent.

    :param summary: what the user sees.
    :param value: what is sent back.
    """

    summary: str
    value: str


@attrs.frozen
class Question:
    """Ask one thing on behalf of an agent.

    :param question: the question.
    :param options: answers to choose from; other words are an answer too.
    :param answer: the answer, if there is one already.
    """

    question: str
    options: tuple[QuestionOption, ...] = ()
    answer: str = ""


@attrs.frozen
class Interactive(Event):
    """Say that the workflow waits for the user; the reply ends after it.

    :param kind: what is asked for: ``userSelect``, ``userInput``, ``agentAsk``, ``paymentPause``,
        or another type that the server sends. Wrappers of nested workflows are taken off.
    :param description: the words of the question.
    :param options: what ``userSelect`` offers.
    :param fields: what ``userInput`` asks for.
    :param questions: what ``agentAsk`` asks.
    :param ask_id: the id of an ``agentAsk``, or ``None``.
    :param params: the parameters of the innermost question as they came.
    """

    kind: str
    description: str = ""
    options: tuple[Option, ...] = ()
    fields: tuple[FormField, ...] = ()
    questions: tuple[Question, ...] = ()
    ask_id: str | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    def answer(self, value: object = None) -> Message:
        """Check an answer and return the message that gives it, to be sent to the same chat.

        The server itself takes any answer: a wrong option ends the run without a word, and
        nothing in a form is checked (recorded, 4.14.7 and 4.16.0).

        :param value: what the user answers. For ``userSelect``: an option, its value or its key.
            For ``userInput``: a mapping from the fields' keys to values; a field that is left out
            takes its default. For ``agentAsk``: a text for each question, or an option's summary.
            For ``paymentPause``: nothing. For anything else: a text.
        :raises InvalidArgumentError: if it is no answer to this question: an unknown option or
            field, a missing value, one of a wrong type, or one out of its bounds; ``.field`` names
            the field.
        """
        return answer_to(self, value)


def read_interactive(payload: object, *, index: int, name: str, raw: bytes) -> Interactive | None:
    """Read a pause of a stream, a JSON reply or a record, or return ``None`` if it is none.

    :param payload: the decoded object, ``{"interactive": {"type": …, "params": …}}`` or only what
        is inside.
    :param index: the event's index.
    :param name: the event's wire name.
    :param raw: the event's payload bytes.
    """
    level = _object(payload)
    level = _object(level.get("interactive")) or level
    if not _is_level(level):
        return None
    for _ in range(_MAX_WRAPPERS):
        inner = level["params"].get("childrenResponse")
        if not _is_level(inner):
            break
        level = inner
    params = level["params"]
    choices = params.get("userSelectOptions")
    return Interactive(
        index=index,
        name=name,
        raw=raw,
        kind=level["type"],
        # The deprecated agentPlanAskQuery calls it content (FastGPT source, 4.16.0).
        description=_text(params.get("description")) or _text(params.get("content")),
        options=_options(choices if choices is not None else params.get("options"), "key"),
        fields=tuple(map(_field, _objects(params.get("inputForm")))),
        questions=tuple(map(_question, _objects(params.get("questions")))),
        ask_id=_text(level.get("askId")) or None,
        params={key: value for key, value in params.items() if key not in _INTERNAL},
    )


def _is_level(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("type"), str)
        and isinstance(value.get("params"), dict)
    )


def _field(item: Mapping[str, Any]) -> FormField:
    get = item.get
    label = _text(get("label"))
    return FormField(
        key=_text(get("key")) or label,
        label=label,
        type=_text(get("type")),
        value_type=_text(get("valueType")),
        description=_text(get("description")),
        default=get("defaultValue"),
        required=get("required") is True,
        max_length=_length(get("maxLength")),
        min_length=_length(get("minLength")),
        min=_number(get("min")),
        max=_number(get("max")),
        # 4.16.0 gives a free input a list of one empty option (recorded).
        options=tuple(
            option for option in _options(get("list"), "label") if option.key or option.value
        ),
    )


def _question(item: Mapping[str, Any]) -> Question:
    return Question(
        question=_text(item.get("question")),
        options=tuple(
            QuestionOption(_text(option.get("summary")), _text(option.get("value")))
            for option in _objects(item.get("options"))
        ),
        answer=_text(item.get("answer")),
    )


def _options(value: object, key: str) -> tuple[Option, ...]:
    if not isinstance(value, list):
        return ()
    options = []
    for item in value:
        if isinstance(item, str):
            options.append(Option(item, item))
        elif isinstance(item, dict):
            options.append(Option(_text(item.get(key)), _text(item.get("value"))))
    return tuple(options)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _length(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

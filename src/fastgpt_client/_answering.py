"""Check an answer to a question of a workflow, and write it as the server reads it.

The server takes any answer: a wrong option ends the run without a word, a form that is no JSON
counts as empty, and nothing in a form is checked (recorded, 4.14.7 and 4.16.0). So it is checked
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ._attachments import UploadedFile
from ._errors import InvalidArgumentError
from ._messages import Message

if TYPE_CHECKING:
    from ._interactive import FormField, Interactive, Option, Question

#: What goes on a run that waited for points.
_GO_ON: Final = "continue"
_TEXT_INPUTS: Final = ("input", "textarea", "text", "password")


def answer_to(asked: Interactive, value: object = None) -> Message:
    """Check an answer and return the message that gives it.

    :param asked: the question.
    :param value: the answer; see :meth:`Interactive.answer`.
    :raises InvalidArgumentError: if it is no answer to the question; ``.field`` names the place.
    """
    return Message("user", _content(asked, value))


def _content(asked: Interactive, value: object) -> str:
    if asked.kind == "userSelect":
        return _option(asked.options, value, "value").value
    if asked.kind == "userInput":
        return _json(_form(asked, value))
    if asked.kind == "agentAsk" and asked.questions:
        return _json({"answers": _answers(asked.questions, value)})
    if asked.kind == "paymentPause" and value is None:
        return _GO_ON
    return _words(value, "value")


def _option(options: Sequence[Option], value: object, field: str) -> Option:
    """Find an option by itself, by what the user sees, or by its key."""
    found = [option for option in options if value in (option, option.value)]
    found = found or [option for option in options if value == option.key]
    if not found:
        raise InvalidArgumentError(
            f"{field} must be one of {', '.join(repr(option.value) for option in options)}, "
            f"not {value!r}",
            field=field,
        )
    return found[0]


def _words(value: object, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"{field} must be a text that is not blank", field=field)
    return value


# --- questions of an agent ------------------------------------------------------------------------


def _answers(questions: Sequence[Question], value: object) -> list[str]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or len(value) != len(questions):
        raise InvalidArgumentError(
            f"value must be a list of {len(questions)} answers, one for each question, in their "
            "order",
            field="value",
        )
    return [
        _free(question, answer, f"value[{place}]")
        for place, (question, answer) in enumerate(zip(questions, value, strict=True))
    ]


def _free(question: Question, answer: object, field: str) -> str:
    # Other words than the options' are an answer too.
    for option in question.options:
        if answer in (option, option.summary):
            return option.value or option.summary
    return _words(answer, field)


# --- forms ----------------------------------------------------------------------------------------


def _form(asked: Interactive, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(
            "value must be a mapping from the form's keys to values: "
            f"{', '.join(field.key for field in asked.fields)}",
            field="value",
        )
    known = {field.key: field for field in asked.fields}
    for key in value:
        if key not in known:
            raise InvalidArgumentError(
                f"the form has no field {key!r}, only {', '.join(map(repr, known))}",
                field=str(key),
            )
    filled: dict[str, Any] = {}
    for key, field in known.items():
        given = value.get(key)
        if not _is_blank(given):
            filled[key] = _field(field, given)
        elif not _is_blank(field.default):
            # The workflow's own, not the user's: a form keeps the default of a number as text.
            filled[key] = field.default
        elif field.required:
            raise InvalidArgumentError(f"{key!r} ({field.label or key}) is required", field=key)
    return filled


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str | list | tuple) and not value)


def _field(field: FormField, value: Any) -> Any:
    check = _CHECKS.get(field.type) or _VALUE_CHECKS.get(field.value_type)
    return value if check is None else check(field, value)


def _text(field: FormField, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(field, f"a text, not {value!r}" if field.type != "password" else "a text")
    # A password is not shown.
    if field.max_length is not None and len(value) > field.max_length:
        raise _wrong(field, f"at most {field.max_length} characters long, not {len(value)}")
    if field.min_length is not None and len(value) < field.min_length:
        raise _wrong(field, f"at least {field.min_length} characters long, not {len(value)}")
    return value


def _number(field: FormField, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(field, f"a number, not {value!r}")
    if field.min is not None and value < field.min:
        raise _wrong(field, f"{field.min:g} or more, not {value:g}")
    if field.max is not None and value > field.max:
        raise _wrong(field, f"{field.max:g} or less, not {value:g}")
    return value


def _flag(field: FormField, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(field, f"True or False, not {value!r}")
    return value


def _one(field: FormField, value: Any) -> Any:
    if not field.options:
        return _text(field, value)
    return _option(field.options, value, field.key).value


def _several(field: FormField, value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(field, f"a list, not {value!r}")
    return [_one(field, item) for item in value]


def _files(field: FormField, value: Any) -> list[Any]:
    if isinstance(value, str | Mapping | UploadedFile):
        value = [value]
    if not isinstance(value, Sequence):
        raise _wrong(field, "a list of URLs or uploaded files")
    return [_file(field, item) for item in value]


def _file(field: FormField, item: Any) -> Any:
    if isinstance(item, UploadedFile):
        return {"key": item.key, "url": item.url, "name": item.name}
    if isinstance(item, str) and item.startswith(("http://", "https://")):
        return item
    if isinstance(item, Mapping) and (item.get("key") or item.get("url")):
        return dict(item)
    raise _wrong(field, "a list of URLs or uploaded files (await client.upload(…))")


def _list(field: FormField, value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(field, f"a list, not {value!r}")
    return list(value)


def _object(field: FormField, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(field, f"a mapping, not {value!r}")
    return dict(value)


_Check = Callable[["FormField", Any], Any]

#: By the kind of input, which says most about the value.
_CHECKS: Final[Mapping[str, _Check]] = {
    **dict.fromkeys(_TEXT_INPUTS, _text),
    "numberInput": _number,
    "switch": _flag,
    "select": _one,
    "multipleSelect": _several,
    "fileSelect": _files,
}
#: By the type of the value, for inputs that are not known.
_VALUE_CHECKS: Final[Mapping[str, _Check]] = {
    "string": _text,
    "number": _number,
    "boolean": _flag,
    "object": _object,
    **dict.fromkeys(
        ("arrayString", "arrayNumber", "arrayBoolean", "arrayObject", "arrayAny"), _list
    ),
}


def _wrong(field: FormField, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{field.key!r} ({field.label or field.key}) must be {what}", field=field.key
    )


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"the answer cannot be written as JSON: {error}", field="value"
        ) from None

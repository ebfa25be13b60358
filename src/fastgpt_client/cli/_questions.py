"""Put a paused workflow's question to the user, as a menu or a form, and build the answer.

What the server wants back: an option's exact value, or a JSON object of the form's values as a
string; it takes the chat's next message for the answer, whatever that is (recorded, 4.14.7 and
4.16.0). It checks nothing, so this does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ._safe import visible

if TYPE_CHECKING:
    from .._interactive import FormField, Interactive

_YES = frozenset({"y", "yes", "true", "1", "on"})
_NO = frozenset({"n", "no", "false", "0", "off"})


@attrs.define(eq=False)
class Questioner:
    """Ask a user.

    :param read: asks for one line; the argument is the prompt. Ends with :class:`EOFError` or
        :class:`KeyboardInterrupt` when the user wants to leave.
    :param read_secret: the same without showing what is typed.
    :param say: shows one line.
    """

    read: Callable[[str], str]
    read_secret: Callable[[str], str]
    say: Callable[[str], object]

    def ask(self, interactive: Interactive) -> str:
        """Ask, and return the message that answers.

        :raises EOFError: if the user leaves the question.
        """
        if interactive.description:
            self.say(visible(interactive.description))
        if interactive.fields:
            return json.dumps(
                {field.key: self._field(field) for field in interactive.fields},
                ensure_ascii=False,
            )
        if interactive.questions:
            return json.dumps({"answers": self._questions(interactive)}, ensure_ascii=False)
        values = [option.value for option in interactive.options]
        if interactive.kind == "userSelect" and values:
            return self._choose("your choice", values, values)
        if values:
            return self._choose("your choice, or other words", values, values, free=True)
        if interactive.kind == "paymentPause":
            return self.read("Enter goes on: ").strip() or "continue"
        return self._words("your answer")

    def _questions(self, interactive: Interactive) -> list[str]:
        answers = []
        for question in interactive.questions:
            self.say(visible(question.question))
            shown = [option.summary or option.value for option in question.options]
            values = [option.value or option.summary for option in question.options]
            if values:
                answers.append(
                    self._choose("your choice, or other words", shown, values, free=True)
                )
            else:
                answers.append(self._words("your answer"))
        return answers

    def _words(self, prompt: str) -> str:
        while True:
            words = self.read(f"{prompt}: ").strip()
            if words:
                return words

    def _choose(
        self, prompt: str, shown: Sequence[str], values: Sequence[str], *, free: bool = False
    ) -> str:
        self._list(shown)
        while True:
            words = self.read(f"{prompt} [1-{len(values)}]: ").strip()
            chosen = _pick(words, shown, values)
            if chosen is not None:
                return chosen
            if free and words:
                return words
            self.say(f"Type a number from 1 to {len(values)}, or one of the texts.")

    def _list(self, shown: Sequence[str]) -> None:
        for number, text in enumerate(shown, 1):
            self.say(f"  {number}. {visible(text)}")

    def _field(self, field: FormField) -> Any:
        label = visible(field.label or field.key)
        if field.description:
            self.say(f"  {visible(field.description)}")
        if field.options:
            self._list([option.key or option.value for option in field.options])
        prompt = label + (" *" if field.required else "")
        hint = _hint(field)
        prompt = f"{prompt} ({hint}): " if hint else f"{prompt}: "
        read = self.read_secret if field.type == "password" else self.read
        while True:
            words = read(prompt)
            if field.type != "password":
                words = words.strip()
            if not words:
                if field.default not in (None, "", []):
                    return field.default
                if not field.required:
                    return _empty(field)
                self.say("This one is required.")
                continue
            try:
                return _value(field, words)
            except ValueError as error:
                self.say(str(error))


def _pick(words: str, shown: Sequence[str], values: Sequence[str]) -> str | None:
    # The texts first: an option may be called "2".
    for text, value in zip(shown, values, strict=True):
        if words in (text, value):
            return value
    if words.isascii() and words.isdigit() and 1 <= int(words) <= len(values):
        return values[int(words) - 1]
    return None


def _hint(field: FormField) -> str:
    hints = {
        "numberInput": "a number",
        "switch": "y/n",
        "multipleSelect": "numbers, with commas",
        "fileSelect": "URLs, with spaces",
    }
    parts = [hints[field.type]] if field.type in hints else []
    if field.min is not None or field.max is not None:
        parts.append(_range(field))
    if field.type != "password" and field.default not in (None, "", []):
        parts.append(f"Enter: {visible(str(field.default))}")
    return ", ".join(parts)


def _range(field: FormField) -> str:
    least = "" if field.min is None else f"{field.min:g}"
    most = "" if field.max is None else f"{field.max:g}"
    return f"{least}…{most}"


def _empty(field: FormField) -> Any:
    return {"switch": False, "multipleSelect": [], "fileSelect": []}.get(field.type, "")


def _value(field: FormField, words: str) -> Any:
    """Return what was typed as the field's value.

    :raises ValueError: with what is wrong.
    """
    shown = [option.key or option.value for option in field.options]
    values = [option.value for option in field.options]
    match field.type:
        case "numberInput":
            return _number(field, words)
        case "switch":
            if words.lower() in _YES | _NO:
                return words.lower() in _YES
            raise ValueError("Type y or n.")
        case "multipleSelect" if values:
            return [_one(part.strip(), shown, values) for part in words.split(",") if part.strip()]
        case "fileSelect":
            return words.split()
        case _ if values:
            return _one(words, shown, values)
    if field.max_length is not None and len(words) > field.max_length:
        raise ValueError(f"At most {field.max_length} characters, please; that has {len(words)}.")
    if field.min_length is not None and len(words) < field.min_length:
        raise ValueError(f"At least {field.min_length} characters, please.")
    return words


def _one(words: str, shown: Sequence[str], values: Sequence[str]) -> str:
    chosen = _pick(words, shown, values)
    if chosen is None:
        raise ValueError(f"{words!r} is none of them: type a number from 1 to {len(values)}.")
    return chosen


def _number(field: FormField, words: str) -> int | float:
    try:
        number: int | float = int(words)
    except ValueError:
        try:
            number = float(words)
        except ValueError:
            raise ValueError("Type a number.") from None
    # Written so that nan is refused too.
    if not (field.min is None or number >= field.min) or not (
        field.max is None or number <= field.max
    ):
        raise ValueError(f"Type a number in {_range(field)}.")
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("Type a number.")
    return number

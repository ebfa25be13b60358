"""Check arguments that many endpoints share, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._errors import InvalidArgumentError
from .._requests import check_app_id, check_chat_id, check_text, encode


def app(app_id: str | None) -> str:
    """Return the app's id.

    :raises InvalidArgumentError: if it is missing or not 24 hexadecimal digits.
    """
    check_app_id(app_id)
    if app_id is None:
        raise InvalidArgumentError(
            "this endpoint needs app_id, the 24 hexadecimal digits in the app's address",
            field="app_id",
        )
    return app_id


def chat(chat_id: str | None) -> str:
    """Return the chat's id.

    :raises InvalidArgumentError: if it is missing or could not be sent.
    """
    check_chat_id(chat_id)
    if chat_id is None:
        raise InvalidArgumentError("this endpoint needs chat_id", field="chat_id")
    return chat_id


def name(value: object, field: str) -> str:
    """Return a text that is not blank.

    :raises InvalidArgumentError: if it is none.
    """
    check_text(value, field)
    return str(value)


def count(value: object, field: str, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole number within its bounds.

    :raises InvalidArgumentError: if it is none, or out of them.
    """
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or value < least or (most is not None and value > most):  # type: ignore[operator]
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise InvalidArgumentError(
            f"{field} must be a whole number, {bounds}, not {value!r}", field=field
        )
    return value  # type: ignore[return-value]


def one_of(value: object, field: str, known: Iterable[str]) -> str:
    """Return a value out of a list.

    :raises InvalidArgumentError: if it is another.
    """
    known = tuple(known)
    if value not in known:
        raise InvalidArgumentError(
            f"{field} must be one of {', '.join(known)}, not {value!r}", field=field
        )
    return str(value)


def names(values: object, field: str, *, least: int = 0, most: int) -> list[str]:
    """Return a list of texts.

    :raises InvalidArgumentError: if it is none, or too short or too long.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidArgumentError(f"{field} must be a list of texts", field=field)
    found = [name(value, f"{field}[{place}]") for place, value in enumerate(values)]
    if not least <= len(found) <= most:
        raise InvalidArgumentError(
            f"{field} takes {least} to {most} entries, not {len(found)}", field=field
        )
    return found


def body(fields: Mapping[str, Any]) -> bytes:
    """Return the fields that are not ``None`` as a JSON body."""
    return encode({key: value for key, value in fields.items() if value is not None})


def one_place(place: Mapping[str, str | None]) -> None:
    """Refuse more than one place in a list.

    :raises InvalidArgumentError: if there is more than one, or one is blank.
    """
    given = [value for value in place.values() if value is not None]
    if len(given) > 1:
        raise InvalidArgumentError("pass one of around, before and after", field="around")
    for value in given:
        name(value, "around, before or after")

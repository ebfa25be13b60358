"""Take decoded JSON apart, as tolerantly as the meaning allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ._errors import ProtocolError


def as_object(value: object) -> Mapping[str, Any]:
    """Return an object, or an empty one if it is something else."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list, or none if it is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def need_object(value: object) -> Mapping[str, Any]:
    """Return an object.

    :raises ProtocolError: if it is something else.
    """
    if not isinstance(value, dict):
        raise ProtocolError(f"{_kind(value)} instead of an object")
    return value


def need_list(value: object) -> list[Any]:
    """Return a list.

    :raises ProtocolError: if it is something else.
    """
    if not isinstance(value, list):
        raise ProtocolError(f"{_kind(value)} instead of a list")
    return value


def need_text(value: object) -> str:
    """Return a text.

    :raises ProtocolError: if it is something else.
    """
    if not isinstance(value, str):
        raise ProtocolError(f"{_kind(value)} instead of a text")
    return value


def as_text(value: object) -> str:
    """Return a text, or ``""`` if it is something else."""
    return value if isinstance(value, str) else ""


def as_flag(value: object) -> bool | None:
    """Return a truth value, or ``None`` if it is something else."""
    return value if isinstance(value, bool) else None


def as_count(value: object) -> int | None:
    """Return a whole number, or ``None`` if it is something else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: object) -> float | None:
    """Return a finite number, or ``None`` if it is something else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None


def as_time(value: object) -> datetime | None:
    """Return a time with its zone, or ``None`` if it is no ISO 8601 time."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

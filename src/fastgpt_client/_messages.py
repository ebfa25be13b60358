"""Hold one message of a chat, and accept what callers write for a list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from ._errors import InvalidArgumentError

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


@attrs.frozen
class Message:
    """Hold one message.

    :param role: who speaks.
    :param content: a text, or a sequence of parts as the server takes them.
    """

    role: Role
    content: str | Sequence[Mapping[str, Any]]

    def to_wire(self) -> dict[str, Any]:
        """Return the message as the server takes it."""
        content = self.content
        return {
            "role": self.role,
            "content": content if isinstance(content, str) else [dict(part) for part in content],
        }


#: A text (one user message), or messages as :class:`Message` values or plain dicts.
Messages = str | Sequence[Message | Mapping[str, Any]]


def to_wire(messages: Messages | None) -> list[dict[str, Any]]:
    """Return ``messages`` as the server takes them.

    :param messages: a text, a sequence of messages, or ``None`` for a plugin app, which takes
        ``variables`` only.
    :raises InvalidArgumentError: if there is no message, or one is of a wrong type.
    """
    if messages is None:
        return []
    if isinstance(messages, str):
        messages = [Message("user", messages)] if messages else []
    if isinstance(messages, Message | Mapping):
        messages = [messages]
    if isinstance(messages, bytes) or not isinstance(messages, Sequence):
        raise _wrong("", f"messages must be a text or a sequence of messages, not {messages!r:.80}")
    if not messages:
        raise _wrong("", "messages is empty: ask something (or pass None for a plugin app)")
    return [_one(place, message) for place, message in enumerate(messages)]


def _one(place: int, message: object) -> dict[str, Any]:
    if isinstance(message, Message):
        message = {"role": message.role, "content": message.content}
    if not isinstance(message, Mapping):
        hint = " (a list of texts? write one user message each)" if isinstance(message, str) else ""
        raise _wrong(
            f"[{place}]",
            f"messages[{place}] must be a dict or a Message, not {type(message).__name__}{hint}",
        )
    role = message.get("role")
    if role not in _ROLES:
        raise _wrong(
            f"[{place}].role",
            f"messages[{place}] needs a role out of {', '.join(_ROLES)}, not {role!r}",
        )
    content = message.get("content")
    if content is None and role == "assistant":
        return dict(message)
    if isinstance(content, str):
        return dict(message)
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        for number, part in enumerate(content):
            if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
                raise _wrong(
                    f"[{place}].content[{number}]",
                    f"messages[{place}].content[{number}] must be a dict with a type, such as "
                    '{"type": "text", "text": "…"}',
                )
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                raise _wrong(
                    f"[{place}].content[{number}].text",
                    f"messages[{place}].content[{number}] is of type text and needs one",
                )
        return {**message, "content": [dict(part) for part in content]}
    raise _wrong(
        f"[{place}].content",
        f"messages[{place}].content must be a text or a list of parts, not "
        f"{type(content).__name__}",
    )


def _wrong(where: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError(message, field=f"messages{where}")

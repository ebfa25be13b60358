"""Feedback: what users think of answers."""

from __future__ import annotations

from typing import Any, Final, Literal

from .._call import Call
from .._errors import InvalidArgumentError
from .._shapes import as_text, need_list, need_object
from . import _check
from ._chats import nothing

FeedbackKind = Literal["has_feedback", "good", "bad"]
_KINDS: Final = ("has_feedback", "good", "bad")


def give_feedback(
    app_id: str, chat_id: str, data_id: str, *, good: str | None = None, bad: str | None = None
) -> Call[None]:
    """Praise an answer, complain about it, or take back what was said.

    Each call replaces both: praise clears the complaint, and neither clears all. An empty text
    counts as feedback (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param data_id: the answer's id. The server refuses one that does not exist.
    :param good: the praise, in words, or ``None``.
    :param bad: the complaint, in words, or ``None``.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    for field, value in (("good", good), ("bad", bad)):
        if value is not None and not isinstance(value, str):
            raise InvalidArgumentError(f"{field} must be a text, not {value!r}", field=field)
    return Call(
        method="POST",
        paths=("/api/core/chat/feedback/updateUserFeedback",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "dataId": _check.name(data_id, "data_id"),
                "userGoodFeedback": good,
                "userBadFeedback": bad,
            }
        ),
        read=nothing,
    )


def feedback_ids(
    app_id: str, chat_id: str, *, kind: FeedbackKind = "has_feedback", unread_only: bool = False
) -> Call[tuple[str, ...]]:
    """Ask which answers of a chat have feedback; the result is their data ids.

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param kind: ``has_feedback`` for any, ``good`` or ``bad``.
    :param unread_only: whether to leave out feedback that was looked at.
    :raises InvalidArgumentError: if an argument could not be sent.
    """

    def read(data: Any) -> tuple[str, ...]:
        return tuple(filter(None, map(as_text, need_list(need_object(data).get("dataIds")))))

    return Call(
        method="POST",
        paths=("/api/core/chat/feedback/getFeedbackRecordIds",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "feedbackType": _check.one_of(kind, "kind", _KINDS),
                "unreadOnly": unread_only or None,
            }
        ),
        read=read,
    )


def mark_feedback_read(
    app_id: str, chat_id: str, data_id: str, *, is_read: bool = True
) -> Call[bool]:
    """Note that the feedback on an answer was looked at.

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param data_id: the answer's id.
    :param is_read: whether it was.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/feedback/updateFeedbackReadStatus",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "dataId": _check.name(data_id, "data_id"),
                "isRead": bool(is_read),
            }
        ),
        read=lambda data: need_object(data).get("success") is True,
    )

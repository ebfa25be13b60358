"""Hold what was said in a chat."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import attrs

from .._answer import ToolUse
from .._content import Content, File, read_content
from .._interactive import Interactive
from .._shapes import as_flag, as_number, as_object, as_text, as_time


@attrs.frozen(kw_only=True)
class Record:
    """Hold one record of a chat: a question, or an answer.

    :param data_id: the record's id, by which it is deleted and gets feedback; of an answer it is
        the ``response_chat_item_id`` that was sent with the question.
    :param role: ``user``, ``assistant`` or ``system``.
    :param content: what it says, put together.
    :param time: when it was written, or ``None``.
    :param duration: seconds that the workflow ran, or ``None``.
    :param good_feedback: a user's praise, or ``None``; ``""`` counts as praise.
    :param bad_feedback: a user's complaint, or ``None``.
    :param custom_feedbacks: what the workflow itself noted.
    :param feedback_read: whether the feedback was looked at, or ``None``.
    :param error: what went wrong, or ``None``.
    :param hidden: whether FastGPT's own page shows it.
    :param deleted: when it was deleted, or ``None``.
    :param raw: the record as it came; it may hold internal state of the workflow.
    """

    data_id: str
    role: Literal["user", "assistant", "system"]
    content: Content = attrs.field(repr=False)
    time: datetime | None = None
    duration: float | None = None
    good_feedback: str | None = None
    bad_feedback: str | None = None
    custom_feedbacks: tuple[str, ...] = ()
    feedback_read: bool | None = None
    error: str | None = None
    hidden: bool = False
    deleted: datetime | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def text(self) -> str:
        """What it says."""
        return self.content.text

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return self.content.reasoning

    @property
    def tool_calls(self) -> tuple[ToolUse, ...]:
        """The tools that ran."""
        return self.content.tool_calls

    @property
    def files(self) -> tuple[File, ...]:
        """The files that came with it."""
        return self.content.files

    @property
    def interactive(self) -> Interactive | None:
        """The question that the workflow waits on, or ``None`` if it was answered."""
        return self.content.pending


_ROLES: Mapping[str, Literal["user", "assistant", "system"]] = {
    "Human": "user",
    "AI": "assistant",
    "System": "system",
}


def read_record(item: Mapping[str, Any]) -> Record:
    """Read one record; a field of an unexpected type counts as absent.

    :param item: the decoded object.
    """
    get = item.get
    good, bad = get("userGoodFeedback"), get("userBadFeedback")
    notes = get("customFeedbacks")
    return Record(
        data_id=as_text(get("dataId")) or as_text(get("id")) or as_text(get("_id")),
        role=_ROLES.get(as_text(get("obj")), "assistant"),
        content=read_content(get("value")),
        time=as_time(get("time")),
        duration=as_number(get("durationSeconds")),
        good_feedback=good if isinstance(good, str) else None,
        bad_feedback=bad if isinstance(bad, str) else None,
        custom_feedbacks=tuple(map(as_text, notes)) if isinstance(notes, list) else (),
        feedback_read=as_flag(get("isFeedbackRead")),
        error=_error(get("errorText")),
        hidden=get("hideInUI") is True,
        deleted=as_time(get("deleteTime")),
        raw=item,
    )


def _error(value: object) -> str | None:
    # 4.14.7 tells the node and the words (recorded).
    text = as_text(as_object(value).get("errorText")) if isinstance(value, dict) else as_text(value)
    return text or None

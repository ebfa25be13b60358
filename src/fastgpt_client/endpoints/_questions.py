"""Suggested questions: what a user might ask next."""

from __future__ import annotations

from typing import Any

from .._call import Call
from .._messages import Messages, to_wire
from .._shapes import as_text, need_list
from . import _check


def suggested_questions(
    app_id: str, chat_id: str, *, model: str | None = None, prompt: str | None = None
) -> Call[tuple[str, ...]]:
    """Ask a model what the user of a chat might ask next.

    It runs a model, which takes its time and costs. There are none if the model does not answer
    with a JSON array, or does not exist (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param model: the model to ask, if not the app's own.
    :param prompt: what to tell it, if not the app's own words.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    guide: dict[str, Any] | None = None
    if model is not None or prompt is not None:
        guide = {"open": True}
        if model is not None:
            guide["model"] = _check.name(model, "model")
        if prompt is not None:
            guide["customPrompt"] = _check.name(prompt, "prompt")
    return Call(
        method="POST",
        paths=("/api/core/ai/agent/v2/createQuestionGuide",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "questionGuide": guide,
            }
        ),
        read=_read_questions,
        hint="suggested_questions_for() takes the messages themselves",
    )


def suggested_questions_for(messages: Messages) -> Call[tuple[str, ...]]:
    """Ask a model what the user might ask next, after messages that the server has not saved.

    :param messages: what was said, as for ``client.stream()``.
    :raises InvalidArgumentError: if there is no message, or one is of a wrong type.
    """
    return Call(
        method="POST",
        paths=("/api/core/ai/agent/createQuestionGuide",),
        body=_check.body({"messages": to_wire(messages)}),
        read=_read_questions,
    )


def _read_questions(data: Any) -> tuple[str, ...]:
    return tuple(filter(None, map(as_text, need_list(data))))

"""Runs and keys: stop a run, and ask what a key is good for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .._call import Call
from .._shapes import as_count, as_flag, as_text, need_object
from . import _check


@attrs.frozen(kw_only=True)
class StopReport:
    """Hold what the server says to a stop.

    :param success: always true, also if there was nothing to stop (recorded, 4.14.7 and 4.16.0).
    :param completed: whether the run has ended, or ``None`` from servers that do not tell (4.14.7).
    :param generating: whether the chat is still being answered, or ``None``.
    """

    success: bool
    completed: bool | None = None
    generating: bool | None = None


def stop_run(app_id: str, chat_id: str) -> Call[StopReport]:
    """Ask the server to stop a chat's v2 run.

    It takes up to five seconds, and answers success in any case; an answer in less than five
    seconds means that a run took notice, which acts on it at its next model token (recorded,
    4.14.7). :meth:`Reply.stop <fastgpt_client.Reply.stop>` does this for a reply at hand.

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/v2/chat/stop",),
        body=_check.body({"appId": _check.app(app_id), "chatId": _check.chat(chat_id)}),
        read=_read_stop,
        hint="a v1 run ends with its connection",
    )


def key_app(api_key: str) -> Call[str | None]:
    """Ask which app a key is bound to; ``None`` if it is a team's key.

    The key goes into the URL, where proxies may log it; that is how the endpoint takes it
    (recorded, 4.14.7). A bad key is refused.

    :param api_key: the key to ask about.
    :raises InvalidArgumentError: if it could not be sent.
    """

    def read(data: Any) -> str | None:
        return as_text(need_object(data).get("appId")) or None

    return Call(
        method="GET",
        paths=("/api/support/openapi/health",),
        query=_SecretQuery({"apiKey": _check.name(api_key, "api_key")}),
        read=read,
    )


class _SecretQuery(dict[str, str]):
    """A query that does not show its values."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "…"))


def _read_stop(data: Any) -> StopReport:
    found: Mapping[str, Any] = need_object(data)
    status = as_count(found.get("chatGenerateStatus"))
    return StopReport(
        success=found.get("success") is True,
        completed=as_flag(found.get("completed")),
        generating=None if status is None else status == 0,
    )

"""Chats: what an app is, the list of its chats, and what can be done to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .._call import Call, Page
from .._errors import InvalidArgumentError
from .._shapes import as_count, as_objects, need_list, need_object
from . import _check
from ._chat_values import Chat, ChatDetails, read_chat, read_details

#: Where a chat may come from (FastGPT source, 4.16.0; 4.14.7 has ``team`` and no ``wechat``).
SOURCES: Final = (
    "test",
    "online",
    "share",
    "api",
    "cronJob",
    "team",
    "feishu",
    "official_account",
    "wecom",
    "wechat",
    "mcp",
)


def chat_details(app_id: str, chat_id: str) -> Call[ChatDetails]:
    """Ask for a chat and its app.

    A chat that the server does not know is no error: ``exists`` is false (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="GET",
        paths=("/api/core/chat/init",),
        query={"appId": _check.app(app_id), "chatId": _check.chat(chat_id)},
        read=read_details,
    )


def histories(
    app_id: str,
    *,
    source: str | None = None,
    offset: int = 0,
    page_size: int = 20,
    extra: Mapping[str, Any] | None = None,
) -> Call[Page[Chat]]:
    """Ask for an app's chats, pinned ones first, then the newest.

    With an API key the server lists the chats of all API users and ignores ``customUid``; another
    app of the team is listed too, and an app that does not exist gives an empty list (recorded,
    4.14.7).

    :param app_id: the app's id.
    :param source: only chats from there, such as ``api`` or ``share``.
    :param offset: how many chats to skip.
    :param page_size: how many to list.
    :param extra: further fields of the request, such as ``startUpdateTime`` (4.16.0).
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    if source is not None:
        _check.one_of(source, "source", SOURCES)
    _check.count(offset, "offset")
    _check.count(page_size, "page_size", least=1)

    def read(data: Any) -> Page[Chat]:
        found = need_object(data)
        items = tuple(map(read_chat, as_objects(need_list(found.get("list")))))
        total = as_count(found.get("total"))
        after = offset + len(items)
        is_last = not items or (after >= total if total is not None else len(items) < page_size)
        return Page(
            items=items,
            total=total,
            next=None
            if is_last
            else histories(app_id, source=source, offset=after, page_size=page_size, extra=extra),
        )

    return Call(
        method="POST",
        # The older path is an alias in 4.16.0, so it is the portable one.
        paths=("/api/core/chat/getHistories", "/api/core/chat/history/getHistories"),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "offset": offset,
                "pageSize": page_size,
                "source": source,
                **(extra or {}),
            }
        ),
        read=read,
    )


def chat_statuses(app_id: str, chat_ids: list[str]) -> Call[tuple[Chat, ...]]:
    """Ask whether chats are being answered (FastGPT source, 4.16.0; absent from 4.14.7).

    :param app_id: the app's id.
    :param chat_ids: the ids of 1 to 200 chats.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/history/getHistoryStatus",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatIds": _check.names(chat_ids, "chat_ids", least=1, most=200),
            }
        ),
        read=lambda data: tuple(map(read_chat, as_objects(need_object(data).get("list")))),
        hint="chat_details() tells of one chat",
    )


def mark_read(app_id: str, chat_id: str) -> Call[None]:
    """Note that the chat's last answer was shown (FastGPT source, 4.16.0; absent from 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/history/markRead",),
        body=_check.body({"appId": _check.app(app_id), "chatId": _check.chat(chat_id)}),
        read=nothing,
    )


def update_chat(
    app_id: str,
    chat_id: str,
    *,
    custom_title: str | None = None,
    title: str | None = None,
    pinned: bool | None = None,
) -> Call[None]:
    """Rename a chat, or pin it.

    The server says nothing if there is no such chat (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param custom_title: the user's title; ``""`` goes back to the server's.
    :param title: the server's title.
    :param pinned: whether it is pinned to the top of the list.
    :raises InvalidArgumentError: if there is nothing to change, or an argument could not be sent.
    """
    changes: dict[str, Any] = {"customTitle": custom_title, "title": title, "top": pinned}
    if all(value is None for value in changes.values()):
        raise InvalidArgumentError(
            "there is nothing to change: pass custom_title, title or pinned", field="custom_title"
        )
    for field, value in (("custom_title", custom_title), ("title", title)):
        if value is not None and not isinstance(value, str):
            raise InvalidArgumentError(f"{field} must be a text, not {value!r}", field=field)
    if pinned is not None and not isinstance(pinned, bool):
        raise InvalidArgumentError(f"pinned must be True or False, not {pinned!r}", field="pinned")
    return Call(
        method="PUT",
        paths=("/api/core/chat/updateHistory", "/api/core/chat/history/updateHistory"),
        body=_check.body({"appId": _check.app(app_id), "chatId": _check.chat(chat_id), **changes}),
        read=nothing,
    )


def delete_chat(app_id: str, chat_id: str) -> Call[None]:
    """Take a chat off the list.

    The server keeps it: its records can still be read, and it can go on, but it never comes back
    to the list. It says nothing if there is no such chat (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="DELETE",
        paths=("/api/core/chat/delHistory", "/api/core/chat/history/delHistory"),
        # Deletes read the query alone (recorded, 4.14.7).
        query={"appId": _check.app(app_id), "chatId": _check.chat(chat_id)},
        read=nothing,
    )


def erase_chats(app_id: str, chat_ids: list[str]) -> Call[None]:
    """Erase chats and their records for good.

    :param app_id: the app's id.
    :param chat_ids: the ids of the chats, at least one.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/history/batchDelete",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatIds": _check.names(chat_ids, "chat_ids", least=1, most=10_000),
            }
        ),
        read=nothing,
        hint="delete_chat() takes chats off the list",
    )


def clear_histories(*, app_id: str) -> Call[None]:
    """Take **every API user's** chats of an app off the list, not only this program's.

    :param app_id: the app's id; it must be named, the client's own is not taken.
    :raises InvalidArgumentError: if it is not 24 hexadecimal digits.
    """
    return Call(
        method="DELETE",
        paths=("/api/core/chat/clearHistories", "/api/core/chat/history/clearHistories"),
        query={"appId": _check.app(app_id)},
        read=nothing,
    )


def nothing(_: Any) -> None:
    """Take an answer that tells nothing: ``null`` or ``{}``, also where nothing was changed."""

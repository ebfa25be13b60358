"""Records: what was said in a chat, and what its nodes did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._call import Call, Page
from .._errors import ProtocolError
from .._nodes import Node, read_nodes
from .._shapes import as_count, as_objects, need_list, need_object
from . import _check
from ._chats import nothing
from ._record_values import Record, read_record


def records(
    app_id: str,
    chat_id: str,
    *,
    offset: int = 0,
    page_size: int = 30,
    custom_feedbacks: bool = False,
) -> Call[Page[Record]]:
    """Ask for a chat's records, the newest page first.

    A page has its oldest record first. Records appear when a run has ended; an unknown chat, or
    one of another app, has none (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param offset: how many of the newest records to skip.
    :param page_size: how many to list.
    :param custom_feedbacks: whether to load what the workflow itself noted.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    _check.count(offset, "offset")
    _check.count(page_size, "page_size", least=1)

    def read(data: Any) -> Page[Record]:
        found = need_object(data)
        items = _read_records(found)
        total = as_count(found.get("total"))
        after = offset + len(items)
        is_last = not items or (after >= total if total is not None else len(items) < page_size)
        following = None
        if not is_last:
            following = records(
                app_id,
                chat_id,
                offset=after,
                page_size=page_size,
                custom_feedbacks=custom_feedbacks,
            )
        return Page(items=items, total=total, next=following, newest_last=True)

    return Call(
        method="POST",
        # The older path is an alias in 4.16.0, so it is the portable one.
        paths=(
            "/api/core/chat/getPaginationRecords",
            "/api/core/chat/record/getPaginationRecords",
        ),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "offset": offset,
                "pageSize": page_size,
                "loadCustomFeedbacks": custom_feedbacks or None,
            }
        ),
        read=read,
    )


def records_around(
    app_id: str,
    chat_id: str,
    *,
    around: str | None = None,
    before: str | None = None,
    after: str | None = None,
    page_size: int = 10,
    include_deleted: bool = False,
    custom_feedbacks: bool = False,
) -> Call[Page[Record]]:
    """Ask for the records beside one of them (4.14.7 and later); without one, for the newest.

    A record that does not exist is an error of the server (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param around: the data id of a record in the middle; there may be more than ``page_size``.
    :param before: the data id of the record after the page, which does not contain it.
    :param after: the data id of the record before the page, which does not contain it.
    :param page_size: how many to list.
    :param include_deleted: whether to list deleted records too.
    :param custom_feedbacks: whether to load what the workflow itself noted.
    :raises InvalidArgumentError: if an argument could not be sent, or two places were given.
    """
    place = {"initialId": around, "prevId": before, "nextId": after}
    _check.one_place(place)
    _check.count(page_size, "page_size", least=1)

    def beside(**where: str) -> Call[Page[Record]]:
        return records_around(
            app_id,
            chat_id,
            page_size=page_size,
            include_deleted=include_deleted,
            custom_feedbacks=custom_feedbacks,
            **where,
        )

    def read(data: Any) -> Page[Record]:
        found = need_object(data)
        items = _read_records(found)
        return Page(
            items=items,
            total=as_count(found.get("total")),
            next=beside(after=items[-1].data_id)
            if items and found.get("hasMoreNext") is True
            else None,
            previous=beside(before=items[0].data_id)
            if items and found.get("hasMorePrev") is True
            else None,
        )

    return Call(
        method="POST",
        paths=("/api/core/chat/record/getRecords_v2",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "pageSize": page_size,
                "includeDeleted": include_deleted or None,
                "loadCustomFeedbacks": custom_feedbacks or None,
                **place,
            }
        ),
        read=read,
        hint="records() pages by position",
    )


def node_responses(app_id: str, chat_id: str, data_id: str) -> Call[tuple[Node, ...]]:
    """Ask what the workflow's nodes did for one answer.

    An answer that does not exist has none, and runs that were given the same
    ``response_chat_item_id`` come together (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param data_id: the answer's id.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="GET",
        paths=("/api/core/chat/getResData", "/api/core/chat/record/getResData"),
        query={
            "appId": _check.app(app_id),
            "chatId": _check.chat(chat_id),
            "dataId": _check.name(data_id, "data_id"),
        },
        read=_read_nodes,
    )


def delete_record(app_id: str, chat_id: str, data_id: str) -> Call[None]:
    """Delete one record of a chat; a deleted question of the workflow is not asked any more.

    The server says nothing if there is no such record (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param data_id: the record's id.
    :raises InvalidArgumentError: if an id could not be sent.
    """
    return Call(
        method="DELETE",
        # Moved in 4.14.10.1. Both take a DELETE with a body (4.14.7: recorded; newer: source).
        paths=("/api/core/chat/record/delete", "/api/core/chat/item/delete"),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "contentId": _check.name(data_id, "data_id"),
            }
        ),
        read=nothing,
    )


def _read_records(found: Mapping[str, Any]) -> tuple[Record, ...]:
    return tuple(map(read_record, as_objects(need_list(found.get("list")))))


def _read_nodes(data: Any) -> tuple[Node, ...]:
    nodes = read_nodes(data)
    if nodes is None:
        raise ProtocolError("something else than node responses")
    return nodes

"""Quotes: the pieces of knowledge that an answer cites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from .._call import Call, Page
from .._shapes import as_count, as_objects, as_text, as_time, need_list, need_object
from . import _check


@attrs.frozen(kw_only=True)
class Quote:
    """Hold a piece of a knowledge base that an answer cites.

    :param id: its id.
    :param question: the piece, or its question.
    :param answer: its answer, or ``""``.
    :param index: its place in the collection, or ``None``.
    :param updated: when it was last changed, or ``None``.
    :param raw: the piece as it came.
    """

    id: str
    question: str = ""
    answer: str = ""
    index: int | None = None
    updated: datetime | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


def quotes(
    app_id: str,
    chat_id: str,
    data_id: str,
    *,
    quote_ids: Sequence[str],
    collection_ids: Sequence[str],
) -> Call[tuple[Quote, ...]]:
    """Ask for the pieces of knowledge that an answer cites.

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param data_id: the answer's id.
    :param quote_ids: the ids of the pieces, at most 200.
    :param collection_ids: the ids of their collections, at most 200. One that the chat does not
        cite is refused (recorded, 4.14.7).
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/record/getQuote", "/api/core/chat/quote/getQuote"),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "chatItemDataId": _check.name(data_id, "data_id"),
                "datasetDataIdList": _check.names(quote_ids, "quote_ids", most=200),
                "collectionIdList": _check.names(collection_ids, "collection_ids", most=200),
            }
        ),
        read=lambda data: tuple(map(_read_quote, as_objects(need_list(data)))),
    )


def collection_quotes(
    app_id: str,
    chat_id: str,
    data_id: str,
    collection_id: str,
    *,
    around: str | None = None,
    before: str | None = None,
    after: str | None = None,
    anchor: int = 0,
    page_size: int = 15,
) -> Call[Page[Quote]]:
    """Ask for the pieces of a collection beside one that an answer cites.

    Without a place the list is empty (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param data_id: the answer's id.
    :param collection_id: the collection's id.
    :param around: the id of a piece in the middle.
    :param before: the id of the piece after the page, which does not contain it.
    :param after: the id of the piece before the page, which does not contain it.
    :param anchor: the piece's place in the collection; 4.14.7 refuses a call without (recorded).
    :param page_size: how many to list, at most 30.
    :raises InvalidArgumentError: if an argument could not be sent, or two places were given.
    """
    place = {"initialId": around, "prevId": before, "nextId": after}
    _check.one_place(place)
    _check.count(page_size, "page_size", least=1, most=30)
    _check.count(anchor, "anchor")

    def beside(item: Mapping[str, Any], **where: str) -> Call[Page[Quote]]:
        return collection_quotes(
            app_id,
            chat_id,
            data_id,
            collection_id,
            anchor=as_count(item.get("anchor")) or 0,
            page_size=page_size,
            **where,
        )

    def read(data: Any) -> Page[Quote]:
        found = need_object(data)
        items = tuple(map(_read_quote, as_objects(need_list(found.get("list")))))
        more_next = items and found.get("hasMoreNext") is True
        more_previous = items and found.get("hasMorePrev") is True
        return Page(
            items=items,
            next=beside(items[-1].raw, after=items[-1].id) if more_next else None,
            previous=beside(items[0].raw, before=items[0].id) if more_previous else None,
        )

    return Call(
        method="POST",
        paths=(
            "/api/core/chat/record/getCollectionQuote",
            "/api/core/chat/quote/getCollectionQuote",
        ),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "chatItemDataId": _check.name(data_id, "data_id"),
                "collectionId": _check.name(collection_id, "collection_id"),
                "pageSize": page_size,
                "anchor": anchor,
                **place,
            }
        ),
        read=read,
    )


def _read_quote(item: Mapping[str, Any]) -> Quote:
    return Quote(
        id=as_text(item.get("_id")) or as_text(item.get("id")),
        question=as_text(item.get("q")),
        answer=as_text(item.get("a")),
        index=as_count(item.get("index", item.get("chunkIndex"))),
        updated=as_time(item.get("updateTime")),
        raw=item,
    )

"""Files: where to upload one, and where to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .._call import Call
from .._errors import ProtocolError
from .._shapes import as_count, as_object, as_text, need_object, need_text
from . import _check


@attrs.frozen(kw_only=True)
class UploadTicket:
    """Say where and how to upload one file.

    :param url: where to send it: another server than FastGPT, which must not see the API key.
    :param key: the file's key, by which messages name it.
    :param headers: what to send with a PUT of the bytes.
    :param fields: what to send with a POST of a form instead, or ``None`` (FastGPT source, 4.13.2
        to 4.14.5).
    :param max_size: bytes that the file may have, or ``None``.
    :param preview_url: where to read the file after, or ``""`` (4.16.0).
    """

    url: str = attrs.field(repr=False)
    key: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    fields: Mapping[str, str] | None = attrs.field(default=None, repr=False, hash=False)
    max_size: int | None = None
    preview_url: str = attrs.field(default="", repr=False)


def upload_ticket(
    app_id: str, chat_id: str, filename: str, *, content_type: str | None = None
) -> Call[UploadTicket]:
    """Ask where to upload a file; ``client.upload()`` does this and the upload.

    The ticket is good for ten minutes (recorded, 4.14.7).

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param filename: the file's name, without folders.
    :param content_type: the file's media type, if its name does not tell.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/file/presignChatFilePostUrl",),
        # Without its size, 4.16.0 has no reason to ask for an upload in parts.
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "filename": _check.name(filename, "filename"),
                "contentType": content_type,
            }
        ),
        read=_read_ticket,
        hint="send images as data URLs, and files by their own URLs",
    )


def file_url(app_id: str, chat_id: str, key: str) -> Call[str]:
    """Ask where to read an uploaded file; the URL is good for an hour (recorded, 4.14.7).

    A key that does not exist gets a URL too.

    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param key: the file's key.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    return Call(
        method="POST",
        paths=("/api/core/chat/file/presignChatFileGetUrl",),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "chatId": _check.chat(chat_id),
                "key": _check.name(key, "key"),
            }
        ),
        read=need_text,
    )


def _read_ticket(data: Any) -> UploadTicket:
    found = need_object(data)
    url = as_text(found.get("url"))
    if not url.startswith(("http://", "https://")):
        raise ProtocolError("no URL to upload to")
    if found.get("uploadMode") == "multipart":
        raise ProtocolError("that it takes this file in parts only, which is not supported")
    fields = found.get("fields")
    key = as_text(found.get("key")) or as_text(as_object(fields).get("key"))
    return UploadTicket(
        url=url,
        key=key,
        headers=_texts(found.get("headers")),
        fields=_texts(fields) if isinstance(fields, dict) else None,
        max_size=as_count(found.get("maxSize")),
        preview_url=as_text(found.get("previewUrl")),
    )


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in as_object(value).items() if item is not None}

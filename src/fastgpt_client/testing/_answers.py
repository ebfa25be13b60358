"""Hold the answers that are no run: a refusal, another HTTP status, bytes as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Refusal:
    """Refuse a request before its run begins, as FastGPT does.

    With ``stream`` that is HTTP 200 with ``event: error`` and no content type, else the JSON
    error envelope (recorded from FastGPT 4.14.7 and 4.16.0).

    :param message: the text; a known error has an i18n key here.
    :param code: the business code, or ``None`` for an error that is nothing but a message.
    :param status_text: the stable key of a known error, such as ``unAuthApiKey``.
    :param user_error: ``True`` for ``errorType: UserError`` in the JSON of new versions.
    """

    message: str
    code: int | None = None
    status_text: str = "error"
    user_error: bool = False


@attrs.frozen
class Status:
    """Answer something else entirely.

    :param code: the HTTP status.
    :param body: a mapping or list becomes JSON with its headers; text and bytes go out as they
        are, with no content type unless one is given.
    :param content_type: the ``Content-Type`` header.
    :param headers: further headers; with text and bytes they replace the server's own of that name.
    :param reason: the reason phrase; the standard one if ``None``.
    """

    code: int
    body: bytes | str | Mapping[str, Any] | Sequence[Any] = b""
    content_type: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    reason: str | None = None


def _at_least_one_byte(_: Any, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name} must be at least 1 byte, not {value}")


@attrs.frozen
class RawResponse:
    """Send exactly these bytes on the socket, status line and all.

    :param raw: the bytes of a whole HTTP response, a recorded one for example.
    :param cut: at most this many bytes in one write; ``None`` for one write.
    :param close: ``True`` to close the connection after it, for a response that ends so.
    :raises ValueError: if ``cut`` is less than 1.
    """

    raw: bytes = attrs.field(repr=lambda raw: f"<{len(raw)} bytes>")
    cut: int | None = attrs.field(default=None, validator=_at_least_one_byte)
    close: bool = False

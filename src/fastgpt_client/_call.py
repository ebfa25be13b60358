"""Describe one call of an endpoint beside the chat, and read what the server answers to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

import attrs

from ._api_errors import is_error_envelope
from ._errors import InvalidArgumentError, NotFoundError, ProtocolError
from ._payloads import UNREADABLE, decode_any, load
from ._refusals import instead, media_type, refusal_in
from ._requests import Target, check_utf8, encode

T = TypeVar("T")

#: Seconds for a call, unless the caller says otherwise.
CALL_SECONDS: Final = 60.0
#: Bytes that an answer may have.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

_JSON: Final = "application/json"
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_PATH: Final = re.compile(r"/(?!/)[^\s\\?#]*")


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """Hold one call of an endpoint, checked and ready to be sent by either client.

    :param method: the HTTP method.
    :param paths: where the endpoint is: its portable path first, then other homes, which are
        tried in turn when a server answers that it has no such page.
    :param read: turns the answer's ``data`` into the result.
    :param query: the query parameters.
    :param body: the body, or ``None``.
    :param content_type: the body's media type.
    :param binary: whether the answer is bytes, not JSON.
    :param hint: what to do instead on a server that does not have the endpoint.
    """

    method: str
    paths: tuple[str, ...]
    read: Callable[[Any], T] = attrs.field(repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes | None = attrs.field(default=None, repr=False)
    content_type: str = _JSON
    binary: bool = False
    hint: str = ""

    @property
    def accept(self) -> str:
        """The media type that is asked for."""
        return "*/*" if self.binary else _JSON

    def locations(self) -> tuple[str, ...]:
        """Return the paths with the query, in the order in which to try them."""
        if not self.query:
            return self.paths
        query = urlencode(self.query, quote_via=quote)
        return tuple(f"{path}?{query}" for path in self.paths)


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """Hold one page of a list, and the calls that fetch the pages beside it.

    A list that changes while it is paged may show an item twice, or not at all: the server counts
    by position.

    :param items: the items in the server's order.
    :param total: how many items the whole list has, or ``None`` if the server does not tell.
    :param next: the call for the page that follows, or ``None`` at the end.
    :param previous: the call for the page before, where the server tells that there is one.
    :param newest_last: whether each page has its newest item last although the list begins with
        the newest page, as a chat's records do.
    """

    items: tuple[T, ...]
    total: int | None = None
    next: Call[Page[T]] | None = attrs.field(default=None, repr=False)
    previous: Call[Page[T]] | None = attrs.field(default=None, repr=False)
    newest_last: bool = attrs.field(default=False, repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def in_list_order(self) -> Iterable[T]:
        """Return the items in the order of the whole list."""
        return reversed(self.items) if self.newest_last else self.items


@attrs.frozen
class RawAnswer:
    """Hold what came back, before its meaning is known.

    :param status_code: the HTTP status.
    :param headers: the headers, whose names are in lower case or do not mind the case.
    :param body: the decoded body.
    """

    status_code: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @property
    def is_missing_page(self) -> bool:
        """Whether the server has no such page: a 404 that is not FastGPT's own envelope.

        FastGPT answers an unknown path with a page of HTML (recorded, 4.14.7).
        """
        return self.status_code == 404 and not is_error_envelope(self.payload())

    def payload(self) -> Any:
        """Return the decoded JSON body, or ``None`` if it is none."""
        try:
            return load(decode_any, self.body)
        except UNREADABLE:
            return None


def read_answer(call: Call[T], answer: RawAnswer, target: Target) -> T:
    """Return the result of a call.

    :param call: what was asked.
    :param answer: what came back.
    :param target: what to redact.
    :raises APIError: if the server refused; its class tells which kind.
    :raises ProtocolError: if the answer is not of the documented shape.
    """
    if answer.is_missing_page:
        raise _missing(call, answer)
    told = (answer.status_code, answer.headers, answer.body, target)
    refusal = refusal_in(*told)
    if refusal is not None:
        raise refusal
    where = f"{call.method} {call.paths[0]}"
    if call.binary:
        if media_type(answer.headers) in (_JSON, "text/html"):
            raise ProtocolError(f"{where}: {instead('bytes', *told)}")
        return call.read(answer.body)
    payload = answer.payload()
    if payload is None and answer.body.strip() != b"null":
        raise ProtocolError(f"{where}: {instead('JSON', *told)}")
    if isinstance(payload, dict) and "code" in payload and "data" in payload:
        payload = payload["data"]
    try:
        return call.read(payload)
    except ProtocolError as error:
        raise ProtocolError(f"{where} was answered with {error}") from None


def _missing(call: Call[Any], answer: RawAnswer) -> NotFoundError:
    tried = " or ".join(call.paths)
    hint = f": {call.hint}" if call.hint else ""
    return NotFoundError(
        f"this server has no {tried} (HTTP {answer.status_code}){hint}",
        status_code=answer.status_code,
    )


def any_call(
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    json: object = None,
    body: bytes | None = None,
    content_type: str = _JSON,
    binary: bool = False,
) -> Call[Any]:
    """Describe a call of an endpoint for which there is no function.

    :param method: the HTTP method.
    :param path: the path from ``/api`` on, without a query.
    :param query: the query parameters; one that is ``None`` is left out, truth is ``true``.
    :param json: the body, which is sent as JSON.
    :param body: the body as bytes, instead of ``json``.
    :param content_type: the media type of ``body``.
    :param binary: whether the answer is bytes, not JSON.
    :raises InvalidArgumentError: if one of them could not be sent.
    """
    if not isinstance(method, str) or not _METHOD.fullmatch(method.upper()):
        raise InvalidArgumentError(f"method must be an HTTP method, not {method!r}", field="method")
    # Anything but a path on this server could carry the key to another one.
    if not isinstance(path, str) or not _PATH.fullmatch(path) or not path.isprintable():
        raise InvalidArgumentError(
            "path must be a path on the server such as /api/core/chat/init, without a host and "
            f"without a query (pass query=…), not {path!r}",
            field="path",
        )
    if json is not None and body is not None:
        raise InvalidArgumentError("pass json or body, not both", field="body")
    if body is not None and not isinstance(body, bytes):
        raise InvalidArgumentError(
            f"body must be bytes, not {type(body).__name__} (json=… takes what is to be JSON)",
            field="body",
        )
    if query is not None and not isinstance(query, Mapping):
        raise InvalidArgumentError(
            f"query must be a mapping, not {type(query).__name__}", field="query"
        )
    if re.search(r"[\x00-\x1f\x7f]", content_type):
        raise InvalidArgumentError("content_type must be one line", field="content_type")
    return Call(
        method=method.upper(),
        paths=(path,),
        read=lambda data: data,
        query=_query(query or {}),
        body=body if json is None else encode(json, "json"),
        content_type=content_type,
        binary=binary,
    )


def _query(query: Mapping[str, Any]) -> dict[str, str]:
    written: dict[str, str] = {}
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        field = f"query[{name!r}]"
        if not isinstance(value, str | int | float):
            raise InvalidArgumentError(
                f"{field} must be a text or a number, not {type(value).__name__}", field=field
            )
        written[str(name)] = str(value)
        check_utf8(written[str(name)], field)
    return written

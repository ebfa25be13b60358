"""Check what the caller gave and build what goes to the server: URLs, headers, bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import attrs
import msgspec

from ._errors import AuthenticationError, FastGPTError, InvalidArgumentError
from ._messages import Messages, to_wire

API = Literal["v1", "v2"]

DEFAULT_BASE_URL: Final = "http://localhost:3000"
#: Bytes that a request's body may have (FastGPT source, 4.16.0; recorded for v1).
MAX_BODY_BYTES: Final[Mapping[str, int]] = {"v1": 10 * 1024 * 1024, "v2": 20 * 1024 * 1024}
_MAX_CHAT_ID: Final = 1024
#: The arguments by the names that their fields have in a body.
_PLACES: Final[Mapping[str, str]] = {
    "messages": "messages",
    "stream": "stream",
    "detail": "detail",
    "chatId": "chat_id",
    "appId": "app_id",
    "variables": "variables",
    "responseChatItemId": "response_chat_item_id",
}
_API_SUFFIX: Final = re.compile(r"(?:/api)?(?:/v[12](?:/chat(?:/completions)?)?)?$")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
#: A shorter key is none of FastGPT's, and would be found inside of ordinary words.
_MIN_REDACTED: Final = 8


@attrs.frozen
class Secret:
    """Hold a key, so that no traceback with locals shows it.

    :param value: what the caller gave.
    """

    value: Any = attrs.field(repr=False)

    @classmethod
    def of(cls, value: object) -> Secret:
        """Return ``value`` if it is a secret already, else one that holds it."""
        return value if isinstance(value, cls) else cls(value)

    def checked(self) -> str:
        """Return the key, ``""`` if there is none.

        :raises InvalidArgumentError: if it could not be sent as it is.
        """
        if self.value and not (
            isinstance(self.value, str) and self.value.isascii() and not _CONTROL.search(self.value)
        ):
            raise InvalidArgumentError(
                "api_key must be the bare key in ASCII, without spaces, line ends or 'Bearer ' "
                "(a key read from a file may end in a newline: strip() it)",
                field="api_key",
            )
        return self.value or ""


@attrs.frozen
class Target:
    """Hold where requests go and with which key.

    :param base_url: the server's URL without ``/api`` and without a slash at the end.
    :param api_key: the key, ``""`` if there is none.
    """

    base_url: str
    api_key: str = attrs.field(repr=False)

    def url(self, path: str) -> str:
        """Return the URL of an endpoint.

        :param path: the path after the base URL, from its slash on.
        """
        return self.base_url + path

    def headers(self) -> dict[str, str]:
        """Return the headers that every request carries.

        :raises AuthenticationError: if there is no key; nothing was sent.
        """
        if not self.api_key:
            raise AuthenticationError(
                "there is no API key: pass api_key or set FASTGPT_API_KEY; nothing was sent"
            )
        return {
            "Authorization": f"Bearer {self.api_key}",
            # FastGPT gzips JSON when asked; errors should be readable with any transport.
            "Accept-Encoding": "identity",
        }

    def redact(self, text: str) -> str:
        """Return ``text`` without the key, should a server or a proxy have echoed it."""
        if len(self.api_key) < _MIN_REDACTED:
            return text
        return text.replace(self.api_key, "[api key]")

    def redact_all(self, payload: Any) -> Any:
        """Return decoded JSON without the key."""
        if isinstance(payload, str):
            return self.redact(payload)
        if isinstance(payload, list):
            return [self.redact_all(item) for item in payload]
        if isinstance(payload, Mapping):
            return {self.redact(str(key)): self.redact_all(payload[key]) for key in payload}
        return payload


def target(api_key: str | Secret | None, base_url: str | None) -> Target:
    """Check a key and a base URL.

    :param api_key: the key, or ``None``.
    :param base_url: the server's URL; ``/api``, ``/api/v1`` or a slash at its end are taken off.
    :raises InvalidArgumentError: if one of them could not be sent as it is.
    """
    secret = Secret.of(api_key)
    del api_key
    secret.checked()
    return Target(_base_url(base_url or DEFAULT_BASE_URL), secret.checked())


def _base_url(url: str) -> str:
    if not isinstance(url, str) or _CONTROL.search(url.strip()):
        raise InvalidArgumentError(
            f"base_url must be a URL without spaces or line ends, not {url!r}", field="base_url"
        )
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgumentError(f"base_url is no URL: {error}", field="base_url") from None
    if parts.scheme not in ("http", "https") or not host:
        # What has none of these may be a key that was passed in the URL's place.
        given = f"not {url!r}" if re.search("[./:]", url) else "and api_key comes before it"
        raise InvalidArgumentError(
            f"base_url needs http:// or https:// and a host, such as {DEFAULT_BASE_URL}, {given}",
            field="base_url",
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidArgumentError(
            "base_url takes no user, query or fragment: pass the key as api_key",
            field="base_url",
        )
    path = re.sub(r"//+", "/", parts.path).rstrip("/")
    # One at a time, so that a path prefix of the deployment stays.
    path = _API_SUFFIX.sub("", path)
    return f"{parts.scheme}://{parts.netloc}{path}"


def check_text(value: object, field: str) -> None:
    """Refuse what is not a text, is blank, or cannot be sent as UTF-8.

    :raises InvalidArgumentError: if it is one of these.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"{field} must be a text that is not blank", field=field)
    check_utf8(value, field)


def check_utf8(value: str, field: str) -> None:
    """Refuse a text that has no form in UTF-8, such as half an emoji.

    :raises InvalidArgumentError: if it is one.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{field} has half a surrogate pair", field=field) from None


def check_chat_id(chat_id: str | None) -> None:
    """Refuse a chat id that the server could not take.

    :raises InvalidArgumentError: if it is empty, too long, or has control characters.
    """
    if chat_id is None:
        return
    check_text(chat_id, "chat_id")
    if len(chat_id) > _MAX_CHAT_ID or re.search(r"[\x00-\x1f\x7f]", chat_id):
        raise InvalidArgumentError(
            f"chat_id may have {_MAX_CHAT_ID} characters and no control characters",
            field="chat_id",
        )


def check_app_id(app_id: str | None) -> None:
    """Refuse an app id that is not 24 hexadecimal digits.

    :raises InvalidArgumentError: if it is not.
    """
    if app_id is not None and not (
        isinstance(app_id, str) and re.fullmatch(r"[0-9a-fA-F]{24}", app_id)
    ):
        raise InvalidArgumentError(
            f"app_id must be 24 hexadecimal digits, as in the app's address, not {app_id!r}",
            field="app_id",
        )


def check_api(api: str) -> None:
    """Refuse an API version other than v1 and v2.

    :raises InvalidArgumentError: if it is another.
    """
    if api not in ("v1", "v2"):
        raise InvalidArgumentError(f'api must be "v1" or "v2", not {api!r}', field="api")


@attrs.frozen(kw_only=True)
class ChatRequest:
    """Hold one request for a completion, ready to be sent.

    :param api: which of the two endpoints.
    :param body: the JSON body.
    :param chat_id: the chat's id, or ``None`` if the server chooses one.
    :param app_id: the app's id, if the caller named one.
    :param headers: further headers.
    """

    api: API
    body: bytes = attrs.field(repr=False)
    chat_id: str | None
    app_id: str | None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    #: The HTTP method.
    method: ClassVar[str] = "POST"
    #: Whether the run is this request's own, so that leaving the reply stops it.
    owns_run: ClassVar[bool] = True

    @property
    def path(self) -> str:
        """The path of the endpoint."""
        return f"/api/{self.api}/chat/completions"

    def refused(self, error: FastGPTError) -> FastGPTError:
        """Return the error that a refusal is for this request."""
        return error


def chat_request(
    messages: Messages | None,
    *,
    api: API,
    stream: bool,
    detail: bool,
    chat_id: str | None = None,
    app_id: str | None = None,
    variables: Mapping[str, Any] | None = None,
    response_chat_item_id: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> ChatRequest:
    """Check the arguments of a completion and build its request.

    :raises InvalidArgumentError: if one of them could not be sent; ``.field`` names it.
    """
    check_api(api)
    check_chat_id(chat_id)
    check_app_id(app_id)
    if variables is not None and not isinstance(variables, Mapping):
        raise InvalidArgumentError(
            f"variables must be a mapping, not {type(variables).__name__}", field="variables"
        )
    wire = to_wire(messages)
    if messages is None and variables is None:
        raise InvalidArgumentError(
            "messages is None, which is for plugin apps, and these take variables",
            field="messages",
        )
    if response_chat_item_id is not None:
        check_text(response_chat_item_id, "response_chat_item_id")
    payload: dict[str, Any] = {"messages": wire, "stream": stream, "detail": detail}
    optional = {
        "chatId": chat_id,
        "appId": app_id,
        "variables": None if variables is None else dict(variables),
        "responseChatItemId": response_chat_item_id,
    }
    payload.update((name, value) for name, value in optional.items() if value is not None)
    if extra is not None:
        _check_extra(extra)
        payload.update(extra)
    body = _encode_fields(payload)
    if len(body) > MAX_BODY_BYTES[api]:
        raise InvalidArgumentError(
            f"the request has {len(body)} bytes and {api} takes {MAX_BODY_BYTES[api]}: upload "
            "files and images, and send their URLs",
            field="messages",
        )
    return ChatRequest(api=api, body=body, chat_id=chat_id, app_id=app_id)


def _check_extra(extra: Mapping[str, Any]) -> None:
    if not isinstance(extra, Mapping):
        raise InvalidArgumentError(
            f"extra must be a mapping, not {type(extra).__name__}", field="extra"
        )
    # What stands elsewhere too would be sent from here and known from there: a stop, for one, would
    # then go to another chat.
    for name, place in _PLACES.items():
        if name in extra:
            raise InvalidArgumentError(
                f"extra is for further fields, and {name} has a place of its own: {place}",
                field="extra",
            )


def _encode_fields(payload: Mapping[str, Any]) -> bytes:
    try:
        return encode(payload)
    except InvalidArgumentError:
        # Once more and one at a time, to name the one that cannot be sent.
        for name, value in payload.items():
            encode(value, _PLACES.get(name, "extra"))
        raise


def encode(payload: object, field: str = "messages") -> bytes:
    """Return ``payload`` as JSON.

    :param payload: what is sent.
    :param field: the name of the argument that it comes from.
    :raises InvalidArgumentError: if it holds something that JSON has no form for.
    """
    try:
        return msgspec.json.encode(payload)
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidArgumentError(
            f"{field} cannot be written as JSON: {error}", field=field
        ) from None

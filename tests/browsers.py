"""Play the browser and the web server around an ASGI application."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    Application = Callable[..., Any]


@attrs.frozen
class Frame:
    """One server-sent event, as a browser dispatches it."""

    event: str
    data: str
    id: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def frames(body: str) -> list[Frame]:
    """Read whole server-sent events; a block without data is none, as the standard says."""
    found: list[Frame] = []
    last_id: str | None = None
    *blocks, rest = body.split("\n\n")
    assert rest == "", f"not a whole event: {rest!r}"
    for block in blocks:
        event, data = "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                last_id = value
        if data:
            found.append(Frame(event, "\n".join(data), last_id))
    return found


def texts(shown: list[Frame]) -> str:
    """Put together the text that typed events carry."""
    return "".join(frame.json.get("text", "") for frame in shown)


@attrs.define(eq=False)
class Browser:
    """Call an ASGI application as a web server does for one request.

    :param method: the request's method.
    :param headers: the request's headers.
    :param gone_error: what ``send`` raises after the browser left, as some servers do.
    """

    method: str = "GET"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    gone_error: Exception | None = None
    messages: list[MutableMapping[str, Any]] = attrs.field(factory=list)
    _left: anyio.Event = attrs.field(factory=anyio.Event)
    _requested: bool = False
    _changed: anyio.Event = attrs.field(factory=anyio.Event)

    async def open(self, application: Application) -> None:
        """Send the request and wait until the application has answered."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in self.headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        with anyio.fail_after(5):
            await application(scope, self._receive, self._send)

    def leave(self) -> None:
        self._left.set()

    async def wait_for(self, text: str) -> None:
        """Wait until the body has the text."""
        with anyio.fail_after(5):
            while text not in self.body:
                await self._changed.wait()

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    def header(self, name: str) -> str | None:
        found: dict[bytes, bytes] = dict(self.messages[0]["headers"])
        value = found.get(name.encode())
        return None if value is None else value.decode()

    @property
    def body(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    @property
    def finished(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False

    @property
    def frames(self) -> list[Frame]:
        return frames(self.body)

    async def _receive(self) -> dict[str, Any]:
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        if self._left.is_set() and self.gone_error is not None:
            raise self.gone_error
        assert not self.finished, f"sent after the end: {message}"
        assert bool(self.messages) == (message["type"] == "http.response.body")
        self.messages.append(message)
        self._changed.set()
        self._changed = anyio.Event()

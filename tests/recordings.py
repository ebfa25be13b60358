"""Find the recorded completions exchanges, as the bytes that the server wrote on the socket.

The recordings are not part of the repository: give their folder with ``--captures`` or
``$FASTGPT_CAPTURES``. Three sets lie in it: one holds whole responses, one bodies with their
headers beside them, one bodies alone.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PATHS = {"/api/v1/chat/completions": "v1", "/api/v2/chat/completions": "v2"}

#: What a server sends before an event stream, for bodies that have no headers beside them.
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Connection: keep-alive\r\n"
    b"Content-Type: text/event-stream;charset=utf-8\r\n"
    b"Cache-Control: no-cache, no-transform\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@attrs.frozen
class Exchange:
    """One exchange: what was asked, and the response on the socket.

    :param name: where it comes from, for the messages of a failing test.
    :param api: the endpoint.
    :param detail: whether details were asked for.
    :param raw: the whole response, status line and chunk framing included.
    :param broken: whether the connection was closed before the response's end.
    """

    name: str
    api: Literal["v1", "v2"]
    detail: bool
    raw: bytes = attrs.field(repr=False)
    broken: bool = False

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        head, _, _ = self.raw.partition(b"\r\n\r\n")
        pairs = (line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:])
        return {name.lower(): value for name, _, value in pairs}

    @property
    def body(self) -> bytes:
        _, _, body = self.raw.partition(b"\r\n\r\n")
        return dechunked(body) if "transfer-encoding" in self.headers else body

    @property
    def is_stream(self) -> bool:
        """Whether it is an event stream, which FastGPT does not always say in a header."""
        media_type = self.headers.get("content-type", "")
        return self.status == 200 and (not media_type or media_type.startswith("text/event-stream"))


def dechunked(wire: bytes) -> bytes:
    body = b""
    while wire:
        size, _, wire = wire.partition(b"\r\n")
        count = int(size, 16)
        body += wire[:count]
        wire = wire[count + 2 :]
    return body


def chunked(parts: Iterable[bytes]) -> bytes:
    """The parts in chunk framing, without the last chunk."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def stream_response(body: bytes) -> bytes:
    """A whole response with an event stream, in the chunks that FastGPT would write."""
    return STREAM_HEAD + chunked(_writes(body)) + b"0\r\n\r\n"


def _writes(body: bytes) -> list[bytes]:
    # An event line is a write of its own; what follows goes out up to the blank line.
    return re.findall(rb"event: .*\n|(?:.+\n)+\n|.+\n?|\n", body)


def recorded(folder: Path) -> dict[str, list[Exchange]]:
    """Every recorded completions exchange, by the set that it is in."""
    return {
        "captures-4.14": list(_whole_responses(folder / "captures-4.14")),
        "captures-4.16": list(_bodies_with_headers(folder / "captures-4.16")),
        "composed": [
            Exchange(f"composed/{path.stem}", "v1", True, stream_response(path.read_bytes()))
            for path in sorted((folder / "composed").glob("*.sse"))
        ],
    }


def count_on_disk(folder: Path) -> dict[str, int]:
    """How many there are, counted by other means than :func:`recorded` uses."""

    def mentions(path: Path) -> bool:
        return (
            re.search(r'"path": ?"/api/v[12]/chat/completions"', path.read_text("utf-8"))
            is not None
        )

    return {
        "captures-4.14": sum(
            mentions(path.with_suffix(".json")) for path in (folder / "captures-4.14").glob("*.raw")
        ),
        "captures-4.16": sum(
            mentions(path.parent / f"{path.name.split('.')[0]}.json")
            for path in (folder / "captures-4.16").iterdir()
            if path.suffix == ".sse" or ".body." in path.name
        ),
        "composed": sum(path.suffix == ".sse" for path in (folder / "composed").iterdir()),
    }


def _asked(data: Any) -> dict[str, Any] | None:
    """The request, if it is one for a completion."""
    request = data.get("request")
    is_one = isinstance(request, dict) and request.get("path") in PATHS
    return cast("dict[str, Any]", request) if is_one else None


def _exchange(name: str, request: dict[str, Any], raw: bytes, broken: bool) -> Exchange:
    body = request.get("body")
    detail = bool(body.get("detail")) if isinstance(body, dict) else False
    api = cast('Literal["v1", "v2"]', PATHS[request["path"]])
    return Exchange(name, api, detail, raw, broken)


def _whole_responses(folder: Path) -> Iterator[Exchange]:
    for path in sorted(folder.glob("*.raw")):
        data = json.loads(path.with_suffix(".json").read_text("utf-8"))
        request = _asked(data)
        if request is None:
            continue
        broken = data["response"]["end"] not in ("last-chunk", "content-length")
        exchange = _exchange(f"{folder.name}/{path.stem}", request, path.read_bytes(), broken)
        assert exchange.body.decode() == data["body"], exchange.name
        yield exchange


def _bodies_with_headers(folder: Path) -> Iterator[Exchange]:
    for path in sorted(folder.glob("*.json")):
        data = {} if ".body." in path.name else json.loads(path.read_text("utf-8"))
        request = _asked(data)
        if request is None:
            continue
        response = data["response"]
        # The client of this recording left; a server that breaks off looks the same.
        broken = "clientClosedAfterMs" in data
        body = (folder / response["bodyFile"]).read_bytes()
        assert len(body) == response["bodyBytes"], path.name
        head = [
            response["statusLine"],
            *(f"{name}: {value}" for name, value in response["headers"]),
        ]
        names = {name.lower() for name, _ in response["headers"]}
        if "transfer-encoding" in names:
            wire = chunked(_split(body, response["httpChunkSizes"]))
            wire += b"" if broken else b"0\r\n\r\n"
        else:
            assert "content-length" in names, path.name
            wire = body
        raw = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + wire
        yield _exchange(f"{folder.name}/{path.stem}", request, raw, broken)


def _split(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield body[start : start + size]
        start += size
    assert start == len(body)

"""Uploading a file: where it comes from, where it goes, and who sees the key."""

from __future__ import annotations

import io
import json
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

import fastgpt_client as f
from fastgpt_client import AsyncChatClient, InvalidArgumentError, user
from fastgpt_client._sources import CHUNK_BYTES
from fastgpt_client.testing import FakeFastGPT, RawResponse, Refusal, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastgpt_client.testing import RecordedRequest

pytestmark = pytest.mark.anyio

TICKET = "/api/core/chat/file/presignChatFilePostUrl"
READ = "/api/core/chat/file/presignChatFileGetUrl"
PLACE = "/bucket/chat/notes.txt"
HEADERS = {"x-amz-meta-origin-filename": "notes%20%E7%AC%94.txt", "Content-Type": "text/plain"}


@attrs.define(eq=False)
class Shop:
    """A FastGPT server, its file store, and a client."""

    server: FakeFastGPT
    store: FakeFastGPT
    client: AsyncChatClient

    def ticket(self, **changes: Any) -> None:
        ticket = {
            "url": f"{self.store.base_url}{PLACE}?X-Amz-Signature=s%2F1",
            "key": "chat/key.txt",
            "headers": HEADERS,
            "maxSize": 1_000_000,
        }
        self.server.route("POST", TICKET, {**ticket, **changes})

    async def upload(self, file: Any, **options: Any) -> f.UploadedFile:
        return await self.client.upload(file, chat_id="c", **options)

    @property
    def stored(self) -> RecordedRequest:
        (request,) = self.store.requests
        return request


@pytest.fixture
async def shop(http_client_factory: Callable[[], Any]) -> AsyncIterator[Shop]:
    with anyio.fail_after(10):
        async with opened(http_client_factory) as made:
            yield made


@asynccontextmanager
async def opened(http_client_factory: Callable[[], Any]) -> AsyncIterator[Shop]:
    async with (
        FakeFastGPT() as server,
        FakeFastGPT() as store,
        http_client_factory() as http,
        AsyncChatClient(
            server.api_key, server.base_url, app_id=server.app_id, http_client=http
        ) as client,
    ):
        # What a caller's own client sends along must not reach the file store.
        http.headers["X-Secret"] = "secret"
        http.cookies.set("session", "secret")
        http.auth = ("user", "secret")
        shop = Shop(server, store, client)
        shop.ticket()
        server.route("POST", READ, lambda request: f"https://read/{request.json['key']}")
        store.route("PUT", PLACE, Status(200, b""), check_key=False)
        store.route("POST", PLACE, Status(204, b""), check_key=False)
        yield shop
        assert not [one for one in http._transport._pool.connections if not one.is_idle()]


def source(kind: str, folder: Path, data: bytes) -> Any:
    """The same file in each of the forms in which it may be given."""
    path = folder / "notes.txt"
    path.write_bytes(data)
    if kind == "seek":
        named = io.BytesIO(b"skipped" + data)
        named.seek(7)
        named.name = str(path)
        return named
    if kind == "open":
        return path.open("rb")
    return {"path": path, "text": str(path), "bytes": data}[kind]


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "open", "seek"])
@pytest.mark.parametrize("size", [0, 3, CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
async def test_a_file_goes_to_the_store_with_exactly_the_headers_of_the_ticket(
    kind: str, size: int, shop: Shop, tmp_path: Path
) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    file = source(kind, tmp_path, data)
    seen: list[tuple[int, int]] = []
    try:
        uploaded = await shop.upload(
            file,
            name="notes.txt" if kind == "bytes" else None,
            progress=lambda sent, whole: seen.append((sent, whole)),
        )
    finally:
        if hasattr(file, "close"):
            assert not file.closed
            file.close()
    assert uploaded == f.UploadedFile(
        key="chat/key.txt",
        url="https://read/chat/key.txt",
        name="notes.txt",
        content_type="text/plain",
        size=size,
    )
    request = shop.stored
    assert (request.method, request.path, request.body) == ("PUT", PLACE, data)
    assert request.target.endswith("?X-Amz-Signature=s%2F1")
    names = {name for name, _ in request.headers}
    assert names <= {"host", "content-length", "content-type", "x-amz-meta-origin-filename"}
    assert {name: request.header(name) for name in HEADERS} == HEADERS
    assert seen == [
        (min(n, size), size) for n in range(CHUNK_BYTES, size + CHUNK_BYTES, CHUNK_BYTES)
    ]
    asked = shop.server.requests[0].json
    assert (asked["filename"], asked["chatId"], asked["appId"]) == (
        "notes.txt",
        "c",
        shop.server.app_id,
    )


async def test_an_older_ticket_is_used_as_a_form(shop: Shop, tmp_path: Path) -> None:
    fields = {"key": "chat/old.txt", "policy": "p", "x-amz-signature": "s"}
    shop.ticket(fields=fields, headers=None, key=None)
    uploaded = await shop.upload(source("path", tmp_path, b"words"))
    assert uploaded.key == "chat/old.txt"
    request = shop.stored
    assert request.method == "POST"
    boundary = (request.header("content-type") or "").partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [
        *(value.encode() + b"\r\n" for value in fields.values()),
        b"words\r\n",
    ]
    assert b'name="file"; filename="notes.txt"\r\nContent-Type: text/plain' in parts[-2]
    assert parts[-1] == b"--\r\n"
    assert "secret" not in str(request.headers)


async def test_a_preview_url_spares_the_question_where_to_read(shop: Shop) -> None:
    shop.ticket(previewUrl="https://preview/x")
    assert (await shop.upload(b"x", name="a.png")).url == "https://preview/x"
    assert [request.path for request in shop.server.requests] == [TICKET]


async def test_an_uploaded_file_goes_into_a_message(shop: Shop) -> None:
    uploaded = await shop.upload(b"x", name="notes.txt")
    await shop.client.ask([user("what is in it?", files=[uploaded])])
    content = shop.server.requests[-1].json["messages"][0]["content"]
    assert content[1] == {
        "type": "file_url",
        "name": "notes.txt",
        "url": "https://read/chat/key.txt",
        "key": "chat/key.txt",
    }


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_a_refusal_of_the_store_says_so(status: int, shop: Shop) -> None:
    body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    refusal = Status(status, body, content_type="application/xml")
    shop.store.route("PUT", PLACE, refusal, check_key=False)
    with pytest.raises(f.APIError, match=r"file store refused.*expired") as caught:
        await shop.upload(b"x", name="a.txt")
    assert caught.value.status_code == status


async def test_a_redirect_of_the_store_is_not_followed(shop: Shop) -> None:
    elsewhere = Status(307, b"", headers={"Location": f"{shop.server.base_url}/other"})
    shop.store.route("PUT", PLACE, elsewhere, check_key=False)
    with pytest.raises(f.APIError, match="redirects"):
        await shop.upload(b"x", name="a.txt")


async def test_a_refused_ticket_sends_nothing_to_the_store(shop: Shop) -> None:
    shop.server.route("POST", TICKET, Refusal("x", 514, "unAuthApiKey"))
    with pytest.raises(f.AuthenticationError):
        await shop.upload(b"x", name="a.txt")
    assert shop.store.requests == []


async def test_a_file_that_is_too_large_is_not_sent(shop: Shop) -> None:
    shop.ticket(maxSize=4)
    with pytest.raises(InvalidArgumentError, match=r"5 bytes.*takes 4") as caught:
        await shop.upload(b"12345", name="a.txt")
    assert caught.value.field == "file"
    assert shop.store.requests == []


@pytest.mark.parametrize(
    ("file", "options", "field"),
    [
        (Path("/nowhere/at-all.txt"), {}, "file"),
        ("", {}, "file"),
        (Path("/"), {}, "name"),
        (Path("/"), {"name": "x"}, "file"),
        (b"x", {}, "name"),
        (b"x", {"name": " "}, "name"),
        (b"x", {"name": "a\nb"}, "name"),
        (io.BytesIO(b"x"), {}, "name"),
        (io.StringIO("x"), {"name": "a.txt"}, "file"),
        (3, {}, "file"),
        (None, {}, "file"),
        (b"x", {"name": "a", "timeout": 0}, "timeout"),
        (b"x", {"name": "a", "progress": 5}, "progress"),
        (b"x", {"name": "a", "app_id": "zzz"}, "app_id"),
    ],
)
async def test_what_cannot_be_uploaded_is_refused_before_anything_is_sent(
    file: Any, options: dict[str, Any], field: str, shop: Shop
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await shop.upload(file, **options)
    assert caught.value.field in (field, "name") if file == "" else caught.value.field == field
    assert shop.server.requests == []


async def test_an_upload_needs_app_and_chat(shop: Shop) -> None:
    async with AsyncChatClient("k") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await client.upload(b"x", chat_id="c", name="a")
        assert caught.value.field == "app_id"
    with pytest.raises(InvalidArgumentError) as caught:
        await shop.client.upload(b"x", chat_id="", name="a")
    assert caught.value.field == "chat_id"


class Unseekable(io.RawIOBase):
    name = "pipe.txt"

    def readable(self) -> bool:
        return True


async def test_a_file_that_cannot_be_sought_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidArgumentError, match="seekable") as caught:
        await shop.upload(Unseekable())
    assert caught.value.field == "file"


class Shrinking(io.BytesIO):
    name = "a.txt"

    def read(self, size: int | None = -1) -> bytes:
        return b""


class Unplugged(io.BytesIO):
    name = "a.txt"

    def read(self, size: int | None = -1) -> bytes:
        if size:
            raise OSError("the drive is gone")
        return b""


async def test_a_file_that_cannot_be_read_to_its_end_is_told_as_that(shop: Shop) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'a\.txt' cannot be read: the drive is gone"):
        await shop.upload(Unplugged(b"12345"))


async def test_a_store_that_is_not_there_is_no_fault_of_the_file(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}{PLACE}"
    shop.ticket(url=nowhere)
    with pytest.raises(f.ConnectError):
        await shop.upload(b"x", name="a.txt")


async def test_a_file_that_becomes_shorter_is_told_as_that(shop: Shop) -> None:
    with pytest.raises(InvalidArgumentError, match="become shorter"):
        await shop.upload(Shrinking(b"12345"))


async def test_an_error_of_the_progress_callback_comes_out_as_itself(shop: Shop) -> None:
    def broken(sent: int, whole: int) -> None:
        raise ZeroDivisionError(sent)

    with pytest.raises(ZeroDivisionError):
        await shop.upload(b"x" * 10, name="a.txt", progress=broken)


async def test_an_upload_that_takes_too_long_is_a_timeout(shop: Shop) -> None:
    async def never(_: RecordedRequest) -> None:
        await anyio.sleep_forever()

    shop.store.route("PUT", PLACE, never, check_key=False)
    with pytest.raises(f.ReplyTimeoutError, match=r"'a\.txt' was not uploaded") as caught:
        await shop.upload(b"x", name="a.txt", timeout=0.2)
    assert caught.value.clock == "total"


async def test_reading_a_file_does_not_hold_the_event_loop_up(shop: Shop) -> None:
    free = anyio.Event()
    in_time = []

    class Slow(io.BytesIO):
        name = "a.txt"

        def read(self, size: int | None = -1) -> bytes:
            if size != 0:
                # Only the event loop can let this thread go on.
                in_time.append(anyio.from_thread.run(wait))
            return super().read(size)

    async def wait() -> bool:
        with anyio.move_on_after(2):
            await free.wait()
            return True
        return False

    async with anyio.create_task_group() as group:
        group.start_soon(shop.upload, Slow(b"12345"))
        await shop.server.wait_request()
        free.set()
    assert in_time == [True]
    assert shop.stored.body == b"12345"


async def test_the_recorded_ticket_and_answer_of_the_store_are_understood(
    shop: Shop, captures: Path
) -> None:
    folder = captures / "captures-4.14"
    for name in ("txt", "png", "exe", "noext", "slash"):
        ticket = json.loads(json.loads((folder / f"file_presign_{name}.json").read_text())["body"])
        put = json.loads((folder / f"file_put_{name}.json").read_text())
        # What was taken out of the recording stands in angle brackets.
        path = put["request_head"].split()[1].replace("<", "").replace(">", "")
        shop.server.route("POST", TICKET, {**ticket["data"], "url": shop.store.base_url + path})
        answer = RawResponse(put["response"].encode(), close=True)
        shop.store.route("PUT", path.partition("?")[0], answer, check_key=False)
        data = b"x" * put["sent_bytes"]
        uploaded = await shop.upload(data, name="recorded.txt")
        assert uploaded.key == ticket["data"]["key"]
        request = shop.store.requests[-1]
        recorded = dict(
            line.split(": ", 1) for line in put["request_head"].split("\r\n")[1:] if line
        )
        del recorded["Host"], recorded["Connection"]
        assert {key: request.header(key) for key in recorded} == recorded
        assert request.header("authorization") is None
        assert request.target == path

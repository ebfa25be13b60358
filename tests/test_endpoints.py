"""The endpoints around the chat: homes, errors, limits, paging, and what is refused at once."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import fastgpt_client as f
from fastgpt_client import AsyncChatClient, InvalidArgumentError, endpoints
from fastgpt_client._call import MAX_ANSWER_BYTES
from fastgpt_client.testing import FakeFastGPT, RawResponse, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastgpt_client.testing import RecordedRequest

pytestmark = pytest.mark.anyio

A = "65f0000000000000000000aa"
OLD = "/api/core/chat/getHistories"
NEW = "/api/core/chat/history/getHistories"
INIT = "/api/core/chat/init"


@asynccontextmanager
async def talking(
    http_client_factory: Callable[[], Any], **options: Any
) -> AsyncIterator[tuple[FakeFastGPT, AsyncChatClient]]:
    with anyio.fail_after(5):
        async with (
            FakeFastGPT() as server,
            http_client_factory() as http,
            AsyncChatClient(server.api_key, server.base_url, http_client=http, **options) as client,
        ):
            yield server, client
            assert not open_connections(http)


def open_connections(http: Any) -> list[Any]:
    return [one for one in http._transport._pool.connections if not one.is_idle()]


# --- homes ----------------------------------------------------------------------------------------


async def test_another_home_is_tried_when_the_server_has_no_such_page_and_is_remembered(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", NEW, {"total": 0, "list": []})
        for _ in range(2):
            page = await client.call(endpoints.histories(A))
            assert page.items == ()
        assert [request.path for request in server.requests] == [OLD, NEW, NEW]


async def test_a_home_that_is_gone_later_is_looked_for_again(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", NEW, {"total": 0, "list": []})
        await client.call(endpoints.histories(A))
        server.route("POST", NEW, Status(404, "<html>", content_type="text/html"))
        server.route("POST", OLD, {"total": 1, "list": [{"chatId": "c"}]})
        page = await client.call(endpoints.histories(A))
        assert [chat.chat_id for chat in page.items] == ["c"]


async def test_a_refusal_of_fastgpt_itself_sends_nobody_elsewhere(
    http_client_factory: Callable[[], Any],
) -> None:
    refusal = {"code": 404, "statusText": "error", "message": "no such chat", "data": None}
    async with talking(http_client_factory) as (server, client):
        server.route("POST", OLD, Status(404, refusal))
        with pytest.raises(f.NotFoundError, match="no such chat") as caught:
            await client.call(endpoints.histories(A))
        assert caught.value.code == 404
        assert len(server.requests) == 1


async def test_a_missing_endpoint_names_its_homes_and_what_to_do_instead(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (_, client):
        with pytest.raises(f.NotFoundError, match=f"{OLD} or {NEW}") as caught:
            await client.call(endpoints.histories(A))
        assert caught.value.status_code == 404
        assert caught.value.code is None
        with pytest.raises(f.NotFoundError, match=r"delete_chat\(\)"):
            await client.call(endpoints.erase_chats(A, ["c"]))


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["<!DOCTYPE html><p>login", "hello", ""])
async def test_something_else_than_json_is_a_protocol_error_that_shows_its_beginning(
    body: str, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, Status(200, body, content_type="text/html"))
        with pytest.raises(f.ProtocolError, match="instead of JSON") as caught:
            await client.call(endpoints.chat_details(A, "c"))
        assert repr(body) in str(caught.value)


@pytest.mark.parametrize(
    ("call", "data"),
    [
        (endpoints.chat_details(A, "c"), []),
        (endpoints.histories(A), None),
        (endpoints.histories(A), {"list": {}}),
        (endpoints.records(A, "c"), {}),
        (endpoints.node_responses(A, "c", "d"), "x"),
        (endpoints.node_responses(A, "c", "d"), [1]),
        (endpoints.quotes(A, "c", "d", quote_ids=[], collection_ids=[]), {}),
        (endpoints.feedback_ids(A, "c"), []),
        (endpoints.upload_ticket(A, "c", "a.txt"), {}),
        (endpoints.upload_ticket(A, "c", "a.txt"), {"url": "ftp://h", "key": "k"}),
        (
            endpoints.upload_ticket(A, "c", "a.txt"),
            {"url": "http://h", "key": "k", "uploadMode": "multipart"},
        ),
        (endpoints.file_url(A, "c", "k"), None),
        (endpoints.suggested_questions(A, "c"), {}),
        (endpoints.stop_run(A, "c"), None),
        (endpoints.key_app("k"), []),
        (endpoints.transcription(A, b"x", duration=1), None),
    ],
)
async def test_an_answer_of_another_shape_is_a_protocol_error_that_names_the_endpoint(
    call: f.Call[Any], data: Any, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route(call.method, call.paths[0], data)
        with pytest.raises(f.ProtocolError, match=call.paths[0]) as caught:
            await client.call(call)
        assert type(caught.value) is f.ProtocolError


@pytest.mark.parametrize(
    "row",
    [{}, {"chatId": 1, "title": [], "top": "yes", "updateTime": "soon", "hasBeenRead": 3}],
)
async def test_fields_of_an_unexpected_type_count_as_absent(
    row: dict[str, Any], http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", OLD, {"list": [row, "no object"]})
        page = await client.call(endpoints.histories(A))
        (chat,) = page.items
        assert (chat.chat_id, chat.name, chat.pinned, chat.updated) == ("", "", False, None)
        assert page.total is None


async def test_a_refusal_of_the_servers_schema_names_the_fields(
    http_client_factory: Callable[[], Any],
) -> None:
    problems = [
        {"path": ["chatIds", 0], "message": "expected string"},
        {"path": ["appId"], "message": "must match pattern"},
        "odd",
    ]
    refusal = {"code": 400, "message": "Data validation error", "zodError": problems}
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, Status(500, refusal))
        with pytest.raises(f.ValidationError) as caught:
            await client.call(endpoints.chat_details(A, "c"))
        words = "Data validation error (chatIds.0: expected string; appId: must match pattern)"
        assert words in str(caught.value)


async def test_errors_on_http_200_are_errors(http_client_factory: Callable[[], Any]) -> None:
    old = {"code": 514, "statusText": "unAuthApiKey", "message": "x", "data": None}
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, Status(200, old))
        with pytest.raises(f.AuthenticationError):
            await client.call(endpoints.chat_details(A, "c"))


async def test_a_rate_limit_tells_how_long_to_wait(http_client_factory: Callable[[], Any]) -> None:
    words = {"code": 429, "message": "Rate limit exceeded. Please try again in 7 seconds."}
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, Status(429, words))
        with pytest.raises(f.RateLimitError) as caught:
            await client.call(endpoints.chat_details(A, "c"))
        assert caught.value.retry_after == 7


async def test_a_redirect_is_not_followed(http_client_factory: Callable[[], Any]) -> None:
    elsewhere = Status(308, "", headers={"Location": "/elsewhere"})
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, elsewhere)
        with pytest.raises(f.APIError, match="redirects to '/elsewhere'"):
            await client.call(endpoints.chat_details(A, "c"))
        assert len(server.requests) == 1


async def test_the_key_is_in_no_error_and_no_log(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, Status(500, f"key {server.api_key} is bad"))
        with pytest.raises(f.ServerError) as caught:
            await client.call(endpoints.chat_details(A, "c"))
        assert server.api_key not in str(caught.value)
        call = endpoints.key_app(server.api_key)
        server.route("GET", "/api/support/openapi/health", {"appId": A})
        assert await client.call(call) == A
        assert server.requests[-1].query == {"apiKey": server.api_key}
        assert server.api_key not in repr(call)
        ours = [r for r in caplog.records if r.name.startswith("fastgpt_client")]
        assert ours
        assert not any(server.api_key in record.getMessage() for record in ours)


async def test_an_answer_that_is_too_large_is_given_up(
    http_client_factory: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastgpt_client._exchange.MAX_ANSWER_BYTES", 10_000)
    assert MAX_ANSWER_BYTES > 10_000
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, Status(200, "x" * 1_000_000))
        with pytest.raises(f.ReplyTooLargeError):
            await client.call(endpoints.chat_details(A, "c"))


@pytest.mark.parametrize("cut", [20, 300])
async def test_an_answer_that_breaks_off_is_a_transport_error(
    cut: int, http_client_factory: Callable[[], Any]
) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 400
    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, RawResponse(whole[:cut], close=True))
        with pytest.raises(f.ReplyInterruptedError):
            await client.call(endpoints.chat_details(A, "c"))


async def test_a_server_that_is_not_there_is_a_connect_error(
    http_client_factory: Callable[[], Any],
) -> None:
    async with FakeFastGPT() as server:
        url = server.base_url
    async with http_client_factory() as http, AsyncChatClient("k", url, http_client=http) as client:
        with pytest.raises(f.ConnectError), anyio.fail_after(5):
            await client.call(endpoints.chat_details(A, "c"))


async def test_a_missing_key_and_a_closed_client_are_told_without_sending(
    http_client_factory: Callable[[], Any],
) -> None:
    async with FakeFastGPT() as server, http_client_factory() as http:
        async with AsyncChatClient("", server.base_url, http_client=http) as client:
            with pytest.raises(f.AuthenticationError, match="nothing was sent"):
                await client.call(endpoints.chat_details(A, "c"))
        with pytest.raises(f.UsageError, match="closed"):
            await client.call(endpoints.chat_details(A, "c"))
        assert server.requests == []


# --- limits ---------------------------------------------------------------------------------------


async def test_a_call_that_takes_too_long_is_a_timeout_of_its_own(
    http_client_factory: Callable[[], Any],
) -> None:
    async def never(_: RecordedRequest) -> None:
        await anyio.sleep_forever()

    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, never)
        with pytest.raises(f.ReplyTimeoutError, match=INIT) as caught:
            await client.call(endpoints.chat_details(A, "c"), timeout=0.1)
        assert (caught.value.clock, caught.value.seconds) == ("total", 0.1)
        await server.wait_disconnect()


async def test_cancelling_a_call_closes_its_connection(
    http_client_factory: Callable[[], Any],
) -> None:
    async def never(_: RecordedRequest) -> None:
        await anyio.sleep_forever()

    async with talking(http_client_factory) as (server, client):
        server.route("GET", INIT, never)
        async with anyio.create_task_group() as group:
            group.start_soon(client.call, endpoints.chat_details(A, "c"))
            await server.wait_request()
            group.cancel_scope.cancel()
        await server.wait_disconnect()


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan")])
async def test_a_limit_must_be_a_positive_number(timeout: Any) -> None:
    async with AsyncChatClient("k") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await client.call(endpoints.chat_details(A, "c"), timeout=timeout)
    assert caught.value.field == "timeout"


# --- paging ---------------------------------------------------------------------------------------


def shelf(count: int) -> Callable[[RecordedRequest], Any]:
    """A list of so many chats, or of records with the newest page first."""

    def page(request: RecordedRequest) -> Any:
        asked = request.json
        start, size = asked["offset"], asked["pageSize"]
        items: list[dict[str, Any]]
        if "chatId" in asked:
            newest_first = [{"dataId": f"d{n}", "obj": "AI", "value": []} for n in range(count)]
            items = newest_first[start : start + size][::-1]
        else:
            items = [{"chatId": f"c{n}"} for n in range(count)][start : start + size]
        return {"list": items, "total": count}

    return page


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
async def test_all_pages_are_iterated_once(
    count: int, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", OLD, shelf(count))
        chats = client.iterate(endpoints.histories(A, page_size=3))
        assert [chat.chat_id async for chat in chats] == [f"c{n}" for n in range(count)]
        with pytest.raises(StopAsyncIteration):
            await anext(chats)
        assert len(server.requests) == max(1, -(-count // 3))


async def test_an_item_that_is_waited_for_in_vain_is_the_next_one(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", OLD, shelf(4))
        chats = client.iterate(endpoints.histories(A, page_size=3))
        found = [(await anext(chats)).chat_id]
        with anyio.CancelScope() as scope:
            scope.cancel()
            found.append((await anext(chats)).chat_id)
        assert scope.cancelled_caught
        assert repr(chats) == "<PageIterator, next /api/core/chat/getHistories>"
        found += [chat.chat_id async for chat in chats]
        assert found == ["c0", "c1", "c2", "c3"]
        assert repr(chats) == "<PageIterator, at its last page>"


async def test_records_are_iterated_from_the_newest_back(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", "/api/core/chat/getPaginationRecords", shelf(5))
        records = client.iterate(endpoints.records(A, "c", page_size=2))
        assert [record.data_id async for record in records] == ["d0", "d1", "d2", "d3", "d4"]
        page = await client.call(endpoints.records(A, "c", page_size=2))
        assert [record.data_id for record in page.items] == ["d1", "d0"]


async def test_a_list_without_a_total_ends_at_a_page_that_is_not_full(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", OLD, lambda request: {"list": shelf(4)(request)["list"]})
        chats = client.iterate(endpoints.histories(A, page_size=3))
        assert len([chat async for chat in chats]) == 4


async def test_records_beside_one_lead_to_those_before_and_after(
    http_client_factory: Callable[[], Any],
) -> None:
    path = "/api/core/chat/record/getRecords_v2"
    rows: list[Any] = [{"dataId": name, "obj": "AI", "value": []} for name in ("b", "c")]
    async with talking(http_client_factory) as (server, client):
        server.route("POST", path, {"list": rows, "hasMorePrev": True, "hasMoreNext": True})
        page = await client.call(endpoints.records_around(A, "x", around="b", page_size=2))
        assert page.next is not None
        assert page.previous is not None
        await client.call(page.next)
        await client.call(page.previous)
        places = [
            {
                key: body[key]
                for key in body
                if key.endswith("Id") and key not in ("appId", "chatId")
            }
            for body in (request.json for request in server.requests)
        ]
        assert places == [{"initialId": "b"}, {"nextId": "c"}, {"prevId": "b"}]


# --- refused before anything is sent --------------------------------------------------------------

LONG = "c" * 1025


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: endpoints.histories("zzz"), "app_id"),
        (lambda: endpoints.histories("5" * 25), "app_id"),
        (lambda: endpoints.histories(None), "app_id"),  # type: ignore[arg-type]
        (lambda: endpoints.histories(A, source="phone"), "source"),
        (lambda: endpoints.histories(A, offset=-1), "offset"),
        (lambda: endpoints.histories(A, page_size=0), "page_size"),
        (lambda: endpoints.histories(A, page_size=True), "page_size"),
        (lambda: endpoints.chat_details(A, LONG), "chat_id"),
        (lambda: endpoints.chat_details(A, ""), "chat_id"),
        (lambda: endpoints.chat_details(A, None), "chat_id"),  # type: ignore[arg-type]
        (lambda: endpoints.update_chat(A, "c"), "custom_title"),
        (lambda: endpoints.update_chat(A, "c", custom_title=3), "custom_title"),  # type: ignore[arg-type]
        (lambda: endpoints.update_chat(A, "c", pinned="yes"), "pinned"),  # type: ignore[arg-type]
        (lambda: endpoints.erase_chats(A, []), "chat_ids"),
        (lambda: endpoints.erase_chats(A, "abc"), "chat_ids"),  # type: ignore[arg-type]
        (lambda: endpoints.erase_chats(A, ["c", ""]), "chat_ids[1]"),
        (lambda: endpoints.chat_statuses(A, ["c"] * 201), "chat_ids"),
        (lambda: endpoints.clear_histories(app_id=""), "app_id"),
        (lambda: endpoints.records(A, "c", page_size=0), "page_size"),
        (lambda: endpoints.records_around(A, "c", around="a", before="b"), "around"),
        (lambda: endpoints.node_responses(A, "c", " "), "data_id"),
        (lambda: endpoints.delete_record(A, "c", ""), "data_id"),
        (lambda: endpoints.give_feedback(A, "c", ""), "data_id"),
        (lambda: endpoints.give_feedback(A, "c", "d", good=True), "good"),  # type: ignore[arg-type]
        (lambda: endpoints.feedback_ids(A, "c", kind="ugly"), "kind"),  # type: ignore[arg-type]
        (
            lambda: endpoints.quotes(A, "c", "d", quote_ids=["q"] * 201, collection_ids=[]),
            "quote_ids",
        ),
        (lambda: endpoints.collection_quotes(A, "c", "d", "e", page_size=31), "page_size"),
        (lambda: endpoints.upload_ticket(A, "c", ""), "filename"),
        (lambda: endpoints.speech(A, "", model="m", voice="v"), "text"),
        (lambda: endpoints.speech(A, "x", model="m", voice="v", speed=0), "speed"),
        (lambda: endpoints.transcription(A, b"", duration=1), "audio"),
        (lambda: endpoints.transcription(A, b"x", duration=0), "duration"),
        (lambda: endpoints.transcription(A, b"x", duration=1, content_type="a\nb"), "content_type"),
        (lambda: endpoints.suggested_questions(A, "c", model=""), "model"),
        (lambda: endpoints.suggested_questions_for([]), "messages"),
        (lambda: endpoints.key_app(""), "api_key"),
    ],
)
def test_a_bad_argument_is_refused_with_its_name(build: Callable[[], Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        build()
    assert caught.value.field == field


def test_clearing_all_histories_must_name_the_app() -> None:
    with pytest.raises(TypeError):
        endpoints.clear_histories(A)  # type: ignore[call-arg]
    assert endpoints.clear_histories(app_id=A).query == {"appId": A}


# --- request() ------------------------------------------------------------------------------------


async def test_any_endpoint_can_be_called(http_client_factory: Callable[[], Any]) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("PUT", "/api/some/thing", lambda r: {"query": r.query, "body": r.json})
        query = {"a": 1, "b": True, "c": None, "d": "空 格&x=1"}
        told = await client.request("put", "/api/some/thing", query=query, json={"x": [1]})
        assert told == {"query": {"a": "1", "b": "true", "d": "空 格&x=1"}, "body": {"x": [1]}}


async def test_any_answer_is_taken_in_json_without_an_envelope_and_in_bytes(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("GET", "/api/list", Status(200, [1, 2]))
        server.route("POST", "/api/bytes", Status(200, b"\x00\xff"))
        assert await client.request("GET", "/api/list") == [1, 2]
        sent = await client.request(
            "POST", "/api/bytes", body=b"raw", content_type="audio/mpeg", binary=True
        )
        assert sent == b"\x00\xff"
        assert server.requests[-1].body == b"raw"
        assert server.requests[-1].header("content-type") == "audio/mpeg"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("GET", "http://elsewhere/api"), "path"),
        (("GET", "//elsewhere/api"), "path"),
        (("GET", "@elsewhere/api"), "path"),
        (("GET", "api/x"), "path"),
        (("GET", "/api/x?y=1"), "path"),
        (("GET", "/api/x y"), "path"),
        (("GET", "/api/x\r\nHost: elsewhere"), "path"),
        (("GET", "/api\\x"), "path"),
        (("GET", None), "path"),
        (("GET /x", "/api"), "method"),
        (("", "/api"), "method"),
    ],
)
async def test_a_path_that_could_lead_elsewhere_is_refused(
    arguments: tuple[Any, Any], field: str
) -> None:
    async with AsyncChatClient("k") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await client.request(*arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"json": {}, "body": b""}, "body"),
        ({"body": "text"}, "body"),
        ({"query": [("a", 1)]}, "query"),
        ({"query": {"a": []}}, "query['a']"),
        ({"json": object()}, "json"),
        ({"content_type": "a\r\nX: 1", "body": b""}, "content_type"),
    ],
)
async def test_a_bad_part_of_a_request_is_refused(options: Any, field: str) -> None:
    async with AsyncChatClient("k") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await client.request("POST", "/api/x", **options)
    assert caught.value.field == field


async def test_only_a_call_can_be_called() -> None:
    async with AsyncChatClient("k") as client:
        with pytest.raises(InvalidArgumentError):
            await client.call("getHistories")  # type: ignore[arg-type]


# --- what is sent ---------------------------------------------------------------------------------


async def test_a_transcription_is_a_form_with_the_names_of_both_versions(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", "/api/v1/audio/transcriptions", "the words")
        call = endpoints.transcription(A, b"\x00sound", duration=2.5, filename='a"b.mp3')
        assert await client.call(call) == "the words"
        request = server.requests[-1]
        kind = request.header("content-type") or ""
        assert kind.startswith("multipart/form-data; boundary=")
        boundary = kind.partition("boundary=")[2].encode()
        first, second = request.body.split(b"--" + boundary)[1:3]
        data = json.loads(first.partition(b"\r\n\r\n")[2])
        assert data == {"appId": A, "sourceType": "app", "sourceId": A, "duration": 2.5}
        assert b'name="file"; filename="a%22b.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n' in second
        assert second.endswith(b"\r\n\r\n\x00sound\r\n")
        assert request.body.endswith(b"--" + boundary + b"--\r\n")


async def test_speech_is_bytes_even_without_a_content_type(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        server.route("POST", "/api/core/chat/item/getSpeech", Status(200, b"\x00mp3"))
        call = endpoints.speech(A, "hello", model="m", voice="v")
        assert await client.call(call) == b"\x00mp3"
        server.route(
            "POST",
            "/api/core/chat/item/getSpeech",
            Status(200, "<html>", content_type="text/html"),
        )
        with pytest.raises(f.ProtocolError, match="instead of bytes"):
            await client.call(call)


# --- what comes back ------------------------------------------------------------------------------


def test_a_record_says_its_text_and_its_reasoning() -> None:
    value = [{"reasoning": {"content": "hm"}}, {"text": {"content": "yes"}}]
    saved = {"list": [{"dataId": "d", "obj": "AI", "value": value}], "total": 1}
    page = endpoints.records(A, "c").read(saved)
    assert len(page) == 1
    assert [(record.text, record.reasoning) for record in page.items] == [("yes", "hm")]


def test_a_chat_without_a_title_is_one_that_the_server_does_not_know() -> None:
    read = endpoints.chat_details(A, "c").read
    assert not read({"chatId": "c", "app": {}}).exists
    assert read({"chatId": "c", "app": {}, "title": ""}).exists


def test_the_pages_of_a_collection_lead_to_those_beside_them() -> None:
    found = {
        "list": [{"_id": "1", "anchor": 4}, {"_id": "2", "anchor": 5}],
        "hasMorePrev": True,
        "hasMoreNext": True,
    }
    page = endpoints.collection_quotes(A, "c", "d", "e", around="1", page_size=2).read(found)
    assert page.previous is not None
    assert page.next is not None
    bodies = [json.loads(call.body or b"") for call in (page.previous, page.next)]
    asked = [(body.get("prevId"), body.get("nextId"), body["anchor"]) for body in bodies]
    assert asked == [("1", None, 4), (None, "2", 5)]
    assert [body["pageSize"] for body in bodies] == [2, 2]
    alone = endpoints.collection_quotes(A, "c", "d", "e").read({"list": found["list"]})
    assert (alone.previous, alone.next) == (None, None)


@pytest.mark.parametrize(
    "options, guide",
    [
        ({}, None),
        ({"model": "m"}, {"open": True, "model": "m"}),
        ({"prompt": "p"}, {"open": True, "customPrompt": "p"}),
    ],
)
def test_questions_are_suggested_by_the_apps_own_guide_or_by_what_is_said(
    options: dict[str, str], guide: object
) -> None:
    body = json.loads(endpoints.suggested_questions(A, "c", **options).body or b"")
    assert body.get("questionGuide") == guide


def test_a_transcription_may_belong_to_a_chat() -> None:
    assert b'"chatId":"c1"' in (
        endpoints.transcription(A, b"x", duration=1, chat_id="c1").body or b""
    )

"""How the fake server says no; every expectation is written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fastgpt_client.testing import (
    FakeFastGPT,
    NodeResponse,
    Refusal,
    Script,
    Status,
)

from .raw_http import SECURITY_HEADERS, V1, V2, connect, post, question

pytestmark = pytest.mark.anyio

BAD_KEY = (
    '{"code":514,"statusText":"unAuthApiKey",'
    '"message":"common:code_error.error_message.514","data":null}'
)
NO_KEY = (
    '{"code":403,"statusText":"unAuthorization",'
    '"message":"common:code_error.error_message.403","data":null}'
)


@pytest.mark.parametrize("path", [V1, V2])
async def test_a_wrong_key_on_a_stream_is_http_200_with_an_error_frame_and_no_content_type(
    path: str,
) -> None:
    async with FakeFastGPT() as server:
        response = await post(server, path, question(stream=True), key="fastgpt-wrong")
        assert server.runs == []
    assert response.status_line == "HTTP/1.1 200 OK"
    assert response.header("Content-Type") is None
    assert response.text == f"event: error\ndata: {BAD_KEY}\n\n"
    assert [name for name, _ in response.headers] == [
        *SECURITY_HEADERS,
        "x-request-id",
        "Date",
        "Connection",
        "Keep-Alive",
        "Transfer-Encoding",
    ]


async def test_a_wrong_key_without_a_stream_is_http_500() -> None:
    async with FakeFastGPT() as server:
        response = await post(server, V1, question(), key="fastgpt-wrong")
    assert response.status_line == "HTTP/1.1 500 Internal Server Error"
    assert response.text == BAD_KEY
    assert response.header("Keep-Alive") == "timeout=5"


@pytest.mark.parametrize(
    "version, status, cookie",
    [
        ("4.14.7", "HTTP/1.1 500 Internal Server Error", "fastgpt_token=; Path=/; Max-Age=0"),
        (
            "4.16.0",
            "HTTP/1.1 403 Forbidden",
            "fastgpt_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict",
        ),
    ],
)
async def test_a_missing_key_is_code_403(version: str, status: str, cookie: str) -> None:
    async with FakeFastGPT(server_version=version) as server:
        plain = await post(server, V1, question(), key=None)
        stream = await post(server, V1, question(stream=True), key=None)
    assert plain.status_line == status
    assert plain.text == NO_KEY
    assert stream.text == f"event: error\ndata: {NO_KEY}\n\n"
    assert plain.header("Set-Cookie") == stream.header("Set-Cookie") == cookie


@pytest.mark.parametrize(
    "authorization, status",
    [
        ("bearer fastgpt-test-key", 200),
        ("Anything fastgpt-test-key", 200),
        ("Bearer fastgpt-test-key-65f0000000000000000000aa", 200),
        ("fastgpt-test-key", 403),
        ("Bearer  fastgpt-test-key", 403),
        ("Bearer fastgpt-test-keys", 500),
    ],
)
async def test_the_second_word_of_authorization_is_the_key(authorization: str, status: int) -> None:
    async with FakeFastGPT() as server:
        header = (f"Authorization: {authorization}",)
        response = await post(server, V1, question(), key=None, headers=header)
    assert int(response.status_line.split()[1]) == status


@pytest.mark.parametrize("body", [{"messages": []}, {}, {"messages": None}])
async def test_missing_messages_are_an_error(body: dict[str, Any]) -> None:
    async with FakeFastGPT() as server, FakeFastGPT(server_version="4.14.7") as old:
        new = await post(server, V1, body)
        stream = await post(server, V1, {**body, "stream": True})
        older = await post(old, V2, body)
    plain = '{"code":500,"statusText":"error","message":"messages is empty","data":null'
    assert new.text == plain + ',"errorType":"UserError"}'
    assert older.text == plain + "}"
    assert "500" in new.status_line
    assert stream.text == 'event: error\ndata: {"message":"messages is empty"}\n\n'


async def test_a_plugin_app_needs_no_messages_and_always_tells_details() -> None:
    async with FakeFastGPT(plugin_app=True) as server:
        server.script(Script(NodeResponse({"moduleType": "pluginOutput"})))
        response = await post(server, V1, {"variables": {"x": 1}, "stream": True})
    assert 'event: flowResponses\ndata: [{"moduleType":"pluginOutput"}]' in response.text


async def test_broken_json_is_a_bare_400() -> None:
    async with FakeFastGPT() as server:
        response = await post(server, V2, b'{"a":')
    assert response.status_line == "HTTP/1.1 400 Invalid JSON"
    assert response.body == b"Invalid JSON"
    assert response.header("Content-Type") is None


async def test_a_schema_error_is_json_even_for_a_stream_but_only_in_new_versions() -> None:
    body = {"messages": "hi", "stream": True, "appId": "short"}
    async with FakeFastGPT() as server, FakeFastGPT(server_version="4.14.7") as old:
        new = await post(server, V1, body)
        older = await post(old, V1, body)
    assert new.status_line == "HTTP/1.1 400 Bad Request"
    assert [problem["path"] for problem in new.json["zodError"]] == [["appId"], ["messages"]]
    assert older.text == 'event: error\ndata: {"message":"messages is empty"}\n\n'


async def test_a_body_of_another_content_type_is_not_read() -> None:
    other = ("Content-Type: text/plain",)
    async with FakeFastGPT() as server, connect(server) as client:
        data = b'{"messages":[{"role":"user","content":"x"}],"stream":true}'
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n"
        await client.send(
            head % (V1.encode(), server.api_key.encode(), len(data))
            + other[0].encode()
            + b"\r\n\r\n"
            + data
        )
        response = await client.response()
    assert response.json["message"] == "messages is empty"


@pytest.mark.parametrize("version, path, limit", [("4.14.7", V1, 20), ("4.16.0", V1, 10)])
async def test_a_body_that_is_too_large_is_a_bare_413(version: str, path: str, limit: int) -> None:
    async with FakeFastGPT(server_version=version) as server:
        response = await post(server, path, b" " * (limit * 1024 * 1024 + 1))
    assert response.status_line == f"HTTP/1.1 413 Body exceeded {limit}mb limit"
    assert response.text == f"Body exceeded {limit}mb limit"


async def test_the_rate_limit_counts_down_in_headers_and_then_refuses_with_429() -> None:
    async with FakeFastGPT(rate_limit=1) as server:
        allowed = await post(server, V1, question(stream=True))
        refused = await post(server, V1, question(stream=True))
    names = [name for name, _ in allowed.headers]
    at = names.index("x-request-id")
    assert names[at + 1 : at + 4] == [
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
    ]
    assert allowed.header("X-RateLimit-Remaining") == "0"
    assert refused.status_line == "HTTP/1.1 429 Too Many Requests"
    assert refused.json["code"] == 429
    assert refused.json["message"].startswith("Rate limit exceeded. Maximum 1 requests per 60")


async def test_a_scripted_refusal_takes_the_form_that_the_request_asks_for() -> None:
    refusal = Refusal("common:code_error.app_error.not_exist", 502000, "appUnExist")
    async with FakeFastGPT() as server:
        server.script(refusal)
        plain = await post(server, V1, question())
        stream = await post(server, V1, question(stream=True))
    assert plain.json == {
        "code": 502000,
        "statusText": "appUnExist",
        "message": refusal.message,
        "data": None,
    }
    assert stream.text == f"event: error\ndata: {plain.text}\n\n"


async def test_a_status_answers_something_else_entirely() -> None:
    async with FakeFastGPT() as server:
        server.enqueue(
            Status(502, "<h1>Bad gateway</h1>", "text/html", {"Server": "proxy"}),
            Status(429, {"code": 429}),
            Status(413, "too large", reason="Body exceeded 10mb limit"),
        )
        html = await post(server, V1, question(stream=True))
        data = await post(server, V1, question(stream=True))
        text = await post(server, V1, question(stream=True))
    assert (html.status_line, html.text) == ("HTTP/1.1 502 Bad Gateway", "<h1>Bad gateway</h1>")
    assert html.header("Content-Type") == "text/html"
    assert html.header("Server") == "proxy"
    assert data.text == '{"code":429}'
    assert data.header("Content-Type") == "application/json; charset=utf-8"
    assert text.status_line == "HTTP/1.1 413 Body exceeded 10mb limit"
    assert text.header("Content-Type") is None

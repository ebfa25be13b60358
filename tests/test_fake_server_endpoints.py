"""The fake server's other endpoints, routes of the caller's own, and what it records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client.testing import Delta, FakeFastGPT, Script, Status

from .raw_http import STOP, V1, V2, post, question

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    import httpx2

    from fastgpt_client.testing import RecordedRequest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/api/v1/models", "/api/core/chat/resume"]
)
async def test_an_unknown_path_is_a_large_html_page(path: str) -> None:
    async with FakeFastGPT() as server:
        response = await post(server, path, {}, method="GET")
    assert response.status_line == "HTTP/1.1 404 Not Found"
    assert response.header("Content-Type") == "text/html; charset=utf-8"
    assert len(response.body) > 20_000
    assert response.text.startswith("<!DOCTYPE html>")


async def test_v2_and_stop_do_not_exist_in_versions_before_them() -> None:
    async with FakeFastGPT(server_version="4.9.1") as server:
        assert "404" in (await post(server, V2, question())).status_line
        assert "404" in (await post(server, STOP, {"appId": "a", "chatId": "c"})).status_line


async def test_a_slash_too_many_is_a_relative_308() -> None:
    async with FakeFastGPT() as server:
        response = await post(server, V1 + "/", question())
    assert response.status_line == "HTTP/1.1 308 Permanent Redirect"
    assert response.header("Location") == V1


async def test_a_route_answers_its_data_in_the_success_envelope() -> None:
    async with FakeFastGPT() as server:
        server.route("POST", "/api/core/chat/getHistories", {"total": 0, "list": []})
        good = await post(server, "/api/core/chat/getHistories", {})
        bad = await post(server, "/api/core/chat/getHistories", {}, key="x")
        other = await post(server, "/api/core/chat/getHistories", {}, method="GET")
    assert good.text == ('{"code":200,"statusText":"","message":"","data":{"total":0,"list":[]}}')
    assert bad.json["code"] == 514
    assert "404" in other.status_line


async def test_a_route_may_be_a_function_a_status_or_open_to_all() -> None:
    async def init(request: RecordedRequest) -> Any:
        await anyio.lowlevel.checkpoint()
        return {"chatId": request.query["chatId"]}

    async with FakeFastGPT() as server:
        server.route("*", "/api/core/chat/init", init)
        server.route("GET", "/audio", Status(200, b"\x00\x01"), check_key=False)
        found = await post(server, "/api/core/chat/init?appId=a&chatId=%E6%B2%B3", {}, method="GET")
        audio = await post(server, "/audio", {}, method="GET", key=None)
    assert found.json["data"] == {"chatId": "河"}
    assert audio.body == b"\x00\x01"


async def test_a_route_replaces_one_of_the_servers_own_endpoints() -> None:
    async with FakeFastGPT() as server:
        server.route("POST", STOP, {"success": False})
        assert (await post(server, STOP, {})).json["data"] == {"success": False}
        assert server.stops == []


async def test_requests_are_recorded_with_headers_query_and_parsed_body() -> None:
    async with FakeFastGPT() as server:
        await post(server, V1 + "?a=1&a=2", question("你好", stream=True), headers=("X-One: 1",))
        await post(server, "/nowhere", b"not json", key=None)
        first, second = server.requests
    assert (first.method, first.path, first.query) == ("POST", V1, {"a": "2"})
    assert first.header("x-ONE") == "1"
    assert first.header("missing") is None
    assert first.json["messages"][0]["content"] == "你好"
    assert (second.path, second.body, second.connection) == ("/nowhere", b"not json", 2)
    with pytest.raises(ValueError, match="Expecting value"):
        _ = second.json


# --- with an HTTP library -------------------------------------------------------------------


async def test_an_http_library_reads_streams_and_gzipped_answers(
    http_client_factory: Callable[[], httpx.AsyncClient | httpx2.AsyncClient],
) -> None:
    async with FakeFastGPT() as server, http_client_factory() as client:
        server.script(Script(Delta("长" * 1000)))
        headers = {"Authorization": f"Bearer {server.api_key}"}
        url = server.base_url + V1
        with anyio.fail_after(5):
            stream = await client.post(url, json=question(stream=True), headers=headers)
            answer = await client.post(url, json=question(), headers=headers)
    assert stream.text.count("data: ") == 3
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["choices"][0]["message"]["content"] == "长" * 1000
    assert server.connections == 1

"""The fake server's answers without a stream; every expectation is written by hand."""

from __future__ import annotations

import gzip
import json

import anyio
import pytest

from fastgpt_client.testing import (
    Delta,
    Drip,
    ErrorFrame,
    FakeFastGPT,
    FastAnswer,
    Heartbeat,
    Interactive,
    NodeResponse,
    NodeStatus,
    Pause,
    Reasoning,
    Script,
    Title,
    ToolCall,
    ToolParams,
    ToolResponse,
    Variables,
    WaitFor,
    chat_node,
    node,
)
from fastgpt_client.testing._wire import entity_tag

from .raw_http import SECURITY_HEADERS, V1, V2, ask, connect, post, question, request_bytes

pytestmark = pytest.mark.anyio

START = {"moduleName": "Start", "id": "a", "runningTime": 0.0}
CHAT = {"moduleName": "AI", "id": "b", "runningTime": 0.26}
START_JSON = '{"moduleName":"Start","id":"a","runningTime":0}'
CHAT_JSON = '{"moduleName":"AI","id":"b","runningTime":0.26}'
SCRIPT = Script(
    NodeResponse(START),
    NodeStatus("AI"),
    Delta("你好 "),
    Heartbeat(),
    Delta("🌍"),
    NodeResponse(CHAT),
    duration=0.27,
)

USAGE = '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":1}'


def answered(message: str, chat_id: str = "c1") -> str:
    return (
        f'"id":"{chat_id}","model":"",{USAGE},"choices":[{{"message":{{"role":"assistant"'
        f'{message}}},"finish_reason":"stop","index":0}}]}}'
    )


async def test_a_json_answer_has_the_recorded_bytes_and_headers() -> None:
    async with FakeFastGPT() as server:
        server.script(SCRIPT)
        response = await post(server, V1, question(chatId="c1", detail=True))
    details = f'{{"responseData":[{START_JSON},{CHAT_JSON}],"newVariables":{{}},'
    assert response.text == details + answered(',"content":"你好 🌍"')
    assert [name for name, _ in response.headers] == [
        *SECURITY_HEADERS,
        "x-request-id",
        "Connection",
        "Content-Type",
        "ETag",
        "Content-Length",
        "Vary",
        "Date",
    ]
    assert response.header("ETag") == entity_tag(response.text)


async def test_json_detail_content_is_a_list_when_there_is_more_than_text() -> None:
    script = Script(
        Reasoning("hm"),
        Delta("a"),
        ToolCall("t", "T", "te"),
        ToolParams("t", "{"),
        ToolParams("t", "}"),
        ToolResponse("t", "none"),
        FastAnswer("b"),
        Interactive({"type": "userSelect", "params": {"x": 1}, "entryNodeIds": []}),
    )
    tools = (
        '"tools":[{"id":"t","toolName":"T","toolAvatar":"","functionName":"te",'
        '"params":"{}","response":"none"}]'
    )
    paused = '{"interactive":{"type":"userSelect","params":{"x":1}}'
    async with FakeFastGPT() as server, FakeFastGPT(server_version="4.14.7") as old:
        server.script(script)
        old.script(script)
        v1 = await ask(server, V1, stream=False, detail=True, chatId="c1")
        v2 = await ask(server, V2, stream=False, detail=True, chatId="c1")
        v1_old = await ask(old, V1, stream=False, detail=True, chatId="c1")
        plain = await ask(server, V1, stream=False, chatId="c1")
    head = '{"responseData":[],"newVariables":{},'
    assert v2.decode() == head + answered(
        ',"content":[{"reasoning":{"content":"hm"},"text":{"content":"a"}},'
        f'{{"id":"t",{tools}}},{{"text":{{"content":"\\nb"}}}},{paused}}}]'
    )
    assert v1.decode() == head + answered(
        ',"content":[{"reasoning":{"content":"hm"},"text":{"content":"a"},"type":"text"},'
        f'{{"id":"t",{tools},"type":"tool"}},{{"text":{{"content":"\\nb"}},"type":"text"}},'
        f'{paused},"type":"interactive"}}]'
    )
    assert v1_old.decode() == head + answered(
        ',"content":[{"reasoning":{"content":"hm"},"type":"reasoning"},'
        '{"text":{"content":"a"},"type":"text"},'
        f'{{{tools},"type":"tool"}},{{"text":{{"content":"\\nb"}},"type":"text"}},'
        f'{paused},"type":"interactive"}}]'
    )
    assert plain.decode() == "{" + answered(',"content":"a\\n\\nb","reasoning_content":"hm"')


async def test_json_merges_neighbouring_texts_and_tells_variables_and_title() -> None:
    async with FakeFastGPT() as server:
        server.script(
            Script(
                FastAnswer("a"), Variables({"x": 1}), Variables({"x": 2}), Title("t"), Delta("b")
            )
        )
        text = (await ask(server, stream=False, detail=True, chatId="c1")).decode()
    assert text == '{"responseData":[],"newVariables":{"x":2},"title":"t",' + answered(
        ',"content":"\\nab"'
    )


async def test_an_error_frame_of_a_script_becomes_the_error_envelope() -> None:
    async with FakeFastGPT() as server:
        server.enqueue(Script(Delta("x"), ErrorFrame("lost", 500004, "aiPointsNotEnough")))
        server.enqueue(Script(Delta("x"), ErrorFrame("E11000 duplicate key")))
        known = await post(server, V1, question())
        unknown = await post(server, V1, question())
        assert [run.status for run in server.runs] == ["failed", "failed"]
    assert known.text == (
        '{"code":500004,"statusText":"aiPointsNotEnough","message":"lost","data":null}'
    )
    assert unknown.text == (
        '{"code":500,"statusText":"error","message":"E11000 duplicate key","data":null}'
    )
    assert "500" in known.status_line


async def test_a_json_answer_waits_for_the_script_and_may_drip() -> None:
    async with FakeFastGPT(heartbeat_every=0.001) as server, connect(server) as client:
        server.script(Script(Delta("a"), WaitFor("go"), Pause(0.01), Drip(), Delta("b")))
        await client.send(request_bytes(V1, question()))
        with anyio.fail_after(5):
            await server.wait_at_gate("go")
        server.open_gate("go")
        client.buffer = await client.more()
        assert len(client.buffer) < 50
        assert '"content":"ab"' in (await client.response()).text


async def test_a_lone_pause_has_no_content_in_json_of_4_14() -> None:
    script = Script(Interactive({"type": "userInput", "params": {}}))
    async with FakeFastGPT() as server, FakeFastGPT(server_version="4.14.7") as old:
        server.script(script)
        old.script(script)
        new = await post(server, V2, question(detail=True))
        gone = await post(old, V2, question(detail=True))
    assert new.json["choices"][0]["message"] == {
        "role": "assistant",
        "content": [{"interactive": {"type": "userInput", "params": {}}}],
    }
    assert gone.json["choices"][0]["message"] == {"role": "assistant"}


async def test_a_failed_node_is_told_by_a_json_answer_without_detail() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(NodeResponse(chat_node("", error="401 no"))))
        text = (await ask(server, stream=False, chatId="c1")).decode()
    assert text == '{"error":"401 no",' + answered(',"content":""')


async def test_json_and_v1_put_child_nodes_into_their_parents() -> None:
    child = node("tool", "te", id="c", parentId="p")
    parent = node("agent", "tools", id="p")
    async with FakeFastGPT() as server:
        server.script(Script(NodeResponse(child), NodeResponse(parent)))
        data = (await post(server, V2, question(detail=True))).json["responseData"]
    assert data == [{**parent, "childrenResponses": [child]}]


async def test_4_14_does_not_tell_a_chat_id_it_made_itself() -> None:
    async with FakeFastGPT() as server, FakeFastGPT(server_version="4.14.7") as old:
        assert len((await post(server, V1, question())).json["id"]) == 24
        assert (await post(old, V1, question())).json["id"] == ""


async def test_large_json_is_gzipped_when_asked_for_and_streams_never_are() -> None:
    accept = ("Accept-Encoding: gzip, deflate",)
    async with FakeFastGPT() as server:
        server.script(Script(Delta("长" * 1000)))
        zipped = await post(server, V1, question(), headers=accept)
        plain = await post(server, V1, question())
        stream = await post(server, V1, question(stream=True), headers=accept)
    assert zipped.header("Content-Encoding") == "gzip"
    content = json.loads(gzip.decompress(zipped.body))["choices"]
    assert content == plain.json["choices"]
    assert stream.header("Content-Encoding") is None

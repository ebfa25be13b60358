"""The fake server's event streams, frame by frame; every expectation is written by hand."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client.testing import (
    STORY,
    Delta,
    Done,
    ErrorFrame,
    FakeFastGPT,
    FastAnswer,
    Finish,
    Frame,
    Heartbeat,
    Interactive,
    NodeResponse,
    NodeStatus,
    Raw,
    RawBytes,
    Reasoning,
    Script,
    Title,
    ToolCall,
    ToolParams,
    ToolResponse,
    Truncate,
    Variables,
)
from fastgpt_client.testing._wire import dumps

from .raw_http import SECURITY_HEADERS, V1, V2, ask, post, question

if TYPE_CHECKING:
    from fastgpt_client.testing import RecordedRequest

pytestmark = pytest.mark.anyio

VERSIONS = ["4.14.7", "4.16.0"]


def chunk(delta: str, finish: str = "null") -> str:
    return (
        '{"id":"","object":"","created":0,"model":"","choices":[{"delta":{"role":"assistant",'
        + delta
        + '},"index":0,"finish_reason":'
        + finish
        + "}]}"
    )


def said(text: str) -> str:
    return chunk(f'"content":"{text}"')


TERMINAL = chunk('"content":null', '"stop"')
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
RUNNING = ["event: flowNodeStatus\n", 'data: {"status":"running","name":"AI"}\n\n']
SPOKEN = [
    "event: answer\n",
    f"data: {said('你好 ')}\n\n",
    "event: answer\n",
    f"data: {said('')}\n\n",
    "event: answer\n",
    f"data: {said('🌍')}\n\n",
]
DURATION = ["event: workflowDuration\n", 'data: {"durationSeconds":0.27}\n\n']
END = ["event: answer\n", f"data: {TERMINAL}\n\n"]
DONE = ["event: answer\n", "data: [DONE]\n\n"]


async def test_v1_stream_of_4_16_has_flow_responses_as_an_array_before_done() -> None:
    async with FakeFastGPT() as server:
        server.script(SCRIPT)
        response = await post(server, V1, question(stream=True, detail=True))
    nodes = ["event: flowResponses\n", f"data: [{START_JSON},{CHAT_JSON}]\n\n"]
    expected = [*RUNNING, *SPOKEN, *DURATION, *END, *nodes, *DONE]
    assert [part.decode() for part in response.chunks] == expected


async def test_v1_stream_of_4_14_has_flow_responses_as_an_object_after_done() -> None:
    async with FakeFastGPT(server_version="4.14.7") as server:
        server.script(SCRIPT)
        response = await post(server, V1, question(stream=True, detail=True))
    nodes = ["event: flowResponses\n", f'data: {{"0":{START_JSON},"1":{CHAT_JSON}}}\n\n']
    expected = [*RUNNING, *SPOKEN, *DURATION, *END, *DONE, *nodes]
    assert [part.decode() for part in response.chunks] == expected


async def test_v1_stream_of_4_9_has_flow_responses_as_an_array_after_done() -> None:
    async with FakeFastGPT(server_version="4.9.1") as server:
        server.script(SCRIPT)
        response = await post(server, V1, question(stream=True, detail=True))
    assert [part.decode() for part in response.chunks][-4:] == [
        *DONE,
        "event: flowResponses\n",
        f"data: [{START_JSON},{CHAT_JSON}]\n\n",
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_v2_stream_has_each_node_as_it_finishes(version: str) -> None:
    async with FakeFastGPT(server_version=version) as server:
        server.script(SCRIPT)
        response = await post(server, V2, question(stream=True, detail=True))
    expected = [
        *("event: flowNodeResponse\n", f"data: {START_JSON}\n\n"),
        *RUNNING,
        *SPOKEN,
        *("event: flowNodeResponse\n", f"data: {CHAT_JSON}\n\n"),
        *DURATION,
        *END,
        *DONE,
    ]
    assert [part.decode() for part in response.chunks] == expected


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [V1, V2])
async def test_a_stream_without_detail_has_answers_only_and_no_event_lines(
    path: str, version: str
) -> None:
    async with FakeFastGPT(server_version=version) as server:
        server.script(SCRIPT)
        response = await post(server, path, question(stream=True))
    assert [part.decode() for part in response.chunks] == [
        *SPOKEN[1::2],
        f"data: {TERMINAL}\n\n",
        "data: [DONE]\n\n",
    ]


async def test_a_stream_has_the_recorded_headers_in_order_and_case() -> None:
    async with FakeFastGPT() as server:
        response = await post(server, V1, question(stream=True))
    assert response.status_line == "HTTP/1.1 200 OK"
    assert [name for name, _ in response.headers] == [
        *SECURITY_HEADERS,
        "x-request-id",
        "Connection",
        "Content-Type",
        "Access-Control-Allow-Origin",
        "X-Accel-Buffering",
        "Cache-Control",
        "Date",
        "Transfer-Encoding",
    ]
    assert response.header("Content-Type") == "text/event-stream;charset=utf-8"
    assert response.header("Cache-Control") == "no-cache, no-transform"
    assert response.header("Connection") == "keep-alive"


async def test_event_line_and_data_line_are_two_http_chunks_with_bare_hex_sizes() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("x"), Truncate()))
        response = await post(server, V1, question(stream=True, detail=True))
    data = f"data: {said('x')}\n\n".encode()
    assert response.wire_body == b"e\r\nevent: answer\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(data),
        data,
    )


@pytest.mark.parametrize(
    "step, event, data",
    [
        (Reasoning("嗯"), "answer", chunk('"reasoning_content":"嗯"')),
        (FastAnswer("固定"), "fastAnswer", said("\\n固定")),
        (Variables({"city": "北京"}), "updateVariables", '{"city":"北京"}'),
        (Title("河"), "chatTitle", '{"title":"河"}'),
        (
            Interactive({"type": "userSelect", "params": {}, "entryNodeIds": ["s"]}),
            "interactive",
            '{"interactive":{"type":"userSelect","params":{},"entryNodeIds":["s"]}}',
        ),
        (Frame("plan", {"plan": {}}), "plan", '{"plan":{}}'),
        (
            ToolCall("c", "天气", "te1", "pic"),
            "toolCall",
            '{"tool":{"id":"c","toolName":"天气","toolAvatar":"pic","functionName":"te1",'
            '"params":""},"responseValueId":"c"}',
        ),
        (
            ToolParams("c", '{"a"'),
            "toolParams",
            '{"tool":{"id":"c","toolName":"","toolAvatar":"","params":"{\\"a\\""},'
            '"responseValueId":"c"}',
        ),
        (
            ToolResponse("c", "none"),
            "toolResponse",
            '{"tool":{"id":"c","toolName":"","toolAvatar":"","params":"","response":"none"},'
            '"responseValueId":"c"}',
        ),
    ],
)
async def test_a_step_is_one_named_frame(step: Any, event: str, data: str) -> None:
    async with FakeFastGPT() as server:
        server.script(Script(step, Truncate()))
        assert (await ask(server, detail=True)).decode() == f"event: {event}\ndata: {data}\n\n"


async def test_4_14_tool_frames_always_have_a_response_key() -> None:
    async with FakeFastGPT(server_version="4.14.7") as server:
        server.script(Script(ToolCall("c", "T", "te"), ToolParams("c", "{}"), Truncate()))
        first, second = (await ask(server, detail=True)).decode().split("\n\n")[:2]
    assert first.endswith('"functionName":"te","params":"","response":""},"responseValueId":"c"}')
    assert second.endswith('"toolAvatar":"","params":"{}","response":""},"responseValueId":"c"}')


async def test_fixed_replies_are_shown_without_detail_but_other_events_are_not() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Title("t"), Frame("plan", {}), FastAnswer("x"), Truncate()))
        assert (await ask(server)).decode() == f"data: {said(chr(92) + 'nx')}\n\n"


async def test_raw_events_and_raw_bytes_are_sent_whatever_detail_says() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Raw("x", "no json"), Raw(None, "y"), RawBytes(b"\xff\n"), Truncate()))
        expected = b"event: x\ndata: no json\n\ndata: y\n\n\xff\n"
        assert await ask(server) == await ask(server, detail=True) == expected


async def test_explicit_finish_and_done_are_not_sent_twice() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("x"), Finish(), Done(), Frame("late", 1)))
        text = (await ask(server, detail=True)).decode()
    assert text.count('"finish_reason":"stop"') == text.count("[DONE]") == 1
    assert "workflowDuration" not in text
    assert re.findall("event: (.*)", text) == [
        "answer",
        "answer",
        "answer",
        "late",
        "flowResponses",
    ]


@pytest.mark.parametrize("detail", [True, False])
async def test_an_error_frame_is_named_and_ends_the_stream(detail: bool) -> None:
    async with FakeFastGPT() as server:
        server.enqueue(Script(Delta("x"), ErrorFrame("lost", 500004, "aiPointsNotEnough")))
        server.enqueue(Script(Delta("x"), ErrorFrame("E11000 duplicate key")))
        known = (await ask(server, detail=detail)).decode()
        unknown = (await ask(server, detail=detail)).decode()
        assert [run.status for run in server.runs] == ["failed", "failed"]
    before = f"{'event: answer' + chr(10) if detail else ''}data: {said('x')}\n\n"
    assert known == (
        f"{before}event: error\ndata: "
        '{"code":500004,"statusText":"aiPointsNotEnough","message":"lost","data":null}\n\n'
    )
    assert unknown == f'{before}event: error\ndata: {{"message":"E11000 duplicate key"}}\n\n'


async def test_the_default_answer_is_a_story_in_small_deltas() -> None:
    async with FakeFastGPT() as server:
        frames = (await ask(server)).decode().split("\n\n")
        assert server.runs[0].text == STORY
    payloads = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-3]]
    deltas = [payload["choices"][0]["delta"]["content"] for payload in payloads]
    assert "".join(deltas) == STORY
    assert [len(delta) for delta in deltas[:2]] == [12, 4]


async def test_reply_sets_text_reasoning_and_a_failing_node() -> None:
    async with FakeFastGPT() as server:
        server.reply(["one ", "two"], reasoning=["hm"], error="401 no")
        text = (await ask(server, V2, detail=True)).decode()
    assert (
        f"data: {chunk(chr(34) + 'reasoning_content' + chr(34) + ':' + chr(34) + 'hm' + chr(34))}"
        in text
    )
    assert f"data: {said('one ')}\n\nevent: answer\ndata: {said('two')}" in text
    chat = json.loads(re.findall(r"event: flowNodeResponse\ndata: (.*)", text)[1])
    assert chat["errorText"] == chat["error"] == "401 no"
    assert chat["finishReason"] == "error"
    assert chat["query"] == "hello"


async def test_reply_shows_the_question_of_parts_and_may_pause_between_deltas() -> None:
    parts = [{"type": "text", "text": "你"}, {"type": "image_url"}, {"type": "text", "text": "好"}]
    async with FakeFastGPT() as server:
        server.reply("a" * 20, pause=0.001)
        body = {"messages": [{"role": "user", "content": parts}], "stream": True, "detail": True}
        response = await post(server, V2, body)
    assert (
        json.loads(re.findall(r"flowNodeResponse\ndata: (.*)", response.text)[1])["query"] == "你好"
    )
    assert response.text.count('"content":"a') == 3


async def test_a_script_may_be_made_from_the_request_by_a_plain_or_async_function() -> None:
    def echo(request: RecordedRequest) -> str:
        return str(request.json["messages"][0]["content"])

    async def shout(request: RecordedRequest) -> Script:
        await anyio.lowlevel.checkpoint()
        return Script(Delta(echo(request).upper()))

    async with FakeFastGPT() as server:
        server.enqueue(echo, shout)
        await ask(server)
        await ask(server)
        assert [run.text for run in server.runs] == ["hello", "HELLO"]


def test_nothing_can_follow_the_end_of_a_script() -> None:
    with pytest.raises(ValueError, match="nothing can follow Truncate"):
        Script(Truncate(), Delta("x"))


def test_a_version_must_be_three_numbers() -> None:
    with pytest.raises(ValueError, match=r"4\.16\.0"):
        FakeFastGPT(server_version="latest")


@pytest.mark.parametrize(
    "value, text",
    [
        (
            {"a": 1.0, "b": 0.27, "c": float("nan"), "d": [1.5, 2.0]},
            '{"a":1,"b":0.27,"c":null,"d":[1.5,2]}',
        ),
        ("\n\t\u000b\u0000\u2028\ufeff", '"\\n\\t\\u000b\\u0000\u2028\ufeff"'),
        ("half \ud83d", '"half \\ud83d"'),
        ({1: None, "你": True}, '{"1":null,"你":true}'),
    ],
)
def test_json_is_written_as_javascript_writes_it(value: Any, text: str) -> None:
    assert dumps(value) == text

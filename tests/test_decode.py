"""From the name and the data of a server-sent event to a typed event."""

from __future__ import annotations

import ast
import json
import logging
import pickle
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgpt_client._decode as decode_module
from fastgpt_client._decode import DONE, HEARTBEAT, TERMINAL, ErrorFrame, Signal, decode
from fastgpt_client._errors import BadEventError
from fastgpt_client._events import (
    AnswerDelta,
    ChatTitle,
    Event,
    FastAnswer,
    FlowResponses,
    Interactive,
    NodeResponse,
    NodeStatus,
    Plan,
    PlanStatus,
    PlanStep,
    ResumeCompleted,
    ResumePhase,
    ResumeUnavailable,
    SandboxStatus,
    SkillCall,
    ToolCall,
    ToolParams,
    ToolResponse,
    UnknownEvent,
    VariablesUpdated,
    WorkflowDuration,
)
from fastgpt_client._nodes import sum_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Every event name of the protocol that becomes an event, and its class.
DOCUMENTED: dict[str, type[Event]] = {
    "answer": AnswerDelta,
    "fastAnswer": FastAnswer,
    "flowNodeStatus": NodeStatus,
    "flowNodeResponse": NodeResponse,
    "flowResponses": FlowResponses,
    "toolCall": ToolCall,
    "toolParams": ToolParams,
    "toolResponse": ToolResponse,
    "updateVariables": VariablesUpdated,
    "interactive": Interactive,
    "workflowDuration": WorkflowDuration,
    "chatTitle": ChatTitle,
    "plan": Plan,
    "planStatus": PlanStatus,
    "sandboxStatus": SandboxStatus,
    "skillCall": SkillCall,
    "resumePhase": ResumePhase,
    "resumeCompleted": ResumeCompleted,
    "resumeUnavailable": ResumeUnavailable,
}
ANSWERS = ("answer", "fastAnswer", "message", "")
answers = pytest.mark.parametrize("name", ANSWERS)


def encode(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def chunk(finish_reason: object = None, **delta: object) -> dict[str, Any]:
    return {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [
            {
                "delta": {"role": "assistant", **delta},
                "index": 0,
                "finish_reason": finish_reason,
            }
        ],
    }


def answer_class(name: str) -> type[AnswerDelta | FastAnswer]:
    return FastAnswer if name == "fastAnswer" else AnswerDelta


# Answers


@answers
def test_a_chunk_with_text_is_an_answer(name: str) -> None:
    data = encode(chunk(content="你好\u2028"))
    got = decode(name, data, 7)
    wire_name = "" if name == "message" else name
    assert got == answer_class(name)("你好\u2028", index=7, name=wire_name, raw=data)


@answers
def test_a_chunk_with_reasoning_has_no_text(name: str) -> None:
    got = decode(name, encode(chunk(reasoning_content="hm")), 0)
    assert isinstance(got, answer_class(name))
    assert (got.text, got.reasoning) == ("", "hm")


@answers
def test_a_chunk_with_text_and_a_finish_reason_is_an_answer_that_tells_it(name: str) -> None:
    got = decode(name, encode(chunk("stop", content="x", reasoning_content="y")), 0)
    assert isinstance(got, answer_class(name))
    assert (got.text, got.reasoning, got.finish_reason) == ("x", "y", "stop")


@answers
@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_a_chunk_with_only_a_finish_reason_is_terminal(
    name: str, content: dict[str, object]
) -> None:
    assert decode(name, encode(chunk("stop", **content)), 0) is TERMINAL
    assert decode(name, encode(chunk("length", **content)), 0) is TERMINAL


@answers
@pytest.mark.parametrize(
    "payload",
    [
        chunk(content=""),
        chunk(content=None),
        chunk(),
        chunk("", content=""),
        chunk(content="", tool_calls=[], refusal=None),
        {"choices": []},
        {"choices": None, "id": "x", "model": "m"},
        {"choices": [], "usage": {"total_tokens": 3}},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {},
    ],
)
def test_an_answer_with_nothing_in_it_is_a_heartbeat(name: str, payload: object) -> None:
    assert decode(name, encode(payload), 0) is HEARTBEAT


def test_the_id_of_a_nested_speaker_is_kept_and_an_odd_one_does_not_cost_the_text() -> None:
    got = decode("answer", encode({**chunk(content="x"), "responseValueId": "v"}), 0)
    assert isinstance(got, AnswerDelta)
    assert got.response_value_id == "v"
    got = decode("answer", encode({**chunk(content="x"), "responseValueId": {"a": 1}}), 0)
    assert isinstance(got, AnswerDelta)
    assert (got.text, got.response_value_id) == ("x", None)


@pytest.mark.parametrize("name", [*ANSWERS, *DOCUMENTED, "done", "error", "unheard of"])
@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE]\t"])
def test_done_is_done_under_any_name(name: str, data: bytes) -> None:
    assert decode(name, data, 0) is DONE


@answers
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"hello",
        b"[DONE",
        b'{"choices":[{"delta":{"content":"x"',
        b"NaN",
        b"[" * 100_000,
        b'{"choices":' * 100_000,
        b'{"a":1}x',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_an_answer_that_is_not_json_is_a_bad_event(name: str, data: bytes) -> None:
    with pytest.raises(BadEventError, match="is not JSON or not shaped like an answer"):
        decode(name, data, 0)


@answers
@pytest.mark.parametrize(
    "payload",
    [
        None,
        1,
        "text",
        [],
        [chunk(content="x")],
        {"choices": "x"},
        {"choices": {"0": {}}},
        {"choices": ["x"]},
        {"choices": [{"delta": "x"}]},
        chunk(content=5),
        chunk(content=["x"]),
        chunk(content={"text": "x"}),
        chunk(content=True),
        chunk(reasoning_content=5),
        chunk(5, content="x"),
        {"text": "x"},
        {"choices": [], "answer": "x"},
        {"choices": [{"text": "x"}]},
        {"choices": [{"message": {"content": "x"}}]},
        {"code": 200, "statusText": "", "message": "", "data": {"x": 1}},
        {"code": 500, "data": {"x": 1}},
        {**chunk(content=5), "error": {"message": "m"}},
    ],
    ids=str,
)
def test_an_answer_of_another_shape_is_a_bad_event(name: str, payload: object) -> None:
    with pytest.raises(BadEventError):
        decode(name, encode(payload), 0)


def test_a_number_out_of_range_beside_missing_choices_is_a_bad_event() -> None:
    with pytest.raises(
        BadEventError, match="an 'answer' event that has no choices; text may be lost"
    ):
        decode("answer", b'{"a":1e400}', 0)


def test_a_bad_event_does_not_quote_the_payload() -> None:
    with pytest.raises(BadEventError) as caught:
        decode("answer", b"SECRET", 0)
    assert str(caught.value) == (
        "the server sent an 'answer' event that is not JSON or not shaped like an answer; text may "
        "be lost"
    )
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "payload, what",
    [
        ({"choices": [], "text": "lost"}, "has no choices"),
        ({"choices": [{"text": "lost"}]}, "has its text in an unexpected place"),
        ({"choices": [{"message": {"content": "lost"}}]}, "has its text in an unexpected place"),
    ],
)
def test_a_bad_event_says_why_text_may_be_lost(payload: object, what: str) -> None:
    for name, called in (("fastAnswer", "'fastAnswer' event"), ("", "event without a name")):
        with pytest.raises(BadEventError) as caught:
            decode(name, encode(payload), 0)
        assert str(caught.value) == f"the server sent an {called} that {what}; text may be lost"


def test_an_answer_with_unknown_content_is_kept_as_an_unknown_event() -> None:
    data = encode(chunk(tool_calls=[{"id": "x"}]))
    got = decode("answer", data, 4)
    assert got == UnknownEvent(data.decode(), index=4, name="answer", raw=data)


def test_an_empty_answer_that_cannot_be_looked_at_twice_is_an_unknown_event() -> None:
    data = encode(chunk(content="")).replace(b'"created":0', b'"created":1e400')
    expected = UnknownEvent(data.decode(), index=7, name="answer", raw=data)
    assert decode("answer", data, 7) == expected


@pytest.mark.parametrize(
    "payload, message",
    [
        ({"message": "outer", "error": {"message": "inner"}}, "outer"),
        ({"error": {"message": "inner"}}, "inner"),
        ({"error": "words"}, "words"),
        ({"error": {"message": 5}}, ""),
        ({"message": 5}, ""),
    ],
)
def test_the_words_of_an_error_are_the_outermost_and_always_text(
    payload: object, message: str
) -> None:
    got = decode("error", encode(payload), 0)
    assert isinstance(got, ErrorFrame)
    assert got.message == message


def test_only_the_first_choice_is_read() -> None:
    two = chunk(content="a")
    two["choices"].append({"delta": {"content": "b"}})
    got = decode("answer", encode(two), 0)
    assert isinstance(got, AnswerDelta)
    assert got.text == "a"


def test_huge_numbers_in_fields_that_are_not_read_do_no_harm() -> None:
    data = encode(chunk(content="x")).replace(b'"created":0', b'"created":' + b"9" * 5000)
    got = decode("answer", data, 0)
    assert isinstance(got, AnswerDelta)
    assert got.text == "x"


@answers
@pytest.mark.parametrize(
    "content, text",
    [
        (b"a\xffb", "a\ufffdb"),
        ("中".encode()[:2], "\ufffd"),
        (rb"a\ud83d", "a\ufffd"),
        (rb"\ud83dx", "\ufffdx"),
        (rb"\udc00", "\ufffd"),
        (rb"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
        (rb"a\u0000\n\"", 'a\0\n"'),
    ],
)
def test_malformed_characters_become_replacement_characters(
    name: str, content: bytes, text: str
) -> None:
    data = encode(chunk(content="@")).replace(b"@", content)
    got = decode(name, data, 0)
    assert isinstance(got, answer_class(name))
    assert got.text == text
    assert got.raw == data
    got.text.encode()


# Errors inside the stream


@pytest.mark.parametrize(
    "data, code, status_text, message",
    [
        (
            b'{"code":514,"statusText":"unAuthApiKey","message":"common:x","data":null}',
            514,
            "unAuthApiKey",
            "common:x",
        ),
        (b'{"message":"appId is empty"}', None, "", "appId is empty"),
        (b'{"error":{"message":"m","code":7}}', 7, "", "m"),
        (b'{"error":"m"}', None, "", "m"),
        (b'{"code":"514","statusText":5,"message":[]}', None, "", ""),
        (b'{"code":true}', None, "", ""),
        (b'"words"', None, "", "words"),
        (b"plain words \xff", None, "", "plain words \ufffd"),
        (b"[1]", None, "", "[1]"),
        (b"null", None, "", "null"),
        (b"", None, "", ""),
        (rb'{"message":"\ud83d"}', None, "", "\ufffd"),
    ],
)
def test_an_error_event_is_an_error_frame_whatever_it_holds(
    data: bytes, code: int | None, status_text: str, message: str
) -> None:
    got = decode("error", data, 0)
    assert isinstance(got, ErrorFrame)
    assert (got.code, got.status_text, got.message) == (code, status_text, message)
    if not data.startswith(b"{"):
        assert got.payload == {"message": message}


@pytest.mark.parametrize("name", ["message", "", "answer"])
@pytest.mark.parametrize(
    "payload, code, message",
    [
        ({"error": {"message": "m", "type": "t", "code": "invalid"}}, None, "m"),
        ({"error": {"message": "m"}, "choices": []}, None, "m"),
        ({"error": "m"}, None, "m"),
        ({"code": 514, "statusText": "unAuthApiKey", "message": "m", "data": None}, 514, "m"),
        ({"code": 500, "message": "m"}, 500, "m"),
        ({"code": 300, "message": "m"}, 300, "m"),
        ({"code": 514, "statusText": "unAuthApiKey"}, 514, ""),
        ({**chunk(), "error": {"message": "m"}}, None, "m"),
        ({"error": {"message": "m"}, "choices": "none"}, None, "m"),
    ],
)
def test_an_error_without_a_name_is_an_error_frame(
    name: str, payload: dict[str, Any], code: int | None, message: str
) -> None:
    if payload.get("choices") == "none":
        payload = {**payload, "choices": {}}
    got = decode(name, encode(payload), 0)
    assert got == ErrorFrame(code, payload.get("statusText", ""), message, payload)


def test_the_payload_of_an_error_is_not_in_its_representation() -> None:
    assert "SECRET" not in repr(decode("error", b'{"message":"m","data":"SECRET"}', 0))


# Everything else


@pytest.mark.parametrize(
    "name, payload, event, fields",
    [
        (
            "flowNodeStatus",
            {"status": "running", "name": "AI 对话"},
            NodeStatus,
            {"status": "running", "node_name": "AI 对话"},
        ),
        (
            "toolCall",
            {
                "tool": {
                    "id": "c1",
                    "toolName": "Weather",
                    "toolAvatar": "a.svg",
                    "functionName": "weather",
                    "params": "",
                },
                "responseValueId": "c1",
            },
            ToolCall,
            {
                "tool_id": "c1",
                "tool_name": "Weather",
                "tool_avatar": "a.svg",
                "function_name": "weather",
                "params": "",
                "response": "",
                "response_value_id": "c1",
            },
        ),
        (
            "toolParams",
            {"tool": {"id": "c1", "toolName": "", "params": '{"a":', "response": None}},
            ToolParams,
            {"tool_id": "c1", "params": '{"a":', "response": "", "response_value_id": None},
        ),
        (
            "toolResponse",
            {"tool": {"id": "c1", "toolName": "", "params": "", "response": "25"}},
            ToolResponse,
            {"tool_id": "c1", "params": "", "response": "25"},
        ),
        ("updateVariables", {"city": "北京"}, VariablesUpdated, {"variables": {"city": "北京"}}),
        ("updateVariables", {}, VariablesUpdated, {"variables": {}}),
        ("workflowDuration", {"durationSeconds": 2.41}, WorkflowDuration, {"seconds": 2.41}),
        ("workflowDuration", {"durationSeconds": 8}, WorkflowDuration, {"seconds": 8.0}),
        ("chatTitle", {"title": "问候"}, ChatTitle, {"title": "问候"}),
        (
            "plan",
            {
                "plan": {
                    "planId": "p1",
                    "name": "n",
                    "description": None,
                    "steps": [
                        {"id": "s1", "name": "a", "status": "in_progress", "note": "x"},
                        {"id": "s2", "name": "b", "description": "d", "status": "pending"},
                    ],
                },
                "responseValueId": "agent-plan-stream",
            },
            Plan,
            {
                "plan_id": "p1",
                "plan_name": "n",
                "description": None,
                "steps": (
                    PlanStep(id="s1", name="a", status="in_progress", note="x"),
                    PlanStep(id="s2", name="b", description="d"),
                ),
                "response_value_id": "agent-plan-stream",
            },
        ),
        (
            "plan",
            {"plan": {"planId": "p", "task": "t", "steps": [{"id": "s", "title": "a"}]}},
            Plan,
            {"plan_name": "t", "steps": (PlanStep(id="s", name="a"),)},
        ),
        ("planStatus", {"planStatus": {"status": "updating"}}, PlanStatus, {"status": "updating"}),
        (
            "sandboxStatus",
            {"sandboxId": "sb", "phase": "ready", "isWarmStart": False, "skillName": "s"},
            SandboxStatus,
            {
                "sandbox_id": "sb",
                "phase": "ready",
                "is_warm_start": False,
                "skill_name": "s",
                "message": None,
            },
        ),
        (
            "skillCall",
            {
                "skill": {
                    "id": "k",
                    "skillName": "pdf",
                    "skillAvatar": "",
                    "description": "reads",
                    "skillMdPath": "/s.md",
                }
            },
            SkillCall,
            {"skill_id": "k", "skill_name": "pdf", "description": "reads", "path": "/s.md"},
        ),
        (
            "resumeCompleted",
            {"chatGenerateStatus": 1, "hasBeenRead": True, "records": {"list": [], "total": 0}},
            ResumeCompleted,
            {
                "chat_generate_status": 1,
                "has_been_read": True,
                "records": {"list": [], "total": 0},
            },
        ),
        ("resumeCompleted", {}, ResumeCompleted, {"records": {}}),
        (
            "resumeUnavailable",
            {"reason": "memoryPressure"},
            ResumeUnavailable,
            {"reason": "memoryPressure"},
        ),
    ],
)
def test_each_event_is_read_with_its_fields(
    name: str, payload: object, event: type[Event], fields: dict[str, object]
) -> None:
    data = encode({**payload, "something": "new"} if name != "updateVariables" else payload)  # type: ignore[dict-item]
    got = decode(name, data, 9)
    assert type(got) is event
    assert isinstance(got, Event)
    assert (got.index, got.name, got.raw, got.text) == (9, name, data, "")
    for field, value in fields.items():
        assert getattr(got, field) == value


def test_the_phase_of_a_resume_is_a_bare_word() -> None:
    got = decode("resumePhase", b"catchup", 0)
    assert got == ResumePhase("catchup", index=0, name="resumePhase", raw=b"catchup")


def test_node_responses_come_one_by_one_or_all_at_once() -> None:
    one = {"id": "a", "nodeId": "n", "moduleName": "AI", "moduleType": "chatNode"}
    got = decode("flowNodeResponse", encode(one), 0)
    assert isinstance(got, NodeResponse)
    assert got.node.id == "a"
    for payload in ([one, {**one, "id": "b"}], {"1": {**one, "id": "b"}, "0": one}):
        both = decode("flowResponses", encode(payload), 0)
        assert isinstance(both, FlowResponses)
        assert [node.id for node in both.nodes] == ["a", "b"]


@pytest.mark.parametrize(
    "name, data",
    [
        ("unheardOf", b'{"a":1}'),
        ("stepTitle", b"not json"),
        ("done", b'{"x":1}'),
        ("flowNodeStatus", b'{"status":"running"}'),
        ("flowNodeStatus", b"[]"),
        ("flowNodeStatus", b"\xff\xfe"),
        ("flowNodeResponse", b"{}"),
        ("flowNodeResponse", b"[]"),
        ("flowResponses", b'["x"]'),
        ("flowResponses", b"3"),
        ("toolCall", b'{"tool":{}}'),
        ("toolParams", b'{"tool":null}'),
        ("toolResponse", b'{"id":"x"}'),
        ("updateVariables", b"[]"),
        ("interactive", b'{"interactive":{}}'),
        ("workflowDuration", b'{"durationSeconds":"2"}'),
        ("workflowDuration", b'{"durationSeconds":1e400}'),
        ("chatTitle", b'{"title":null}'),
        ("plan", b'{"plan":[]}'),
        ("planStatus", b"{}"),
        ("sandboxStatus", b'{"phase":"x"}'),
        ("skillCall", b"{}"),
        ("resumeCompleted", b"[]"),
        ("resumeUnavailable", b"{}"),
        ("updateVariables", b'{"a":' * 100_000),
        ("updateVariables", b'{"a":' + b"9" * 5000 + b"}"),
        ("interactive", b"[" * 100_000),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_does_not_fit_is_an_unknown_event_with_a_debug_line(
    name: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "fastgpt_client.events"):
        got = decode(name, data, 2)
    assert got == UnknownEvent(data.decode("utf-8", "replace"), index=2, name=name, raw=data)
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == (
        f"event {name!r} is not shaped as documented; kept as UnknownEvent"
        if name in DOCUMENTED
        else f"event {name!r} is not known; kept as UnknownEvent"
    )


def test_the_debug_line_does_not_tell_the_payload(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "fastgpt_client.events"):
        decode("interactive", b'{"interactive":{"nodeOutputs":"SECRET"}}', 0)
        decode("n" * 10_000, b"SECRET", 0)
    assert len(caplog.records) == 2
    assert "SECRET" not in caplog.text
    assert len(caplog.text) < 500


def test_malformed_characters_do_not_cost_an_event() -> None:
    got = decode("chatTitle", b'{"title":"a\xff\\ud83d"}', 0)
    assert isinstance(got, ChatTitle)
    assert got.title == "a\ufffd\ufffd"
    got = decode("updateVariables", rb'{"a":["\udc00"],"b":12345678901234567890123}', 0)
    assert isinstance(got, VariablesUpdated)
    assert got.variables == {"a": ["\ufffd"], "b": 12345678901234567890123}


@pytest.mark.parametrize(
    "module",
    ["_event_base", "_events", "_interactive", "_nodes", "_payloads", "_readers", "_decode"],
)
def test_the_room_is_pure(module: str) -> None:
    path = Path(decode_module.__file__).with_name(f"{module}.py")
    imported: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(statement, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            imported.add((statement.module or "").partition(".")[0])
    allowed = {"__future__", "attrs", "collections", "enum", "json", "logging", "msgspec", "typing"}
    assert imported <= allowed


# Recordings


def frames(body: bytes) -> Iterator[tuple[str, bytes]]:
    for block in body.split(b"\n\n"):
        name, data = "message", None
        for line in block.split(b"\n"):
            field, _, value = line.partition(b": ")
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                data = value
        if data is not None:
            yield name, data


def recorded(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the body of every event stream of the recordings."""
    for path in sorted([*folder.glob("captures-4.16/*.sse"), *folder.glob("composed/*.sse")]):
        yield path.name, path.read_bytes()
    for path in sorted(folder.glob("captures-4.14/*.json")):
        body = json.loads(path.read_text("utf-8")).get("body")
        if isinstance(body, str) and body.startswith(("event: ", "data: ")):
            yield path.name, body.encode()


def test_every_recorded_event_of_a_documented_name_is_typed(captures: Path) -> None:
    seen: Counter[str] = Counter()
    bad: list[str] = []
    for file, body in recorded(captures):
        for index, (name, data) in enumerate(frames(body)):
            try:
                got = decode(name, data, index)
            except BadEventError:
                bad.append(file)
                continue
            assert not isinstance(got, UnknownEvent), (file, name)
            if isinstance(got, Event):
                assert type(got) is DOCUMENTED.get(name, AnswerDelta), (file, name)
                assert got.raw == data
                seen[name] += 1
            elif isinstance(got, ErrorFrame):
                assert name == "error"
                assert got.message
                seen["error"] += 1
            else:
                assert isinstance(got, Signal)
                seen[got.value] += 1
    # The one that was cut inside a frame on purpose.
    assert bad == ["truncated.sse"]
    assert {"message", "error", "heartbeat", "terminal", "done"} <= seen.keys()
    assert DOCUMENTED.keys() <= seen.keys()
    assert sum(seen.values()) > 1000


def test_the_text_of_every_recording_is_what_the_json_says(captures: Path) -> None:
    spoken = 0
    for file, body in recorded(captures):
        text = reasoning = expected_text = expected_reasoning = ""
        for name, data in frames(body):
            if name not in ("message", "answer", "fastAnswer") or data == b"[DONE]":
                continue
            try:
                delta = json.loads(data)["choices"][0]["delta"]
            except ValueError:
                continue
            expected_text += delta.get("content") or ""
            expected_reasoning += delta.get("reasoning_content") or ""
            got = decode(name, data, 0)
            if isinstance(got, AnswerDelta | FastAnswer):
                text += got.text
                reasoning += got.reasoning
        assert (text, reasoning) == (expected_text, expected_reasoning), file
        spoken += bool(text)
    assert spoken > 80


def test_recorded_node_trees_tell_failures_children_and_tokens(captures: Path) -> None:
    def nodes(file: str) -> FlowResponses:
        bodies = dict(recorded(captures))
        events = [decode(name, data, 0) for name, data in frames(bodies[file])]
        return next(event for event in events if isinstance(event, FlowResponses))

    for file, tokens in (
        ("v1-stream-detail-true-toolcall.sse", (24, 14)),
        ("tool_call__v1_stream_detail.json", (134, 32)),
    ):
        tree = nodes(file).nodes
        (tools,) = [node for node in tree if node.type == "tools"]
        assert [child.type for child in tools.children] == ["textEditor"]
        usage = sum_usage(tree)
        assert (usage.input_tokens, usage.output_tokens) == tokens
    for file, words in (
        ("v1-stream-detail-true-model-dies-midway.sse", "terminated"),
        ("llm_fail500__v1_stream_detail.json", "500 stub upstream exploded"),
    ):
        (failed,) = [node for node in nodes(file).nodes if node.failed]
        assert (failed.error, failed.finish_reason) == (words, "error")
        assert failed.error_captured is None
    assert nodes("v1-old-order-4.8.sse").nodes[0].input_tokens == 303


def test_recorded_pauses_are_read_and_hide_the_internal_state(captures: Path) -> None:
    kinds: Counter[str] = Counter()
    for file, body in recorded(captures):
        for name, data in frames(body):
            if name != "interactive":
                continue
            got = decode(name, data, 0)
            assert isinstance(got, Interactive), file
            assert got.description
            assert "memoryEdges" in data.decode()
            assert not any(
                word in repr(got) + repr(got.params)
                for word in ("memoryEdges", "nodeOutputs", "entryNodeIds", "usageId", "toolCallId")
            )
            kinds[got.kind] += 1
            if got.kind == "userSelect":
                assert len(got.options) == 2
            elif got.kind == "userInput":
                assert got.fields[0].required
                assert got.fields[0].options == ()
            else:
                assert got.questions[0].options[0].value == "北京"
    assert kinds.keys() == {"userSelect", "userInput", "agentAsk"}


# Anything at all

names = st.sampled_from([*ANSWERS, *DOCUMENTED, "error", "done"]) | st.text()
keys = st.sampled_from(
    [
        "choices",
        "delta",
        "content",
        "reasoning_content",
        "finish_reason",
        "responseValueId",
        "error",
        "code",
        "message",
        "statusText",
        "status",
        "name",
        "tool",
        "id",
        "toolName",
        "params",
        "response",
        "title",
        "plan",
        "planId",
        "steps",
        "planStatus",
        "sandboxId",
        "phase",
        "skill",
        "records",
        "reason",
        "interactive",
        "type",
        "childrenResponse",
        "userSelectOptions",
        "options",
        "inputForm",
        "list",
        "questions",
        "key",
        "value",
        "label",
        "moduleType",
        "moduleName",
        "nodeId",
        "toolDetail",
        "childrenResponses",
        "errorText",
        "tokens",
        "inputTokens",
        "runningTime",
        "durationSeconds",
        "0",
        "1",
        "10",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=30,
)


def check(name: str, data: bytes) -> None:
    try:
        got = decode(name, data, 1)
    except BadEventError:
        assert name in ANSWERS
        return
    if isinstance(got, Event):
        assert got.index == 1
        assert got.raw == data
        got.text.encode()
        repr(got)
        assert pickle.loads(pickle.dumps(got)) == got
        hash(got)
    else:
        assert isinstance(got, Signal | ErrorFrame)


@given(name=names, data=st.binary())
def test_decoding_any_bytes_raises_nothing_but_a_bad_event_error(name: str, data: bytes) -> None:
    check(name, data)


@settings(max_examples=400)
@given(name=names, payload=values, ascii_only=st.booleans())
def test_decoding_any_json_raises_nothing_but_a_bad_event_error(
    name: str, payload: object, ascii_only: bool
) -> None:
    check(name, json.dumps(payload, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


VALID = [
    ("answer", encode(chunk(content="你好", reasoning_content="x"))),
    ("message", encode(chunk("stop", content=None))),
    ("toolParams", b'{"tool":{"id":"c","params":"{"},"responseValueId":"c"}'),
    ("flowResponses", b'{"0":{"moduleType":"a","toolDetail":[{"moduleType":"b"}],"tokens":3}}'),
    ("interactive", b'{"interactive":{"type":"userInput","params":{"inputForm":[{"key":"k"}]}}}'),
    ("error", b'{"code":514,"statusText":"unAuthApiKey","message":"m"}'),
]


@given(valid=st.sampled_from(VALID), data=st.data())
def test_decoding_damaged_payloads_raises_nothing_but_a_bad_event_error(
    valid: tuple[str, bytes], data: st.DataObject
) -> None:
    name, payload = valid
    start = data.draw(st.integers(0, len(payload)))
    end = data.draw(st.integers(start, len(payload)))
    check(name, payload[:start] + data.draw(st.binary(max_size=4)) + payload[end:])

"""An answer that comes whole is read from every shape that servers give it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fastgpt_client import Status, Timings, Usage, WorkflowError
from fastgpt_client._json_answer import is_completion, read_json_answer

from .recordings import recorded

if TYPE_CHECKING:
    from pathlib import Path

SELECT = {
    "type": "userSelect",
    "params": {
        "description": "Go on?",
        "userSelectOptions": [
            {"key": "option1", "value": "Yes"},
            {"key": "option2", "value": "No"},
        ],
    },
}
TOOL = {
    "id": "call_1",
    "toolName": "Weather",
    "toolAvatar": "",
    "functionName": "weather",
    "params": '{"city":"Oslo"}',
    "response": "rain",
}
NODE = {"id": "n1", "nodeId": "ai", "moduleName": "AI", "moduleType": "chatNode", "runningTime": 1}


def completion(content: Any = "", *, message: Any = None, **fields: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content} if message is None else message
    return {
        "id": "chat-1",
        "model": "",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1},
        "choices": [{"message": said, "finish_reason": "stop", "index": 0}],
        **fields,
    }


@pytest.mark.parametrize(
    "content, text, reasoning",
    [
        ("Hello", "Hello", ""),
        ("", "", ""),
        (None, "", ""),
        ([], "", ""),
        ([{"text": {"content": "Hello"}}], "Hello", ""),
        ([{"type": "text", "text": {"content": "Hello"}}], "Hello", ""),
        ([{"reasoning": {"content": "Hm."}, "text": {"content": "Hi"}}], "Hi", "Hm."),
        (
            [
                {"type": "reasoning", "reasoning": {"content": "Hm."}},
                {"type": "text", "text": {"content": "Hi"}},
            ],
            "Hi",
            "Hm.",
        ),
        (
            [{"text": {"content": "One. "}}, {"tools": [TOOL]}, {"text": {"content": "Two."}}],
            "One. Two.",
            "",
        ),
        ({"text": {"content": "alone"}}, "alone", ""),
        ([{"text": "bare"}], "bare", ""),
        ([{"text": {"content": 7}}, "odd", None, {"plan": {}}, {"file": {"name": "a"}}], "", ""),
    ],
)
def test_text_and_reasoning_are_joined_from_the_content(
    content: Any, text: str, reasoning: str
) -> None:
    answer = read_json_answer(completion(content)).answer
    assert (answer.text, answer.reasoning) == (text, reasoning)
    assert answer.status is Status.COMPLETE


def test_reasoning_beside_a_text_is_read() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    assert read_json_answer(completion(message=message)).answer.reasoning == "Hm."


def test_a_message_without_content_is_an_empty_answer() -> None:
    answer = read_json_answer(completion(message={"role": "assistant"})).answer
    assert answer.text == ""
    assert answer.interactive is None


@pytest.mark.parametrize(
    "part", [{"tools": [TOOL]}, {"type": "tool", "tools": [TOOL]}, {"tool": TOOL}]
)
def test_tool_calls_are_read_under_either_key(part: dict[str, Any]) -> None:
    (use,) = read_json_answer(completion([part])).answer.tool_calls
    assert (use.id, use.name, use.function_name) == ("call_1", "Weather", "weather")
    assert (use.arguments, use.response) == ('{"city":"Oslo"}', "rain")


def test_a_question_is_read_and_the_last_one_counts() -> None:
    first = {"interactive": {"type": "userInput", "params": {"description": "?", "inputForm": []}}}
    content = [first, {"text": {"content": "So."}}, {"interactive": SELECT}]
    asked = read_json_answer(completion(content)).answer.interactive
    assert asked is not None
    assert (asked.kind, asked.description) == ("userSelect", "Go on?")
    assert [option.value for option in asked.options] == ["Yes", "No"]


def test_a_question_that_stands_without_its_list_is_read() -> None:
    answer = read_json_answer(completion({"interactive": SELECT})).answer
    assert answer.interactive is not None


def test_what_comes_with_detail_is_read() -> None:
    nodes = [
        {**NODE, "inputTokens": 3, "outputTokens": 4},
        {**NODE, "id": "n2", "moduleType": "pluginOutput", "pluginOutput": {"result": "42"}},
    ]
    fields = {"responseData": nodes, "newVariables": {"a": 1}, "title": "Greeting"}
    answer = read_json_answer(completion("Hi", **fields), timings=Timings(total=2.0)).answer
    assert [node.id for node in answer.nodes] == ["n1", "n2"]
    assert answer.usage == Usage(3, 4)
    assert answer.plugin_output == {"result": "42"}
    assert answer.variables == {"a": 1}
    assert answer.title == "Greeting"
    assert answer.chat_id == "chat-1"
    assert answer.timings.total == 2.0


def test_the_server_s_constant_usage_is_not_taken_for_a_count() -> None:
    assert read_json_answer(completion("Hi")).answer.usage is None


def test_the_chat_id_that_was_sent_is_kept() -> None:
    assert read_json_answer(completion("Hi", id=""), chat_id="mine").answer.chat_id == "mine"
    assert read_json_answer(completion("Hi", id="")).answer.chat_id is None


@pytest.mark.parametrize(
    "error, words",
    [
        ("401 Incorrect API key provided", "401 Incorrect API key provided"),
        ({"message": "500 exploded", "code": 500}, "500 exploded"),
        ({"code": 500}, "{'code': 500}"),
    ],
)
def test_an_error_beside_the_choices_is_a_workflow_error(error: Any, words: str) -> None:
    found = read_json_answer(completion("so far", error=error))
    assert isinstance(found.failure, WorkflowError)
    assert words in str(found.failure)
    assert found.failure.partial == "so far"
    assert found.answer.status is Status.FAILED


def test_the_failed_node_is_named_with_detail() -> None:
    failed = {**NODE, "errorText": "no such model"}
    found = read_json_answer(completion("", error="no such model", responseData=[failed]))
    assert found.failure is not None
    assert str(found.failure) == "the workflow's node 'AI' failed: no such model"
    assert [node.id for node in found.failure.nodes] == ["n1"]


def test_a_failure_that_the_workflow_caught_is_none() -> None:
    caught = {**NODE, "errorText": "no such model", "errorCaptured": True}
    found = read_json_answer(completion("Sorry.", error="no such model", responseData=[caught]))
    assert found.failure is None
    assert found.answer.status is Status.COMPLETE
    assert [node.id for node in found.answer.failed_nodes] == ["n1"]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": "text"}], "responseData": "x", "newVariables": [], "title": 1},
    ],
)
def test_fields_of_unexpected_types_count_as_absent(payload: dict[str, Any]) -> None:
    answer = read_json_answer(payload).answer
    assert (answer.text, answer.nodes, answer.variables, answer.title) == ("", (), None, None)


@pytest.mark.parametrize(
    "payload, is_one", [({"choices": []}, True), ({"code": 514}, False), ([], False), ("x", False)]
)
def test_only_a_body_with_choices_is_a_completion(payload: Any, is_one: bool) -> None:
    assert is_completion(payload) is is_one


# --- against the recordings ------------------------------------------------------------------


def recorded_answers(captures: Path) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Every recorded JSON answer, by its name: whether it has details, and the body."""
    found = {}
    for exchange in (one for many in recorded(captures).values() for one in many):
        if exchange.status == 200 and not exchange.is_stream:
            payload = json.loads(exchange.body)
            if is_completion(payload):
                found[exchange.name] = (exchange.detail, payload)
    return found


def test_every_recorded_answer_is_read_without_loss(captures: Path) -> None:
    answers = recorded_answers(captures)
    assert len(answers) > 80
    for name, (detail, payload) in answers.items():
        found = read_json_answer(payload)
        # Each piece of text anywhere in the content is in the answer, and nothing else.
        content = payload["choices"][0]["message"].get("content")
        texts = [content] if isinstance(content, str) else []
        thoughts = []
        for part in content if isinstance(content, list) else []:
            texts += [part["text"]["content"]] if "text" in part else []
            thoughts += [part["reasoning"]["content"]] if "reasoning" in part else []
        assert found.answer.text == "".join(texts), name
        if thoughts:
            assert found.answer.reasoning == "".join(thoughts), name
        assert (found.failure is not None) == bool(payload.get("error")), name
        asks = isinstance(content, list) and any("interactive" in part for part in content)
        assert (found.answer.interactive is not None) == asks, name
        tools = str(content).count("'toolName'")
        assert len(found.answer.tool_calls) == tools, name
        if detail:
            assert len(found.answer.nodes) == len(payload["responseData"]), name
            assert found.answer.variables == payload["newVariables"], name


def test_a_recorded_answer_says_what_the_stream_of_the_same_question_said(captures: Path) -> None:
    streams = {
        exchange.name: exchange
        for many in recorded(captures).values()
        for exchange in many
        if exchange.is_stream
    }
    compared = 0
    for name, (_, payload) in recorded_answers(captures).items():
        twin = streams.get(name.replace("json", "stream"))
        # A stopped run says another number of words each time.
        if twin is None or "stop" in name or twin.broken:
            continue
        chunks = [
            json.loads(line[6:])
            for line in twin.body.decode().split("\n")
            if line.startswith(('data: {"id"', 'data: {"event"'))
        ]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if "choices" in chunk]
        said = "".join(delta.get("content") or "" for delta in deltas)
        answer = read_json_answer(payload).answer
        # Without detail, the server itself puts a line end between the texts around a tool.
        assert answer.text.replace("\n", "") == said.replace("\n", ""), name
        compared += 1
    assert compared > 30

"""What a transcript makes of a reply: numbered events, the text so far, the answer they amount to."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgpt_client._answer import Status, Timings, ToolUse
from fastgpt_client._errors import APIError, BadEventError, QuotaExceededError
from fastgpt_client._events import (
    AnswerDelta,
    ChatTitle,
    FastAnswer,
    FlowResponses,
    Interactive,
    NodeResponse,
    NodeStatus,
    ResumeCompleted,
    ToolCall,
    ToolParams,
    ToolResponse,
    UnknownEvent,
    VariablesUpdated,
    WorkflowDuration,
)
from fastgpt_client._sse import ServerSentEvent
from fastgpt_client._transcript import Transcript


def frame(name: str, payload: object) -> ServerSentEvent:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return ServerSentEvent(name, data, "")


def said(
    text: str | None, reasoning: str | None = None, finish: str | None = None, name: str = "answer"
) -> ServerSentEvent:
    delta = {"content": text, "reasoning_content": reasoning}
    return frame(name, {"choices": [{"delta": delta, "index": 0, "finish_reason": finish}]})


def node(node_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": node_id, "nodeId": "n", "moduleName": "AI", "moduleType": "chatNode", **fields}


def tool(kind: str, tool_id: str, **fields: str) -> ServerSentEvent:
    return frame(kind, {"tool": {"id": tool_id, **fields}})


def select(description: str = "") -> dict[str, Any]:
    options = [{"key": "a", "value": "A"}]
    return {
        "type": "userSelect",
        "params": {"description": description, "userSelectOptions": options},
    }


def completed(*parts: object, **more: object) -> ServerSentEvent:
    saved = [{"obj": "Human", "value": [{"text": {"content": "?"}}]}, {"obj": "AI", "value": parts}]
    return frame(
        "resumeCompleted",
        {"chatGenerateStatus": 1, "hasBeenRead": True, "records": {"list": saved, **more}},
    )


def taking(*frames: ServerSentEvent) -> Transcript:
    transcript = Transcript()
    for one in frames:
        transcript.take(one)
    return transcript


def answer(transcript: Transcript) -> Any:
    return transcript.answer(Status.COMPLETE, Timings(), None)


# --- any sequence, against a model -------------------------------------------------------------


@attrs.define
class Model:
    """What a transcript should have, put together in the plainest way."""

    kinds: list[type] = attrs.field(factory=list)
    texts: list[str] = attrs.field(factory=list)
    thoughts: list[str] = attrs.field(factory=list)
    heartbeats: int = 0
    done: bool = False
    terminal: bool = False
    has_content: bool = False
    nodes: list[tuple[str, str, float, Any]] = attrs.field(factory=list)
    tools: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    variables: Any = None
    title: str | None = None
    duration: float | None = None
    question: str | None = None

    def take(self, step: tuple[Any, ...]) -> ServerSentEvent:
        """Note one step, and return the frame that stands for it."""
        what, *details = step
        return getattr(self, what)(*details)  # type: ignore[no-any-return]

    def say(self, name: str, text: str, thought: str, finish: str | None) -> ServerSentEvent:
        if text or thought:
            self.kinds.append(FastAnswer if name == "fastAnswer" else AnswerDelta)
            self.texts.append(text)
            self.thoughts.append(thought)
            self.has_content = True
        self.terminal |= finish is not None
        self.heartbeats += not (text or thought or finish)
        return said(text, thought, finish, name)

    def finish(self) -> ServerSentEvent:
        self.done = True
        return frame("answer", b"[DONE]")

    def status(self) -> ServerSentEvent:
        self.kinds.append(NodeStatus)
        return frame("flowNodeStatus", {"status": "running", "name": "AI"})

    def novelty(self) -> ServerSentEvent:
        self.kinds.append(UnknownEvent)
        return frame("novelty", {"text": "no text of the reply"})

    def respond(self, together: bool, nodes: list[tuple[str, str, float, Any]]) -> ServerSentEvent:
        payload = []
        for node_id, parent, seconds, output in nodes if together else nodes[:1]:
            one = node(node_id, runningTime=seconds, parentId=parent, pluginOutput=output)
            payload.append(one)
            # One that comes again takes the last place; without an id each is another.
            self.nodes = [
                kept for kept in self.nodes if not node_id or kept[:2] != (node_id, parent)
            ]
            self.nodes.append((node_id, parent, seconds, output))
            self.has_content |= output is not None
        self.kinds.append(FlowResponses if together else NodeResponse)
        if together:
            return frame("flowResponses", payload)
        return frame("flowNodeResponse", payload[0])

    def call(
        self, kind: str, tool_id: str, name: str, function: str, words: str
    ) -> ServerSentEvent:
        use = self.tools.setdefault(
            tool_id, {"name": "", "function_name": "", "arguments": "", "response": None}
        )
        if name:
            use["name"] = name
        if function:
            use["function_name"] = function
        fields = {"toolName": name, "functionName": function}
        if kind == "toolResponse":
            self.kinds.append(ToolResponse)
            use["response"] = words
            fields |= {"response": words, "params": "not an argument"}
        else:
            self.kinds.append(ToolCall if kind == "toolCall" else ToolParams)
            use["arguments"] += words
            fields |= {"params": words, "response": "none yet"}
        return tool(kind, tool_id, **fields)

    def set_variables(self, variables: dict[str, int]) -> ServerSentEvent:
        self.kinds.append(VariablesUpdated)
        self.variables = variables
        return frame("updateVariables", variables)

    def call_it(self, title: str) -> ServerSentEvent:
        self.kinds.append(ChatTitle)
        self.title = title
        return frame("chatTitle", {"title": title})

    def take_time(self, seconds: float) -> ServerSentEvent:
        self.kinds.append(WorkflowDuration)
        self.duration = seconds
        return frame("workflowDuration", {"durationSeconds": seconds})

    def ask(self, question: str) -> ServerSentEvent:
        self.kinds.append(Interactive)
        self.question = question
        self.has_content = True
        return frame("interactive", {"interactive": select(question)})


_words = st.text(max_size=4)
_ids = st.sampled_from(["", "1", "2"])
_one_node = st.tuples(
    _ids, _ids, st.integers(0, 9).map(float), st.sampled_from([None, None, {"a": 1}, {"a": 2}])
)
_steps = st.one_of(
    st.tuples(
        st.just("say"),
        st.sampled_from(["answer", "fastAnswer", "message", ""]),
        _words,
        _words,
        st.sampled_from([None, None, "stop"]),
    ),
    st.tuples(st.just("respond"), st.booleans(), st.lists(_one_node, min_size=1, max_size=3)),
    st.tuples(
        st.just("call"),
        st.sampled_from(["toolCall", "toolParams", "toolResponse"]),
        _ids,
        _words,
        _words,
        _words,
    ),
    st.tuples(st.just("set_variables"), st.dictionaries(_words, st.integers(), max_size=2)),
    st.tuples(st.just("call_it"), _words),
    st.tuples(st.just("take_time"), st.integers(0, 9).map(float)),
    st.tuples(st.just("ask"), _words),
    st.sampled_from([("finish",), ("status",), ("novelty",)]),
)


def check(transcript: Transcript, model: Model) -> None:
    assert [type(event) for event in transcript.events] == model.kinds
    assert [event.index for event in transcript.events] == list(range(len(model.kinds)))
    assert transcript.text == "".join(model.texts)
    assert transcript.text == "".join(event.text for event in transcript.events)
    assert transcript.reasoning == "".join(model.thoughts)
    assert transcript.heartbeats == model.heartbeats
    assert (transcript.done, transcript.terminal) == (model.done, model.terminal)
    assert transcript.complete is (model.done or model.terminal)
    assert transcript.has_content is model.has_content
    whole = answer(transcript)
    assert (whole.text, whole.reasoning) == (transcript.text, transcript.reasoning)
    assert whole.nodes == transcript.nodes
    found = [
        (one.id, one.parent_id or "", one.running_time, one.plugin_output) for one in whole.nodes
    ]
    assert found == model.nodes
    outputs = [output for *_, output in found if output is not None]
    assert whole.plugin_output == (outputs[-1] if outputs else None)
    assert {use.id: attrs.asdict(use) for use in whole.tool_calls} == {
        tool_id: {"id": tool_id, **fields} for tool_id, fields in model.tools.items()
    }
    assert (whole.variables, whole.title, whole.duration) == (
        model.variables,
        model.title,
        model.duration,
    )
    asked = None if whole.interactive is None else whole.interactive.description
    assert asked == model.question


@given(st.lists(_steps, max_size=25))
def test_a_transcript_is_what_its_events_amount_to(steps: list[tuple[Any, ...]]) -> None:
    model, transcript = Model(), Transcript()
    for step in steps:
        before = len(model.kinds)
        published = transcript.take(model.take(step))
        assert published is (len(model.kinds) > before)
        check(transcript, model)


@given(st.lists(_steps, max_size=8), st.booleans())
def test_what_came_before_a_broken_or_an_error_event_stays(
    steps: list[tuple[Any, ...]], is_error: bool
) -> None:
    model, transcript = Model(), Transcript()
    for step in steps:
        transcript.take(model.take(step))
    broken = frame("error", {"message": "m"}) if is_error else frame("answer", b"{")
    with pytest.raises(APIError if is_error else BadEventError):
        transcript.take(broken)
    check(transcript, model)


# --- one by one --------------------------------------------------------------------------------


def test_an_empty_transcript_amounts_to_an_empty_answer() -> None:
    transcript = Transcript()
    check(transcript, Model())
    whole = transcript.answer(Status.STOPPED, Timings(events=3), "c")
    assert (whole.status, whole.timings, whole.chat_id) == (Status.STOPPED, Timings(events=3), "c")
    assert (whole.usage, whole.plugin_output, str(whole)) == (None, None, "")
    assert str(answer(taking(said("Once ")))) == "Once "


def test_an_error_event_is_raised_as_what_it_means() -> None:
    payload = {"code": 500004, "statusText": "aiPointsNotEnough", "message": "no points"}
    with pytest.raises(QuotaExceededError) as caught:
        Transcript().take(frame("error", payload))
    assert (caught.value.status_code, caught.value.code) == (200, 500004)
    assert caught.value.response_data == payload


def test_a_node_that_is_sent_again_takes_the_last_place() -> None:
    again = taking(
        frame("flowNodeResponse", node("1", runningTime=1)),
        frame("flowNodeResponse", node("2")),
        frame("flowNodeResponse", node("1", runningTime=3)),
    )
    assert [(one.id, one.running_time) for one in again.nodes] == [("2", None), ("1", 3.0)]


def test_a_child_and_a_parent_of_the_same_id_are_two_nodes() -> None:
    two = taking(frame("flowResponses", [node("1"), node("1", parentId="p")]))
    assert [one.parent_id for one in two.nodes] == [None, "p"]


def test_nodes_without_an_id_have_a_place_each() -> None:
    nodes = taking(
        frame("flowNodeResponse", node("", runningTime=1)),
        frame("flowResponses", [node("", runningTime=2), node("", runningTime=3)]),
    ).nodes
    assert [one.running_time for one in nodes] == [1.0, 2.0, 3.0]


def test_the_output_of_the_last_plugin_is_the_answers_and_counts_as_content() -> None:
    transcript = taking(frame("flowNodeResponse", node("1")))
    assert not transcript.has_content
    transcript.take(frame("flowNodeResponse", node("2", pluginOutput={"a": 1})))
    assert transcript.has_content
    transcript.take(frame("flowResponses", [node("3", pluginOutput={"a": 2}), node("4")]))
    assert answer(transcript).plugin_output == {"a": 2}


def test_the_tokens_are_those_of_the_nodes_and_none_if_no_node_tells_any() -> None:
    transcript = taking(frame("flowNodeResponse", node("1", inputTokens=0, outputTokens=0)))
    assert answer(transcript).usage is None
    transcript.take(frame("flowNodeResponse", node("2", inputTokens=3, outputTokens=4)))
    assert answer(transcript).usage.total_tokens == 7


def test_a_tool_call_is_put_together_from_its_fragments() -> None:
    transcript = taking(
        tool("toolCall", "1", toolName="Time", functionName="time", params=""),
        tool("toolParams", "1", params='{"a"'),
        tool("toolCall", "2", toolName="Other"),
        tool("toolParams", "1", params=":1}"),
        tool("toolResponse", "1", response="noon", params="{}"),
    )
    assert answer(transcript).tool_calls == (
        ToolUse(id="1", name="Time", function_name="time", arguments='{"a":1}', response="noon"),
        ToolUse(id="2", name="Other"),
    )


def test_a_failed_node_that_nothing_caught_is_a_workflow_error_with_the_text_so_far() -> None:
    transcript = taking(
        said("Once "),
        frame("flowResponses", [node("1", errorText="caught", errorCaptured=True), node("2")]),
    )
    assert transcript.workflow_error() is None
    transcript.take(frame("flowNodeResponse", node("3", errorText="it broke")))
    error = transcript.workflow_error()
    assert error is not None
    assert str(error) == "the workflow's node 'AI' failed: it broke"
    assert [one.id for one in error.nodes] == ["3"]
    assert error.partial == "Once "


def test_of_several_failed_nodes_the_last_gives_the_workflow_error_its_words() -> None:
    first = node("1", errorText="first", errorCaptured=False, moduleName="A")
    last = node("2", finishReason="error", moduleName="B")
    error = taking(frame("flowResponses", [first, last])).workflow_error()
    assert error is not None
    assert str(error) == "the workflow's node 'B' failed: it said no more"
    assert [one.id for one in error.nodes] == ["1", "2"]


# --- the saved end of a resumed reply ----------------------------------------------------------


@given(before=_words, thought=_words, rest=_words, rest_of_thought=_words)
@example(before="", thought="", rest="", rest_of_thought="")
def test_the_saved_answer_adds_what_is_missing_and_repeats_nothing(
    before: str, thought: str, rest: str, rest_of_thought: str
) -> None:
    saved = {"text": {"content": before + rest}}
    saved_thought = {"reasoning": {"content": thought + rest_of_thought}}
    transcript = taking(said(before, thought), completed(saved_thought, saved))
    assert transcript.text == before + rest
    assert transcript.reasoning == thought + rest_of_thought
    assert transcript.text == "".join(event.text for event in transcript.events)
    thoughts = [getattr(event, "reasoning", "") for event in transcript.events]
    assert transcript.reasoning == "".join(thoughts)
    assert [event.index for event in transcript.events] == list(range(len(transcript.events)))
    added = transcript.events[int(bool(before or thought)) :]
    adds = bool(rest or rest_of_thought)
    assert [type(event) for event in added] == [ResumeCompleted, AnswerDelta][: 1 + adds]
    if adds:
        assert (added[1].name, added[1].raw) == ("resumeCompleted", added[0].raw)


def test_a_saved_answer_that_begins_otherwise_changes_nothing() -> None:
    transcript = taking(
        said("Twice "), completed({"text": {"content": "Once upon"}}, {"reasoning": "hm"})
    )
    assert (transcript.text, transcript.reasoning) == ("Twice ", "hm")


def test_a_saved_end_is_published_and_counts_as_content_even_without_an_answer() -> None:
    for records in ({}, {"list": None}, {"list": ["x", {"obj": "Human", "value": "hi"}]}):
        transcript = Transcript()
        assert transcript.take(frame("resumeCompleted", {"records": records})) is True
        assert [type(event) for event in transcript.events] == [ResumeCompleted]
        assert (transcript.text, transcript.has_content) == ("", True)


def test_of_several_saved_answers_the_last_counts() -> None:
    saved = [{"obj": "AI", "value": text} for text in ("first", "last")]
    saved += [{"obj": "Human", "value": "me"}]
    transcript = taking(frame("resumeCompleted", {"records": {"list": saved}}))
    assert transcript.text == "last"


def test_saved_tool_calls_are_added_unless_they_are_there() -> None:
    transcript = taking(
        tool("toolCall", "1", toolName="mine", params="{}"),
        completed({"tools": [{"id": "1", "toolName": "saved"}, {"id": "2", "toolName": "other"}]}),
    )
    assert [(use.id, use.name) for use in answer(transcript).tool_calls] == [
        ("1", "mine"),
        ("2", "other"),
    ]


def test_a_saved_question_is_asked_unless_one_was_or_it_was_answered() -> None:
    end = completed({"interactive": select("saved")})
    asked = taking(end)
    assert asked.interactive is asked.events[1]
    assert (asked.interactive.index, asked.interactive.name) == (1, "resumeCompleted")
    assert asked.interactive.raw == end.data
    assert asked.interactive.description == "saved"

    twice = taking(frame("interactive", {"interactive": select("mine")}), end)
    assert twice.interactive is not None
    assert twice.interactive.description == "mine"
    assert len(twice.events) == 2

    answered = select("saved")
    answered["params"]["userSelectedVal"] = "A"
    assert taking(completed({"interactive": answered})).interactive is None
    assert taking(completed({"interactive": {"no": "question"}})).interactive is None

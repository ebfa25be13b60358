"""The values: events, nodes, usage and the questions of a paused workflow."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import attrs
import pytest

from fastgpt_client import _events
from fastgpt_client._events import (
    AnswerDelta,
    ChatTitle,
    Event,
    FastAnswer,
    FlowResponses,
    Interactive,
    NodeResponse,
    NodeStatus,
    Option,
    Plan,
    PlanStatus,
    PlanStep,
    Question,
    QuestionOption,
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
from fastgpt_client._interactive import read_interactive
from fastgpt_client._nodes import (
    Node,
    Usage,
    is_node_response,
    read_node,
    read_nodes,
    sum_usage,
)

BASE: dict[str, Any] = {"index": 3, "name": "n", "raw": b"{}"}

EVENTS: list[Event] = [
    AnswerDelta("hi", "hm", "stop", "v1", **BASE),
    FastAnswer("\nhi", **BASE),
    NodeStatus("running", "AI", **BASE),
    NodeResponse(Node(id="a", raw={"id": "a"}), **BASE),
    FlowResponses((Node(id="a"), Node(id="b")), **BASE),
    ToolCall("c1", "Weather", "weather", **BASE),
    ToolParams("c1", params='{"a":', **BASE),
    ToolResponse("c1", response="25", **BASE),
    VariablesUpdated({"city": ["x"]}, **BASE),
    Interactive(
        "userSelect", options=(Option("option1", "Yes"),), params={"description": "?"}, **BASE
    ),
    WorkflowDuration(2.41, **BASE),
    ChatTitle("A title", **BASE),
    Plan("p", "n", None, (PlanStep(id="s"),), **BASE),
    PlanStatus("generating", **BASE),
    SandboxStatus("sb", "ready", True, **BASE),
    SkillCall("k", "pdf", **BASE),
    ResumePhase("live", **BASE),
    ResumeCompleted(1, True, {"total": 2}, **BASE),
    ResumeUnavailable("memoryPressure", **BASE),
    UnknownEvent("{}", **BASE),
]
by_class = pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)


def test_every_event_class_is_tried_here() -> None:
    public = {getattr(_events, name) for name in _events.__all__}
    classes = {c for c in public if issubclass(c, Event) and c is not Event}
    assert {type(event) for event in EVENTS} == classes


@by_class
def test_an_event_has_slots_and_cannot_be_changed(event: Event) -> None:
    assert not hasattr(event, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.index = 4  # type: ignore[misc]


@by_class
def test_an_event_survives_pickling_and_copying(event: Event) -> None:
    for twin in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
        assert twin == event
        assert twin is not event
        assert twin.raw == b"{}"


@by_class
def test_an_event_is_hashable_and_equal_events_have_equal_hashes(event: Event) -> None:
    assert hash(event) == hash(pickle.loads(pickle.dumps(event)))


@by_class
def test_events_differ_by_index_name_and_payload(event: Event) -> None:
    assert attrs.evolve(event, index=4) != event
    assert attrs.evolve(event, name="other") != event
    assert attrs.evolve(event, raw=b"[]") != event


@by_class
def test_only_the_two_answer_kinds_carry_text(event: Event) -> None:
    if isinstance(event, AnswerDelta | FastAnswer):
        assert event.text in ("hi", "\nhi")
    else:
        assert event.text == ""


@by_class
def test_the_payload_is_not_in_the_representation(event: Event) -> None:
    marked = attrs.evolve(event, raw=b"SECRET")
    assert "SECRET" not in repr(marked)
    assert repr(marked).startswith(type(event).__name__ + "(index=3, name='n'")


@by_class
def test_index_name_and_raw_are_named_arguments_and_not_match_positions(event: Event) -> None:
    parameters = inspect.signature(type(event)).parameters
    for name in ("index", "name", "raw"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert name not in type(event).__match_args__


def test_unknown_data_is_not_in_the_representation() -> None:
    assert "SECRET" not in repr(UnknownEvent("SECRET", **BASE))


@by_class
def test_events_can_be_told_apart_with_match(event: Event) -> None:
    seen: str | None
    match event:
        case AnswerDelta(text=text) | FastAnswer(text=text):
            seen = text
        case NodeStatus(node_name=name):
            seen = name
        case Interactive(kind=kind, options=(Option(value=value), *_)):
            seen = f"{kind} {value}"
        case _:
            seen = None
    expected = {
        AnswerDelta: "hi",
        FastAnswer: "\nhi",
        NodeStatus: "AI",
        Interactive: "userSelect Yes",
    }
    assert seen == expected.get(type(event))


def test_a_fast_answer_is_no_answer_delta() -> None:
    assert not isinstance(FastAnswer("x", **BASE), AnswerDelta)


# Nodes


def node(**fields: Any) -> dict[str, Any]:
    return {"moduleType": "chatNode", "moduleName": "AI", "nodeId": "n", **fields}


def test_a_node_is_read_with_all_of_its_documented_fields() -> None:
    payload = node(
        id="a",
        parentId="p",
        runningTime=0.23,
        model="m",
        inputTokens=12,
        outputTokens=3,
        errorText="it broke",
        errorCaptured=True,
        finishReason="error",
        textOutput="t",
        pluginOutput={"result": "r"},
    )
    assert read_node(payload) == Node(
        id="a",
        node_id="n",
        parent_id="p",
        name="AI",
        type="chatNode",
        running_time=0.23,
        model="m",
        input_tokens=12,
        output_tokens=3,
        error="it broke",
        error_captured=True,
        finish_reason="error",
        text_output="t",
        plugin_output={"result": "r"},
        raw=payload,
    )


def test_absent_and_odd_fields_of_a_node_are_none() -> None:
    got = read_node(
        node(
            id=7,
            parentId="",
            runningTime=True,
            inputTokens="12",
            errorText="",
            error=None,
            errorCaptured="yes",
            finishReason=5,
            pluginOutput="text",
            toolDetail=None,
        )
    )
    assert got == Node(node_id="n", name="AI", type="chatNode", raw=got.raw)
    assert not got.failed
    assert read_node(node(runningTime=10**400)).running_time is None


@pytest.mark.parametrize(
    "fields, error",
    [
        ({"errorText": "a"}, "a"),
        ({"error": "a"}, "a"),
        ({"errorText": "a", "error": {"message": "b"}}, "a"),
        ({"errorText": "", "error": "b"}, "b"),
        ({"error": {"message": "b", "code": 1}}, "b"),
        ({"error": {"error": {"message": "b"}}}, "b"),
        ({"error": {"error": "b"}}, "b"),
        ({"error": {"statusText": "unAuthApp"}}, "unAuthApp"),
        ({"error": {"code": 1, "词": "é"}}, '{"code": 1, "词": "é"}'),
        ({"error": {"code": 10**30}}, '{"code": 1000000000000000000000000000000}'),
        ({"error": ["x"]}, '["x"]'),
        ({"error": {}}, None),
        ({"error": False}, None),
        ({}, None),
    ],
)
def test_the_error_of_a_node_is_text_whatever_its_shape(
    fields: dict[str, Any], error: str | None
) -> None:
    got = read_node(node(**fields))
    assert got.error == error
    assert got.failed is (error is not None)


@pytest.mark.parametrize("reason, failed", [("error", True), ("close", False), ("stop", False)])
def test_a_finish_reason_of_error_is_a_failure(reason: str, failed: bool) -> None:
    assert read_node(node(finishReason=reason)).failed is failed


@pytest.mark.parametrize(
    "fields, tokens",
    [
        ({"inputTokens": 5, "outputTokens": 2}, (5, 2)),
        ({"toolCallInputTokens": 24, "toolCallOutputTokens": 14}, (24, 14)),
        (
            {
                "inputTokens": 5,
                "outputTokens": 2,
                "toolCallInputTokens": 24,
                "toolCallOutputTokens": 14,
            },
            (29, 16),
        ),
        ({"tokens": 303}, (303, None)),
        ({"tokens": 303, "inputTokens": 300, "outputTokens": 3}, (300, 3)),
        ({"inputTokens": 0, "outputTokens": 0}, (0, 0)),
        ({"inputTokens": 12.0}, (12, None)),
        ({"inputTokens": True}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_tokens_are_read_from_every_version(
    fields: dict[str, Any], tokens: tuple[int | None, int | None]
) -> None:
    got = read_node(node(**fields))
    assert (got.input_tokens, got.output_tokens) == tokens


@pytest.mark.parametrize(
    "field",
    [
        "childrenResponses",
        "toolDetail",
        "pluginDetail",
        "loopDetail",
        "parallelDetail",
        "loopRunDetail",
        "somethingNew",
    ],
)
def test_children_are_found_in_every_list_of_node_responses(field: str) -> None:
    inner = node(id="c", toolDetail=[node(id="g")])
    got = read_node(node(id="a", **{field: [inner]}))
    assert [child.id for child in got.children] == ["c"]
    assert [child.id for child in got.children[0].children] == ["g"]


def test_a_child_in_two_lists_is_there_once() -> None:
    got = read_node(
        node(
            childrenResponses=[node(id="c"), node(id="d")],
            toolDetail=[node(id="c"), node(), node()],
        )
    )
    assert [child.id for child in got.children] == ["c", "d", "", ""]


@pytest.mark.parametrize(
    "data",
    [
        [{"obj": "Human", "value": "x"}],
        [{"nodeId": "n", "key": "k", "value": 1}],
        ["text"],
        [node(), "text"],
        [],
    ],
)
def test_a_list_of_something_else_is_no_list_of_children(data: list[Any]) -> None:
    assert read_node(node(historyPreview=data)).children == ()


def test_children_nested_beyond_reason_stay_in_the_raw_mapping() -> None:
    payload = node(id="leaf")
    for _ in range(200):
        payload = node(childrenResponses=[payload])
    got, depth = read_node(payload), 0
    while got.children:
        got, depth = got.children[0], depth + 1
    assert depth == 50
    assert got.raw["childrenResponses"]


def test_nodes_come_as_an_array_or_as_an_object_with_numbers_for_keys() -> None:
    items = [node(id=f"n{place}") for place in range(12)]
    numbered = {str(place): items[place] for place in sorted(range(12), key=str)}
    for payload in (items, numbered):
        nodes = read_nodes(payload)
        assert nodes is not None
        assert [one.id for one in nodes] == [f"n{place}" for place in range(12)]
    assert read_nodes([]) == read_nodes({}) == ()


@pytest.mark.parametrize("payload", [None, "x", 1, [1], [{}], {"0": "x"}, [node(), None]])
def test_what_is_no_list_of_nodes_is_told(payload: object) -> None:
    assert read_nodes(payload) is None


def test_a_node_response_is_known_by_its_names() -> None:
    assert is_node_response({"moduleName": "x"})
    assert is_node_response({"nodeId": "x"})
    assert not is_node_response({"id": "x"})
    assert not is_node_response({"moduleName": None})
    assert not is_node_response([])


def test_a_node_survives_pickling_and_is_hashable() -> None:
    got = read_node(node(id="a", pluginOutput={"x": [1]}, toolDetail=[node(id="b")]))
    twin = pickle.loads(pickle.dumps(got))
    assert twin == got
    assert hash(twin) == hash(got)
    assert attrs.evolve(got, raw={}) != got


def test_a_node_shows_neither_its_raw_mapping_nor_its_outputs() -> None:
    got = read_node(node(historyPreview=["S1"], textOutput="S2", pluginOutput={"k": "S3"}))
    assert "raw" not in repr(got)
    assert not any(secret in repr(got) for secret in ("S1", "S2", "S3"))


def test_usage_is_summed_over_parents_and_children() -> None:
    parent = read_node(
        node(
            id="tools",
            toolCallInputTokens=24,
            toolCallOutputTokens=14,
            toolDetail=[
                node(id="app", pluginDetail=[node(id="chat", inputTokens=5, outputTokens=2)])
            ],
        )
    )
    usage = sum_usage([parent, read_node(node(id="end", inputTokens=1, outputTokens=1))])
    assert usage == Usage(30, 17)
    assert usage.total_tokens == 47


def test_a_response_inside_its_parent_and_alone_is_counted_once() -> None:
    inner = node(id="c", inputTokens=40, outputTokens=4)
    parent = node(id="p", inputTokens=1, outputTokens=1, childrenResponses=[inner])
    alone = read_node({**inner, "parentId": "p"})
    for nodes in ([read_node(parent), alone], [alone, read_node(parent)]):
        assert sum_usage(nodes) == Usage(41, 5)


def test_a_later_response_of_the_same_id_counts_unless_it_tells_no_tokens() -> None:
    first = Node(id="a", input_tokens=10, output_tokens=1)
    assert sum_usage([first, Node(id="a", input_tokens=45)]) == Usage(45, 0)
    assert sum_usage([first, Node(id="a")]) == Usage(10, 1)


def test_nodes_without_an_id_all_count() -> None:
    assert sum_usage([Node(input_tokens=5), Node(input_tokens=5, output_tokens=1)]) == Usage(10, 1)
    assert sum_usage([]) == Usage(0, 0)


# Questions


def ask(payload: object) -> Interactive | None:
    return read_interactive(payload, index=0, name="interactive", raw=b"")


LEAKS = {
    "interactiveId": "i1",
    "skipNodeQueue": [],
    "entryNodeIds": ["sel"],
    "memoryEdges": [{"source": "SECRET"}],
    "nodeOutputs": [{"nodeId": "x", "key": "k", "value": "SECRET"}],
    "usageId": "u",
}


def select(**more: Any) -> dict[str, Any]:
    params = {
        "description": "Go on?",
        "userSelectOptions": [
            {"key": "option1", "value": "Confirm"},
            {"key": "option2", "value": "Cancel"},
        ],
    }
    return {"type": "userSelect", "params": params, **more}


def test_a_select_is_read_with_its_options() -> None:
    got = ask({"interactive": select(**LEAKS)})
    assert got is not None
    assert got.kind == "userSelect"
    assert got.description == "Go on?"
    assert got.options == (Option("option1", "Confirm"), Option("option2", "Cancel"))
    assert got.params == select()["params"]
    assert got.fields == ()
    assert got.questions == ()


def test_a_json_reply_s_question_is_read_with_and_without_its_key() -> None:
    assert ask(select()) == ask({"interactive": select()})


def test_a_form_is_read_with_its_fields() -> None:
    got = ask(
        {
            "interactive": {
                "type": "userInput",
                "params": {
                    "description": "Fill in",
                    "inputForm": [
                        {
                            "type": "input",
                            "key": "name",
                            "label": "Name",
                            "description": "yours",
                            "value": "",
                            "defaultValue": "x",
                            "valueType": "string",
                            "required": True,
                            "maxLength": 50,
                            "minLength": 2,
                            "list": [{"label": "", "value": ""}],
                        },
                        {
                            "type": "numberInput",
                            "key": "age",
                            "label": "Age",
                            "valueType": "number",
                            "required": False,
                            "min": 0,
                            "max": 99.5,
                        },
                        {
                            "type": "select",
                            "label": "Color",
                            "list": [{"label": "Red", "value": "red"}, {"label": 1, "value": 2}],
                        },
                        "no field",
                    ],
                },
            }
        }
    )
    assert got is not None
    name, age, color = got.fields
    assert (name.key, name.label, name.type, name.value_type) == ("name", "Name", "input", "string")
    assert (name.description, name.default, name.required) == ("yours", "x", True)
    assert (name.max_length, name.min_length, name.options) == (50, 2, ())
    assert (age.min, age.max, age.required, age.max_length) == (0, 99.5, False, None)
    assert color.key == "Color"
    assert color.options == (Option("Red", "red"), Option("1", "2"))


def test_an_agent_s_question_is_unwrapped_from_the_tool_that_asked() -> None:
    inner = {
        "type": "agentAsk",
        "askId": "ask1",
        "params": {
            "description": "More, please",
            "questions": [
                {
                    "question": "Which city?",
                    "options": [{"summary": "Big", "value": "big"}],
                    "answer": "",
                }
            ],
        },
        "memoryEdges": ["SECRET"],
    }
    got = ask(
        {
            "interactive": {
                "type": "toolChildrenInteractive",
                "params": {
                    "childrenResponse": inner,
                    "toolParams": {"toolCallId": "c", "memoryRequestMessages": ["SECRET"]},
                },
                **LEAKS,
            }
        }
    )
    assert got is not None
    assert got.kind == "agentAsk"
    assert got.ask_id == "ask1"
    assert got.questions == (Question("Which city?", (QuestionOption("Big", "big"),), ""),)
    assert got.params == inner["params"]


@pytest.mark.parametrize(
    "wrapper",
    ["childrenInteractive", "toolChildrenInteractive", "loopInteractive", "loopRunInteractive"],
)
@pytest.mark.parametrize("times", [1, 2, 20])
def test_wrappers_are_taken_off(wrapper: str, times: int) -> None:
    level = select()
    for _ in range(times):
        level = {"type": wrapper, "params": {"childrenResponse": level, "loopResult": ["SECRET"]}}
    got = ask({"interactive": level})
    assert got is not None
    assert got.kind == "userSelect"
    assert got.options[1].value == "Cancel"


def test_more_than_twenty_wrappers_are_left_on_without_what_they_hold() -> None:
    level = select(nodeOutputs=["SECRET"])
    for _ in range(21):
        level = {
            "type": "loopInteractive",
            "params": {"childrenResponse": level, "loopResult": ["SECRET"], "currentIndex": 1},
            **LEAKS,
        }
    got = ask({"interactive": level})
    assert got is not None
    assert got.kind == "loopInteractive"
    assert got.params == {}


def test_a_wrapper_around_something_odd_is_the_deepest_level() -> None:
    got = ask({"interactive": {"type": "x", "params": {"childrenResponse": {"type": "y"}, "a": 1}}})
    assert got is not None
    assert got.kind == "x"
    assert got.params == {"a": 1}


def test_other_kinds_of_pause_are_read() -> None:
    pause = ask({"interactive": {"type": "paymentPause", "params": {"description": "Pay"}}})
    assert pause is not None
    assert (pause.kind, pause.description) == ("paymentPause", "Pay")
    old = ask(
        {
            "interactive": {
                "type": "agentPlanAskQuery",
                "params": {"content": "What?", "options": ["a", None, {"key": "k", "value": "b"}]},
            }
        }
    )
    assert old is not None
    assert old.description == "What?"
    assert old.options == (Option("a", "a"), Option("k", "b"))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "x",
        {},
        {"interactive": None},
        {"interactive": []},
        {"interactive": {"type": "userSelect"}},
        {"interactive": {"type": 1, "params": {}}},
        {"interactive": {"type": "userSelect", "params": []}},
    ],
)
def test_what_is_no_question_is_told(payload: object) -> None:
    assert ask(payload) is None


def test_internal_state_of_the_workflow_is_in_no_representation() -> None:
    wrapped = {
        "type": "loopRunInteractive",
        "params": {"childrenResponse": select(**LEAKS), "loopHistory": ["SECRET"]},
        **LEAKS,
    }
    got = ask({"interactive": wrapped})
    assert got is not None
    for shown in (repr(got), repr(got.params), repr(attrs.asdict(got)["params"])):
        assert "SECRET" not in shown
        assert "memoryEdges" not in shown

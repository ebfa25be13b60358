"""Answering the questions of a workflow: what is sent, and what is refused before it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fastgpt_client import (
    FormField,
    Interactive,
    InvalidArgumentError,
    Message,
    Option,
    Question,
    QuestionOption,
    UploadedFile,
)

OPTIONS = (Option("option1", "Confirm"), Option("option2", "Cancel"))


def asked(kind: str, **fields: Any) -> Interactive:
    return Interactive(kind=kind, index=0, name="interactive", raw=b"{}", **fields)


def select(*options: Option) -> Interactive:
    return asked("userSelect", options=options or OPTIONS)


def form(*fields: FormField) -> Interactive:
    return asked("userInput", fields=fields)


def sent(question: Interactive, value: Any = None) -> Any:
    message = question.answer(value)
    assert isinstance(message, Message)
    assert message.role == "user"
    return message.content


def sent_form(question: Interactive, value: Any) -> Any:
    content = sent(question, value)
    assert isinstance(content, str)
    return json.loads(content)


def refused(question: Interactive, value: Any) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        question.answer(value)
    return caught.value


# --- an option ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["Confirm", "option1", OPTIONS[0]])
def test_an_option_is_sent_by_its_value(value: Any) -> None:
    assert sent(select(), value) == "Confirm"


def test_a_value_wins_over_the_key_of_another_option() -> None:
    twisted = select(Option("a", "b"), Option("b", "c"))
    assert sent(twisted, "b") == "b"
    assert sent(twisted, "a") == "b"


@pytest.mark.parametrize("value", ["confirm", " Confirm", "Confirm ", "", "3", None, 1, True, []])
def test_an_unknown_option_is_refused_and_the_known_ones_are_named(value: Any) -> None:
    error = refused(select(), value)
    assert error.field == "value"
    assert "'Confirm', 'Cancel'" in str(error)


def test_an_option_of_another_question_is_refused() -> None:
    assert refused(select(), Option("option1", "Yes")).field == "value"


# --- a form ---------------------------------------------------------------------------------------

NAME = FormField(
    key="name", label="Name", type="input", value_type="string", required=True, max_length=5
)
AGE = FormField(key="age", label="Age", type="numberInput", value_type="number", min=1, max=150)
COLOR = FormField(
    key="color",
    label="Color",
    type="select",
    value_type="string",
    required=True,
    options=(Option("Red", "red"), Option("Blue", "blue")),
)


def test_a_form_is_sent_as_json_with_the_keys_of_its_fields() -> None:
    values = {"name": "张三", "age": 30, "color": "red"}
    assert sent_form(form(NAME, AGE, COLOR), values) == values
    assert "张三" in str(sent(form(NAME), {"name": "张三"}))


def test_a_select_field_takes_the_value_or_the_label() -> None:
    assert sent_form(form(COLOR), {"color": "Blue"}) == {"color": "blue"}


def test_an_optional_field_may_be_left_out() -> None:
    assert sent_form(form(NAME, AGE), {"name": "a"}) == {"name": "a"}
    assert sent_form(form(NAME, AGE), {"name": "a", "age": None}) == {"name": "a"}


def test_a_field_that_is_left_out_takes_its_default() -> None:
    field = FormField(key="name", type="input", default="Ann", required=True)
    assert sent_form(form(field), {}) == {"name": "Ann"}


def test_a_default_is_sent_as_the_workflow_has_it() -> None:
    fields = (
        FormField(key="n", type="numberInput", default="5"),
        FormField(key="c", type="select", default="gone", options=COLOR.options),
    )
    assert sent_form(form(*fields), {}) == {"n": "5", "c": "gone"}
    with pytest.raises(InvalidArgumentError, match="must be a number"):
        sent_form(form(*fields), {"n": "5"})


def test_zero_and_false_are_values() -> None:
    fields = (
        FormField(key="n", type="numberInput", required=True, default=5),
        FormField(key="on", type="switch", required=True, default=True),
    )
    assert sent_form(form(*fields), {"n": 0, "on": False}) == {"n": 0, "on": False}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (NAME, "", "is required"),
        (NAME, None, "is required"),
        (NAME, "abcdef", "at most 5 characters"),
        (NAME, 7, "a text"),
        (AGE, "30", "a number"),
        (AGE, True, "a number"),
        (AGE, float("nan"), "a number"),
        (AGE, float("inf"), "a number"),
        (AGE, 0, "1 or more"),
        (AGE, 151, "150 or less"),
        (COLOR, "green", "one of 'red', 'blue'"),
        (COLOR, 1, "one of 'red', 'blue'"),
        (FormField(key="p", type="password", min_length=4), "abc", "at least 4"),
        (FormField(key="on", type="switch"), "true", "True or False"),
        (FormField(key="m", type="multipleSelect", options=COLOR.options), "red", "a list"),
        (FormField(key="m", type="multipleSelect", options=COLOR.options), ["x"], "one of"),
        (FormField(key="f", type="fileSelect"), [3], "URLs or uploaded files"),
        (FormField(key="f", type="fileSelect"), ["notes.txt"], "URLs or uploaded files"),
        (FormField(key="f", type="fileSelect"), 3, "URLs or uploaded files"),
        (FormField(key="o", type="JSONEditor", value_type="object"), "x", "a mapping"),
        (FormField(key="a", type="x", value_type="arrayString"), "x", "a list"),
        (FormField(key="n", type="x", value_type="number"), "x", "a number"),
        (FormField(key="b", type="x", value_type="boolean"), 1, "True or False"),
    ],
)
def test_a_wrong_value_is_refused_and_its_field_is_named(
    field: FormField, value: Any, words: str
) -> None:
    error = refused(form(field), {field.key: value})
    assert error.field == field.key
    assert words in str(error)


@pytest.mark.parametrize(
    ("field", "value", "wire"),
    [
        (FormField(key="x", type="textarea"), "a\nb", "a\nb"),
        (FormField(key="x", type="numberInput"), 1.5, 1.5),
        (FormField(key="x", type="select"), "free", "free"),
        (
            FormField(key="x", type="multipleSelect", options=COLOR.options),
            ["red", "Blue"],
            ["red", "blue"],
        ),
        (FormField(key="x", type="fileSelect"), "https://h/a.txt", ["https://h/a.txt"]),
        (FormField(key="x", type="fileSelect"), [{"key": "k"}], [{"key": "k"}]),
        (
            FormField(key="x", type="fileSelect"),
            UploadedFile(key="k", url="https://h/a", name="a.txt"),
            [{"key": "k", "url": "https://h/a", "name": "a.txt"}],
        ),
        (FormField(key="x", type="JSONEditor", value_type="object"), {"a": [1]}, {"a": [1]}),
        (FormField(key="x", type="timeRange", value_type="arrayString"), ("a", "b"), ["a", "b"]),
        (FormField(key="x", type="tomorrow's"), {"any": 1}, {"any": 1}),
    ],
)
def test_a_good_value_is_sent(field: FormField, value: Any, wire: Any) -> None:
    assert sent_form(form(field), {"x": value}) == {"x": wire}


def test_an_unknown_field_is_refused_by_its_name() -> None:
    error = refused(form(NAME), {"name": "a", "nmae": "b"})
    assert error.field == "nmae"
    assert "'name'" in str(error)


@pytest.mark.parametrize("value", [None, "Ann", '{"name": "Ann"}', ["Ann"], 3])
def test_a_form_takes_a_mapping_only(value: Any) -> None:
    error = refused(form(NAME), value)
    assert error.field == "value"
    assert "name" in str(error)


def test_a_password_is_not_shown_when_it_is_refused() -> None:
    field = FormField(key="p", type="password", max_length=3)
    assert "secret" not in str(refused(form(field), {"p": "secret"}))
    assert "12345" not in str(refused(form(field), {"p": 12345}))


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    field = FormField(key="x", type="tomorrow's")
    assert refused(form(field), {"x": object()}).field == "value"


# --- an agent's questions, a pause for points, anything else --------------------------------------

CITY = Question("Which city?", (QuestionOption("Beijing 北京", "bj"), QuestionOption("SH", "sh")))


def test_an_agent_gets_one_answer_for_each_question() -> None:
    agent = asked("agentAsk", questions=(CITY, Question("When?")))
    assert sent_form(agent, ["Beijing 北京", "tomorrow"]) == {"answers": ["bj", "tomorrow"]}
    assert sent_form(agent, [CITY.options[1], "now"]) == {"answers": ["sh", "now"]}


def test_a_single_question_takes_a_text_too() -> None:
    assert sent_form(asked("agentAsk", questions=(CITY,)), "Xi'an") == {"answers": ["Xi'an"]}


@pytest.mark.parametrize("value", [None, [], ["a"], ["a", "b", "c"], "a", 3])
def test_an_agent_wants_as_many_answers_as_questions(value: Any) -> None:
    agent = asked("agentAsk", questions=(CITY, Question("When?")))
    error = refused(agent, value)
    assert error.field == "value"
    assert "2 answers" in str(error)


def test_a_blank_answer_to_an_agent_is_refused_with_its_place() -> None:
    agent = asked("agentAsk", questions=(CITY, Question("When?")))
    assert refused(agent, ["sh", " "]).field == "value[1]"


def test_a_pause_for_points_goes_on_without_words() -> None:
    assert sent(asked("paymentPause")) == "continue"
    assert sent(asked("paymentPause"), "go on") == "go on"


@pytest.mark.parametrize("kind", ["agentPlanAskQuery", "tomorrow's"])
def test_a_question_of_another_kind_takes_any_text_that_is_not_blank(kind: str) -> None:
    assert sent(asked(kind), "as you like") == "as you like"
    for value in (None, "", " ", 3):
        assert refused(asked(kind), value).field == "value"

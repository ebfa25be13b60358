"""A paused workflow's question becomes a menu or a form, and its answer what the server wants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fastgpt_client import Interactive
from fastgpt_client._interactive import read_interactive
from fastgpt_client.cli._questions import Questioner


class User:
    """Types prepared lines and remembers what was shown."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.shown: list[str] = []
        self.secrets = 0

    def read(self, prompt: str) -> str:
        self.shown.append(prompt)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    def read_secret(self, prompt: str) -> str:
        self.secrets += 1
        return self.read(prompt)

    def answers(self, kind: str, **params: Any) -> str:
        answer = Questioner(self.read, self.read_secret, self.shown.append).ask(asked(kind, params))
        assert not self.lines, "not everything was read"
        return answer


def asked(kind: str, params: dict[str, Any]) -> Interactive:
    payload = {"interactive": {"type": kind, "params": params}}
    interactive = read_interactive(payload, index=0, name="interactive", raw=b"")
    assert interactive is not None
    return interactive


OPTIONS = [{"key": "option1", "value": "Yes, go on"}, {"key": "option2", "value": "No"}]


def form(user: User, *fields: dict[str, Any]) -> Any:
    return json.loads(user.answers("userInput", inputForm=list(fields)))


@pytest.mark.parametrize("typed", ["2", "No", " No "])
def test_a_menu_is_answered_with_the_options_exact_value(typed: str) -> None:
    user = User(typed)
    assert user.answers("userSelect", description="Go on?", userSelectOptions=OPTIONS) == "No"
    assert user.shown[:3] == ["Go on?", "  1. Yes, go on", "  2. No"]


def test_a_menu_takes_nothing_but_its_options() -> None:
    user = User("", "0", "3", "option1", "yes", "1")
    assert user.answers("userSelect", userSelectOptions=OPTIONS) == "Yes, go on"


def test_an_option_that_is_a_number_counts_as_itself() -> None:
    options = [{"key": "a", "value": "2"}, {"key": "b", "value": "1"}]
    assert User("2").answers("userSelect", userSelectOptions=options) == "2"


def test_leaving_a_question_is_told() -> None:
    with pytest.raises(EOFError):
        User().answers("userSelect", userSelectOptions=OPTIONS)


def test_a_form_is_answered_with_a_json_object_of_its_keys() -> None:
    user = User("Ann", "30")
    values = form(
        user,
        {"key": "who", "label": "Name", "type": "input", "required": True},
        {"key": "age", "label": "Age", "type": "numberInput"},
    )
    assert values == {"who": "Ann", "age": 30}


def test_a_form_keeps_other_scripts_as_they_are() -> None:
    user = User("小河")
    answer = user.answers("userInput", inputForm=[{"key": "名", "label": "名", "type": "input"}])
    assert answer == '{"名": "小河"}'


def test_a_required_field_is_asked_again_until_it_has_a_value() -> None:
    user = User("", "  ", "x")
    assert form(user, {"key": "k", "label": "K", "type": "input", "required": True}) == {"k": "x"}


def test_enter_takes_the_default() -> None:
    field = {"key": "n", "label": "N", "type": "numberInput", "defaultValue": 3}
    user = User("")
    assert form(user, field) == {"n": 3}
    assert "Enter: 3" in user.shown[-1]


@pytest.mark.parametrize(
    "kind, empty", [("input", ""), ("switch", False), ("multipleSelect", []), ("fileSelect", [])]
)
def test_an_optional_field_may_stay_empty(kind: str, empty: Any) -> None:
    assert form(User(""), {"key": "k", "label": "K", "type": kind}) == {"k": empty}


@pytest.mark.parametrize("wrong", ["many", "0", "31", "nan", "inf", "-5"])
def test_a_number_outside_its_limits_is_asked_again(wrong: str) -> None:
    field = {"key": "n", "label": "N", "type": "numberInput", "min": 1, "max": 30}
    assert form(User(wrong, "7.5"), field) == {"n": 7.5}


@pytest.mark.parametrize("typed, value", [("y", True), ("No", False), ("1", True)])
def test_a_switch_is_true_or_false(typed: str, value: bool) -> None:
    field = {"key": "s", "label": "S", "type": "switch"}
    assert form(User("perhaps", typed), field) == {"s": value}


LIST = [{"label": "Spring", "value": "spring"}, {"label": "Autumn", "value": "autumn"}]


@pytest.mark.parametrize("typed", ["2", "Autumn", "autumn"])
def test_a_selection_sends_the_value_and_shows_the_label(typed: str) -> None:
    field = {"key": "s", "label": "S", "type": "select", "list": LIST}
    user = User("winter", typed)
    assert form(user, field) == {"s": "autumn"}
    assert "  2. Autumn" in user.shown


def test_a_multiple_selection_sends_a_list() -> None:
    field = {"key": "s", "label": "S", "type": "multipleSelect", "list": LIST}
    assert form(User("1, 9", "1, Autumn"), field) == {"s": ["spring", "autumn"]}


def test_a_text_that_is_too_long_is_asked_again() -> None:
    field = {"key": "t", "label": "T", "type": "input", "maxLength": 3}
    assert form(User("four", "one"), field) == {"t": "one"}


def test_a_password_is_typed_unseen_and_kept_exactly() -> None:
    user = User("short", " long enough ")
    field = {"key": "p", "label": "P", "type": "password", "minLength": 8}
    assert form(user, field) == {"p": " long enough "}
    assert user.secrets == 2
    assert not any("long enough" in line for line in user.shown)


def test_files_are_given_as_urls() -> None:
    field = {"key": "f", "label": "F", "type": "fileSelect"}
    assert form(User("https://a/b https://c/d"), field) == {"f": ["https://a/b", "https://c/d"]}


def test_an_agents_questions_are_answered_in_order() -> None:
    options = [{"summary": "Cheap", "value": "the cheap one"}, {"summary": "Fast", "value": "fast"}]
    user = User("1", "something else")
    answer = user.answers(
        "agentAsk",
        questions=[
            {"question": "Which?", "options": options},
            {"question": "And how?", "options": []},
        ],
    )
    assert json.loads(answer) == {"answers": ["the cheap one", "something else"]}


def test_an_agents_question_takes_other_words_too() -> None:
    options = [{"summary": "Cheap", "value": "cheap"}]
    user = User("neither")
    answer = user.answers("agentAsk", questions=[{"question": "Which?", "options": options}])
    assert json.loads(answer) == {"answers": ["neither"]}


def test_a_pause_for_payment_goes_on_with_enter() -> None:
    assert User("").answers("paymentPause", description="No points left") == "continue"


def test_an_unknown_kind_of_question_is_answered_in_words() -> None:
    assert User("", "words").answers("somethingNew", description="Well?") == "words"


def test_control_characters_of_a_question_do_not_reach_the_terminal() -> None:
    user = User("1")
    options = [{"key": "a", "value": "\x1b[2Jgone"}]
    answer = user.answers("userSelect", description="\x1b]0;title\x07", userSelectOptions=options)
    assert answer == "\x1b[2Jgone"
    assert not any("\x1b" in line or "\x07" in line for line in user.shown)

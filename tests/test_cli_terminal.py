"""On a terminal: what a user sees while an answer grows, and what a conversation is like."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fastgpt_client.cli._fake_answers import FakeAnswers
from fastgpt_client.testing import (
    APP_ID,
    Delta,
    Frame,
    NodeStatus,
    Reasoning,
    RecordedRequest,
    Refusal,
    Script,
    SilentModel,
    ToolCall,
    ToolParams,
    ToolResponse,
    WaitFor,
)

from .cli_tools import (
    Command,
    ThreadedServer,
    asking,
    command,
    needs_terminal,
    on_each_backend,
    server,
)

__all__ = ["asking", "command", "server"]

pytestmark = needs_terminal

CTRL_C, CTRL_D = "\x03", "\x04"


def questions(server: ThreadedServer) -> list[Any]:
    return [request.json["messages"][-1]["content"] for request in server.fake.requests]


def chat_ids(server: ThreadedServer) -> list[str]:
    return [request.json["chatId"] for request in server.fake.requests]


def scenes(server: ThreadedServer) -> None:
    server.script(FakeAnswers(None, 0.0, "4.16.0"))


# --- one answer --------------------------------------------------------------------------------


@on_each_backend
def test_markdown_is_shown_while_it_grows(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    script = Script(
        NodeStatus("Storyteller"),
        Delta("# Title\n\nSome **bold"),
        WaitFor("one"),
        Delta("** words.\n\n- item\n"),
        WaitFor("two"),
    )
    server.script(script)
    with asking.on_terminal("chat", "--backend", backend, "x") as terminal:
        shown = terminal.wait_for("Some **bold")  # not bold yet, for its end has not come
        assert "Storyteller" in terminal.wait_for("Ctrl-C stops")
        assert "# Title" not in shown
        server.call(server.fake.open_gate, "one")
        terminal.wait_for("Some bold words.")
        terminal.wait_for("• item")
        server.call(server.fake.open_gate, "two")
        assert terminal.wait() == 0
        shown = terminal.wait_for("✓ complete")
    assert "Some **bold" not in shown, "what was live is gone"
    assert "Ctrl-C stops" not in shown
    assert re.search(r"first token \d\.\d\d s", shown)
    assert not terminal.screen.cursor.hidden


def test_a_long_answer_is_in_the_scrollback_once_and_whole(
    asking: Command, server: ThreadedServer
) -> None:
    text = "\n\n".join(f"Paragraph {number}." for number in range(60))
    server.script(Script(*(Delta(text[at : at + 50]) for at in range(0, len(text), 50))))
    with asking.on_terminal("chat", "x", lines=12) as terminal:
        assert terminal.wait() == 0
        shown = terminal.wait_for("✓ complete")
    assert re.findall(r"Paragraph (\d+)\.", shown) == [str(number) for number in range(60)]


def test_a_block_that_is_higher_than_the_screen_shows_its_end_while_it_grows(
    asking: Command, server: ThreadedServer
) -> None:
    lines = "".join(f"line {number}\n" for number in range(40))
    server.script(Script(Delta("```\n" + lines), WaitFor("end"), Delta("```\n\nOver.")))
    with asking.on_terminal("chat", "x", lines=12) as terminal:
        shown = terminal.wait_for("line 39")
        assert "line 20" not in shown
        assert len(terminal.screen.history.top) == 0, "nothing scrolls away unfinished"
        server.call(server.fake.open_gate, "end")
        assert terminal.wait() == 0
        shown = terminal.wait_for("✓ complete")
    assert re.findall(r"line (\d+)", shown) == [str(number) for number in range(40)]
    assert shown.index("line 39") < shown.index("Over.")


def test_the_wait_for_the_first_token_is_shown(asking: Command, server: ThreadedServer) -> None:
    server.script(Script(NodeStatus("AI Chat"), WaitFor("go"), Delta("Here.")))
    with asking.on_terminal("chat", "x") as terminal:
        terminal.wait_for("AI Chat · waiting for the first token")
        server.call(server.fake.open_gate, "go")
        assert "waiting" not in terminal.wait_for("✓ complete")


def test_what_an_agent_is_at_is_shown(asking: Command, server: ThreadedServer) -> None:
    steps = [{"id": "a", "name": "read", "status": "done"}, {"id": "b", "name": "write"}]
    script = Script(
        Frame("plan", {"plan": {"planId": "p", "name": "Tell it", "steps": steps}}),
        WaitFor("sandbox"),
        Frame("sandboxStatus", {"sandboxId": "s", "phase": "creating"}),
        WaitFor("skill"),
        Frame("skillCall", {"skill": {"id": "k", "skillName": "storytelling"}}),
        WaitFor("go"),
        Delta("Here."),
    )
    server.script(script)
    with asking.on_terminal("chat", "x") as terminal:
        terminal.wait_for("Tell it: 1 of 2 steps done")
        server.call(server.fake.open_gate, "sandbox")
        terminal.wait_for("sandbox creating")
        server.call(server.fake.open_gate, "skill")
        terminal.wait_for("skill storytelling")
        server.call(server.fake.open_gate, "go")
        assert "skill" not in terminal.wait_for("✓ complete")


def test_reasoning_is_dim_and_before_the_answer(asking: Command, server: ThreadedServer) -> None:
    server.script(Script(Reasoning("First this.\nThen "), Reasoning("that."), Delta("Done.")))
    with asking.on_terminal("chat", "x") as terminal:
        assert terminal.wait() == 0
        shown = terminal.shown
    assert re.search(r"First this\.\nThen that\.\n\nDone\.", shown)
    assert b"\x1b[2;3mFirst this." in terminal.raw


def test_reasoning_may_be_hidden(asking: Command, server: ThreadedServer) -> None:
    server.script(Script(Reasoning("Secret thoughts"), WaitFor("go"), Delta("Done.")))
    with asking.on_terminal("chat", "--no-reasoning", "x") as terminal:
        terminal.wait_for("thinking")
        server.call(server.fake.open_gate, "go")
        assert terminal.wait() == 0
        assert "Done." in terminal.shown
    assert b"Secret" not in terminal.raw


def test_tools_are_shown_as_they_run(asking: Command, server: ThreadedServer) -> None:
    script = Script(
        Delta("I look."),
        ToolCall("c", "Weather", "get_weather"),
        ToolParams("c", '{"city": '),
        ToolParams("c", '"Hamburg"}'),
        WaitFor("tool"),
        ToolResponse("c", "17 °C"),
        Delta("Warm."),
    )
    server.script(script)
    with asking.on_terminal("chat", "x") as terminal:
        terminal.wait_for("tool Weather")
        server.call(server.fake.open_gate, "tool")
        assert terminal.wait() == 0
        shown = terminal.shown
    assert re.search(r'I look\.\n\n⚙ Weather\({"city": "Hamburg"}\) → 17 °C\n\nWarm\.', shown), (
        shown
    )


def test_a_model_cannot_steer_the_terminal(asking: Command, server: ThreadedServer) -> None:
    server.script(Script(NodeStatus("\x1b[31mA"), Delta("one\x1b]0;title\x07 \x9b2Jtwo\x1b[2J")))
    with asking.on_terminal("chat", "x") as terminal:
        assert terminal.wait() == 0
        shown = terminal.shown
    assert "one␛]0;title␇" in shown
    assert b"\x1b]0;" not in terminal.raw
    assert b"\x1b[2J" not in terminal.raw
    assert "\x9b".encode() not in terminal.raw


def test_html_and_link_definitions_do_not_vanish(asking: Command, server: ThreadedServer) -> None:
    server.script("<div>shown</div>\n\nA <b>bold</b> word.\n\n[1]: https://example.org/")
    with asking.on_terminal("chat", "x") as terminal:
        assert terminal.wait() == 0
        shown = terminal.shown
    assert "<div>shown</div>" in shown
    assert "<b>bold</b>" in shown
    assert "[1]: https://example.org/" in shown


def test_no_blanks_are_written_behind_a_line(asking: Command, server: ThreadedServer) -> None:
    server.script("# Title\n\nSome words.\n\n- item\n\n> quoted")
    with asking.on_terminal("chat", "x") as terminal:
        assert terminal.wait() == 0
        shown = terminal.shown
    assert "Some words." in shown
    answer = terminal.raw.partition("✓".encode())[0]
    assert re.findall(rb"[^\n]* (?:\x1b\[0m)?\r?\n", answer) == []


def test_a_refusal_is_no_answer(asking: Command, server: ThreadedServer) -> None:
    server.script(Refusal("no", 500004, "aiPointsNotEnough"))
    with asking.on_terminal("chat", "x") as terminal:
        assert terminal.wait() == 1
        assert "✗ no answer" in terminal.shown


def test_a_dumb_terminal_gets_plain_text(asking: Command, server: ThreadedServer) -> None:
    asking.settings["TERM"] = "dumb"
    server.script("Some **bold** words.\x1b[2J")
    with asking.on_terminal("chat", "x") as terminal:
        assert terminal.wait() == 0
        assert terminal.shown == "Some **bold** words.␛[2J"


@on_each_backend
def test_ctrl_c_keeps_what_came_and_says_what_became_of_the_run(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began.\n\nAnd"), SilentModel()))
    with asking.on_terminal("chat", "--backend", backend, "x") as terminal:
        terminal.wait_for("And")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        shown = terminal.shown
    assert shown.startswith("It began.\n\nAnd")
    assert "stopped, on the server too" in shown
    assert not terminal.screen.cursor.hidden
    assert server.call(server.fake.wait_run).status == "aborted"


def test_a_failure_leaves_the_text_and_a_clean_terminal(
    asking: Command, server: ThreadedServer
) -> None:
    server.script(Script(Delta("It began."), SilentModel()))
    with asking.on_terminal("chat", "--timeout-idle", "0.3", "x") as terminal:
        assert terminal.wait() == 4
        shown = terminal.shown
    assert shown.startswith("It began.")
    assert "✗ broke off" in shown
    assert "--timeout-idle" in shown
    assert not terminal.screen.cursor.hidden


# --- questions of the workflow -----------------------------------------------------------------


@on_each_backend
def test_a_menu_is_answered_in_the_same_chat(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    scenes(server)
    with asking.on_terminal("chat", "--backend", backend, "choose") as terminal:
        terminal.answer("your choice [1-2]:", "2")
        terminal.wait_for("The sea! A good choice.")
        assert terminal.wait() == 0
    assert questions(server) == ["choose", "The sea"]
    assert len(set(chat_ids(server))) == 1


def test_a_form_is_answered_with_its_values(asking: Command, server: ThreadedServer) -> None:
    scenes(server)
    with asking.on_terminal("chat", "form") as terminal:
        terminal.answer("Your name *:", "Ann")
        terminal.answer("Days (a number, 1…30, Enter: 3):", "")
        terminal.answer("Season:", "2")
        terminal.wait_for("season: autumn")
        assert terminal.wait() == 0
    assert questions(server)[1] == '{"name": "Ann", "days": 3, "season": "autumn"}'


def test_a_question_may_be_left_open(asking: Command, server: ThreadedServer) -> None:
    scenes(server)
    with asking.on_terminal("chat", "choose") as terminal:
        terminal.wait_for("your choice [1-2]:")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
        assert "fastgpt chat --chat-id" in terminal.shown
    assert questions(server) == ["choose"]


# --- a conversation ----------------------------------------------------------------------------


def echo(request: RecordedRequest) -> str:
    return f"You said {request.json['messages'][-1]['content']!r}."


@on_each_backend
def test_a_conversation_stays_in_one_chat_until_a_new_one_begins(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(echo)
    with asking.on_terminal("chat", "--backend", backend) as terminal:
        terminal.answer(">", "one")
        terminal.wait_for("complete", 1)
        terminal.answer(">", "two")
        terminal.wait_for("complete", 2)
        terminal.answer(">", "/new")
        terminal.wait_for("A new chat.")
        terminal.answer(">", "three")
        shown = terminal.wait_for("complete", 3)
        terminal.answer(">", "/quit")
        assert terminal.wait() == 0
    assert "You said 'two'." in shown
    assert questions(server) == ["one", "two", "three"]
    first, second, third = chat_ids(server)
    assert first == second != third
    assert f"Go on with: fastgpt chat --chat-id {third}" in terminal.shown


def test_a_text_may_have_several_lines(asking: Command, server: ThreadedServer) -> None:
    server.script(echo)
    with asking.on_terminal("chat") as terminal:
        terminal.answer(">", "one \\")
        terminal.answer("…", "two")
        terminal.wait_for("complete", 1)
        terminal.answer(">", '"""a')
        terminal.answer("…", "")
        terminal.answer("…", 'b"""')
        terminal.wait_for("complete", 2)
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert questions(server) == ["one \ntwo", "a\n\nb"]


def test_a_paste_of_several_lines_is_one_question(asking: Command, server: ThreadedServer) -> None:
    readline = pytest.importorskip("readline")
    if "libedit" in (readline.__doc__ or ""):
        pytest.skip("libedit knows no bracketed paste")
    server.script(echo)
    with asking.on_terminal("chat") as terminal:
        terminal.wait_for_prompt()
        assert b"\x1b[?2004h" in terminal.raw, "the terminal is asked to mark what is pasted"
        terminal.type("\x1b[200~one\rtwo\x1b[201~")
        terminal.wait_for("two")
        terminal.type("\r")
        terminal.wait_for("complete", 1)
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert questions(server) == ["one\ntwo"]


@on_each_backend
def test_ctrl_c_stops_the_answer_and_returns_to_the_prompt_and_twice_leaves(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began"), SilentModel()))
    arguments = ("--api", "v2", "--app-id", APP_ID, "--backend", backend)
    with asking.on_terminal("chat", *arguments) as terminal:
        terminal.answer(">", "x")
        terminal.wait_for("It began")
        terminal.type(CTRL_C)
        terminal.wait_for("stopped, on the server too")
        server.script("Again.")
        terminal.answer(">", "y")
        terminal.wait_for("✓ complete")
        terminal.wait_for_prompt()
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-C again leaves")
        terminal.wait_for_prompt()
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
    assert len(server.fake.stops) == 1
    assert [run.status for run in server.fake.runs] == ["stopped", "complete"]


@on_each_backend
def test_stop_is_a_command_while_an_answer_comes(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began"), SilentModel()))
    with asking.on_terminal("chat", "--backend", backend) as terminal:
        terminal.answer(">", "x")
        terminal.wait_for("It began")
        terminal.type("/stop\r")
        terminal.wait_for("stopped, on the server too")
        terminal.answer(">", "/stop")
        terminal.wait_for("No answer is coming")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert server.call(server.fake.wait_run).status == "aborted"


def test_what_is_typed_ahead_is_asked_next(asking: Command, server: ThreadedServer) -> None:
    server.call(server.fake.enqueue, Script(Delta("It began"), WaitFor("go")), "Second.")
    with asking.on_terminal("chat") as terminal:
        terminal.answer(">", "x")
        terminal.wait_for("It began")
        terminal.type("typed ahead\r")
        server.call(server.fake.wait_at_gate, "go")
        server.call(server.fake.open_gate, "go")
        terminal.wait_for("Second.")
        terminal.wait_for("complete", 2)
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert questions(server) == ["x", "typed ahead"]


def test_retry_asks_the_last_question_again(asking: Command, server: ThreadedServer) -> None:
    server.call(server.fake.enqueue, Refusal("no", 500004, "aiPointsNotEnough"), "Now it works.")
    with asking.on_terminal("chat") as terminal:
        terminal.answer(">", "/retry")
        terminal.wait_for("Nothing was asked yet.")
        terminal.answer(">", "x")
        terminal.wait_for("aiPointsNotEnough")
        terminal.answer(">", "/retry")
        terminal.wait_for("Now it works.")
        terminal.wait_for("✓ complete")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert questions(server) == ["x", "x"]


def test_save_writes_the_conversation_and_asks_before_it_replaces_a_file(
    asking: Command, server: ThreadedServer
) -> None:
    server.script(echo)
    (asking.folder / "old.md").write_text("old")
    with asking.on_terminal("chat") as terminal:
        terminal.answer(">", "one")
        terminal.wait_for("complete")
        terminal.answer(">", "/save")
        terminal.wait_for("Where to?")
        terminal.answer(">", "/save no/such/folder.md")
        terminal.wait_for("Not saved: No such file")
        terminal.answer(">", "/save old.md")
        terminal.wait_for("Replace old.md?")
        terminal.type("n\r")
        terminal.wait_for("Not saved.")
        terminal.answer(">", "/save new.md")
        terminal.wait_for("Saved 1 question")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert (asking.folder / "old.md").read_text() == "old"
    assert (asking.folder / "new.md").read_text("utf-8") == (
        f"# Chat {chat_ids(server)[0]}\n\n> one\n\nYou said 'one'.\n"
    )


def test_unknown_commands_are_told_and_paths_are_questions(
    asking: Command, server: ThreadedServer
) -> None:
    server.script(echo)
    with asking.on_terminal("chat") as terminal:
        terminal.answer(">", "/nwe")
        terminal.wait_for("There is no /nwe")
        terminal.answer(">", "/help")
        terminal.wait_for("/save FILE")
        terminal.answer(">", "/etc/passwd is a file?")
        terminal.wait_for("complete")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert questions(server) == ["/etc/passwd is a file?"]


def test_lines_are_remembered_for_the_next_conversation(
    asking: Command, server: ThreadedServer
) -> None:
    pytest.importorskip("readline")
    server.script(echo)
    for keys in ("remember me", "\x10"):  # Ctrl-P: the line before
        with asking.on_terminal("chat") as terminal:
            terminal.answer(">", keys)
            terminal.wait_for("complete")
            terminal.wait_for_prompt()
            terminal.type(CTRL_D)
            assert terminal.wait() == 0
    assert questions(server) == ["remember me"] * 2


def test_a_question_of_the_workflow_is_asked_in_the_conversation(
    asking: Command, server: ThreadedServer
) -> None:
    scenes(server)
    with asking.on_terminal("chat") as terminal:
        terminal.answer(">", "choose")
        terminal.answer("your choice [1-2]:", "1")
        terminal.wait_for("The mountains! A good choice.")
        terminal.wait_for("complete", 2)
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert questions(server) == ["choose", "The mountains"]

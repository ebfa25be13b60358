"""The demo is the first thing that a newcomer sees: it works, on both backends."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from .cli_tools import Command, command, needs_terminal, on_each_backend

__all__ = ["command"]

SUMMARY = re.compile(
    r"complete: 259 characters, 63 tokens, first token after \d+\.\d\d s, \d+\.\d\d s in all"
)


@on_each_backend
def test_in_a_pipe_the_demo_shows_three_consumers_at_once(command: Command, backend: str) -> None:
    done = command.run_alone("demo", "--backend", backend)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"this client on {backend}" in done.stdout
    labels = re.findall(r"^ *\d+\.\d\d s  (\w+)", done.stdout, re.MULTILINE)
    # Each consumer has said something before any of them was done.
    assert set(labels[: len(labels) // 2]) == {"print_text", "count_tokens", "print_words"}
    assert SUMMARY.search(done.stdout)
    assert "\x1b" not in done.stdout


def test_in_a_pipe_the_word_buffer_cuts_no_word_and_the_printer_does(command: Command) -> None:
    out = command.run("demo").stdout
    printed = re.findall(r"print_text +│(.*)│", out)
    worded = re.findall(r"print_words +│(.*)│", out)
    assert "".join(printed) == "".join(worded)
    assert len("".join(printed)) == 259
    cut = [a[-1] + b[0] for a, b in pairwise(printed)]
    assert any(pair.isalpha() for pair in cut), "the printer writes what comes, words or not"
    pairs = [a[-1] + b[0] for a, b in pairwise(worded)]
    assert not any(pair.isascii() and pair.isalpha() for pair in pairs)


@needs_terminal
@on_each_backend
def test_on_a_terminal_the_demo_has_three_panes(command: Command, backend: str) -> None:
    with command.on_terminal("demo", "--backend", backend, columns=100, lines=30) as terminal:
        terminal.wait_for("▌")  # still coming, in a pane
        assert terminal.wait() == 0
        shown = terminal.wait_for("one that asked")
    assert all(f"─ {name} ─" in shown for name in ("print_text", "count_tokens", "print_words"))
    assert SUMMARY.search(shown)
    assert "told by the" in shown
    assert not terminal.screen.cursor.hidden


@needs_terminal
@pytest.mark.parametrize("columns, lines", [(60, 30), (100, 12)])
def test_on_a_small_terminal_the_demo_has_lines(command: Command, columns: int, lines: int) -> None:
    with command.on_terminal("demo", columns=columns, lines=lines) as terminal:
        assert terminal.wait() == 0
        assert "complete: 259 characters" in terminal.shown
        assert "count_tokens  63 tokens" in terminal.shown


@needs_terminal
@on_each_backend
def test_ctrl_c_ends_the_demo_at_once_and_gives_the_cursor_back(
    command: Command, backend: str
) -> None:
    with command.on_terminal("demo", "--backend", backend, columns=100, lines=30) as terminal:
        terminal.wait_for("Once upon")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert not terminal.screen.cursor.hidden
        assert "Traceback" not in terminal.shown

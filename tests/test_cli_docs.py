"""The page on the command says what the command does, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from fastgpt_client.cli import _conversation, _outcome
from fastgpt_client.cli._app import fastgpt
from fastgpt_client.cli._fake_answers import SCENES
from fastgpt_client.cli._settings import NAMES

PAGE = (Path(__file__).parent.parent / "docs" / "command.md").read_text(encoding="utf-8")
CODES = r"^ *(\d+)  +(.*)$"


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def options(command: click.Command) -> set[str]:
    own = (option for option in command.params if isinstance(option, click.Option))
    return {word for option in own for word in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("name", sorted(fastgpt.commands))
def test_each_command_and_each_of_its_options_is_on_the_page(name: str) -> None:
    assert f"| `fastgpt {name}" in PAGE
    told = set(re.findall(r"--[a-z][a-z-]*", PAGE))
    assert options(fastgpt.commands[name]) - told - {"-h", "--help"} == set()


def test_the_page_names_no_option_that_is_not_there() -> None:
    there = set().union(*(options(command) for command in fastgpt.commands.values()))
    assert set(re.findall(r"--[a-z][a-z-]*", PAGE)) - there - {"--help"} == set()


def test_the_exit_codes_of_the_page_are_those_of_the_help() -> None:
    told = dict(re.findall(r"^\| (\d+) \| (.*) \|$", section("Exit codes"), re.MULTILINE))
    helped = dict(re.findall(CODES, _outcome.EXIT_CODES, re.MULTILINE))
    assert set(told) == set(helped)
    for code, words in helped.items():
        assert told[code].removesuffix(" happened") == words


def test_the_slash_commands_of_the_page_are_those_of_the_help() -> None:
    told = set(re.findall(r"^\| `(/\w+)", section("Hold a conversation"), re.MULTILINE))
    helped = set(re.findall(r"^(/\w+)", _conversation._HELP, re.MULTILINE))
    assert told == helped | {"/help"}


def test_each_setting_is_on_the_page_under_each_of_its_names() -> None:
    for name in NAMES:
        row = f"| `--{name.replace('_', '-')}` | `FASTGPT_{name.upper()}` | `{name}` |"
        assert row in section("Settings")


def test_each_scene_of_the_fake_server_is_on_the_page() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("Serve a fake FastGPT"), re.MULTILINE)
    words = {word for row in rows for word in re.findall(r"`([a-z]+)`", row)}
    assert words == set(SCENES)

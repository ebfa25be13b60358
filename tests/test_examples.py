"""Every example runs as a program and does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from fastgpt_client.testing import (
    CutChunk,
    Delta,
    FakeFastGPT,
    Interactive,
    NodeStatus,
    RecordedRequest,
    Script,
    Silence,
    SilentModel,
    Truncate,
)

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parent.parent / "examples"
STORY = "Once upon a time there was a stream."


async def run(
    name: str, server: FakeFastGPT, *, stdin: str = "", **further: str
) -> subprocess.CompletedProcess[bytes]:
    environment = {
        **os.environ,
        **further,
        "FASTGPT_BASE_URL": server.base_url,
        "FASTGPT_API_KEY": server.api_key,
        "PYTHONIOENCODING": "utf-8",
    }
    with anyio.fail_after(15):
        return await anyio.run_process(
            [sys.executable, "-W", "error", str(EXAMPLES / name)],
            input=stdin.encode(),
            env=environment,
            check=False,
        )


def story() -> Script:
    return Script(NodeStatus("AI Chat"), *(Delta(word + " ") for word in STORY.split()))


def succeeded(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_print_story_prints_the_text() -> None:
    async with FakeFastGPT() as server:
        server.script(story())
        done = await run("print_story.py", server)
    assert succeeded(done) == STORY + " \n"
    assert done.stderr == b""


async def test_three_consumers_print_count_and_print_words() -> None:
    async with FakeFastGPT() as server:
        server.script(story())
        done = await run("three_consumers.py", server)
    printed = succeeded(done)
    assert STORY in printed
    assert done.stderr.decode().split() == STORY.split()
    assert "events" in printed


async def test_own_task_group_runs_three_kinds_of_consumers() -> None:
    async with FakeFastGPT() as server:
        server.script(story())
        done = await run("own_task_group.py", server)
    printed = succeeded(done)
    assert "[AI Chat]" in printed
    assert "skipped" in printed


async def test_timeouts_names_the_clock_and_keeps_the_text() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Silence()))
        done = await run("timeouts.py", server)
    assert succeeded(done) == "total rang after 0.5 s; so far: 'Once '\n"


async def test_timeouts_prints_an_answer_that_came_in_time() -> None:
    async with FakeFastGPT() as server:
        server.script(story())
        done = await run("timeouts.py", server)
    assert succeeded(done).startswith(STORY)


async def test_keep_the_text_tells_what_went_wrong_and_what_came() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Delta("upon "), CutChunk()))
        done = await run("keep_the_text.py", server)
    assert done.returncode == 1
    assert done.stdout.decode() == "Once upon "
    assert "ReplyInterruptedError" in done.stderr.decode()
    assert "kept 10 characters: 'Once upon '" in done.stderr.decode()


@pytest.mark.parametrize("name", ["trio_nursery.py", "asyncio_task_group.py"])
async def test_several_chats_at_once_all_answer(name: str) -> None:
    if name.startswith("trio"):
        pytest.importorskip("trio")
    async with FakeFastGPT() as server:
        server.script(story())
        done = await run(name, server)
    assert succeeded(done).count(STORY) == 3


async def test_many_chats_are_limited_bounded_and_raced() -> None:
    running: list[int] = []

    def answer(_: RecordedRequest) -> Script:
        running.append(sum(run.status == "running" for run in server.runs))
        asked = len(running)
        if asked == 2:
            return Script(Truncate())  # one failure leaves the others alone
        # Of the three with a deadline one is too slow; of the two that race, the first.
        return Script(Delta("It is "), Silence()) if asked in (8, 10) else story()

    async with FakeFastGPT() as server:
        server.script(answer)
        done = await run("many_chats.py", server)
        with anyio.fail_after(5):
            await server.wait_until(lambda: len(server.aborted) == 2)
    lines = succeeded(done).splitlines()
    assert len(server.requests) == 11
    assert max(running[:6]) <= 3
    assert sum(line.endswith(STORY + " ") for line in lines[:6]) == 5
    assert sorted(line.split("? ", 1)[1] for line in lines[6:9]) == [
        "It is  (abandoned)",
        f"{STORY}  (complete)",
        f"{STORY}  (complete)",
    ]
    assert lines[9:] == [f"first: {STORY} "]


def test_the_list_of_examples_is_complete() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in EXAMPLES.glob("*.py")}
    assert {name for name in files if f"`{name}`" not in listed} == set()


async def test_a_conversation_with_a_select_a_form_and_a_stop() -> None:
    select = {
        "type": "userSelect",
        "params": {
            "description": "Which table?",
            "userSelectOptions": [
                {"key": "option1", "value": "At the window"},
                {"key": "option2", "value": "Outside"},
            ],
        },
    }
    fields = [
        {"type": "input", "key": "name", "label": "Name", "valueType": "string", "required": True},
        {"type": "numberInput", "key": "guests", "label": "Guests", "min": 1, "max": 8},
    ]
    form = {"type": "userInput", "params": {"description": "Who comes?", "inputForm": fields}}
    said = {"dataId": "d", "obj": "AI", "value": [{"text": {"content": "Your table is booked"}}]}
    lines = ["a table, please", "the roof", "option2", "", "3", "Ann", "nine", "Ann", "3"]
    async with FakeFastGPT() as server:
        server.enqueue(
            Script(Delta("Gladly."), Interactive(select)),
            Script(Interactive(form)),
            Script(*(Delta(f"word{n} ") for n in range(60)), SilentModel()),
        )
        server.route("POST", "/api/core/chat/getPaginationRecords", {"total": 1, "list": [said]})
        done = await run(
            "conversation.py", server, stdin="\n".join(lines) + "\n", FASTGPT_APP_ID=server.app_id
        )
        bodies = [r.json for r in server.requests if r.path.endswith("completions")]
        stops = len(server.stops)
    printed = succeeded(done)
    assert [body["messages"][0]["content"] for body in bodies] == [
        "a table, please",
        "Outside",
        '{"name":"Ann","guests":3}',
    ]
    assert len({body["chatId"] for body in bodies}) == 1
    assert stops == 1
    for words in (
        "Gladly.",
        "option2: Outside",
        "must be one of 'At the window', 'Outside', not 'the roof'",
        "'name' (Name) is required",
        "'guests' (Guests) must be a number, not 'nine'",
        "word0 word1 ",
        "that is enough: ",
        "assistant: Your table is booked",
    ):
        assert words in printed
    assert "word59" not in printed

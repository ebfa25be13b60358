"""What the page's examples became: each runs as a program and does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastgpt_client.testing import (
    BlockingFakeFastGPT,
    CutChunk,
    Delta,
    ErrorFrame,
    Refusal,
    Script,
    chat_script,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples" / "seed"
WORDS = ["Once ", "upon ", "a ", "time."]
STORY = "".join(WORDS)
CUT = Script(Delta("Once "), CutChunk())


@pytest.fixture
def server() -> Iterator[BlockingFakeFastGPT]:
    with BlockingFakeFastGPT() as server:
        server.script(chat_script(WORDS))
        yield server


def run(name: str, server: BlockingFakeFastGPT) -> tuple[str, str, int]:
    environment = {
        **os.environ,
        "FASTGPT_BASE_URL": server.base_url,
        "FASTGPT_API_KEY": server.api_key,
        "PYTHONUTF8": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / name)],
        env=environment,
        capture_output=True,
        timeout=15,
        check=False,
    )
    server.wait_closed()
    lines = done.stderr.decode().splitlines(keepends=True)
    errors = "".join(line for line in lines if not line.startswith("Executing <"))
    return done.stdout.decode(), errors, done.returncode


@pytest.mark.parametrize(
    "name", ["simple.py", "async_stream.py", "word_buffer.py", "robust.py", "compatible.py"]
)
def test_an_example_prints_the_answer(name: str, server: BlockingFakeFastGPT) -> None:
    assert run(name, server) == (STORY + "\n", "", 0)


def test_progress_counts_pieces_and_tells_tokens(server: BlockingFakeFastGPT) -> None:
    printed, errors, status = run("progress.py", server)
    assert printed == f"{STORY}\n\nPieces of text: 4\nTokens: {len(STORY)}\n"
    assert (errors, status) == ("", 0)


@pytest.mark.parametrize("name", ["simple.py", "async_stream.py", "progress.py", "word_buffer.py"])
def test_an_example_that_catches_nothing_ends_with_the_error(
    name: str, server: BlockingFakeFastGPT
) -> None:
    server.script(CUT)
    printed, errors, status = run(name, server)
    assert printed.startswith("Once")
    assert "fastgpt_client.ReplyInterruptedError: the connection" in errors
    assert "ExceptionGroup" not in errors
    assert status == 1


def test_the_compatible_example_tells_of_an_error_after_its_last_line(
    server: BlockingFakeFastGPT,
) -> None:
    server.script(CUT)
    printed, errors, status = run("compatible.py", server)
    assert printed.startswith("Once \nError: the connection to the server broke")
    assert (errors, status) == ("", 0)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (Refusal("x", 514, "unAuthApiKey"), "check the key: "),
        (
            Script(Delta("Once "), ErrorFrame("x", 500004, "aiPointsNotEnough")),
            "\nthe server said no (aiPointsNotEnough): ",
        ),
        (CUT, "\nthe answer is not whole: "),
    ],
)
def test_the_robust_example_says_what_went_wrong(
    script: Script, told: str, server: BlockingFakeFastGPT
) -> None:
    server.enqueue(script)
    _, errors, status = run("robust.py", server)
    assert errors.startswith(told)
    assert status == 1


def test_the_list_of_examples_is_complete() -> None:
    listed = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    assert {
        path.name for path in EXAMPLES.glob("*.py") if f"seed/{path.name}" not in listed
    } == set()

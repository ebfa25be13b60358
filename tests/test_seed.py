"""The code blocks of the original SDK's page run as they stand and print what the bytes say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from fastgpt_client.testing import BlockingFakeFastGPT, Delta, ErrorFrame, Script, Truncate

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = Path(__file__).parent / "seed"

#: Where each block stands on the page: the lines before and after it.
PLACES = {
    "basic": ("Basic Streaming", "Complete Streaming Example"),
    "complete": ("Complete Streaming Example", "Async Streaming"),
    "async": ("Async Streaming", "Streaming Event Types"),
    "robust": (
        "- Buffer for better formatting: Consider buffering for word boundaries",
        "See Also",
    ),
}

KEY = "fastgpt-xxxxx"

#: The block is a part of a page, where these names were defined before, and calls nothing.
AROUND = {
    "robust": (
        f'import json\nfrom fastgpt_client import ChatClient\nAPI_KEY = "{KEY}"\n',
        "\nrobust_stream()\n",
    )
}

WRONG_KEY = (
    "the server does not know this API key: check api_key (or FASTGPT_API_KEY) and that it belongs "
    "to this server (unAuthApiKey, code 514)"
)
NO_POINTS = "the team's AI points are used up (aiPointsNotEnough, code 500004)"
BROKE_OFF = "the reply broke off: the server closed the stream without a finish_reason or [DONE]"


def deltas(*texts: str) -> list[Delta]:
    return list(map(Delta, texts))


@attrs.frozen
class Situation:
    """One thing that a server does.

    :param name: what the test calls it.
    :param script: what it sends.
    :param texts: the pieces of text that a program sees.
    :param error: what a program is told, ``""`` for a complete reply.
    :param key: the key that the server accepts.
    """

    name: str
    script: Script
    texts: Sequence[str]
    error: str = ""
    key: str = KEY

    @property
    def text(self) -> str:
        return "".join(self.texts)


SITUATIONS = [
    Situation(
        "healthy",
        Script(*deltas("Once ", "upon ", "a ", "time.")),
        ["Once ", "upon ", "a ", "time."],
    ),
    Situation("wrong key", Script(*deltas("Once ")), [], WRONG_KEY, "another-key"),
    Situation(
        "error after text",
        Script(
            *deltas("Once ", "upon "),
            ErrorFrame("common:points", 500004, "aiPointsNotEnough"),
        ),
        ["Once ", "upon "],
        NO_POINTS,
    ),
    Situation(
        "truncated", Script(*deltas("Once ", "upon "), Truncate()), ["Once ", "upon "], BROKE_OFF
    ),
    Situation(
        "truncated in a line",
        Script(*deltas("Once ", "upon "), Truncate(mid_frame=True)),
        ["Once ", "upon "],
        BROKE_OFF,
    ),
    Situation(
        "U+2028 in the text",
        Script(*deltas("Once\u2028upon ", "a\u0085\u2029time\x0b.")),
        ["Once\u2028upon ", "a\u0085\u2029time\x0b."],
    ),
]


def words(texts: Sequence[str]) -> tuple[str, str]:
    """What the block's word buffer prints on the way, and what it keeps for the end."""
    printed = kept = ""
    for text in texts:
        kept += text
        if " " in kept:
            word, kept = kept.split(" ", 1)
            printed += word + " "
    return printed, kept


def printed(block: str, seen: Situation) -> str:
    """What the block prints to standard output."""
    text, error = seen.text, seen.error
    if block == "basic":
        return f"Story: {text}" if error else f"Story: {text}\n"
    if block == "async":
        return text
    if block == "robust":
        return f"{text}\nStreaming error: {error}\n" if error else text
    on_the_way, kept = words(seen.texts)
    at_the_end = f"{kept}\n\n" if kept else "\n"
    told = f"Error: {error}\n"
    return "".join(
        [
            f"\n=== Streaming Response ===\n\n{text}",
            told if error else "\n\n",
            f"\n=== Streaming with Progress ===\n\n{text}",
            told if error else f"\n\nTotal tokens: {len(seen.texts)}\n",
            f"\n=== Buffered Streaming ===\n\n{on_the_way}",
            told if error else at_the_end,
        ]
    )


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
@pytest.mark.parametrize("block", PLACES)
def test_a_block_of_the_page_prints_what_the_bytes_say(
    block: str, situation: Situation, tmp_path: Path
) -> None:
    before, after = AROUND.get(block, ("", ""))
    program = tmp_path / "program.py"
    code = (BLOCKS / f"{block}.py.txt").read_text(encoding="utf-8")
    program.write_text(before + code + after, encoding="utf-8")
    with BlockingFakeFastGPT(api_key=situation.key) as server:
        server.script(situation.script)
        environment: dict[str, Any] = {
            **os.environ,
            # What the complete example reads, and what the others fall back to.
            "BASE_URL": server.base_url,
            "API_KEY": KEY,
            "FASTGPT_BASE_URL": server.base_url,
            "PYTHONUTF8": "1",
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "dev", str(program)],
            env=environment,
            capture_output=True,
            timeout=15,
            check=False,
        )
        server.wait_closed()
    # In development mode, asyncio tells of each step that a slow machine was slow with.
    lines = done.stderr.decode().splitlines()
    errors = "\n".join(line for line in lines if not line.startswith("Executing <"))
    assert done.stdout.decode() == printed(block, situation)
    if situation.error and block in ("basic", "async"):
        # These catch nothing.
        assert done.returncode == 1
        assert errors.rstrip().endswith(f"Error: {situation.error}")
        assert "Warning" not in errors
    else:
        assert errors == ""
        assert done.returncode == 0


@pytest.mark.parametrize("block", PLACES)
def test_a_block_is_the_page_s_own_but_for_white_space(block: str, seed_file: Path) -> None:
    page = seed_file.read_text(encoding="utf-8").splitlines()
    before, after = PLACES[block]
    start = page.index(before)
    on_page = "".join(page[start + 1 : page.index(after, start)])
    ours = (BLOCKS / f"{block}.py.txt").read_text(encoding="utf-8")
    assert "".join(ours.split()) == "".join(on_page.split())


def test_no_block_of_the_page_is_missing(seed_file: Path) -> None:
    page = seed_file.read_text(encoding="utf-8")
    ours = "".join(path.read_text(encoding="utf-8") for path in BLOCKS.glob("*.py.txt"))
    assert page.count("create_chat_completion(") == ours.count("create_chat_completion(") == 6
    assert page.count("def ") == ours.count("def ")

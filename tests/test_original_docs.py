"""The blocking programs of the page about the original SDK run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastgpt_client
from fastgpt_client.testing import BlockingFakeFastGPT, chat_script

PAGE = Path(__file__).parent.parent / "docs" / "from-the-original-sdk.md"
BLOCKS = re.findall(
    r"^```python own-test blocking\n(.*?)^```$",
    PAGE.read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)
STORY = ["Once ", "upon ", "a time"]


@pytest.mark.parametrize("place", range(len(BLOCKS)))
def test_block_runs(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    with BlockingFakeFastGPT() as server:
        server.script(chat_script(STORY))
        names = {name: getattr(fastgpt_client, name) for name in fastgpt_client.__all__}
        names |= {"KEY": server.api_key, "URL": server.base_url, "show": shown.append}
        exec(compile(BLOCKS[place], PAGE.name, "exec"), names)
    printed = capsys.readouterr().out
    assert "".join(STORY) in printed or all(piece in "".join(shown) for piece in STORY)


def test_every_block_of_the_page_is_run() -> None:
    assert PAGE.read_text(encoding="utf-8").count("```python") == len(BLOCKS) == 3

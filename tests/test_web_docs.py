"""The programs in the pages on web servers and on testing, run as their readers run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from fastgpt_client import AsyncChatClient
from fastgpt_client.testing import FakeFastGPT, Script, Truncate

from .browsers import Browser, frames, texts
from .web_servers import on_each_server, serve

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
STORY = "Once upon a time there was a stream."


def blocks(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def block(page: str, containing: str) -> str:
    (found,) = (source for source in blocks(page) if containing in source)
    return found


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(source, "docs", "exec"), names)
    return names


@pytest.mark.anyio
@on_each_server
@pytest.mark.parametrize("which", ["Starlette(", "FastAPI(", 'scope["type"]'])
async def test_the_applications_of_the_page_answer(
    which: str,
    server_name: str,
    anyio_backend: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in ("starlette", "fastapi", server_name):
        pytest.importorskip(module, reason=f"{module} is not installed")
    async with FakeFastGPT() as fastgpt:
        fastgpt.reply(STORY)
        monkeypatch.setenv("FASTGPT_BASE_URL", fastgpt.base_url)
        monkeypatch.setenv("FASTGPT_API_KEY", fastgpt.api_key)
        application = run(block("web.md", which))["app"]
        async with serve(application, server_name, anyio_backend[0]) as web:
            with anyio.fail_after(10):
                _, body = await web.get("/ask?q=Hi")
    shown = frames(body)
    assert shown[-1].event == "end"
    assert texts(shown) == STORY
    if which == "FastAPI(":
        assert capsys.readouterr().out == f"complete {STORY}\n"


@pytest.mark.anyio
async def test_the_words_of_the_page_reach_the_browser() -> None:
    answer = run(block("web.md", "in_german"))["answer"]
    browser = Browser()
    async with FakeFastGPT() as fastgpt:
        fastgpt.script(Script(Truncate()))
        async with AsyncChatClient(fastgpt.api_key, fastgpt.base_url) as client:
            await browser.open(answer(client, "Hi"))
    assert browser.status == 502
    assert "Die Antwort ist abgebrochen." in browser.body


def test_the_forms_of_many_chats_are_those_of_the_example() -> None:
    example = (ROOT / "examples" / "many_chats.py").read_text(encoding="utf-8")
    assert len(blocks("many-chats.md")) == 3
    for source in blocks("many-chats.md"):
        assert source in example


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    conftest, *modules = blocks("testing.md")
    pytester.makeconftest(conftest)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    found = [source for source in modules if "def test_" in source]
    pytester.makepyfile(**{f"test_page_{place}": source for place, source in enumerate(found)})
    outcomes = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=18).parseoutcomes()
    # Three of the tests run on each backend that is installed.
    assert outcomes["passed"] in (5, 8, 11)
    assert set(outcomes) <= {"passed", "skipped"}

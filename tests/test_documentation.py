"""Every Python block of the README and the documentation runs."""

from __future__ import annotations

import ast
import inspect
import logging
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import anyio
import attrs
import pytest

import fastgpt_client
import fastgpt_client.consumers
from fastgpt_client import AsyncChatClient
from fastgpt_client.testing import APP_ID, Delta, FakeFastGPT, NodeStatus, Script

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: What may stand after the language: with what a block is run, or that it has a test of its own.
WORDS = {"reply", "own-test", "blocking", "asyncio", "trio", "httpx2", "httpx_aiohttp"}
#: A fence that opens a Python block, those words, and the block.
BLOCK = re.compile(r"^( *)```python *([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks() -> list[Any]:
    found = []
    for page in PAGES:
        for place, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
            name = f"{page.relative_to(ROOT)}-{place}"
            found.append(pytest.param(textwrap.dedent(match[3]), match[2].split(), id=name))
    return found


async def nothing(*_: object, **__: object) -> None:
    await anyio.lowlevel.checkpoint()


def surroundings(server: FakeFastGPT, client: AsyncChatClient) -> dict[str, Any]:
    """Return the names that a reader has at hand where a block begins."""
    names: dict[str, Any] = {"anyio": anyio, "__name__": "documentation"}
    for module in (fastgpt_client, fastgpt_client.consumers):
        names |= {name: getattr(module, name) for name in module.__all__}
    names |= {
        "KEY": server.api_key,
        "URL": server.base_url,
        "APP": APP_ID,
        "client": client,
        "server": server,
        "messages": [{"role": "user", "content": "Tell me a short story"}],
        "question": "What is a nursery?",
        "questions": ["What is a nursery?", "What is a cancel scope?"],
        "show": lambda *_, **__: None,
        "save": lambda *_, **__: None,
        "chat": nothing,
    }
    return names


def loggers() -> list[logging.Logger]:
    """Return the loggers of the package that exist."""
    known = logging.root.manager.loggerDict
    named = [known[name] for name in known if name.startswith("fastgpt_client")]
    return [logger for logger in named if isinstance(logger, logging.Logger)]


@pytest.fixture
def _log_levels() -> Iterator[None]:
    """Let a block set the level of a logger, but not for the tests that follow."""
    levels = {logger: logger.level for logger in loggers()}
    yield
    for logger in loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


@pytest.mark.anyio
@pytest.mark.usefixtures("_log_levels")
@pytest.mark.parametrize(("source", "words"), blocks())
async def test_block_runs(
    source: str,
    words: list[str],
    anyio_backend_name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert set(words) <= WORDS
    needed = re.findall(r"\b(trio|asyncio)\b", source)
    backends = [*needed, *(word for word in words if word in ("trio", "asyncio"))]
    if backends and anyio_backend_name not in backends:
        pytest.skip(f"a block for {backends[0]}")
    for library in {"httpx2", "httpx_aiohttp"}.intersection(words):
        pytest.importorskip(library)
    if "own-test" in words:  # it needs more around it, which a test of its page has
        compile(source, "documentation", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return
    monkeypatch.chdir(tmp_path)
    with anyio.fail_after(10):
        async with FakeFastGPT() as server:
            monkeypatch.setenv("FASTGPT_API_KEY", server.api_key)
            monkeypatch.setenv("FASTGPT_BASE_URL", server.base_url)
            server.script(Script(NodeStatus("AI Chat"), Delta("Once upon "), Delta("a time")))
            async with AsyncChatClient(server.api_key, server.base_url) as client:
                names = surroundings(server, client)
                if needed:
                    names[needed[0]] = __import__(needed[0])
                if "reply" in words:
                    async with client.stream("Tell me a short story") as reply:
                        await run(source, {**names, "reply": reply})
                else:
                    await run(source, names)


async def run(source: str, names: dict[str, Any]) -> None:
    code = compile(source, "documentation", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    coroutine = eval(code, names)
    if inspect.iscoroutine(coroutine):
        await coroutine
    # A program: it starts an event loop of its own, so its main() is run in this one.
    main = names.get("main")
    if main is not None and inspect.iscoroutinefunction(main):
        await main()


def test_each_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    pages = {str(page.relative_to(ROOT / "docs").with_suffix("")) for page in PAGES[1:]}
    assert pages - {"index"} - set(contents) == set()


def images() -> list[Any]:
    found = [
        pytest.param(page.parent / path, alt, id=f"{page.name}-{Path(path).name}")
        for page in PAGES
        for alt, path in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text("utf-8"), re.DOTALL)
    ]
    assert found
    return found


@pytest.mark.parametrize(("path", "alternative"), images())
def test_each_picture_has_a_text_alternative(path: Path, alternative: str) -> None:
    assert path.is_file()
    assert len(alternative.split()) > 5
    if path.suffix == ".svg":
        drawn = ElementTree.parse(path).getroot()
        for part in ("title", "desc"):
            assert drawn.findtext(f"{{http://www.w3.org/2000/svg}}{part}")


def test_each_clock_of_the_network_is_drawn() -> None:
    drawn = ElementTree.parse(ROOT / "docs" / "images" / "clocks.svg")
    names = {one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")}
    clocks = {field.name for field in attrs.fields(fastgpt_client.Timeouts)}
    assert clocks - {"consumer"} - names == set()

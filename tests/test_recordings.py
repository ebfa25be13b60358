"""Every recorded completions exchange, on a real socket, means to the client what it says.

Exchanges are played in batches, since a batch costs one server and one client; what went wrong is
collected, so that one run names every exchange that was misunderstood.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client import AsyncChatClient
from fastgpt_client.testing import FakeFastGPT

from .recordings import Exchange, count_on_disk, recorded
from .understanding import ask, meaning_of, misunderstood, open_connections, read
from .whole_answers import read_whole, whole_meaning_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from .understanding import Meaning, Seen

    Way = Callable[[AsyncChatClient, Exchange], Awaitable[Seen]]

SETS = ("captures-4.14", "captures-4.16", "composed")
pytestmark = pytest.mark.anyio


class Report:
    """Say at the end of the run how many exchanges were understood."""

    def __init__(self) -> None:
        self.understood: Counter[tuple[str, str, str]] = Counter()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.understood:
            terminalreporter.section("recorded exchanges understood")
        for (folder, way, backend), count in sorted(self.understood.items()):
            terminalreporter.line(f"{count:4}  {folder}, {way}, {backend}")


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    made = Report()
    request.config.pluginmanager.register(made)
    return made


@pytest.fixture(scope="session")
def exchanges(captures: Path) -> dict[str, list[Exchange]]:
    return recorded(captures)


@pytest.fixture
def backend_name(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.id).partition("-")[0]


@contextmanager
def without_asyncio_debug(backend: str) -> Iterator[None]:
    """Debug mode costs five times as much for each byte that comes alone."""
    if backend == "trio":
        yield
        return
    import asyncio

    loop = asyncio.get_running_loop()
    before = loop.get_debug()
    loop.set_debug(False)
    try:
        yield
    finally:
        loop.set_debug(before)


async def check(
    exchanges: list[Exchange],
    cut: int | None,
    ways: tuple[Way, ...],
    http_client_factory: Callable[[], Any],
    expected: Callable[[Exchange], Meaning] = meaning_of,
) -> int:
    """Play each exchange and read it in each way; return how many were understood."""
    # Thousands of writes on a busy machine take their time.
    limit = 5 if cut is None else 20
    wrong: list[str] = []
    understood = 0
    async with (
        FakeFastGPT() as server,
        http_client_factory() as http,
        AsyncChatClient(server.api_key, server.base_url, http_client=http) as client,
    ):
        for exchange in exchanges:
            meaning = expected(exchange)
            found: list[str] = []
            for way in ways:
                server.play_raw(exchange.raw, cut=cut, close=exchange.broken)
                with anyio.fail_after(limit):
                    seen = await way(client, exchange)
                found += misunderstood(meaning, seen)
                found += [f"left open: {one}" for one in open_connections(client)]
            wrong += [f"{exchange.name}: {problem}" for problem in found]
            understood += not found
    assert not wrong, "\n".join(wrong)
    return understood


@pytest.mark.parametrize("folder", SETS)
async def test_each_recorded_exchange_is_understood_as_recorded(
    folder: str,
    exchanges: dict[str, list[Exchange]],
    captures: Path,
    report: Report,
    backend_name: str,
    http_client_factory: Callable[[], Any],
) -> None:
    understood = await check(exchanges[folder], None, (read, ask), http_client_factory)
    assert understood == count_on_disk(captures)[folder]
    report.understood[folder, "as recorded", backend_name] = understood


@pytest.mark.parametrize("folder", ["captures-4.14", "captures-4.16"])
async def test_each_recorded_answer_without_a_stream_is_understood(
    folder: str,
    exchanges: dict[str, list[Exchange]],
    report: Report,
    backend_name: str,
    http_client_factory: Callable[[], Any],
) -> None:
    whole = [exchange for exchange in exchanges[folder] if not exchange.is_stream]
    understood = await check(whole, None, (read_whole,), http_client_factory, whole_meaning_of)
    assert understood == len(whole) > 60
    report.understood[folder, "JSON answers", backend_name] = understood


@pytest.mark.exhaustive
@pytest.mark.timeout(150)
@pytest.mark.parametrize("folder", SETS)
async def test_each_recorded_exchange_is_understood_when_each_byte_comes_alone(
    folder: str,
    exchanges: dict[str, list[Exchange]],
    captures: Path,
    report: Report,
    backend_name: str,
    http_client_factory: Callable[[], Any],
) -> None:
    with without_asyncio_debug(backend_name):
        understood = await check(exchanges[folder], 1, (read,), http_client_factory)
    assert understood == count_on_disk(captures)[folder]
    report.understood[folder, "byte by byte", backend_name] = understood

"""The benchmarks run: each reader sees the whole reply, and each part gives a number."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from benchmarks import __main__ as program
from benchmarks import alone, goals, holding, pure, readers, server, streams, timing
from benchmarks.timing import Case


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


BACKENDS = [
    "asyncio",
    pytest.param(timing.UVLOOP, marks=needs("uvloop")),
    pytest.param("trio", marks=needs("trio")),
]
ASYNCIO_READERS = [
    readers.OURS_TEN,
    pytest.param(readers.RAW_HTTPX2, marks=needs("httpx2")),
    pytest.param(readers.OURS_HTTPX2, marks=needs("httpx2")),
    pytest.param(readers.OURS_AIOHTTP, marks=needs("httpx_aiohttp")),
    pytest.param(readers.HTTPX_SSE, marks=needs("httpx_sse")),
    pytest.param(readers.AIOHTTP, marks=[needs("aiohttp"), needs("orjson")]),
    pytest.param(readers.OPENAI, marks=needs("openai")),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server.running() as url:
        yield url


def measured(url: str, cases: list[Case]) -> timing.Costs:
    costs = timing.measure(url, cases, rounds=2)
    assert all(cost > 0 for case in cases for cost in costs[case])
    return costs


@pytest.mark.exhaustive
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_reader_of_a_burst_sees_all_of_it(url: str, backend: str) -> None:
    everywhere = (
        *(readers.RAW, readers.RAW_STREAM, readers.SEED),
        *(readers.OURS_LOOP, readers.OURS_ONE, readers.OURS_THREE, readers.OURS_PRINTING),
    )
    cases = [Case.burst(reader, backend, 1_100) for reader in everywhere]
    costs = measured(url, cases)
    least, greatest = timing.spread(costs, cases[-1], cases[0])
    assert least <= timing.ratio(costs, cases[-1], cases[0]) <= greatest


@pytest.mark.parametrize("reader", ASYNCIO_READERS, ids=lambda reader: reader.name)
def test_a_reader_of_another_library_sees_the_same(url: str, reader: readers.Reader) -> None:
    measured(url, [Case.burst(reader, "asyncio", 120)])


def test_a_reader_that_misses_text_is_found_out(url: str) -> None:
    bytes_for_text = readers.Reader("bytes", readers.RAW.open, "text")
    with pytest.raises(AssertionError, match="bytes saw"):
        timing.measure(url, [Case.burst(bytes_for_text, "asyncio", 20)], rounds=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_that_come_one_a_read_are_all_seen(url: str, backend: str) -> None:
    measured(url, [Case.single(r, backend, 5) for r in (readers.RAW, readers.OURS_THREE)])


@pytest.mark.parametrize("kind", ["raw", "ours"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_many_streams_give_a_cost_and_a_delay(url: str, backend: str, kind: streams.Kind) -> None:
    assert streams.cost_at_once(url, kind, backend, streams=3, events=20) > 0
    half, most = streams.delay(url, kind, backend, streams=3, events=5, a_second=100)
    assert 0 < half <= most


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_longest_gap_is_seen_by_another_task(url: str, backend: str) -> None:
    assert holding.longest_gap(url, readers.OURS_THREE, backend, events=500) > 0


def test_memory_is_measured_in_a_process_of_its_own(url: str) -> None:
    # Few streams may fit into pages that are there already.
    assert alone.memory_of_a_stream(url, "ours", "asyncio", streams=40) > 1_000
    assert alone.memory_of_an_event(url, "asyncio", events=3_000) > 100


def test_an_import_takes_time() -> None:
    assert alone.import_seconds("import json") > 0


@pytest.mark.parametrize("room", pure.ROOMS)
def test_every_pure_room_works_on_its_input(room: str) -> None:
    make, work = pure.ROOMS[room]
    # The chunk with the finish_reason is no event, but it is a frame.
    assert work(make(70)) == (70 if room == "bytes → transcript" else 71)
    assert pure.cost(room, 70) > 0


def test_a_goal_is_met_or_not() -> None:
    ours, raw = (Case.burst(reader, "asyncio", 1) for reader in (readers.OURS_THREE, readers.RAW))
    costs = {ours: [3.0, 2.0, 9.0], raw: [2.0, 2.0, 3.0]}
    assert goals.at_most(costs, "a", ours, raw, 1.5).met
    assert not goals.at_most(costs, "a", ours, raw, 1.5, below=True).met
    row = goals.at_most(costs, "a", ours, raw, 1.4)
    assert (row.goal, row.result, row.met) == ("≤ 1.4", "1.50 (1.00–3.00)", False)


def test_the_program_prints_a_row_for_each_goal(capsys: pytest.CaptureFixture[str]) -> None:
    program.main(["--quick", "--rounds", "1", "pure"])
    *_, header, rule, row = capsys.readouterr().out.splitlines()
    assert header == "| what | goal | result | met |"
    assert set(rule) == {"|", "-"}
    assert row.startswith("| bytes → typed events, kept, no network | ≤ 5 µs | ")

"""Measure each goal and say whether it was met."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from . import alone, holding, pure, streams
from . import readers as r
from .timing import UVLOOP, Backend, Case, Costs, measure, ratio, spread

_EVENTS_A_SECOND: Final = 20
#: If raw httpx is later than so many milliseconds, what is measured are other programs.
_BUSY_MS: Final = 10
_BACKENDS: Final[tuple[Backend, ...]] = ("asyncio", "trio")


@attrs.frozen
class Size:
    """Say how much is measured.

    :param rounds: how often each reader is measured.
    :param events: events of a burst.
    :param slow_events: events of a burst for readers that take ten times as long.
    :param singles: events that come one a read.
    :param long_events: events of the long reply.
    :param streams: how many streams are open at once.
    :param stream_events: how many events each of them has.
    :param delayed_streams: how many streams the delays are measured over.
    :param delayed_events: how many events each of these has, 20 a second.
    """

    rounds: int = 9
    events: int = 20_000
    slow_events: int = 2_000
    singles: int = 500
    long_events: int = 1_000_000
    streams: int = 500
    stream_events: int = 100
    delayed_streams: int = 200
    delayed_events: int = 100

    @property
    def few(self) -> int:
        """Rounds of what takes long."""
        return max(1, self.rounds // 3)


#: For a first look: the ratios are there, but noisy.
QUICK: Final = Size(
    rounds=3,
    events=5_000,
    slow_events=500,
    singles=200,
    long_events=100_000,
    streams=100,
    delayed_streams=50,
    delayed_events=40,
)


@attrs.frozen
class Row:
    """Hold one line of the table of goals.

    :param what: what was measured.
    :param goal: what was wanted, in words.
    :param result: what came out.
    :param met: whether that is the goal, or ``None`` if there was none.
    """

    what: str
    goal: str
    result: str
    met: bool | None


def at_most(
    costs: Costs, what: str, one: Case, other: Case, goal: float, *, below: bool = False
) -> Row:
    found, (least, greatest) = ratio(costs, one, other), spread(costs, one, other)
    met = found < goal if below else found <= goal
    words = f"{'<' if below else '≤'} {goal:g}"
    return Row(what, words, f"{found:.2f} ({least:.2f}–{greatest:.2f})", met)


def _bursts(server: str, size: Size) -> tuple[list[Row], Costs]:
    def case(reader: r.Reader, backend: Backend = "asyncio", events: int = size.events) -> Case:
        return Case.burst(reader, backend, events)

    openai = case(r.OPENAI, events=size.slow_events)
    everywhere = (r.RAW, r.RAW_STREAM, r.SEED, r.OURS_LOOP, r.OURS_THREE, r.OURS_PRINTING)
    cases = [
        *(case(reader, backend) for backend in _BACKENDS for reader in everywhere),
        *(case(r.RAW, UVLOOP), case(r.OURS_THREE, UVLOOP)),
        *(case(r.RAW_HTTPX2), case(r.OURS_HTTPX2), case(r.OURS_TEN)),
        *(case(r.HTTPX_SSE), case(r.AIOHTTP), case(r.OURS_AIOHTTP), openai),
    ]
    costs = measure(server, cases, size.rounds)
    rows = []
    for backend, goal in (("asyncio", 1.3), ("trio", 1.4)):
        what = f"three consumers through `feed`, against raw httpx doing nothing, {backend}"
        rows.append(at_most(costs, what, case(r.OURS_THREE, backend), case(r.RAW, backend), goal))
    for backend in _BACKENDS:
        what = f"three consumers, against the seed's loop with one, {backend}"
        three, seed = case(r.OURS_THREE, backend), case(r.SEED, backend)
        rows.append(at_most(costs, what, three, seed, 1.0, below=True))
    times = ratio(costs, openai, case(r.OURS_THREE))
    what = "three consumers, against openai-python with one"
    rows.append(Row(what, "≥ 6 times cheaper", f"{times:.1f} times", times >= 6))
    what = "three consumers over the aiohttp transport, against aiohttp and orjson with one"
    rows.append(at_most(costs, what, case(r.OURS_AIOHTTP), case(r.AIOHTTP), 1.5))
    return rows, costs


def _pure(size: Size) -> Row:
    cost = statistics.median(
        pure.cost("bytes → transcript", size.events) for _ in range(size.rounds)
    )
    return Row("bytes → typed events, kept, no network", "≤ 5 µs", f"{cost:.1f} µs", cost <= 5)


def _long(server: str, size: Size) -> Row:
    short = Case.burst(r.OURS_THREE, "asyncio", size.long_events // 100)
    long = Case.burst(r.OURS_THREE, "asyncio", size.long_events)
    costs = measure(server, [short, long], size.few)
    kept = alone.memory_of_an_event(server, "asyncio", size.events * 5)
    row = at_most(
        costs,
        f"an event of {long.events:,} in one reply, against {short.events:,}",
        long,
        short,
        1.15,
    )
    return attrs.evolve(row, result=f"{row.result}; {kept:.0f} bytes kept an event")


def _singles(server: str, size: Size) -> tuple[list[Row], Costs]:
    def case(reader: r.Reader, backend: Backend) -> Case:
        return Case.single(reader, backend, size.singles)

    read = (r.RAW, r.SEED, r.OURS_LOOP, r.OURS_THREE)
    cases = [case(reader, backend) for backend in _BACKENDS for reader in read]
    cases.append(case(r.OPENAI, "asyncio"))
    costs = measure(server, cases, size.rounds)
    rows = []
    for backend in _BACKENDS:
        raw = case(r.RAW, backend)
        one = ratio(costs, case(r.OURS_LOOP, backend), raw)
        what = f"one event a read, one consumer, against raw httpx, {backend}"
        rows.append(Row(what, "stated", f"{one:.2f}", None))
        what = f"one event a read, three consumers, against raw httpx, {backend}"
        rows.append(at_most(costs, what, case(r.OURS_THREE, backend), raw, 2.5))
    return rows, costs


def _many(server: str, size: Size, backend: Backend) -> Row:
    kinds: tuple[streams.Kind, ...] = ("ours", "raw")
    ratios: dict[streams.Kind, list[float]] = {kind: [] for kind in kinds}
    for kind in kinds:
        for _ in range(size.few):
            many = streams.cost_at_once(server, kind, backend, size.streams, size.stream_events)
            one = streams.cost_at_once(server, kind, backend, 1, size.streams * size.stream_events)
            ratios[kind].append(many / one)
    found, raw = map(statistics.median, (ratios["ours"], ratios["raw"]))
    return Row(
        f"an event of {size.streams} streams at once, against one stream, {backend}",
        "≤ 1.3",
        f"{found:.2f} (raw httpx itself: {raw:.2f})",
        found <= 1.3,
    )


def _memory(server: str, size: Size, backend: Backend) -> Row:
    def kept(kind: streams.Kind) -> float:
        return statistics.median(
            alone.memory_of_a_stream(server, kind, backend, size.streams) for _ in range(size.few)
        )

    ours, raw = kept("ours"), kept("raw")
    return Row(
        f"memory an open stream, against raw httpx, {backend}",
        "≤ 1.5",
        f"{ours / raw:.2f} ({ours / 1024:.0f} KiB, raw {raw / 1024:.0f} KiB)",
        ours / raw <= 1.5,
    )


def _delay(server: str, size: Size, backend: Backend) -> Row:
    load = (size.delayed_streams, size.delayed_events, _EVENTS_A_SECOND)

    def late(kind: streams.Kind) -> float:
        return alone.delay(server, kind, backend, *load)[1]

    what = (
        f"delay from the write to the consumer, p99, {size.delayed_streams} streams at "
        f"{_EVENTS_A_SECOND} events/s, over raw httpx, {backend}"
    )
    pairs: list[tuple[float, float]] = []
    raw = 0.0
    for _ in range(3 * size.few):
        raw, ours = late("raw"), late("ours")
        if raw <= _BUSY_MS:
            pairs.append((ours, raw))
        if len(pairs) == size.few:
            break
    if not pairs:
        result = f"cannot be told: the machine is so busy that raw httpx is {raw:.0f} ms late"
        return Row(what, "≤ 2 ms", result, None)
    added = statistics.median(ours - raw for ours, raw in pairs)
    ours, raw = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(what, "≤ 2 ms", f"{added:+.1f} ms ({ours:.1f}, raw {raw:.1f})", added <= 2)


def _imports(size: Size) -> list[Row]:
    package, client = [], []
    for _ in range(size.rounds):
        nothing = alone.import_seconds("pass")
        httpx = alone.import_seconds("import httpx") - nothing
        package.append((alone.import_seconds("import fastgpt_client") - nothing) / httpx)
        # The package imports a name when it is asked for: what a program pays that asks for this.
        statement = "from fastgpt_client import AsyncChatClient"
        client.append((alone.import_seconds(statement) - nothing) / httpx)
    alone_costs = statistics.median(package)
    against = "against `import httpx`, without the interpreter's start"
    return [
        Row(
            f"`import fastgpt_client`, {against}", "≤ 1.2", f"{alone_costs:.2f}", alone_costs <= 1.2
        ),
        Row(
            f"`from fastgpt_client import AsyncChatClient`, {against}",
            "stated",
            f"{statistics.median(client):.2f}",
            None,
        ),
    ]


def _holding(server: str, size: Size, backend: Backend) -> Row:
    def longest(reader: r.Reader, events: int) -> float:
        return statistics.median(
            holding.longest_gap(server, reader, backend, events) for _ in range(size.rounds)
        )

    ours, raw = longest(r.OURS_THREE, 1_000), longest(r.RAW, 1_000)
    more = longest(r.OURS_THREE, size.events)
    return Row(
        f"longest time another task waits during a burst of 1,000 events, {backend}",
        "a few ms",
        f"{ours:.1f} ms (raw httpx {raw:.1f}); of {size.events:,}: {more:.1f} ms",
        ours <= 5,
    )


_Part = Callable[[str, Size], tuple[list[Row], Costs | None]]


def _each_backend(row: Callable[[str, Size, Backend], Row]) -> _Part:
    return lambda server, size: ([row(server, size, backend) for backend in _BACKENDS], None)


#: What is measured, by name.
PARTS: Final[dict[str, _Part]] = {
    "bursts": _bursts,
    "pure": lambda _, size: ([_pure(size)], None),
    "long": lambda server, size: ([_long(server, size)], None),
    "singles": _singles,
    "many": _each_backend(_many),
    "memory": _each_backend(_memory),
    "delay": _each_backend(_delay),
    "imports": lambda _, size: (_imports(size), None),
    "holding": _each_backend(_holding),
}


def run(server: str, size: Size, parts: Sequence[str] = tuple(PARTS)) -> Iterator[Row | Costs]:
    """Measure, and yield each row as it is known, and the costs of every reader behind some.

    :param server: the server's URL.
    :param size: how much to measure.
    :param parts: names in :data:`PARTS`.
    """
    for name in parts:
        rows, costs = PARTS[name](server, size)
        yield from rows
        if costs is not None:
            yield costs

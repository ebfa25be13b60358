"""Measure readers side by side: CPU time, interleaved rounds, medians of ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping, Sequence

import anyio
import attrs

from . import wire
from .readers import Reader

Backend = str
UVLOOP = "asyncio+uvloop"


def run(backend: Backend, function: object, *arguments: object) -> object:
    """Run a coroutine function on ``"asyncio"``, ``"asyncio+uvloop"`` or ``"trio"``."""
    name, _, loop = backend.partition("+")
    options = {"use_uvloop": True} if loop else {}
    return anyio.run(function, *arguments, backend=name, backend_options=options)  # type: ignore[arg-type]


@attrs.frozen
class Case:
    """Name one thing to measure.

    :param reader: how to read.
    :param backend: on which event loop.
    :param path: what to ask the server for.
    :param events: how many events that is.
    """

    reader: Reader
    backend: Backend
    path: str
    events: int

    @classmethod
    def burst(cls, reader: Reader, backend: Backend, events: int) -> Case:
        """Return the case of a reply that comes as fast as it is read."""
        return cls(reader, backend, f"/burst/{events}", events)

    @classmethod
    def single(cls, reader: Reader, backend: Backend, events: int) -> Case:
        """Return the case of a reply that comes one event a read."""
        return cls(reader, backend, f"/single/{events}", events)


#: What each round gave: microseconds of CPU an event, by case.
Costs = Mapping[Case, Sequence[float]]


def measure(server: str, cases: Sequence[Case], rounds: int) -> Costs:
    """Measure every case once a round, each round in another order.

    :param server: the server's URL.
    :param cases: what to measure.
    :param rounds: how often.
    """
    costs: dict[Case, list[float]] = {case: [] for case in cases}
    for turn in range(rounds):
        shift = turn % len(cases)
        for case in (*cases[shift:], *cases[:shift]):
            gc.collect()
            seconds = run(case.backend, _time, server, case)
            assert isinstance(seconds, float)
            costs[case].append(seconds / case.events * 1e6)
    return costs


async def _time(server: str, case: Case) -> float:
    async with case.reader.open(server) as read:
        await read("/burst/10")  # connect, and import what is imported late
        start = time.process_time()
        seen = await read(case.path)
        seconds = time.process_time() - start
    if case.reader.counts == "text" and seen != wire.text_length(case.events):
        raise AssertionError(f"{case.reader.name} saw {seen} characters")
    return seconds


def median(costs: Costs, case: Case) -> float:
    """Return the median of what a case cost, in microseconds an event."""
    return statistics.median(costs[case])


def ratio(costs: Costs, one: Case, other: Case) -> float:
    """Return the median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(costs[one], costs[other], strict=True))


def spread(costs: Costs, one: Case, other: Case) -> tuple[float, float]:
    """Return the least and the greatest of the ratios."""
    ratios = [a / b for a, b in zip(costs[one], costs[other], strict=True)]
    return min(ratios), max(ratios)

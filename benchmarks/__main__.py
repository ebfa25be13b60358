"""Measure the goals and print them as a Markdown table."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import attrs

from . import goals, server
from .readers import RAW
from .timing import Costs, median

_PACKAGES = ("anyio", "trio", "httpx", "httpx2", "h11", "aiohttp", "openai", "uvloop", "msgspec")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(goals.PARTS))
    parser.add_argument("--rounds", type=int, help="how often each reader is measured")
    parser.add_argument("--quick", action="store_true", help="fewer events: for a first look")
    return parser.parse_args(given)


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"no {name}"


def _print_costs(costs: Costs) -> None:
    print("\n| CPU of the client process | µs an event | against raw httpx |")
    print("|---|---:|---:|")
    raw = {case.backend: case for case in costs if case.reader is RAW}
    for case in costs:
        cost = median(costs, case)
        against = cost / median(costs, raw[case.backend])
        print(f"| {case.reader.name}, {case.backend} | {cost:.1f} | {against:.2f} |")


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print.

    :param given: the command line's arguments; those of the process if it is ``None``.
    """
    options = _arguments(given)
    size = goals.QUICK if options.quick else goals.Size()
    if options.rounds:
        size = attrs.evolve(size, rounds=options.rounds)
    packages = ", ".join(_versions())
    print(f"{platform.python_implementation()} {platform.python_version()}, {packages};")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {size.rounds} rounds\n")
    print("| what | goal | result | met |")
    print("|---|---|---|---|")
    all_costs: list[Costs] = []
    with server.running() as url:
        for found in goals.run(url, size, options.parts or tuple(goals.PARTS)):
            if isinstance(found, goals.Row):
                met = {True: "yes", False: "**no**", None: ""}[found.met]
                print(f"| {found.what} | {found.goal} | {found.result} | {met} |", flush=True)
            else:
                all_costs.append(found)
    for costs in all_costs:
        _print_costs(costs)


if __name__ == "__main__":
    main()

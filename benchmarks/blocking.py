"""What a blocking reply costs beside the asynchronous one: ``python -m benchmarks.blocking``.

Both read the same bytes of the same server; the blocking one reads in another thread than the one
with its event loop. CPU time of the process an event, the median of some rounds: ``burst`` comes
as fast as it is read, ``single`` one event a read, as a model speaks, and ``replay`` is read when
all of it has arrived, which leaves the crossing of threads alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import anyio

from fastgpt_client import AsyncChatClient, ChatClient, Policy

from . import server
from .readers import KEY, MAX_BYTES

Read = Callable[[str], tuple[int, float]]


def asynchronous(*, replay: bool = False) -> Read:
    async def read(url: str) -> tuple[int, float]:
        async with (
            AsyncChatClient(KEY, url, max_reply_bytes=MAX_BYTES) as client,
            client.stream("hi") as reply,
        ):
            if replay:
                await reply.final()
            start = time.process_time()
            count = 0
            async for _ in reply:
                count += 1
            return count, time.process_time() - start

    return lambda url: anyio.run(read, url)


def blocking(*, replay: bool = False, policy: Policy | None = None) -> Read:
    def read(url: str) -> tuple[int, float]:
        client = ChatClient(KEY, url, max_reply_bytes=MAX_BYTES)
        with client, client.stream("hi") as reply:
            if replay:
                reply.final()
            start = time.process_time()
            count = sum(1 for _ in reply.subscribe(policy))
            return count, time.process_time() - start

    return read


def lines(url: str) -> tuple[int, float]:
    with ChatClient(KEY, url, max_reply_bytes=MAX_BYTES) as client:
        response = client.create_chat_completion("hi", stream=True)
        start = time.process_time()
        count = sum(line.startswith("data:") for line in response.iter_lines())
        return count, time.process_time() - start


CASES: dict[str, tuple[Read, str]] = {
    "burst, asynchronous": (asynchronous(), "burst"),
    "burst, blocking": (blocking(), "burst"),
    "burst, blocking, paced": (blocking(policy=Policy.paced()), "burst"),
    "burst, lines without a thread": (lines, "burst"),
    "single, asynchronous": (asynchronous(), "single"),
    "single, blocking": (blocking(), "single"),
    "single, lines without a thread": (lines, "single"),
    "replay, asynchronous": (asynchronous(replay=True), "burst"),
    "replay, blocking": (blocking(replay=True), "burst"),
}


def hop(url: str, times: int) -> float:
    """Return the seconds that one look at ``reply.text`` takes while the reply waits."""
    with ChatClient(KEY, url + "/hold") as client, client.stream("hi") as reply:
        next(iter(reply))
        start = time.perf_counter()
        for _ in range(times):
            assert reply.text
        return (time.perf_counter() - start) / times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--burst", type=int, default=20_000, help="events of a burst")
    parser.add_argument("--single", type=int, default=1_000, help="events that come one a read")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    costs: dict[str, list[float]] = {name: [] for name in CASES}
    with server.running() as url:
        for _ in range(given.rounds):
            for name, (read, kind) in CASES.items():
                events = given.burst if kind == "burst" else given.single
                count, seconds = read(f"{url}/{kind}/{events}")
                assert count >= events, (name, count)
                costs[name].append(seconds / count * 1e6)
        one_hop = statistics.median(hop(url, 500) for _ in range(given.rounds)) * 1e6
    for name, values in costs.items():
        print(f"{name:32} {statistics.median(values):8.2f} µs an event")
    print(f"{'one hop (reply.text)':32} {one_hop:8.2f} µs, waiting included")


if __name__ == "__main__":
    main()

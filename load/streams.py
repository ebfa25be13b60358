"""Read a thousand streams at once in one process, a fifth of them broken, and compare each.

The server is a process of its own. It ends with status 1 if a stream was wrong, an error was another
than its own, or something was left behind.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import anyio
import attrs
from plans import FAULTS, Plan, plan

from fastgpt_client import AsyncChatClient, FastGPTError, Timeouts

HERE = Path(__file__).parent


@attrs.define
class Tally:
    """Count what became of the streams."""

    healthy: int = 0
    broken: Counter[str] = attrs.field(factory=Counter)
    events: int = 0
    wrong: list[str] = attrs.field(factory=list)
    at_once: int = 0
    most_at_once: int = 0


def arrived(text: str, expected: Plan) -> bool:
    """Tell whether a text is the one that had arrived."""
    if expected.fault == "reset":
        # It throws away what was not read yet.
        return expected.text.startswith(text)
    return text == expected.text


async def one(client: AsyncChatClient, number: int, pause: float, tally: Tally) -> None:
    """Read one stream and compare it with its plan."""
    expected = plan(number, pause)
    text = ""
    error: FastGPTError | None = None
    tally.at_once += 1
    tally.most_at_once = max(tally.most_at_once, tally.at_once)
    try:
        async with client.stream(str(number)) as reply:
            async for event in reply:
                text += event.text
                tally.events += 1
            await reply.final()
    except FastGPTError as raised:
        error = raised
    tally.at_once -= 1
    name = type(error).__name__ if error else ""
    partial = error.partial if error else text
    complaint = f"stream {number} ({expected.fault or 'healthy'}): "
    if name != FAULTS.get(expected.fault, ""):
        tally.wrong.append(complaint + (repr(error) if error else "no error"))
    elif text != partial or not arrived(text, expected):
        tally.wrong.append(f"{complaint}{text!r}, partial {partial!r}, not {expected.text!r}")
    if expected.fault:
        tally.broken[expected.fault] += 1
    else:
        tally.healthy += 1


async def wave(
    client: AsyncChatClient, streams: int, until: float, pause: float, tally: Tally
) -> None:
    """Keep so many streams open until then, and let the last ones end."""
    numbers = itertools.count()

    async def keep_one_open() -> None:
        while True:
            await one(client, next(numbers), pause, tally)
            if anyio.current_time() > until:
                return

    async with anyio.create_task_group() as group:
        for _ in range(streams):
            group.start_soon(keep_one_open)


def memory() -> tuple[int, float]:
    """Return how many objects there are, and how many MiB of memory are in use."""
    for _ in range(3):
        gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(gc.get_objects()), pages * resource.getpagesize() / 2**20


def sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(entry).startswith("socket:")
        except OSError:
            continue
    return count


def open_at_server(port: int) -> int:
    """Ask the server how many connections it has."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /open HTTP/1.1\r\n\r\n")
        answer = b""
        while data := connection.recv(1000):
            answer += data
    return int(answer.rpartition(b"\r\n\r\n")[2])


async def run(port: int, options: argparse.Namespace) -> bool:
    """Run the test, print what it found, and tell whether all was well."""
    tally = Tally()
    limits = Timeouts(silence=options.silence, idle=60, first_token=60, connect=60)
    url = f"http://127.0.0.1:{port}"
    sockets_before = sockets()
    # What is imported, cached and pooled once is in use from here on.
    async with AsyncChatClient("key", url, timeouts=limits) as client:
        await wave(client, options.streams, anyio.current_time(), options.pause, Tally())
    objects_before, memory_before = memory()
    began, cpu = time.monotonic(), time.process_time()
    async with AsyncChatClient("key", url, timeouts=limits) as client:
        until = anyio.current_time() + options.seconds
        await wave(client, options.streams, until, options.pause, tally)
        connections = client._http.client._transport._pool.connections  # type: ignore[union-attr]
        busy = [connection for connection in connections if not connection.is_idle()]
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    del client, connections
    objects_after, memory_after = memory()
    with anyio.move_on_after(5):
        while open_at_server(port):  # noqa: ASYNC110 - it is in another process
            await anyio.sleep(0.05)
    left = (len(busy), sockets() - sockets_before, open_at_server(port))
    print(f"{options.backend}: {tally.healthy} healthy, {tally.broken.total()} broken streams,")
    print(f"  at most {tally.most_at_once} at once, in {took:.0f} s, {cpu:.0f} s of them CPU;")
    print(f"  {tally.events} events, {tally.events / took:.0f} a second")
    print(f"  objects {objects_before} -> {objects_after},", end=" ")
    print(f"memory {memory_before:.0f} -> {memory_after:.0f} MiB")
    print(f"  left open: {left[0]} in the pool, {left[1]} sockets, {left[2]} at the server")
    print("  faults:", ", ".join(f"{count} {name}" for name, count in tally.broken.items()))
    print(f"  {len(tally.wrong)} wrong", *tally.wrong[:10], sep="\n    ")
    grown = objects_after - objects_before > 2000 or memory_after > memory_before * 1.15 + 5
    return not (tally.wrong or grown or any(left) or tally.most_at_once < options.streams)


def main() -> None:
    """Start the server and run the test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=1.5, help="seconds between two texts")
    parser.add_argument("--silence", type=float, default=8)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(options.pause)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            well = anyio.run(run, port, options, backend=options.backend)
        finally:
            server.terminate()
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()

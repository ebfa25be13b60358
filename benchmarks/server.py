"""Answer every request with precomputed bytes, in a process of its own.

What is sent stands in front of the path, so that each library can put its own path behind it::

    /burst/20000/…          20,000 events as fast as they are taken
    /single/1000/…          1,000 events, each in one write, a millisecond and more apart
    /gate/100/…             the headers; 100 events at the next /open; the end at the one after it
    /waiting/500            answers when 500 replies wait for the next /open
    /open                   lets all go on that wait
    /stamped/60/20/…        as /gate, but 60 events, 20 a second, the text of each being when it was
                            written
    /hold/…                 one event, and then nothing

Time stamps are nanoseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from . import wire

#: The folder of the package, from which ``python -m`` finds it.
ROOT: Final = Path(__file__).parents[1]
_STAMP_DIGITS: Final = 19
_STAMPED: Final = wire.event(wire.answer("#" * _STAMP_DIGITS))
_STAMP_AT: Final = _STAMPED.index(b"#")
_SECONDS_BETWEEN_SINGLES: Final = 0.001


class _Server:
    def __init__(self) -> None:
        self._turnstile = asyncio.Condition()
        self._waiting = 0
        self._opened = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        await reader.readexactly(int(headers.get("content-length", "0")))
        kind, *rest = lines[0].split(" ")[1].lstrip("/").split("/")
        if kind in ("open", "waiting"):
            await self._control(kind, rest)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        writer.write(wire.HEAD)
        await _KINDS[kind](self, writer, rest)
        writer.write(wire.TAIL)
        await writer.drain()
        return True

    async def _control(self, kind: str, options: list[str]) -> None:
        async with self._turnstile:
            if kind == "open":
                self._waiting = 0
                self._opened += 1
                self._turnstile.notify_all()
            else:
                await self._turnstile.wait_for(lambda: self._waiting >= int(options[0]))

    async def _wait_at_gate(self) -> None:
        async with self._turnstile:
            opened = self._opened
            self._waiting += 1
            self._turnstile.notify_all()
            await self._turnstile.wait_for(lambda: self._opened != opened)

    async def _burst(self, writer: asyncio.StreamWriter, options: list[str]) -> None:
        for block in wire.blocks(int(options[0])):
            writer.write(block)
            await writer.drain()

    async def _single(self, writer: asyncio.StreamWriter, options: list[str]) -> None:
        for event in wire.single_events(int(options[0])):
            writer.write(event)
            await asyncio.sleep(_SECONDS_BETWEEN_SINGLES)

    async def _gate(self, writer: asyncio.StreamWriter, options: list[str]) -> None:
        await self._wait_at_gate()
        await self._burst(writer, options)
        await self._wait_at_gate()

    async def _hold(self, writer: asyncio.StreamWriter, options: list[str]) -> None:
        writer.write(next(wire.single_events(1)))
        while not writer.is_closing():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.1)

    async def _stamped(self, writer: asyncio.StreamWriter, options: list[str]) -> None:
        count, a_second = map(int, options[:2])
        await self._wait_at_gate()
        loop = asyncio.get_running_loop()
        # Streams that began in the same instant must not stay in step.
        due = loop.time() + random.random() / a_second  # noqa: S311
        frame = bytearray(_STAMPED)
        for _ in range(count):
            await asyncio.sleep(due - loop.time())
            due += 1 / a_second
            frame[_STAMP_AT : _STAMP_AT + _STAMP_DIGITS] = b"%019d" % time.monotonic_ns()
            writer.write(bytes(frame))
        await self._wait_at_gate()


_KINDS: Final = {
    "burst": _Server._burst,
    "single": _Server._single,
    "gate": _Server._gate,
    "hold": _Server._hold,
    "stamped": _Server._stamped,
}


async def _serve() -> None:
    server = await asyncio.start_server(
        _Server().connected, "127.0.0.1", 0, backlog=1024, limit=1 << 20
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent's end of the pipe closes whatever becomes of the parent. Connections that are
    # still open, such as those of a parent that was interrupted, need no leave-taking.
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


@contextmanager
def running() -> Iterator[str]:
    """Run the server in a process of its own and yield its URL."""
    command = [sys.executable, "-m", __name__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            finally:
                process.kill()


if __name__ == "__main__":
    asyncio.run(_serve())

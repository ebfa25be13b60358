"""Read what is typed while an answer comes: ``/stop`` stops it, the rest is for the prompt."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import attrs

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]


@attrs.define(eq=False)
class Typed:
    """Hold the lines that were typed ahead."""

    lines: list[str] = attrs.field(factory=list, init=False)
    #: Whether Ctrl-D was typed.
    ended: bool = attrs.field(default=False, init=False)
    _unfinished: bytes = attrs.field(default=b"", init=False)

    @contextlib.contextmanager
    def unseen(self) -> Iterator[None]:
        """Do not let the terminal show what is typed, which would tear the live part apart."""
        if termios is None:
            yield
            return
        descriptor = sys.stdin.fileno()
        before: list[Any] = termios.tcgetattr(descriptor)
        quiet = list(before)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSANOW, before)

    async def watch(self, stop: Callable[[], object]) -> None:
        """Call ``stop`` when ``/stop`` is typed; keep other lines."""
        if termios is None:
            await anyio.sleep_forever()
        descriptor = sys.stdin.fileno()
        while True:
            try:
                await anyio.wait_readable(descriptor)
            except (OSError, NotImplementedError):
                # An event loop that cannot wait for this terminal: it stays for the prompt.
                await anyio.sleep_forever()
            data = os.read(descriptor, 4096)
            # What was typed while the prompt still had the terminal ends with a bare CR.
            typed = (self._unfinished + data).replace(b"\r", b"\n")
            *lines, self._unfinished = typed.split(b"\n")
            for line in lines:
                text = line.decode(sys.stdin.encoding or "utf-8", "replace").strip()
                if text == "/stop":
                    stop()
                elif text:
                    self.lines.append(text)
            if not data:
                self.ended = True
                await anyio.sleep_forever()

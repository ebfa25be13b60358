"""Run the command as users do: in a process of its own, in a pipe or on a terminal."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import attrs
import pyte
import pytest
from click.testing import CliRunner

from fastgpt_client.cli._app import fastgpt
from fastgpt_client.testing import FakeFastGPT

_CLICK_8_1 = "mix_stderr" in inspect.signature(CliRunner).parameters

#: Seconds for anything to happen.
PATIENCE = 15.0

needs_trio = pytest.mark.skipif(
    importlib.util.find_spec("trio") is None, reason="trio is not installed"
)
on_each_backend = pytest.mark.parametrize(
    "backend", ["asyncio", pytest.param("trio", marks=needs_trio)]
)
needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")


@attrs.define(eq=False)
class ThreadedServer:
    """A fake server in a thread of its own, for tests that block."""

    fake: FakeFastGPT
    _portal: anyio.from_thread.BlockingPortal

    def call(self, function: Any, *args: Any) -> Any:
        """Call a method of the fake server in its own thread, and wait for what it waits for."""

        async def bounded() -> Any:
            with anyio.fail_after(PATIENCE):
                result = function(*args)
                return await result if hasattr(result, "__await__") else result

        return self._portal.call(bounded)

    def script(self, answer: Any) -> None:
        """Answer every question from now on in this way."""
        self.call(self.fake.script, answer)


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[ThreadedServer]:
    """Serve while the block runs."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(FakeFastGPT(**options)) as fake,
    ):
        yield ThreadedServer(fake, portal)


@attrs.frozen
class Done:
    """What a command that has ended left."""

    returncode: int
    stdout: str
    stderr: str


@attrs.define(eq=False)
class Command:
    """The ``fastgpt`` command with an environment of its own.

    :param folder: its working folder, and home.
    :param settings: environment variables.
    """

    folder: Path
    settings: dict[str, str] = attrs.field(factory=dict)

    def use(self, server: ThreadedServer) -> None:
        """Ask this server."""
        self.settings |= {
            "FASTGPT_BASE_URL": server.fake.base_url,
            "FASTGPT_API_KEY": server.fake.api_key,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("FASTGPT", "XDG"))}
        own = {
            "HOME": str(self.folder),
            "PYTHONIOENCODING": "utf-8",
            "TERM": "xterm-256color",
            "INPUTRC": os.devnull,
        }
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
            inherited.pop(name, None)
        return {**inherited, **own, **self.settings}

    def line(self, *arguments: str | Path) -> list[str]:
        """The command line."""
        return [sys.executable, "-W", "error", "-m", "fastgpt_client", *map(str, arguments)]

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> Done:
        """Run it in pipes, in this process, which is much quicker than in one of its own."""
        options: dict[str, Any] = {"mix_stderr": False} if _CLICK_8_1 else {}
        environment = {**dict.fromkeys(os.environ), **self.environment}
        with contextlib.chdir(self.folder):
            result = CliRunner(**options).invoke(
                fastgpt, [*map(str, arguments)], input=stdin, env=environment
            )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    def run_alone(self, *arguments: str | Path) -> Done:
        """Run it in pipes, in a process of its own."""
        done = subprocess.run(
            self.line(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE * 2,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextlib.contextmanager
    def started(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Run it in pipes while the block runs."""
        with subprocess.Popen(
            self.line(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            encoding="utf-8",
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def on_terminal(
        self, *arguments: str | Path, columns: int = 80, lines: int = 24
    ) -> Iterator[Terminal]:
        """Run it on a terminal of its own while the block runs."""
        import fcntl
        import termios

        keyboard, tty = os.openpty()
        fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        # In a session of its own the process takes the terminal, so that Ctrl-C is a signal.
        code = (
            "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "from fastgpt_client.cli import main; main()"
        )
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
            stdin=tty,
            stdout=tty,
            stderr=tty,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        )
        os.close(tty)
        try:
            yield Terminal(process, keyboard, columns, lines)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            os.close(keyboard)


class Terminal:
    """What a user sees and types."""

    def __init__(
        self, process: subprocess.Popen[bytes], keyboard: int, columns: int, lines: int
    ) -> None:
        self._process = process
        self._keyboard = keyboard
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""

    def type(self, text: str) -> None:
        """Type; ``\\r`` is Enter, ``\\x03`` Ctrl-C, ``\\x04`` Ctrl-D."""
        os.write(self._keyboard, text.encode())

    @property
    def shown(self) -> str:
        """What was shown, what has scrolled away included."""
        width = self.screen.columns
        past = [
            "".join(line[column].data for column in range(width)).rstrip()
            for line in self.screen.history.top
        ]
        return "\n".join([*past, *(line.rstrip() for line in self.screen.display)]).rstrip()

    def wait_for(self, text: str, times: int = 1) -> str:
        """Wait until ``text`` is shown, and return all that is shown."""
        return self._wait(lambda: self.shown.count(text) >= times, text)

    def answer(self, prompt: str, text: str) -> None:
        """Wait for a prompt, and type ``text`` and Enter."""
        self.wait_for_prompt(prompt)
        self.type(f"{text}\r")

    def wait_for_prompt(self, prompt: str = ">") -> None:
        """Wait until the last line is ``prompt``."""
        self._wait(lambda: self.shown.split("\n")[-1] == prompt, prompt)

    def _wait(self, condition: Callable[[], bool], text: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or not self._read(0.5):
                assert condition(), f"no {text!r} in:\n{self.shown}"
        return self.shown

    def wait(self) -> int:
        """Wait for the end of the program, and return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(0.2):
            assert time.monotonic() < deadline, f"still running:\n{self.shown}"
        return self._process.wait(PATIENCE)

    def _read(self, seconds: float) -> bool:
        """Take what was written within some seconds; ``False`` at the end of it all."""
        if not select.select([self._keyboard], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._keyboard, 65536)
        except OSError:  # Linux: the last one who had the terminal open has gone
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def server() -> Iterator[ThreadedServer]:
    with serving() as threaded:
        yield threaded


@pytest.fixture
def asking(command: Command, server: ThreadedServer) -> Command:
    """A command that knows the server."""
    command.use(server)
    return command

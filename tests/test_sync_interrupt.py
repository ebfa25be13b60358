"""Ctrl-C in the main thread ends a blocking call at once and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import attrs
import pytest

from fastgpt_client.testing import BlockingFakeFastGPT, Delta, NoHeaders, Script, WaitFor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent there")

#: Far less than any limit of the client, and far more than a clean-up takes.
AT_ONCE = 5.0

PROGRAM = """\
import threading
from fastgpt_client import ChatClient

def show(events):
    for event in events:
        print("shown", flush=True)

def count(events):
    return sum(1 for event in events)

def main():
    with ChatClient({options}) as client:
{body}

try:
    main()
except KeyboardInterrupt:
    print("interrupted", flush=True)
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        assert "portal" not in thread.name, thread
        thread.join(5)
print([thread.name for thread in threading.enumerate()])
"""


HANGING = Script(Delta("Once "), WaitFor("never"))


@attrs.frozen
class Case:
    """A blocking program, what the server does, and what the program prints."""

    name: str
    body: str
    script: Script = HANGING
    options: str = ""
    printed: str = "shown\ninterrupted\n"

    @property
    def plain(self) -> bool:
        """Whether the main thread itself reads from the network."""
        return "create_chat_completion" in self.body


READING = """
for line in client.create_chat_completion("Hi", stream=True).iter_lines():
    if line:
        print("shown", flush=True)
"""
ANSWERING = """
print("shown", flush=True)
client.create_chat_completion("Hi")
"""
STREAMING = """
with client.stream("Hi") as reply:
    show(reply)
"""
ENTERING = """
print("shown", flush=True)
with client.stream("Hi") as reply:
    print("never")
"""
WAITING = """
with client.stream("Hi") as reply:
    next(iter(reply))
    print("shown", flush=True)
    reply.final()
"""
ASKING = """
print("shown", flush=True)
client.ask("Hi")
"""
FEEDING = """
with client.stream("Hi") as reply:
    reply.feed(show, count, count)
"""
GOING_ON = """
with client.stream("Hi") as reply:
    events = iter(reply)
    try:
        show(events)
    except KeyboardInterrupt:
        print(reply.stop(), list(events), reply.final())
"""

CASES = [
    Case("the lines of a stream", READING),
    Case("a whole answer", ANSWERING),
    Case("the events of a reply", STREAMING),
    Case("entering the block", ENTERING, Script(NoHeaders())),
    Case("the final answer", WAITING),
    Case("ask", ASKING),
    Case("several consumers", FEEDING),
    Case("a v2 reply", STREAMING, options='api="v2", app_id="65f0000000000000000000aa"'),
    Case("a program that goes on", GOING_ON, printed="shown\nclosed [] Once \n"),
]


@pytest.fixture
def server() -> Iterator[BlockingFakeFastGPT]:
    with BlockingFakeFastGPT() as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ctrl_c_ends_a_call_at_once_and_leaves_nothing_behind(
    case: Case, server: BlockingFakeFastGPT, tmp_path: Path
) -> None:
    server.script(case.script)
    program = tmp_path / "program.py"
    body = textwrap.indent(case.body, " " * 8)
    program.write_text(PROGRAM.format(body=body, options=case.options), encoding="utf-8")
    environment = {
        **os.environ,
        "FASTGPT_BASE_URL": server.base_url,
        "FASTGPT_API_KEY": server.api_key,
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", str(program)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            first = running.stdout.readline()
            if any(isinstance(step, WaitFor) for step in case.script.steps):
                server.wait_at_gate("never")
            else:
                server.wait_request()
            running.send_signal(signal.SIGINT)
            began = time.monotonic()
            try:
                rest, errors = running.communicate(timeout=AT_ONCE)
            except subprocess.TimeoutExpired:
                # Python sees a signal that comes right before a read of a socket only after it,
                # here never; a person presses again.
                assert case.plain
                running.send_signal(signal.SIGINT)
                began = time.monotonic()
                rest, errors = running.communicate(timeout=AT_ONCE)
            seconds = time.monotonic() - began
        finally:
            running.kill()
    noise = [line for line in errors.splitlines() if not line.startswith("Executing <")]
    assert noise == []
    assert first + rest == case.printed + "['MainThread']\n"
    assert running.returncode == 0
    assert seconds < AT_ONCE
    if "v2" in case.name:
        server.wait_stop()
    server.wait_disconnect()
    server.wait_closed()

"""Ctrl-C stops an answer on the server too, keeps what came, and a second one leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from fastgpt_client.testing import (
    APP_ID,
    Delta,
    FakeFastGPT,
    NoHeaders,
    Script,
    SilentModel,
    WaitFor,
)

from .cli_tools import (
    PATIENCE,
    Command,
    ThreadedServer,
    asking,
    command,
    on_each_backend,
    server,
)

__all__ = ["asking", "command", "server"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == line


def leave(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stderr is not None
    # Not communicate(), which does not see what readline() has read ahead.
    out, err = process.stdout.read(), process.stderr.read()
    return process.wait(PATIENCE), out, err


@on_each_backend
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_v1_answer_on_the_server_and_keeps_the_text(
    asking: Command, server: ThreadedServer, backend: str, number: int, code: int
) -> None:
    server.script(Script(Delta("It began\nand"), SilentModel()))
    with asking.started("chat", "--backend", backend, "x") as process:
        wait_for_line(process, "It began\n")
        assert leave(process, number) == (code, "and\n", "")
    assert server.call(server.fake.wait_run).status == "aborted"


@on_each_backend
def test_ctrl_c_asks_the_server_to_stop_a_v2_answer(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began\n"), SilentModel()))
    arguments = ("--api", "v2", "--app-id", APP_ID, "--chat-id", "c1")
    with asking.started("chat", "--backend", backend, *arguments, "x") as process:
        wait_for_line(process, "It began\n")
        assert leave(process, signal.SIGINT) == (130, "", "")
    assert server.call(server.fake.wait_stop).json == {"appId": APP_ID, "chatId": "c1"}
    assert server.call(server.fake.wait_run).status == "stopped"


@on_each_backend
def test_ctrl_c_says_when_a_v2_run_could_not_be_stopped(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began\n"), SilentModel()))
    with asking.started("chat", "--backend", backend, "--api", "v2", "x") as process:
        wait_for_line(process, "It began\n")
        code, out, err = leave(process, signal.SIGINT)
    assert (code, out) == (130, "")
    assert "app_id" in err
    assert not server.fake.stops


@on_each_backend
def test_ctrl_c_before_the_server_has_answered_leaves_at_once(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(NoHeaders()))
    with asking.started("chat", "--backend", backend, "x") as process:
        server.call(server.fake.wait_request)
        assert leave(process, signal.SIGINT) == (130, "", "")
    server.call(server.fake.wait_disconnect)


@on_each_backend
def test_a_second_ctrl_c_does_not_wait_for_the_server(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    asked = server.call(lambda: _hold_stops(server.fake))
    server.script(Script(Delta("It began\n"), SilentModel()))
    arguments = ("--api", "v2", "--app-id", APP_ID)
    with asking.started("chat", "--backend", backend, *arguments, "x") as process:
        wait_for_line(process, "It began\n")
        process.send_signal(signal.SIGINT)
        server.call(asked.wait)
        assert process.poll() is None, "the first one waits for the server's word"
        code, _, err = leave(process, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in err


@on_each_backend
def test_an_interrupted_answer_is_still_one_json_object(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began"), WaitFor("ever")))
    with asking.started("chat", "--json", "--backend", backend, "x") as process:
        server.call(server.fake.wait_at_gate, "ever")
        code, out, _ = leave(process, signal.SIGINT)
    assert code == 130
    assert json.loads(out)["status"] == "stopped"


@on_each_backend
def test_an_interrupted_recording_says_that_the_client_left(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began\n"), SilentModel()))
    with asking.started("record", "--backend", backend, "r.jsonl", "x") as process:
        wait_for_line(process, "It began\n")
        assert leave(process, signal.SIGINT)[0] == 130
    lines = (asking.folder / "r.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["end"] == "left"


@on_each_backend
def test_ctrl_c_ends_the_fake_server_well(command: Command, backend: str) -> None:
    with command.started("serve-fake", "--port", "0", "--backend", backend) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "Ctrl-C ends it.\n":
            pass
        assert leave(process, signal.SIGINT) == (0, "", "")


def _hold_stops(fake: FakeFastGPT) -> object:
    import anyio

    asked = anyio.Event()

    async def never(_: object) -> None:
        asked.set()
        await anyio.sleep_forever()

    fake.route("POST", "/api/v2/chat/stop", never)
    return asked

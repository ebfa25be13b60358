"""The fixtures for the tests of other projects, as such a project uses them."""

from __future__ import annotations

import threading

import pytest

from fastgpt_client import ChatClient
from fastgpt_client.testing import (
    BlockingFakeFastGPT,
    Delta,
    Script,
    Silence,
    WaitFor,
)

pytest_plugins = ["pytester"]

CONFTEST = 'pytest_plugins = ["fastgpt_client.testing.pytest_plugin"]'
#: Warnings are errors there too, and the settings of this project do not reach it.
SETTINGS = "[pytest]\nfilterwarnings = error\n"


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makeconftest(CONFTEST)
    pytester.makeini(SETTINGS)
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=18)


def test_anyio_tests_get_a_server_and_a_client_on_every_backend(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import sys

import anyio
import pytest

pytestmark = pytest.mark.anyio


async def test_ask(fastgpt_server, fastgpt_client):
    fastgpt_server.reply("Once upon a time")
    with anyio.fail_after(5):
        assert (await fastgpt_client.ask("Hi")).text == "Once upon a time"
    assert len(fastgpt_server.requests) == 1


async def test_each_test_has_its_own(fastgpt_server):
    assert fastgpt_server.requests == []


@pytest.mark.parametrize("fastgpt_server", [{"server_version": "4.14.7"}], indirect=True)
async def test_options(fastgpt_server):
    assert fastgpt_server.server_version == "4.14.7"
""",
    )
    # The plugin of anyio runs them on each backend that is installed.
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] in (3, 6, 9)
    assert set(outcomes) <= {"passed", "skipped"}


def test_a_handler_that_fails_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import anyio
import pytest

from fastgpt_client import FastGPTError


@pytest.fixture
def anyio_backend():
    return "asyncio"


def broken(request):
    raise ZeroDivisionError("in the handler")


@pytest.mark.anyio
async def test_ask(fastgpt_server, fastgpt_client):
    fastgpt_server.script(broken)
    with anyio.fail_after(5), pytest.raises(FastGPTError):
        await fastgpt_client.ask("Hi")
""",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ZeroDivisionError: in the handler*"])


def test_blocking_tests_get_a_server_and_a_client(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import threading

import pytest

# Plugins of pytest that the environment has may run threads of their own.
BEFORE = threading.active_count()


def test_ask(blocking_fastgpt_server, blocking_fastgpt_client):
    blocking_fastgpt_server.reply("Once upon a time")
    assert blocking_fastgpt_client.ask("Hi").text == "Once upon a time"
    assert len(blocking_fastgpt_server.requests) == 1


def test_nothing_is_left_of_the_last_one():
    assert threading.active_count() == BEFORE


@pytest.mark.parametrize(
    "blocking_fastgpt_server", [{"server_version": "4.14.7"}], indirect=True
)
def test_options(blocking_fastgpt_server):
    assert blocking_fastgpt_server.fake.server_version == "4.14.7"
""",
    )
    result.assert_outcomes(passed=3)


def test_nothing_is_loaded_unless_a_project_asks_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import sys


def test_plain():
    assert not [name for name in sys.modules if name.startswith("fastgpt_client")]
"""
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=18).assert_outcomes(passed=1)


# --- the server in a thread --------------------------------------------------------------------


def test_a_blocking_test_sees_what_the_server_saw() -> None:
    with BlockingFakeFastGPT() as server:
        server.script(Script(Delta("Once "), WaitFor("go on"), Delta("upon")))
        with ChatClient(server.api_key, server.base_url) as client:
            with client.stream("Hi") as reply:
                server.wait_at_gate("go on")
                server.open_gate("go on")
                assert "".join(event.text for event in reply) == "Once upon"
            assert server.wait_request().path == "/api/v1/chat/completions"
            assert server.wait_run().status == "complete"
            assert server.aborted == []
        server.wait_closed()


def test_a_blocking_test_sees_a_client_that_leaves() -> None:
    with BlockingFakeFastGPT() as server:
        server.enqueue(Script(Delta("Once "), Silence()))
        with ChatClient(server.api_key, server.base_url) as client:
            with client.stream("Hi") as reply:
                next(iter(reply))
        server.wait_disconnect()
        assert [run.text for run in server.aborted] == ["Once "]
        assert server.disconnects == 1


def test_waits_for_the_server_are_bounded() -> None:
    with BlockingFakeFastGPT(wait_seconds=0.01) as server:
        with pytest.raises(TimeoutError):
            server.wait_request()


def test_the_server_is_used_inside_its_block_once() -> None:
    server = BlockingFakeFastGPT()
    with pytest.raises(RuntimeError, match="enter"):
        _ = server.base_url
    with pytest.raises(RuntimeError, match="enter"):
        server.reply("Hi")
    with server:
        with pytest.raises(RuntimeError, match="once"):
            server.__enter__()


def test_options_that_are_wrong_leave_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="server version"):
        BlockingFakeFastGPT(server_version="old").__enter__()
    assert threading.active_count() == before

"""Backends, virtual time, the HTTP library under test, and data from outside the repository."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

# How long one example takes says nothing on a shared machine; pytest-timeout bounds the test.
# Under CI the parent is Hypothesis's own "ci" profile, which draws the same examples each time.
hypothesis.settings.register_profile("fastgpt_client", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("fastgpt_client")

# A shell starts what it runs in the background deaf to Ctrl-C, and so would be the programs that
# tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

VIRTUAL_TIME = "virtual time"


def _needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("asyncio", {"debug": True}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}), id="asyncio+uvloop", marks=_needs("uvloop")
        ),
        pytest.param(("trio", {}), id="trio", marks=_needs("trio")),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run the test on each backend, or under virtual time if it is marked so."""
    if request.param is VIRTUAL_TIME:
        from trio.testing import MockClock

        return ("trio", {"clock": MockClock(autojump_threshold=0)})
    name, options = request.param
    return (name, dict(options))


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test marked ``virtual_time`` a clock of its own instead of the three backends."""
    definition = metafunc.definition
    if "anyio_backend" in metafunc.fixturenames and definition.get_closest_marker("virtual_time"):
        virtual = pytest.param(VIRTUAL_TIME, id="virtual-time", marks=_needs("trio"))
        # As a mark, since that alone takes precedence over the fixture's own parameters.
        definition.add_marker(
            pytest.mark.parametrize("anyio_backend", [virtual], indirect=True, scope="function")
        )


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    """Collect after each test, so that what it forgot to close fails it and not a later one."""
    yield
    gc.collect()
    # What is left lives on, pytest's own reports above all: set aside, so that the collections of
    # thousands of tests stay cheap.
    gc.freeze()


def pytest_collection_finish() -> None:
    """Set aside what lives for the whole run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def http_client_factory() -> Callable[[], httpx.AsyncClient | httpx2.AsyncClient]:
    """Make clients of the HTTP library under test; who makes one closes it."""
    library = os.environ.get("FASTGPT_TEST_HTTP", "httpx")
    if library == "httpx":
        return httpx.AsyncClient
    if library == "httpx2":
        import httpx2

        return httpx2.AsyncClient
    raise pytest.UsageError(f"FASTGPT_TEST_HTTP is {library!r}, neither httpx nor httpx2")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--captures",
        default=os.environ.get("FASTGPT_CAPTURES"),
        metavar="FOLDER",
        help="recorded exchanges: a folder that has captures-4.14, captures-4.16 and composed "
        "(default: $FASTGPT_CAPTURES)",
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"recorded exchanges: {config.getoption('captures') or 'none, see --captures'}"


@pytest.fixture(scope="session")
def captures(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the recorded exchanges, which are not part of the repository."""
    option: str | None = request.config.getoption("captures")
    if not option:
        pytest.skip("no recorded exchanges: give --captures or set FASTGPT_CAPTURES")
    folder = Path(option).resolve()
    if not (folder / "captures-4.14").is_dir():
        raise pytest.UsageError(f"no recorded exchanges (captures-4.14, …) in {folder}")
    return folder


def _outside_file(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    path = Path(value).resolve()
    if not path.is_file():
        raise pytest.UsageError(f"{variable}: {path} is not a file")
    return path


@pytest.fixture(scope="session")
def sse_cases_file() -> Path:
    """Return the outside table of server-sent events cases."""
    return _outside_file("FASTGPT_SSE_CASES")


@pytest.fixture(scope="session")
def seed_file() -> Path:
    """Return the documentation page whose code blocks must run as they stand."""
    return _outside_file("FASTGPT_SEED")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what a cancellation sweep tried, if it was one of every step."""
    from .sweep import SWEEP_ALL, table

    rows = [
        value
        for report in terminalreporter.getreports("passed")
        for key, value in report.user_properties
        if key == "sweep"
    ]
    if SWEEP_ALL and rows:
        terminalreporter.section("cancellation sweep: places tried / steps of one run")
        for line in table(rows):
            terminalreporter.write_line(line)

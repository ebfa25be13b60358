"""The tests and checks of fastgpt_client: `python -m nox` runs those that a change must pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox
from packaging.requirements import Requirement

OLDEST = "3.11"
PYTHONS = [OLDEST, "3.12", "3.13", "3.14"]
PYPROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
EVERYTHING = ".[cli,trio,httpx2,aiohttp,otel,testing]"

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [
    "lint",
    "imports",
    "types",
    "docs",
    "build",
    "tests",  # last, so that its closing line is the last one of pytest
]


def show_all_of_pyenv() -> None:
    """Let nox find each Python that pyenv has, not only the active one."""
    if "PYENV_VERSION" in os.environ or not shutil.which("pyenv"):
        return
    listed = subprocess.run(
        ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False
    )
    releases = [
        tuple(map(int, name.split(".")))
        for name in listed.stdout.split()
        if re.fullmatch(r"3\.\d+\.\d+", name)
    ]
    newest = {release[:2]: release for release in sorted(releases)}
    wanted = [
        ".".join(map(str, release))
        for minor, release in newest.items()
        if ".".join(map(str, minor)) in PYTHONS
    ]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


show_all_of_pyenv()


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def run_pytest(session: nox.Session, *more: str, env: dict[str, str] | None = None) -> None:
    # A selection runs in this process; the whole suite takes all processors. A test that fails in
    # it runs once more: thousands of tests with real sockets and processes meet a machine that
    # stands still now and then. pytest's closing line counts such reruns, and each is looked at.
    whole = ("--numprocesses", "auto", "--dist", "worksteal", "--reruns", "1")
    session.run("python", "-m", "pytest", *more, *(session.posargs or whole), env=env)


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Style, formatting, and the rules of structured concurrency."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("flake8")


@nox.session(python=OLDEST)
def imports(session: nox.Session) -> None:
    """Modules import in one direction, and the pure ones stay pure."""
    session.install(".[cli,testing]", *group("imports"))
    session.run("lint-imports", "--no-cache")


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """Types hold inside, and everything public has one."""
    session.install(EVERYTHING, *group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "fastgpt_client", "--ignoreexternal")


@nox.session(python=OLDEST)
def build(session: nox.Session) -> None:
    """Wheel and sdist install into empty environments, import, and run the demo."""
    session.install(*group("build"))
    work = Path(session.create_tmp()).resolve()
    shutil.rmtree(work)
    dist = work / "dist"
    session.run("python", "-m", "build", "--outdir", str(dist))
    for artifact in sorted(dist.iterdir()):
        kind = artifact.suffix.lstrip(".")
        session.run("python", "-m", "venv", str(work / kind))
        scripts = work / kind / ("Scripts" if os.name == "nt" else "bin")
        python = str(scripts / "python")
        with session.chdir(work):  # away from src/
            session.run(python, "-m", "pip", "install", "--quiet", str(artifact), external=True)
            session.run(
                python,
                *("-W", "error", "-c"),
                "import pathlib, fastgpt_client as package; from fastgpt_client import *;"
                "folder = pathlib.Path(package.__file__).parent;"
                "assert 'site-packages' in folder.parts, folder;"
                "assert (folder / 'py.typed').exists()",
                external=True,
            )
            session.run(
                python, "-m", "pip", "install", "--quiet", f"{artifact}[cli]", external=True
            )
            for backend in ("asyncio", "trio"):
                session.run(str(scripts / "fastgpt"), "demo", "--backend", backend, external=True)


@nox.session(python=OLDEST, default=False)
def lowest(session: nox.Session) -> None:
    """The tests, with the oldest release of each direct dependency that pyproject.toml allows."""
    declared = [*PYPROJECT["project"]["dependencies"], *(r for e in EXTRAS.values() for r in e)]
    floors = Path(session.create_tmp()) / "floors.txt"
    lines = set()
    for requirement in map(Requirement, declared):
        (floor,) = (s.version for s in requirement.specifier if s.operator == ">=")
        lines.add(f"{requirement.name}=={floor}\n")
    floors.write_text("".join(sorted(lines)), encoding="utf-8")
    session.install(EVERYTHING, *group("test"), "--constraint", str(floors))
    session.run("python", "-m", "pip", "freeze", "--exclude", "fastgpt-client")
    run_pytest(session)


@nox.session(python=OLDEST, default=False)
def asyncio_only(session: nox.Session) -> None:
    """The tests, where neither trio nor uvloop is installed."""
    cli = [requirement for requirement in EXTRAS["cli"] if Requirement(requirement).name != "trio"]
    session.install(".[otel,testing]", *cli, *group("test-base"))
    for absent in ("trio", "uvloop"):
        session.run(
            "python", "-c", f"import importlib.util as u; assert not u.find_spec('{absent}')"
        )
    run_pytest(session)


@nox.session(python=OLDEST, default=False)
def httpx2(session: nox.Session) -> None:
    """The tests, with every client that they make themselves from httpx2."""
    session.install(EVERYTHING, *group("test"))
    run_pytest(session, env={"FASTGPT_TEST_HTTP": "httpx2"})


@nox.session(python=OLDEST, default=False)
def coverage(session: nox.Session) -> None:
    """Which lines and branches the tests reach."""
    session.install(EVERYTHING, *group("coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or ("-n", "auto")))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=OLDEST, default=False)
def sweep(session: nox.Session) -> None:
    """Cancel each scenario at every step of each event loop, and print how many those were."""
    session.install(EVERYTHING, *group("test"))
    chosen = session.posargs or ("tests/test_sweep.py", "tests/test_sweep_endpoints.py")
    session.run("python", "-m", "pytest", *chosen, env={"FASTGPT_SWEEP": "all"})


@nox.session(python=OLDEST, default=False)
def mutation(session: nox.Session) -> None:
    """Which changes of the decoder, the transcript and the reply no test would notice."""
    session.install(EVERYTHING, *group("mutation"))
    session.run("mutmut", "run", *(session.posargs or ("--max-children", "1")))
    session.run("mutmut", "results")


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """The documentation builds without a warning."""
    session.install(".[cli,otel,testing]", *group("docs"))
    site = Path(session.create_tmp()) / "site"
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", str(site))
    session.log(f"the site begins at {site / 'index.html'}")


@nox.session(python=OLDEST, default=False)
def fuzz(session: nox.Session) -> None:
    """Any bytes become events or a documented error: `nox -s fuzz -- SECONDS`."""
    session.install(".", *group("fuzz"))
    found = Path(session.create_tmp()).resolve() / "found"
    session.run("python", "fuzz/events.py", *(session.posargs or ["120"]), str(found))


@nox.session(python=OLDEST, default=False)
def load(session: nox.Session) -> None:
    """A thousand streams at once for a minute, a fifth of them broken, on each backend."""
    session.install(".[trio]")
    for backend in ("asyncio", "trio"):
        session.run("python", "load/streams.py", "--backend", backend, *session.posargs)


@nox.session(python=OLDEST, default=False)
def bench(session: nox.Session) -> None:
    """What an event costs, beside what others pay for the same bytes: `nox -s bench -- --help`."""
    session.install(EVERYTHING, *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
    if shutil.which("valgrind") and not session.posargs:
        session.run("python", "-m", "benchmarks.instructions")


@nox.session(python=OLDEST, default=False)
def changelog(session: nox.Session) -> None:
    """What the next release will say."""
    session.install(*group("changelog"))
    session.run("towncrier", "build", "--draft", "--version", PYPROJECT["project"]["version"])


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on the oldest Python and each newer one that is found.

    What is tried at every place of a stream, or a byte at a time, is tried on the oldest one.
    """
    session.install(EVERYTHING, *group("test"))
    less = () if session.python == OLDEST else ("-m", "not exhaustive")
    run_pytest(session, *less)

"""Every shell block of the README and the documentation runs, against the embedded server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from .cli_tools import PATIENCE, Command, ThreadedServer, command, server

__all__ = ["command", "server"]

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None or os.name != "posix", reason="there is no bash")

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(?:sh|bash|shell|console) *[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)

#: Stands for the programs that would change this environment or run everything.
STAND_IN = """\
import re, runpy, signal, subprocess, sys, tomllib
from pathlib import Path

root = Path({root!r})
name, *arguments = sys.argv[1:]
if name == "python" and arguments[:1] == ["-m"]:
    name, arguments = arguments[1], arguments[2:]
elif name == "python":
    sys.exit(subprocess.run([sys.executable, *arguments]).returncode)
if name == "pip":
    assert arguments[0] == "install", arguments
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    extras = re.findall(r"[\\w-]+", ",".join(re.findall(r"\\[(.*?)\\]", " ".join(arguments))))
    assert set(extras) <= set(project["project"]["optional-dependencies"]), extras
    if "--group" in arguments:
        assert arguments[arguments.index("--group") + 1] in project["dependency-groups"]
elif name == "nox":
    if "-s" in arguments:
        session = arguments[arguments.index("-s") + 1].partition("-")[0]
        noxfile = (root / "noxfile.py").read_text("utf-8")
        assert re.search(rf"^def {{session}}\\(", noxfile, re.MULTILINE), session
elif name == "fastgpt" and arguments == ["serve-fake"]:
    line = [sys.executable, "-m", "fastgpt_client", *arguments, "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as serving:
        assert any(line == "Ctrl-C ends it.\\n" for line in serving.stdout)
        serving.send_signal(signal.SIGINT)
    sys.exit(serving.returncode)
elif name in ("fastgpt", "fastgpt_client"):
    line = [sys.executable, "-m", "fastgpt_client", *arguments]
    settings = {settings!r}
    import os
    sys.exit(subprocess.run(line, env={{**os.environ, **settings}}).returncode)
else:
    sys.exit(f"no stand-in for {{name}}")
"""


def blocks() -> list[Any]:
    found = []
    for page in PAGES:
        for place, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
            found.append(pytest.param(match[1], id=f"{page.relative_to(ROOT)}-{place}"))
    return found


@pytest.mark.parametrize("source", blocks())
def test_block_runs(source: str, command: Command, server: ThreadedServer, tmp_path: Path) -> None:
    server.script("Once upon a time")
    command.use(server)
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN.format(root=str(ROOT), settings=command.settings), "utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("fastgpt", "nox", "python"):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" {name} "$@"\n')
        tool.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    assert BASH is not None
    # Not pipefail: a reader such as head ends the writer before it on purpose.
    done = subprocess.run(
        [BASH, "-eu", "-c", source],
        cwd=work,
        env={**command.environment, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def test_blocks_are_found() -> None:
    assert len(blocks()) > 10


def test_the_stand_in_knows_an_extra_that_is_not_there(tmp_path: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "nonsense" not in extras["optional-dependencies"]
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN.format(root=str(ROOT), settings={}), "utf-8")
    line = [sys.executable, str(stand_in), "python", "-m", "pip", "install", ".[nonsense]"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nonsense" in done.stderr

"""The load test itself, small: it must find all well, and a wrong stream."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = Path(__file__).parent.parent / "load"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


def run(backend: str, folder: Path = LOAD) -> subprocess.CompletedProcess[str]:
    arguments = ["--backend", backend, "--streams", "40", "--seconds", "0.5"]
    arguments += ["--pause", "0.02", "--silence", "1.5"]
    return subprocess.run(
        [sys.executable, "-W", "error", str(folder / "streams.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_many_streams_at_once_are_all_what_was_sent_and_leave_nothing(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = run(backend)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 wrong" in done.stdout
    assert "at most 40 at once" in done.stdout
    assert done.stderr == ""


def test_a_stream_that_is_not_what_was_sent_is_found(tmp_path: Path) -> None:
    for path in LOAD.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "server.py":
            text = text.replace("chunk(answer(text))", "chunk(answer(text + '!'))")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    done = run("asyncio", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert " 0 wrong" not in done.stdout
    assert "wrong" in done.stdout

"""Count the instructions of the pure rooms, which a busy machine does not change.

``python -m benchmarks.instructions`` prints instructions an event for each room. With
``--against SRC``, the ``src`` folder of another checkout, it prints that one's beside them: a
regression of one per cent shows, where times differ by ten from run to run.

It needs valgrind. The counts belong to one Python build: compare on one machine only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from . import pure
from .server import ROOT

_FEW: Final = 1
_MANY: Final = 4


def available() -> bool:
    """Tell whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def _count(room: str, times: int, source: Path) -> int:
    valgrind = shutil.which("valgrind")
    assert valgrind is not None
    python_path = os.pathsep.join([str(source), str(ROOT)])
    ended = subprocess.run(  # noqa: S603
        [
            *(valgrind, "--tool=callgrind", f"--callgrind-out-file={os.devnull}"),
            *(sys.executable, "-m", "benchmarks.pure", room, str(times)),
        ],
        # Hash seeds and search paths change how many instructions dicts and imports take.
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": python_path},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=600,
    )
    found = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode or found is None:
        raise RuntimeError(f"callgrind counted nothing:\n{ended.stderr}")
    return int(found[1])


def an_event(room: str, source: Path) -> float:
    """Return the instructions that one event takes: the difference of a long and a short run.

    :param room: a name in :data:`pure.ROOMS`.
    :param source: the ``src`` folder to run.
    """
    more = _count(room, _MANY, source) - _count(room, _FEW, source)
    return more / (_MANY - _FEW) / pure.COUNTED_EVENTS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.instructions", description=__doc__)
    parser.add_argument("--against", type=Path, metavar="SRC", help="src of another checkout")
    options = parser.parse_args()
    if not available():
        parser.exit(1, "valgrind is not installed (apt install valgrind)\n")
    sources = [ROOT / "src", *([options.against.resolve()] if options.against else [])]
    print("| room | instructions an event |" + " against | change |" * bool(options.against))
    print("|---|---:|" + "---:|---:|" * bool(options.against))
    for room in pure.ROOMS:
        counts = [an_event(room, source) for source in sources]
        cells = [f"{count:,.0f}" for count in counts]
        if options.against:
            cells.append(f"{counts[0] / counts[1] - 1:+.1%}")
        print(f"| {room} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

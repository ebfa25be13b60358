"""Fuzz what turns a server's bytes into events, guided by coverage.

``python fuzz/events.py SECONDS [FOLDER]``; what is found is in ``FOLDER`` as ``crash-…``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))

with atheris.instrument_imports(include=["fastgpt_client"]):
    from fuzz.invariants import check

from fuzz import seeds


def main(seconds: int, folder: Path) -> None:
    """Try inputs for so many seconds."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    dictionary = seeds.write(folder / "seeds")
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-dict={dictionary}",
        f"-artifact_prefix={folder}/",
        "-max_len=4096",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        str(corpus),
        str(folder / "seeds"),
    ]
    atheris.Setup(arguments, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "fuzz/found"))

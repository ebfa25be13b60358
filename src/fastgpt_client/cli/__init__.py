"""Give FastGPT to a terminal: the command ``fastgpt``, from the extra ``cli``."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]

_NEEDED = ("click", "dotenv", "h11", "platformdirs", "rich")


def main() -> None:
    """Run the command with the program's arguments and exit with its code."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"the fastgpt command needs {', '.join(missing)}: "
            "python -m pip install 'fastgpt-client[cli]'"
        )
    from ._app import fastgpt

    fastgpt()

"""Hold back what the library logs while an answer is drawn, and show it afterwards."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Final

import click

from ._safe import visible


class _Notices(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.held: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.held.append(f"{record.levelname.lower()}: {record.getMessage()}")


_notices: Final = _Notices()


@contextlib.contextmanager
def taken(*, debug: bool) -> Iterator[None]:
    """Take the library's warnings while the block runs, and show them at its end.

    :param debug: whether ``--debug`` was given: then all of the log comes through at once.
    """
    logger = logging.getLogger("fastgpt_client")
    if debug:
        logging.basicConfig(format="%(relativeCreated)6d ms %(name)s: %(message)s")
        logger.setLevel(logging.DEBUG)
        yield
        return
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(_notices)
    try:
        yield
    finally:
        logger.removeHandler(_notices)
        logger.propagate = propagate
        show()


def show() -> None:
    """Show what was held back."""
    held, _notices.held = _notices.held, []
    for words in held:
        click.echo(visible(words), err=True)

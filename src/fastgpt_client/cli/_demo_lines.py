"""Show the demo as labelled lines: for a pipe, a log, or a small terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import attrs
import click

if TYPE_CHECKING:
    from ..consumers import TokenCount
    from ._demo import Summary

#: Characters that are gathered for a line, so that three consumers do not make a thousand lines.
_WIDTH: Final = 56


@attrs.define(eq=False)
class _Column:
    """Write a labelled line whenever enough text has come."""

    _lines: Lines
    _label: str
    _text: str = attrs.field(default="", init=False)

    def write(self, text: str, /) -> None:
        self._text += text
        if len(self._text) >= _WIDTH:
            self.flush_line()

    def flush_line(self) -> None:
        text, self._text = self._text.strip("\n"), ""
        if text:
            self._lines.say(self._label, f"│{text}│")


@attrs.define(eq=False)
class Lines:
    """Show each consumer as lines with its name in front."""

    _title: str
    _question: str
    printer: _Column = attrs.field(init=False)
    words: _Column = attrs.field(init=False)
    _tokens: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        self.printer = _Column(self, "print_text")
        self.words = _Column(self, "print_words")

    def say(self, label: str, text: str) -> None:
        """Write one line, with the time in front."""
        click.echo(f"{time.monotonic() - self._began:5.2f} s  {label:<12}  {text}")

    def count(self, tokens: TokenCount) -> None:
        """Show every tenth count, and the last one."""
        if tokens.count >= self._tokens + 10 or tokens.source != "deltas":
            self._tokens = tokens.count
            self.say("count_tokens", str(tokens))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Show everything while the block runs."""
        click.echo(self._title)
        click.echo(f"Question: {self._question}")
        click.echo("One answer streams in; three consumers read it at the same time:\n")
        self._began = time.monotonic()
        yield
        self.printer.flush_line()
        self.words.flush_line()

    def refresh(self) -> None:
        """Do nothing: lines are written when they are full."""

    def end(self, summary: Summary) -> None:
        """Show what came."""
        click.echo(f"\n{summary}")
        click.echo(summary.next_step)

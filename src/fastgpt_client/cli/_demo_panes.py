"""Show the demo as three panes of a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import attrs
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..consumers import TokenCount
    from ._demo import Summary

_LEAST_WIDTH: Final = 76
_LEAST_HEIGHT: Final = 24
_COUNTER_WIDTH: Final = 20
_BARS: Final = "▁▂▃▄▅▆▇█"


@attrs.define(eq=False)
class _Pane:
    text: str = attrs.field(default="", init=False)

    def write(self, text: str, /) -> None:
        self.text += text

    def shown(self, cursor: str) -> Text:
        return Text(self.text.rstrip("\n") + cursor, overflow="fold")


@attrs.define(eq=False)
class Panes:
    """Show each consumer in a pane of its own."""

    _title: str
    _question: str
    printer: _Pane = attrs.field(factory=_Pane, init=False)
    words: _Pane = attrs.field(factory=_Pane, init=False)
    _console: Console = attrs.field(factory=lambda: Console(highlight=False), init=False)
    _tokens: TokenCount | None = attrs.field(default=None, init=False)
    _began: float = attrs.field(factory=time.monotonic, init=False)
    #: Tokens in each half of a second.
    _rates: list[int] = attrs.field(factory=lambda: [0], init=False)
    _live: Live | None = attrs.field(default=None, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    @property
    def fits(self) -> bool:
        """Whether the terminal is large enough for it."""
        size = self._console.size
        return (
            self._console.is_terminal
            and not self._console.is_dumb_terminal
            and size.width >= _LEAST_WIDTH
            and size.height >= _LEAST_HEIGHT
        )

    def count(self, tokens: TokenCount) -> None:
        """Show the count, and how fast it grows."""
        before = 0 if self._tokens is None else self._tokens.count
        slot = int((time.monotonic() - self._began) * 2)
        self._rates += [0] * (slot + 1 - len(self._rates))
        self._rates[slot] += max(tokens.count - before, 0)
        self._tokens = tokens

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Show everything while the block runs."""
        console = self._console
        console.print(Text.assemble(("fastgpt demo  ", "bold"), (self._title, "dim")))
        console.print(Text.assemble(("the question  ", "bold"), self._question))
        console.print(
            "One answer streams in; three consumers read it at the same time:", style="dim"
        )
        self._began = time.monotonic()
        with Live(console=console, auto_refresh=False, get_renderable=self._draw) as self._live:
            yield
            self._ended = True
            self.refresh()

    def refresh(self) -> None:
        """Draw what has changed."""
        if self._live is not None:
            self._live.refresh()

    def end(self, summary: Summary) -> None:
        """Show what came."""
        self._console.print(Text.assemble(("✓ ", "bold green"), str(summary)))
        self._console.print(summary.next_step, style="dim")

    def _draw(self) -> RenderableType:
        side = (min(self._console.width, 110) - _COUNTER_WIDTH) // 2
        height = 14 if side < 36 else 10
        cursor = "" if self._ended else "▌"
        grid = Table.grid()
        for width in (side, _COUNTER_WIDTH, side):
            grid.add_column(width=width)
        grid.add_row(
            _panel("print_text", "as it comes", self.printer.shown(cursor), "cyan", height),
            _panel("count_tokens", "so far", self._counter(), "yellow", height),
            _panel("print_words", "whole words only", self.words.shown(cursor), "green", height),
        )
        return grid

    def _counter(self) -> RenderableType:
        if self._tokens is None:
            return Text("waiting for the first token…", style="dim")
        most = max(*self._rates, 1)
        room = _COUNTER_WIDTH - 4
        bars = "".join(_BARS[rate * (len(_BARS) - 1) // most] for rate in self._rates[-room:])
        source = "counted as they come" if self._tokens.source == "deltas" else "told by the server"
        return Group(
            Text(f"{self._tokens.count}", style="bold yellow", justify="center"),
            Text("tokens", justify="center"),
            Text(),
            Text(bars, style="yellow"),
            Text(source, style="dim"),
        )


def _panel(title: str, subtitle: str, content: RenderableType, style: str, height: int) -> Panel:
    return Panel(
        content,
        title=f"[bold]{title}",
        title_align="left",
        subtitle=f"[dim]{subtitle}",
        subtitle_align="right",
        border_style=style,
        height=height,
    )

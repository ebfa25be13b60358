"""Choose how answers are shown: a terminal, plain text, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs
import click

from ._views import JSONLinesView, JSONView, PlainView

if TYPE_CHECKING:
    from ._turn import View

F = TypeVar("F", bound=Callable[..., Any])
Form = Literal["terminal", "plain", "json", "jsonl"]


def form_options(function: F) -> F:
    """Add the options that say how answers are shown."""
    for option in (
        click.option(
            "--reasoning/--no-reasoning",
            default=True,
            show_default=True,
            help="Whether a terminal shows what the model thinks.",
        ),
        click.option(
            "--plain", "form", flag_value="plain", help="Print the text alone, as in a pipe."
        ),
        click.option(
            "--jsonl", "form", flag_value="jsonl", help="Print each event as a line of JSON."
        ),
        click.option("--json", "form", flag_value="json", help="Print one JSON object at the end."),
    ):
        function = option(function)
    return function


@attrs.frozen
class Showing:
    """Say how answers are shown.

    :param form: the form.
    :param reasoning: whether a terminal shows the model's reasoning.
    """

    form: Form
    reasoning: bool

    @classmethod
    def of(cls, form: Form | None, reasoning: bool) -> Showing:
        """Choose by what standard output is, unless an option chose."""
        return cls(form or ("terminal" if _is_terminal() else "plain"), reasoning)

    @property
    def for_people(self) -> bool:
        """Whether a person reads it."""
        return self.form in ("terminal", "plain")

    def view(self, hint: str = "Ctrl-C stops") -> View:
        """Return what shows one answer.

        :param hint: what the status line of a terminal says about stopping.
        """
        if self.form == "json":
            return JSONView()
        if self.form == "jsonl":
            return JSONLinesView()
        if self.form == "plain":
            return PlainView()
        from rich.console import Console

        from ._terminal_view import TerminalView

        return TerminalView(Console(), reasoning=self.reasoning, hint=hint)


def _is_terminal() -> bool:
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    console = Console()
    return console.is_terminal and not console.is_dumb_terminal

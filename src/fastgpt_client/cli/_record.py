"""Record an answer as the network brings it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import attrs
import click

from ..testing._recording import RecordingWriter
from . import _outcome
from ._chat import Chat, read_stdin
from ._forms import Form, Showing, form_options
from ._message import Question
from ._options import request_options
from ._tap import Tap


@click.command(epilog=_outcome.EXIT_CODES, short_help="Ask, and record the answer in a file.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("text")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@form_options
@request_options
def record(
    file: Path, text: str, force: bool, form: Form | None, reasoning: bool, **options: Any
) -> int:
    """Ask TEXT ("-" for standard input), show the answer, and record it in FILE.

    FILE gets every byte of the answer with its time, also of one that fails, and the question,
    but neither the key nor any other header of the request. It is JSON Lines; look into it before
    you pass it on, since with details an answer tells much about its workflow.

    \b
    Play it again:      fastgpt replay FILE
    Test against it:    server.script(Recording.load(FILE).script())
    """  # noqa: D301
    chat = Chat.of(options, Showing.of(form, reasoning))
    if text == "-":
        text = read_stdin()
    if file.exists() and not force:
        raise click.UsageError(f"{file} exists; --force replaces it.")
    # Under another name until there is something, so that a failure replaces nothing.
    partial = file.with_name(f"{file.name}.part")
    try:
        output = partial.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}.") from None
    try:
        with output:
            recorded = attrs.evolve(chat, tap=Tap(RecordingWriter(output)))
            turn = recorded.ask(Question(text), options["chat_id"] or secrets.token_hex(12))
    finally:
        size = partial.stat().st_size
        if size:
            partial.replace(file)
        else:
            partial.unlink()
    if turn.failure is not None:
        click.echo(_outcome.explain(turn.failure), err=True)
    told = f"recorded in {file} ({size} bytes)" if size else "nothing came, nothing was recorded"
    click.echo(told, err=True)
    return turn.exit_code

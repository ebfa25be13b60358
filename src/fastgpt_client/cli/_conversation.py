"""Hold a conversation: a prompt, answers as they come, and a handful of commands."""

from __future__ import annotations

import contextlib
import getpass
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import click
import platformdirs

from .._errors import FastGPTError
from . import _notices, _outcome
from ._message import Question
from ._questions import Questioner
from ._run import InterruptError
from ._safe import visible
from ._typed import Typed

if TYPE_CHECKING:
    from .._interactive import Interactive
    from ._chat import Chat
    from ._turn import Turn

_PROMPT: Final = "> "
_MORE: Final = "… "
_HISTORY_LINES: Final = 1000

_HELP: Final = """\
/new          begin a new chat
/retry        ask the last question again
/save FILE    write the conversation to a file, as Markdown
/stop         while an answer comes: stop it (or Ctrl-C)
/quit         leave (or Ctrl-D, or Ctrl-C twice)
Several lines: paste them, end a line with \\ to go on in the next one,
or begin and end the text with \"\"\"."""


@attrs.frozen
class _Round:
    question: str
    answer: str
    note: str


@attrs.define(eq=False)
class Conversation:
    """Ask, answer, ask again, in one chat.

    :param chat: how to ask and how to show.
    :param chat_id: the chat to begin with.
    """

    _chat: Chat
    _chat_id: str
    _rounds: list[_Round] = attrs.field(factory=list, init=False)
    _typed: Typed = attrs.field(factory=Typed, init=False)
    _ctrl_c: bool = attrs.field(default=False, init=False)
    _question: Interactive | None = attrs.field(default=None, init=False)

    def run(self) -> int:
        """Go on until the user leaves, and return the exit code."""
        click.echo(f"Chat with {self._chat.server.settings.base_url}. /help tells more.")
        with _history():
            try:
                while True:
                    text = self._next()
                    if text.strip() and not self._command(text.strip()):
                        self._ask(text)
            except EOFError:
                click.echo()
            except _LeaveError:
                pass
            except (KeyboardInterrupt, InterruptError):
                click.echo()
                self._say_how_to_go_on()
                return _outcome.CTRL_C
        self._say_how_to_go_on()
        return _outcome.COMPLETE

    def _say_how_to_go_on(self) -> None:
        if self._rounds:
            click.echo(f"Go on with: fastgpt chat --chat-id {self._chat_id}", err=True)

    # --- input ---------------------------------------------------------------------------------

    def _next(self) -> str:
        """Return the next text, or ``""``.

        :raises KeyboardInterrupt: at the second Ctrl-C in a row.
        """
        try:
            question, self._question = self._question, None
            if question is not None:
                return self._answer(question)
            text = self._read_text()
        except KeyboardInterrupt:
            if self._ctrl_c:
                raise
            self._ctrl_c = True
            click.echo("\n(Ctrl-C again leaves)")
            return ""
        self._ctrl_c = False
        return text

    def _answer(self, question: Interactive) -> str:
        try:
            return questioner().ask(question)
        except EOFError:
            click.echo("\n(the workflow takes your next message for the answer)")
            return ""

    def _read_text(self) -> str:
        text = self._read_line(_PROMPT)
        if text.lstrip().startswith('"""'):
            return self._read_block(text.lstrip()[3:])
        while text.endswith("\\"):
            text = f"{text[:-1]}\n{self._read_line(_MORE)}"
        return text

    def _read_block(self, first: str) -> str:
        lines = []
        line = first
        while not line.rstrip().endswith('"""'):
            lines.append(line)
            line = self._read_line(_MORE)
        lines.append(line.rstrip().removesuffix('"""'))
        return "\n".join(lines).strip("\n")

    def _read_line(self, prompt: str) -> str:
        if self._typed.lines:
            line = self._typed.lines.pop(0)
            click.echo(f"{prompt}{visible(line)}")
            return line
        if self._typed.ended:
            raise EOFError
        return input(prompt)

    # --- commands ------------------------------------------------------------------------------

    def _command(self, text: str) -> bool:
        """Do what ``text`` says if it is a command, and tell whether it was one."""
        word, _, rest = text.partition(" ")
        commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: click.echo(_HELP),
            "/new": self._new,
            "/retry": self._retry,
            "/save": self._save,
            "/stop": lambda _: click.echo("No answer is coming; /stop works while one does."),
            "/quit": self._quit,
            "/exit": self._quit,
        }
        if word not in commands:
            if word.startswith("/") and word[1:].isalpha():
                click.echo(f"There is no {word}; /help lists the commands.")
                return True
            return False
        commands[word](rest.strip())
        return True

    def _new(self, _: str) -> None:
        self._chat_id = secrets.token_hex(12)
        self._rounds.clear()
        click.echo("A new chat.")

    def _retry(self, _: str) -> None:
        if not self._rounds:
            click.echo("Nothing was asked yet.")
            return
        self._ask(self._rounds[-1].question)

    def _save(self, name: str) -> None:
        if not name:
            click.echo("Where to? /save FILE")
            return
        path = Path(name).expanduser()
        try:
            if path.exists() and input(f"Replace {path}? [y/N] ").strip().lower() not in (
                "y",
                "yes",
            ):
                click.echo("Not saved.")
                return
            path.write_text(self._as_markdown(), "utf-8")
        except OSError as error:
            click.echo(f"Not saved: {error.strerror or error}")
            return
        click.echo(f"Saved {len(self._rounds)} questions and answers to {path}.")

    def _quit(self, _: str) -> None:
        raise _LeaveError

    # --- asking --------------------------------------------------------------------------------

    def _ask(self, text: str) -> None:
        try:
            with self._typed.unseen():
                turn = self._chat.ask(Question(text), self._chat_id, self._typed)
        except FastGPTError as error:  # refused before anything was sent
            click.echo(_outcome.explain(error), err=True)
            return
        _notices.show()
        self._note(text, turn)

    def _note(self, text: str, turn: Turn) -> None:
        note = ""
        if turn.failure is not None:
            click.echo(_outcome.explain(turn.failure), err=True)
            note = f"broke off: {turn.failure.message}"
        elif turn.interrupted is not None or turn.stopped is not None:
            note = "stopped"
        self._ctrl_c = False
        self._rounds.append(_Round(text, turn.answer.text, note))
        self._question = turn.answer.interactive

    def _as_markdown(self) -> str:
        parts = [f"# Chat {self._chat_id}\n"]
        for asked in self._rounds:
            quoted = "\n".join(f"> {line}".rstrip() for line in asked.question.splitlines())
            note = f"*({asked.note})*" if asked.note else ""
            parts += [f"{part}\n" for part in (quoted, asked.answer.strip(), note) if part]
        return "\n".join(parts)


class _LeaveError(Exception):
    """Leave the conversation."""


def questioner() -> Questioner:
    """Return what asks the user at the terminal."""
    return Questioner(input, getpass.getpass, click.echo)


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Edit lines with readline where there is one, and remember them for the next time."""
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    path = platformdirs.user_state_path("fastgpt", appauthor=False) / "history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    # Python turns it off for its own prompt. Without it each line that is pasted is a question.
    readline.parse_and_bind("set enable-bracketed-paste on")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.write_history_file(path)

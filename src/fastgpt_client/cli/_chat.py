"""Ask a question, or hold a conversation."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from .._limits import Timeouts
from . import _outcome
from ._forms import Form, Showing, form_options
from ._message import Question
from ._options import Server, request_options, timeouts
from ._run import Interrupts, run
from ._turn import Asking, Turn

if TYPE_CHECKING:
    from ._tap import Tap
    from ._typed import Typed


@attrs.frozen(kw_only=True)
class Chat:
    """Say how to ask, and how to show the answers.

    :param server: whom to ask.
    :param showing: how to show the answers.
    :param timeouts: the limits.
    :param options: further arguments of :meth:`AsyncChatClient.stream`.
    :param tap: what records the exchange, or ``None``.
    """

    server: Server
    showing: Showing
    timeouts: Timeouts
    options: dict[str, Any]
    tap: Tap | None = None

    @classmethod
    def of(
        cls,
        options: Mapping[str, Any],
        showing: Showing,
        tap: Tap | None = None,
    ) -> Chat:
        """Take what the command line says.

        :raises SettingsError: if there is no key.
        :raises InvalidArgumentError: if a setting cannot be used.
        """
        server = Server.of(options)
        server.check()
        variables = dict(options["variables"])
        return cls(
            server=server,
            showing=showing,
            timeouts=timeouts(options),
            options={"detail": options["detail"], "variables": variables or None},
            tap=tap,
        )

    def ask(self, question: Question, chat_id: str, typed: Typed | None = None) -> Turn:
        """Ask one question and show the answer.

        :param question: the question.
        :param chat_id: the chat.
        :param typed: reads what is typed meanwhile.
        :raises InterruptError: if the user left before the answer was stopped.
        """
        hint = "Ctrl-C stops" if typed is None else "Ctrl-C or /stop stops"

        async def asked(interrupts: Interrupts) -> Turn:
            async with contextlib.AsyncExitStack() as stack:
                http = None if self.tap is None else self.tap.client()
                if http is not None:
                    await stack.enter_async_context(http)
                client = self.server.client(timeouts=self.timeouts, http_client=http)
                await stack.enter_async_context(client)
                view = self.showing.view(hint)
                return await Asking(
                    client, question, view, interrupts, chat_id, self.options, typed
                ).run()

        return run(asked, self.server.backend)


@click.command(epilog=_outcome.EXIT_CODES, short_help="Ask a question, or hold a conversation.")
@click.argument("text", required=False)
@form_options
@click.option("--image", "images", multiple=True, metavar="FILE|URL", help="Show it an image.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="FILE|URL",
    help="Give it a document; to upload one of this machine takes --app-id.",
)
@request_options
def chat(
    text: str | None,
    form: Form | None,
    reasoning: bool,
    images: tuple[str, ...],
    files: tuple[str, ...],
    **options: Any,
) -> int:
    """Ask TEXT and stream the answer; without TEXT, hold a conversation.

    TEXT "-" is read from standard input. A terminal gets Markdown as it grows, the nodes and
    tools of the workflow, and a line with times and tokens; a pipe gets the text alone. Ctrl-C
    stops the answer on the server too and keeps what came; a second one leaves.

    \b
    Examples:
      fastgpt chat "Tell me a short story"
      fastgpt chat - < question.txt
      fastgpt chat --var city=Berlin --var days:=3 "Plan a trip"
      fastgpt chat --json "What is 6 times 7?" | jq .usage
      fastgpt chat                      # a conversation; /help lists its commands

    \b
    Settings, the first that is found counts:
      1. the options below
      2. FASTGPT_API_KEY, FASTGPT_BASE_URL, FASTGPT_APP_ID, FASTGPT_API, FASTGPT_BACKEND
      3. the same names in a .env file of the current folder
      4. api_key, base_url, app_id, api, backend in config.toml; `fastgpt doctor` tells where
    """  # noqa: D301
    showing = Showing.of(form, reasoning)
    asked = Chat.of(options, showing)
    chat_id = options["chat_id"] or secrets.token_hex(12)
    if text == "-" or (text is None and not sys.stdin.isatty()):
        text = read_stdin()
    if text is None and not images and not files:
        if not showing.for_people:
            raise click.UsageError(f"--{form} takes a TEXT.")
        from ._conversation import Conversation

        return Conversation(asked, chat_id).run()
    question = Question.of(text or "", images, files)
    if question.uploads and asked.server.settings.get("app_id") is None:
        raise click.UsageError("--file: to upload a file of this machine takes --app-id.")
    return _ask_once(asked, question, chat_id)


def _ask_once(asked: Chat, question: Question, chat_id: str) -> int:
    turn = asked.ask(question, chat_id)
    while turn.exit_code == 0 and turn.answer.interactive is not None:
        reply = _answer(asked, turn, chat_id)
        if reply is None:
            break
        turn = asked.ask(Question(reply), chat_id)
    if turn.failure is not None:
        click.echo(_outcome.explain(turn.failure), err=True)
    return turn.exit_code


def _answer(asked: Chat, turn: Turn, chat_id: str) -> str | None:
    """Let the user answer the workflow's question, if there is a user."""
    interactive = turn.answer.interactive
    assert interactive is not None
    if asked.showing.for_people and sys.stdin.isatty() and sys.stdout.isatty():
        from ._conversation import questioner

        try:
            return questioner().ask(interactive)
        except EOFError:
            pass
    if asked.showing.for_people:
        values = ", ".join(repr(option.value) for option in interactive.options)
        values = values or "a JSON object with " + ", ".join(f.key for f in interactive.fields)
        click.echo(
            f"the workflow waits for an answer ({interactive.description}): {values}\n"
            f"Give it with: fastgpt chat --chat-id {chat_id} ANSWER",
            err=True,
        )
    return None


def read_stdin() -> str:
    """Return the text on standard input.

    :raises click.UsageError: if there is none.
    """
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"standard input is not UTF-8 text: {error}") from None
    if not text:
        raise click.UsageError("standard input is empty: there is nothing to ask.")
    return text

"""Show the package at work: one stream, three consumers, no server or key needed."""

from __future__ import annotations

import sys
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import attrs
import click

from .._client import AsyncChatClient
from ..consumers import TokenCount, count_tokens, print_text, print_words
from ._options import backend_option, debug_option
from ._run import Backend, Interrupts, run

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .._answer import Answer
    from .._sinks import Writable
    from ..testing import Script

QUESTION: Final = "Tell me a short story about a stream"

_STORY: Final = (
    "Once upon a time a small stream left its mountain and asked everyone the way. "
    "“Down,” said the stone. “Around me,” said the willow. 小溪谢过大家，继续往前流。 "
    "Where it met the others they became a river, and soon nobody could tell "
    "which drop had been the one that asked. 🌊"
)
#: Seconds before the first piece and between two of them: the pace of a quick model.
_THINKING: Final = 0.4
_PAUSE: Final = 0.035


class View(Protocol):
    """Show the three consumers side by side."""

    @property
    @abstractmethod
    def printer(self) -> Writable:
        """What the printer writes to."""

    @property
    @abstractmethod
    def words(self) -> Writable:
        """What the word buffer writes to."""

    def count(self, tokens: TokenCount) -> None:
        """Show the token counter's newest count."""

    @abstractmethod
    def running(self) -> AbstractContextManager[None]:
        """Show everything while the block runs."""

    def refresh(self) -> None:
        """Draw what has changed."""

    def end(self, summary: Summary) -> None:
        """Show what came."""


@attrs.frozen
class Summary:
    """Say what came."""

    answer: Answer
    tokens: TokenCount
    next_step: str = (
        "Next: run `fastgpt serve-fake` in another terminal, or have a FastGPT of your own;\n"
        "set FASTGPT_API_KEY and FASTGPT_BASE_URL, and ask `fastgpt chat`."
    )

    def __str__(self) -> str:
        timings = self.answer.timings
        first = timings.first_token
        parts = [
            f"{len(self.answer.text)} characters",
            str(self.tokens),
            "no token" if first is None else f"first token after {first:.2f} s",
            f"{timings.total:.2f} s in all",
        ]
        return f"{self.answer.status}: " + ", ".join(parts)


@click.command(short_help="See it work: one stream, three consumers, no server needed.")
@backend_option
@debug_option
def demo(backend: Backend | None) -> int:
    """Start the embedded server, ask it one question, and let three consumers share the answer.

    A printer, a token counter and a word buffer each have a subscription of their own to one
    stream; they run at the same time, in one task group. It takes about four seconds and needs
    neither a server nor a key.
    """
    backend = backend or "asyncio"
    return run(partial(_demo, backend=backend), backend)


async def _demo(interrupts: Interrupts, *, backend: Backend) -> int:
    from ..testing import FakeFastGPT

    async with (
        FakeFastGPT() as server,
        AsyncChatClient(server.api_key, server.base_url) as client,
    ):
        server.script(_story())
        view = _view(f"FakeFastGPT on {server.base_url}, this client on {backend}")
        summary: Summary | None = None
        with view.running():
            async with client.stream(QUESTION) as reply, anyio.create_task_group() as tasks:
                tasks.start_soon(_keep_drawing, view)
                _, tokens, _ = await reply.feed(
                    partial(print_text, file=view.printer),
                    partial(count_tokens, on_count=view.count),
                    partial(print_words, file=view.words),
                )
                summary = Summary(await reply.final(), tokens)
                tasks.cancel_scope.cancel()
        assert summary is not None
        view.end(summary)
    return 0


async def _keep_drawing(view: View) -> None:
    while True:
        view.refresh()
        await anyio.sleep(0.05)


def _story() -> Script:
    from ..testing import Delta, NodeResponse, NodeStatus, Pause, Script, chat_node
    from ..testing._scenes import pieces

    deltas = pieces(_STORY)
    told: list[Pause | Delta] = []
    for delta in deltas:
        told += [Pause(_PAUSE if told else _THINKING), Delta(delta)]
    node = chat_node(_STORY, question=QUESTION, outputTokens=len(deltas))
    return Script(NodeStatus("Storyteller"), *told, NodeResponse(node), duration=None)


def _view(title: str) -> View:
    if sys.stdout.isatty():
        from ._demo_panes import Panes

        panes = Panes(title, QUESTION)
        if panes.fits:
            return panes
    from ._demo_lines import Lines

    return Lines(title, QUESTION)

"""Say in one line what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._answer import Status
from ._safe import visible

if TYPE_CHECKING:
    from .._answer import Answer
    from .._nodes import Node

_WORDS: Final = {
    Status.COMPLETE: "complete",
    Status.STOPPED: "stopped",
    Status.FAILED: "broke off",
    Status.ABANDONED: "left",
    Status.STREAMING: "still coming",
}
_MOST_NODES: Final = 4


def closing_line(answer: Answer, *, deltas: int | None = None, note: str = "") -> str:
    """Return how an answer ended, its times, its tokens and its nodes.

    :param answer: the answer.
    :param deltas: pieces of text, told where the server told no tokens.
    :param note: what follows the first word.
    """
    timings = answer.timings
    nothing = answer.status is Status.FAILED and timings.events == 0
    parts = ["no answer" if nothing else _WORDS[answer.status] + note]
    if timings.first_token is not None:
        parts.append(f"first token {timings.first_token:.2f} s")
    parts.append(f"{timings.total:.2f} s in all")
    if answer.usage is not None:
        usage = answer.usage
        parts.append(f"{usage.input_tokens} tokens in, {usage.output_tokens} out")
    elif deltas:
        parts.append(f"{deltas} text deltas")
    if answer.nodes:
        parts.append(_nodes(answer.nodes))
    return " · ".join(parts)


def _nodes(nodes: tuple[Node, ...]) -> str:
    slowest = sorted(nodes, key=lambda node: node.running_time or 0, reverse=True)[:_MOST_NODES]
    named = []
    for node in nodes:
        if node in slowest:
            time = f" {node.running_time:.2f} s" if node.running_time else ""
            named.append(f"{visible(node.name)}{time}{' ✗' if node.failed else ''}")
    more = f" and {len(nodes) - len(named)} more" if len(nodes) > len(named) else ""
    return "nodes: " + ", ".join(named) + more

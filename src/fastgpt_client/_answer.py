"""Hold what a reply amounts to: the text and everything that came with it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from ._events import Interactive
from ._nodes import Node, Usage


class Status(StrEnum):
    """Say where a reply stands."""

    #: Events may still come.
    STREAMING = "streaming"
    #: The terminal chunk or ``[DONE]`` was seen.
    COMPLETE = "complete"
    #: :meth:`Reply.stop` ended it.
    STOPPED = "stopped"
    #: It broke off: see :attr:`Reply.failure`.
    FAILED = "failed"
    #: The block was left before the end.
    ABANDONED = "abandoned"


@attrs.frozen(kw_only=True)
class Timings:
    """Count and time a reply.

    :param first_token: seconds from sending to the first text, reasoning, question or plugin
        output, or ``None`` if none came.
    :param total: seconds from sending to the end, or until now.
    :param events: published events.
    :param heartbeats: empty answers that the server sent to keep the line alive.
    :param bytes: bytes of the decoded body.
    """

    first_token: float | None = None
    total: float = 0.0
    events: int = 0
    heartbeats: int = 0
    bytes: int = 0


@attrs.frozen(kw_only=True)
class ToolUse:
    """Hold one tool call, put together from its fragments by its id.

    :param id: the call's id.
    :param name: the tool's name for people.
    :param function_name: the tool's name for the model.
    :param arguments: the argument text, mostly JSON; a model may produce invalid JSON.
    :param response: what the tool returned, or ``None`` if it has not. FastGPT may cut the middle
        out of a long one (FastGPT source, 4.16.0).
    """

    id: str
    name: str = ""
    function_name: str = ""
    arguments: str = ""
    response: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """Hold a whole answer.

    :param text: what the app said.
    :param reasoning: what the model thought, where the app shows it.
    :param status: how the reply ended.
    :param nodes: the workflow's node responses; empty without ``detail``.
    :param tool_calls: the tools that ran.
    :param variables: the chat's global variables after the last update, or ``None``.
    :param title: the chat's title, or ``None``.
    :param interactive: the question that the workflow waits on, or ``None``.
    :param duration: seconds that the workflow ran on the server, or ``None``.
    :param usage: tokens, summed over the nodes (the server's own sum is the constant 1/1/1), or
        ``None`` if no node told any.
    :param timings: first-token time, total time, events and bytes as the client saw them.
    :param chat_id: the chat's id, or ``None`` if the server chose one.
    :param plugin_output: the outputs of a plugin app, or ``None``.
    """

    text: str = ""
    reasoning: str = ""
    status: Status = Status.COMPLETE
    nodes: tuple[Node, ...] = attrs.field(default=(), repr=False)
    tool_calls: tuple[ToolUse, ...] = ()
    variables: Mapping[str, Any] | None = attrs.field(default=None, repr=False, hash=False)
    title: str | None = None
    interactive: Interactive | None = None
    duration: float | None = None
    usage: Usage | None = None
    timings: Timings = attrs.field(factory=Timings)
    chat_id: str | None = None
    plugin_output: Mapping[str, Any] | None = attrs.field(default=None, hash=False)

    @property
    def failed_nodes(self) -> tuple[Node, ...]:
        """Every node that failed, also those whose failure the workflow caught."""
        return tuple(node for node in _walk(self.nodes) if node.failed)

    def __str__(self) -> str:
        return self.text


def _walk(nodes: tuple[Node, ...]) -> list[Node]:
    found: list[Node] = []
    for node in nodes:
        found.append(node)
        found.extend(_walk(node.children))
    return found


def uncaught(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the failed nodes that nothing in the workflow caught.

    ``errorCaptured`` decides where the server sends it; without it (4.14.7) a failed node counts
    as caught if another top-level node ran after it, since an uncaught one is the last of its
    run (recorded). A failure beside a running parallel branch may so be missed.

    :param nodes: node responses in the order in which they came; those with a ``parent_id`` and
        children do not count, their parents decide.
    """
    top = [node for node in nodes if not node.parent_id]
    return tuple(
        node
        for place, node in enumerate(top)
        if node.failed
        and (not node.error_captured if node.error_captured is not None else place == len(top) - 1)
    )

"""Show an answer where no terminal is: plain text, one JSON object, or JSON lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import click
import msgspec

from .._errors import APIError, ReplyTimeoutError
from .._sinks import sink_for
from ..consumers import _json_line, collect, print_text
from ._safe import SafeFile

if TYPE_CHECKING:
    from .._subscription import Subscription
    from ._turn import Turn


class _Quiet:
    """Do nothing but consume."""

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show nothing besides what :meth:`consume` writes."""
        yield

    async def animate(self) -> None:
        """Draw nothing."""
        await anyio.sleep_forever()

    def stopping(self) -> None:
        """Show nothing."""

    def finish(self, turn: Turn) -> None:
        """Show nothing."""


@attrs.define(eq=False)
class PlainView(_Quiet):
    """Write the text and nothing else."""

    async def consume(self, subscription: Subscription) -> None:
        """Write the text as it comes."""
        stdout = sys.stdout
        await print_text(subscription, file=SafeFile(stdout) if stdout.isatty() else stdout)


@attrs.define(eq=False)
class JSONLinesView(_Quiet):
    """Write each event as a line of JSON."""

    async def consume(self, subscription: Subscription) -> None:
        """Write the events as they come."""
        sink = sink_for(sys.stdout)
        async for event in subscription:
            await sink.write(_json_line(event))


@attrs.define(eq=False)
class JSONView(_Quiet):
    """Write one JSON object at the end."""

    async def consume(self, subscription: Subscription) -> None:
        """Wait for the end."""
        await collect(subscription)

    def finish(self, turn: Turn) -> None:
        """Write the object."""
        click.echo(msgspec.json.format(msgspec.json.encode(_as_json(turn)), indent=2))


def _as_json(turn: Turn) -> dict[str, Any]:
    answer, failure = turn.answer, turn.failure
    told: dict[str, Any] = {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "status": answer.status,
        "chat_id": answer.chat_id,
        "title": answer.title,
        "usage": answer.usage and attrs.asdict(answer.usage),
        "timings": attrs.asdict(answer.timings),
        "duration": answer.duration,
        "nodes": [node.raw for node in answer.nodes],
        "tool_calls": [attrs.asdict(tool) for tool in answer.tool_calls],
        "variables": answer.variables,
        "plugin_output": answer.plugin_output,
        "interactive": None,
        "error": None,
    }
    if answer.interactive is not None:
        interactive = answer.interactive
        told["interactive"] = {
            "kind": interactive.kind,
            "description": interactive.description,
            "params": interactive.params,
        }
    if failure is not None:
        error: dict[str, Any] = {"type": type(failure).__name__, "message": failure.message}
        if isinstance(failure, APIError):
            error |= {
                "code": failure.code,
                "status_text": failure.status_text,
                "status_code": failure.status_code,
            }
        if isinstance(failure, ReplyTimeoutError):
            error |= {"clock": failure.clock, "seconds": failure.seconds}
        told["error"] = error
    return told

"""Hold the state of one run, and the gates at which runs wait for a test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._content import Ledger
from ._http import RecordedRequest

RunStatus = Literal["running", "complete", "stopped", "aborted", "failed"]


@attrs.define(eq=False)
class Run:
    """One run of the played app: what a completions request started.

    ``status`` is ``running``, then ``complete``; ``stopped`` by ``/api/v2/chat/stop``;
    ``aborted`` because the client left and the server noticed (v1 streams); ``failed`` by an
    error frame or a fault of the script.

    :param request: the request that started it.
    :param api: ``v1`` or ``v2``.
    :param chat_id: the chat, made up by the server if the request had none.
    :param stream: ``True`` if the answer is a stream.
    :param detail: ``True`` if it has details.
    :param ledger: what it has said so far.
    :param on_change: is called when its status changes.
    """

    request: RecordedRequest
    api: Literal["v1", "v2"]
    chat_id: str
    stream: bool
    detail: bool
    ledger: Ledger = attrs.field(repr=False)
    on_change: Callable[[], None] = attrs.field(repr=False)
    status: RunStatus = "running"
    client_left: bool = False
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, repr=False)
    _stop_asked: bool = attrs.field(default=False, repr=False)
    _waiting: anyio.CancelScope | None = attrs.field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The text that the model has produced so far, sent or not."""
        return self.ledger.text

    @property
    def saved(self) -> bool:
        """Whether the chat's history would have the whole record of this run."""
        return self.status in ("complete", "stopped")

    @property
    def scope(self) -> anyio.CancelScope:
        """The scope in which the run is played."""
        return self._scope

    @property
    def stop_asked(self) -> bool:
        """Whether a stop has been posted for this run."""
        return self._stop_asked

    def finish(self, status: RunStatus) -> None:
        """Set the final state; only the first call counts.

        :param status: the state.
        """
        if self.status == "running":
            self.status = status
            self.on_change()

    def stop(self) -> None:
        """Ask the run to end early; waits of the script end at once."""
        self._stop_asked = True
        if self._waiting is not None:
            self._waiting.cancel()

    def abort(self) -> None:
        """End the run because its client has gone."""
        self.finish("aborted")
        self._scope.cancel()

    async def wait(self, until: anyio.Event | None = None) -> None:
        """Wait for an event or for a stop.

        :param until: the event; ``None`` waits for a stop alone.
        """
        await checkpoint()
        if self._stop_asked:
            return
        with anyio.CancelScope() as self._waiting:
            await (anyio.sleep_forever() if until is None else until.wait())
        self._waiting = None

    async def pause(self, seconds: float) -> None:
        """Wait some time or for a stop.

        :param seconds: the most to wait.
        """
        with anyio.move_on_after(seconds):
            await self.wait()
        self._waiting = None


@attrs.define(eq=False)
class Gates:
    """Named places at which a script waits until a test lets it go on."""

    _changed: Callable[[], None]
    _open: dict[str, anyio.Event] = attrs.field(factory=dict)
    _reached: dict[str, int] = attrs.field(factory=dict)

    def event(self, name: str) -> anyio.Event:
        """The event that is set when the gate is open."""
        return self._open.setdefault(name, anyio.Event())

    def open(self, name: str) -> None:
        """Let everyone through who waits at the gate, now and later."""
        self.event(name).set()

    def close(self, name: str) -> None:
        """Make the gate hold again."""
        with suppress(KeyError):
            if self._open[name].is_set():
                del self._open[name]

    def arrive(self, name: str) -> anyio.Event:
        """Count an arrival and return what to wait for."""
        self._reached[name] = self._reached.get(name, 0) + 1
        self._changed()
        return self.event(name)

    def reached(self, name: str) -> int:
        """How many runs have come to the gate so far."""
        return self._reached.get(name, 0)

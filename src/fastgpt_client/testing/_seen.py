"""Tell what the fake server has seen, and wait until it has seen it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from ._completions import Chat
    from ._http import RecordedRequest
    from ._run import Gates, Run


class Seen:
    """Give the fake server what a test asks it afterwards."""

    __slots__ = ()

    if TYPE_CHECKING:  # what the server has
        requests: list[RecordedRequest]
        open_connections: int
        disconnects: int
        _chat: Chat
        _gates: Gates
        _changed: anyio.Event

    @property
    def runs(self) -> list[Run]:
        """Every run that was started, oldest first."""
        return self._chat.runs

    @property
    def aborted(self) -> list[Run]:
        """The runs that were ended because their client left."""
        return [run for run in self.runs if run.status == "aborted"]

    @property
    def saved(self) -> list[Run]:
        """The runs whose whole record a real server would have saved."""
        return [run for run in self.runs if run.saved]

    @property
    def stops(self) -> list[RecordedRequest]:
        """The accepted requests to ``/api/v2/chat/stop``."""
        return self._chat.stops

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what the server has seen is true.

        It is looked at after every request, disconnect, change of a run and arrival at a gate.

        :param condition: returns whether the wait is over.
        """
        await checkpoint()
        while not condition():
            await self._changed.wait()

    async def wait_request(self, count: int = 1) -> RecordedRequest:
        """Wait until the server has got so many requests, and return the last of them.

        :param count: how many.
        """
        await self.wait_until(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def wait_run(self, count: int = 1) -> Run:
        """Wait until so many runs are over, and return the run of that number.

        :param count: how many, in the order in which they started.
        """
        await self.wait_until(
            lambda: len(self.runs) >= count and self.runs[count - 1].status != "running"
        )
        return self.runs[count - 1]

    async def wait_disconnect(self, count: int = 1) -> None:
        """Wait until so many clients have left before their answer's end.

        :param count: how many.
        """
        await self.wait_until(lambda: self.disconnects >= count)

    async def wait_stop(self, count: int = 1) -> RecordedRequest:
        """Wait until the server has accepted so many stops, and return the last of them.

        :param count: how many.
        """
        await self.wait_until(lambda: len(self.stops) >= count)
        return self.stops[count - 1]

    async def wait_at_gate(self, name: str, count: int = 1) -> None:
        """Wait until so many runs have come to ``WaitFor(name)``.

        :param name: the gate.
        :param count: how many.
        """
        await self.wait_until(lambda: self._gates.reached(name) >= count)

    async def wait_closed(self) -> None:
        """Wait until no connection is open."""
        await self.wait_until(lambda: self.open_connections == 0)

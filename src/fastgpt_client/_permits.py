"""Let the producer wait for a subscription, one permit an event."""

from __future__ import annotations

import anyio
import attrs
from anyio.streams.memory import MemoryObjectSendStream


@attrs.define(eq=False)
class Permits:
    """Make the producer wait for one paced subscription, without keeping that alive."""

    name: str
    send: MemoryObjectSendStream[int]
    #: The last index handed over; a permit that native cancellation swallowed is seen by it.
    handed: int = -1

    def offer(self, index: int) -> bool:
        """Hand ``index`` over if that needs no waiting, and tell whether it did."""
        try:
            self.send.send_nowait(index)
        except anyio.WouldBlock:
            return False
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return True
        self.handed = index
        return True

    async def hand_over(self, index: int) -> None:
        """Wait until ``index`` is taken or the subscription is closed."""
        try:
            await self.send.send(index)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # noqa: ASYNC910 - send() yields before it raises
        self.handed = index

    @property
    def closed(self) -> bool:
        """Whether nobody can take a permit any more."""
        return self.send.statistics().open_receive_streams == 0

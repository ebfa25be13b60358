"""Read what has arrived, and say so when the next read is about to wait."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Generator

#: Chunks that are handed over at once. More would make the first event of a burst wait longer.
BURST_CHUNKS: Final = 64
#: Bytes of a chunk that is handed over without waiting for more: it may hold many events, and
#: what is handed over at once is decoded without letting others run.
_LARGE_CHUNK: Final = 4096


class BurstReader:
    """Read a body in bursts, each of the chunks that arrived together.

    HTTP libraries hand out buffered chunks without waiting, so that many can be decoded at once;
    but the last of them must not lie here while the next is on its way. Whether a read waits
    shows only in whether it yields to the event loop, so the coroutine that reads is driven by
    hand, everything passed through.

    :param body: the body; each burst goes on where the last one stopped.
    :param before_wait: called when nothing more has arrived; it takes :attr:`chunks`, and must
        not raise, since the wait has begun.
    :param after_wait: called when something has; it may change :attr:`most`.
    """

    def __init__(
        self,
        body: AsyncIterable[bytes],
        before_wait: Callable[[], None],
        after_wait: Callable[[], None],
    ) -> None:
        self._body = body
        self._before_wait = before_wait
        self._after_wait = after_wait
        self._waited = False
        #: What was read and not taken yet.
        self.chunks: list[bytes] = []
        #: How many chunks make a burst.
        self.most = BURST_CHUNKS

    async def _collect(self) -> bool:  # noqa: ASYNC910 - chunks that are there are read at once
        chunks = self.chunks
        async for chunk in self._body:
            if self._waited:
                self._waited = False
                self._after_wait()
            chunks.append(chunk)
            if len(chunks) >= self.most or len(chunk) >= _LARGE_CHUNK:
                return True
        if self._waited:
            self._after_wait()
        return False

    @types.coroutine
    def read(self) -> Generator[Any, Any, bool]:
        """Read until :attr:`most` chunks are there, and tell whether there may be more."""
        self._waited = False
        step = self._collect()
        try:
            trap = step.send(None)
            while True:
                if not self._waited:
                    self._waited = True
                    self._before_wait()
                try:
                    value = yield trap
                except BaseException as error:  # noqa: ASYNC103 - passed on
                    trap = step.throw(error)
                else:
                    trap = step.send(value)
        except StopIteration as end:
            more: bool = end.value
            return more

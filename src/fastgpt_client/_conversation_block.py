"""Enter a reply's block, and say whether that asked the server something."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from ._errors import (
    APIError,
    ConnectError,
    InvalidArgumentError,
    ReplyTimeoutError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ._reply import Reply

#: What a proxy answers for a server that has the request and has not answered.
_FROM_A_PROXY: Final = (502, 504)


class NotedBlock(AbstractAsyncContextManager["Reply"]):
    """Be a reply's block that tells its conversation what becomes of it.

    :param block: the block.
    :param sent: called with the reply; with ``None`` if it is not known whether the server was
        asked; not at all if it was not.
    """

    def __init__(
        self, block: AbstractAsyncContextManager[Reply], sent: Callable[[Reply | None], None]
    ) -> None:
        self._block = block
        self._sent = sent

    def __repr__(self) -> str:
        return repr(self._block)

    async def __aenter__(self) -> Reply:
        try:
            reply = await self._block.__aenter__()
        except BaseException as error:
            if not _was_not_asked(error):
                self._sent(None)
            raise
        self._sent(reply)
        return reply

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        # It shields and bounds itself.
        return await self._block.__aexit__(exc_type, exc, traceback)  # noqa: ASYNC102


def _was_not_asked(error: BaseException) -> bool:
    if isinstance(error, APIError):
        return error.code is not None or error.status_code not in _FROM_A_PROXY
    if isinstance(error, ReplyTimeoutError):
        return error.clock in ("connect", "pool")
    return isinstance(error, ConnectError | InvalidArgumentError | UsageError)

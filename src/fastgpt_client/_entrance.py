"""Stand at the door of a block, and say how to come in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from ._errors import UsageError

if TYPE_CHECKING:
    from ._reply import Reply

_RIGHT: Final = (
    "write `async with client.stream(…) as reply:` and use the reply inside, or "
    "`answer = await client.ask(…)` for the whole answer"
)


@final
class Entrance(AbstractAsyncContextManager["Reply"]):
    """Be the block of one reply, which is entered once.

    :param block: what is entered.
    """

    def __init__(self, block: AbstractAsyncContextManager[Reply]) -> None:
        self._block = block
        self._entered = False

    def __repr__(self) -> str:
        state = "entered" if self._entered else f"not entered: {_RIGHT}"
        return f"<block of client.stream(), {state}>"

    async def __aenter__(self) -> Reply:  # noqa: ASYNC910 - as far as the block is
        if self._entered:
            raise UsageError(
                "a block of client.stream() is one request and can be entered once: call "
                "stream() again for another"
            )
        self._entered = True
        return await self._block.__aenter__()

    async def __aexit__(  # noqa: ASYNC910 - as far as the block is
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._block.__aexit__(kind, error, trace)  # noqa: ASYNC102 - shields itself

    if not TYPE_CHECKING:  # type checkers see these mistakes without help

        def __getattr__(self, name: str) -> NoReturn:
            message = f"a block of client.stream() has no {name!r}, its reply may have: {_RIGHT}"
            raise AttributeError(message)

        def __aiter__(self) -> NoReturn:
            raise UsageError(f"client.stream() makes a block, not an iterator: {_RIGHT}")

        def __await__(self) -> NoReturn:
            raise UsageError(f"client.stream() makes a block and is not awaited: {_RIGHT}")

        def __enter__(self) -> NoReturn:
            raise UsageError(f"a block of AsyncChatClient is not entered by 'with': {_RIGHT}")

        def __exit__(self, *_: Any) -> None: ...

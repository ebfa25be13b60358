"""Run the embedded server in a thread of its own, for tests of blocking programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar, final

import anyio
from anyio.from_thread import start_blocking_portal

from ._server import AnswerSource, FakeFastGPT

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from ._http import RecordedRequest
    from ._run import Run

T = TypeVar("T")


@final
class BlockingFakeFastGPT:
    """Play a FastGPT server in a thread of its own; use it with ``with``.

    What it answers and what it has seen are as for :class:`FakeFastGPT`; each wait is bounded.

    :param wait_seconds: the longest that one ``wait_…`` takes.
    :param backend: the event loop of the thread, ``asyncio`` or ``trio``.
    :param options: as for :class:`FakeFastGPT`.
    """

    def __init__(
        self, *, wait_seconds: float = 5.0, backend: str = "asyncio", **options: Any
    ) -> None:
        self.wait_seconds = wait_seconds
        self._backend = backend
        self._options = options
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._fake: FakeFastGPT | None = None

    def __enter__(self) -> Self:
        if self._portal is not None:
            raise RuntimeError("a BlockingFakeFastGPT can be entered once; make another one")
        with ExitStack() as stack:
            self._portal = stack.enter_context(
                start_blocking_portal(self._backend, name="fake FastGPT")
            )
            self._fake = self._portal.call(lambda: FakeFastGPT(**self._options))
            stack.enter_context(self._portal.wrap_async_context_manager(self._fake))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(exc_type, exc, traceback)

    @property
    def fake(self) -> FakeFastGPT:
        """The server itself, which lives in the other thread.

        :raises RuntimeError: if the block has not been entered.
        """
        if self._fake is None:
            raise RuntimeError("enter the server's block first: with BlockingFakeFastGPT() as …")
        return self._fake

    @property
    def base_url(self) -> str:
        """Where the server listens, such as ``http://127.0.0.1:40123``."""
        return self.fake.base_url

    @property
    def api_key(self) -> str:
        """The only key that it accepts."""
        return self.fake.api_key

    @property
    def app_id(self) -> str:
        """An app id of the right shape."""
        return self.fake.app_id

    # --- what it answers -----------------------------------------------------------------------

    def reply(self, answer: str | Iterable[str], **options: Any) -> None:
        """Do what :meth:`FakeFastGPT.reply` does."""
        self.call(lambda: self.fake.reply(answer, **options))

    def script(self, answer: AnswerSource) -> None:
        """Do what :meth:`FakeFastGPT.script` does; a function runs in the server's thread."""
        self.call(lambda: self.fake.script(answer))

    def enqueue(self, *answers: AnswerSource) -> None:
        """Do what :meth:`FakeFastGPT.enqueue` does; a function runs in the server's thread."""
        self.call(lambda: self.fake.enqueue(*answers))

    def play_raw(self, raw: bytes, *, cut: int | None = None, close: bool = False) -> None:
        """Do what :meth:`FakeFastGPT.play_raw` does."""
        self.call(lambda: self.fake.play_raw(raw, cut=cut, close=close))

    def route(self, method: str, path: str, answer: Any, *, check_key: bool = True) -> None:
        """Do what :meth:`FakeFastGPT.route` does."""
        self.call(lambda: self.fake.route(method, path, answer, check_key=check_key))

    def open_gate(self, name: str) -> None:
        """Do what :meth:`FakeFastGPT.open_gate` does."""
        self.call(lambda: self.fake.open_gate(name))

    def close_gate(self, name: str) -> None:
        """Do what :meth:`FakeFastGPT.close_gate` does."""
        self.call(lambda: self.fake.close_gate(name))

    # --- what it has seen ----------------------------------------------------------------------

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, oldest first."""
        return list(self.fake.requests)

    @property
    def runs(self) -> list[Run]:
        """Every run that was started so far."""
        return list(self.fake.runs)

    @property
    def aborted(self) -> list[Run]:
        """The runs that were ended because their client left."""
        return self.fake.aborted

    @property
    def stops(self) -> list[RecordedRequest]:
        """The accepted requests to ``/api/v2/chat/stop``."""
        return list(self.fake.stops)

    @property
    def disconnects(self) -> int:
        """How often a client left before the end of its answer."""
        return self.fake.disconnects

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Do what :meth:`FakeFastGPT.wait_until` does.

        :raises TimeoutError: if it takes longer than ``wait_seconds``, as every wait here.
        """
        self._wait(lambda: self.fake.wait_until(condition))

    def wait_request(self, count: int = 1) -> RecordedRequest:
        """Do what :meth:`FakeFastGPT.wait_request` does."""
        return self._wait(lambda: self.fake.wait_request(count))

    def wait_run(self, count: int = 1) -> Run:
        """Do what :meth:`FakeFastGPT.wait_run` does."""
        return self._wait(lambda: self.fake.wait_run(count))

    def wait_disconnect(self, count: int = 1) -> None:
        """Do what :meth:`FakeFastGPT.wait_disconnect` does."""
        self._wait(lambda: self.fake.wait_disconnect(count))

    def wait_stop(self, count: int = 1) -> RecordedRequest:
        """Do what :meth:`FakeFastGPT.wait_stop` does."""
        return self._wait(lambda: self.fake.wait_stop(count))

    def wait_at_gate(self, name: str, count: int = 1) -> None:
        """Do what :meth:`FakeFastGPT.wait_at_gate` does."""
        self._wait(lambda: self.fake.wait_at_gate(name, count))

    def wait_closed(self) -> None:
        """Do what :meth:`FakeFastGPT.wait_closed` does."""
        self._wait(lambda: self.fake.wait_closed())

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function, plain or ``async``, in the server's thread and return its result.

        :raises RuntimeError: if the block has not been entered.
        """
        if self._portal is None:
            raise RuntimeError("enter the server's block first: with BlockingFakeFastGPT() as …")
        return self._portal.call(function, *args)

    def _wait(self, method: Callable[[], Awaitable[T]]) -> T:
        result: list[T] = []

        async def bounded() -> None:
            with anyio.fail_after(self.wait_seconds):
                result.append(await method())

        self.call(bounded)
        return result[0]

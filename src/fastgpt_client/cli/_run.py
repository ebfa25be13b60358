"""Run a command's coroutine on the chosen backend, with Ctrl-C in the command's own hands."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from typing import Any, Literal, TypeVar

import anyio
import attrs
import click

Backend = Literal["asyncio", "trio"]
T = TypeVar("T")


class InterruptError(Exception):
    """Report that Ctrl-C or SIGTERM cut a command short.

    :param exit_code: what tells a shell which signal it was.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"interrupted ({exit_code})")
        self.exit_code = exit_code


@attrs.define(eq=False)
class Interrupts:
    """Count Ctrl-C and SIGTERM while a command runs.

    The first one calls :attr:`on_first`, if there is one; without it, and from the second one on,
    the command is cancelled.
    """

    on_first: Callable[[], object] | None = None
    count: int = attrs.field(default=0, init=False)
    _signal: int = attrs.field(default=signal.SIGINT, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=lambda: anyio.CancelScope(), init=False)

    @property
    def exit_code(self) -> int:
        """The exit code that tells a shell which signal it was."""
        return 128 + self._signal

    async def _watch(self, signals: AsyncIterable[int]) -> None:
        async for number in signals:
            self._note(number)

    def _note(self, number: int) -> None:
        self._signal = number
        self.count += 1
        if self.count == 1 and self.on_first is not None:
            self.on_first()
        else:
            self._scope.cancel()

    async def guard(self, body: Callable[[Interrupts], Awaitable[T]]) -> T:
        """Run ``body`` and return what it returns.

        :raises InterruptError: if a signal cut it short.
        """
        result: list[T] = []
        failure: Exception | None = None
        with contextlib.ExitStack() as stack:
            async with anyio.create_task_group() as group:
                # On Windows' asyncio, and outside the main thread, Python's own way remains.
                with contextlib.suppress(NotImplementedError, RuntimeError):
                    group.start_soon(
                        self._watch,
                        stack.enter_context(
                            anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM)
                        ),
                    )
                with self._scope:
                    try:
                        result.append(await body(self))
                    except Exception as error:  # raised below, where no group wraps it
                        failure = error
                group.cancel_scope.cancel()
        if failure is not None:
            raise only(failure)
        if not result:
            raise InterruptError(self.exit_code)
        return result[0]


def run(body: Callable[[Interrupts], Awaitable[T]], backend: Backend) -> T:
    """Run a command and return what it returns.

    :param body: the command; it gets what tells it of Ctrl-C.
    :param backend: ``asyncio`` or ``trio``.
    :raises InterruptError: if a signal cut it short.
    :raises click.UsageError: if that backend is not installed.
    """
    if importlib.util.find_spec(backend) is None:
        raise click.UsageError(
            f"{backend} is not installed: python -m pip install 'fastgpt-client[{backend}]'"
        )

    async def guarded() -> T:
        return await Interrupts().guard(body)

    return anyio.run(guarded, backend=backend)


def only(error: Exception) -> Exception:
    """Return the exception that a group consists of, if it is one, else the group itself."""
    leaves = list(_leaves(error))
    return leaves[0] if len(leaves) == 1 else error


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        group: ExceptionGroup[Any] = error
        for inner in group.exceptions:
            yield from _leaves(inner)
    else:
        yield error

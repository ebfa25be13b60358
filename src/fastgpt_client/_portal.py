"""Run asynchronous code for blocking callers, in one thread that their client owns.

anyio's own portal hands results over through :class:`concurrent.futures.Future`. Its lock is
Python code, and a Ctrl-C that comes just then leaves it locked for good, with the event loop
waiting for it. Here a waiting thread holds nothing that the event loop needs.
"""

from __future__ import annotations

import contextvars
import inspect
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel

from ._errors import UsageError

_T = TypeVar("_T")

#: Seconds of one wait. Python sees a signal that comes right before a wait only after it, so a
#: wait without an end could swallow a Ctrl-C.
_SLICE_SECONDS: Final = 0.5
#: Seconds for the thread to start or to end, which takes some milliseconds.
_THREAD_SECONDS: Final = 10.0


class Latch:
    """Let threads wait for something that happens once, such that Ctrl-C always ends the wait."""

    def __init__(self) -> None:
        self._is_set = False
        # In C, and so without a state between "waiting" and "told". What is in it says nothing.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Let those that wait go on; it never waits itself."""
        self._is_set = True
        self._wake.put(None)

    @property
    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def wait(self, seconds: float = float("inf")) -> bool:
        """Wait, and return whether it has happened.

        :param seconds: how long, at most, in steps of half a second.
        """
        while not self._is_set and seconds > 0:
            try:
                self._wake.get(timeout=min(_SLICE_SECONDS, seconds))
            except queue.Empty:
                seconds -= _SLICE_SECONDS
            else:
                self._wake.put(None)  # for the next that waits
        return self._is_set


class Ticket(Latch):
    """Stand for the result of a function that runs in the portal.

    :param function: a function, which may be async.
    :param args: its arguments.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__()
        self._function = function
        self._args = args
        self._value: Any = None
        self._error: BaseException | None = None
        self._finished = False
        self._cancelled = False
        self._scope: anyio.CancelScope | None = None

    async def run(self) -> None:  # noqa: ASYNC910 - a task of its own
        """Run the function, in the portal."""
        try:
            with anyio.CancelScope() as self._scope:  # noqa: ASYNC912 - as the function does
                if self._cancelled:
                    self._scope.cancel()
                result = self._function(*self._args)
                self._value = await result if inspect.isawaitable(result) else result
                self._finished = True
        except Exception as error:
            self._error = error
        finally:
            self.set()

    def cancel(self) -> None:
        """Cancel the function; in the portal."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    def result(self) -> Any:
        """Wait for the result and return it, or raise what the function raised.

        :raises UsageError: if the client was closed meanwhile.
        """
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # the traceback has this frame
        if not self._finished:
            raise ended()
        return self._value


def ended() -> UsageError:
    """Return the error of a call to a client that is closed."""
    return UsageError("this client is closed: make a new ChatClient")


class Portal:
    """Start a thread with an event loop when it is first needed, and end it with the client.

    Ctrl-C reaches the main thread only, where it interrupts the wait for a result; what runs in
    the portal goes on until it is cancelled from there.
    """

    def __init__(self) -> None:
        # Held for a moment, to say in which order things are handed over; never by the portal.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._started = Latch()
        self._loop: Any = None
        self._context: contextvars.Context
        self._tasks: anyio.abc.TaskGroup
        self._closed = False
        self._pid = os.getpid()

    async def _serve(self) -> None:
        async with anyio.create_task_group() as self._tasks:
            self._loop = anyio.lowlevel.current_token().native_token
            self._context = contextvars.copy_context()
            self._started.set()
            await anyio.sleep_forever()

    @property
    def forked(self) -> bool:
        """Whether this is another process than the one that made the client."""
        return os.getpid() != self._pid

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._closed

    @property
    def running(self) -> bool:
        """Whether the thread runs; in a forked process it does not."""
        return self._thread is not None and not self._closed and not self.forked

    def check_process(self) -> None:
        """Refuse to work in a forked process, which has a copy of everything but the threads.

        :raises UsageError: if this is another process than the one that made the client.
        """
        if self.forked:
            raise UsageError(
                "this ChatClient belongs to the process that forked this one, which goes on using "
                "its connections: make a ChatClient in this process"
            )

    def start(self) -> None:
        """Start the thread, unless it runs.

        :raises UsageError: if the client was closed, or this is a forked process.
        """
        self.check_process()
        with self._lock:
            if self._closed:
                raise ended()
            if self._thread is None:
                # In a context of its own: the caller's may name the caller's event loop.
                self._thread = threading.Thread(
                    target=contextvars.Context().run,
                    args=(anyio.run, self._serve),
                    name="fastgpt_client portal",
                    daemon=True,
                )
                self._thread.start()

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Ticket:
        """Run a function in the event loop and return the ticket for its result.

        :param function: a function, which may be async.
        :param context: whose variables it sees, besides those of the event loop.
        :raises UsageError: if the thread does not run, or this is a forked process.
        """
        ticket = Ticket(function, args)
        self._post(self._spawn, ticket, context=self._with(context))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Cancel what a ticket stands for, if it still runs."""
        self._post(ticket.cancel)

    def call(self, function: Callable[..., Awaitable[_T] | _T], *args: Any) -> _T:
        """Run a function in the event loop and wait for its result.

        :param function: a function, which may be async.
        :raises UsageError: if the thread does not run any more, or this is a forked process.
        """
        result: _T = self.submit(function, *args).result()
        return result

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """End the thread, and everything that runs in it.

        :param last: run in the event loop before that.
        """
        if self._end(last) and self._thread is not None:
            self._thread.join()

    def join(self) -> None:
        """Wait for the end of a thread that is being closed."""
        if self._thread is not None and not self.forked:
            self._thread.join(_THREAD_SECONDS)

    def abandon(self, last: Callable[[], Awaitable[None]]) -> None:
        """Let the thread end by itself, for a client that nobody closed.

        :param last: run in the event loop before that.
        """
        self._end(last)

    def _end(self, last: Callable[[], Awaitable[None]]) -> bool:
        self.check_process()
        if self._thread is None or not self._started.wait(_THREAD_SECONDS):
            self._closed = True
            return False

        async def finish() -> None:
            try:
                await last()
            finally:
                self._tasks.cancel_scope.cancel()

        with self._lock:
            if self._closed:
                return False
            self._closed = True
            # The last that is handed over: what came before is answered before the end.
            ticket = Ticket(finish, ())
            self._loop.call_soon_threadsafe(self._spawn, ticket, context=self._context.copy())
        return True

    def _post(
        self,
        function: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> None:
        self.check_process()
        if self._thread is None or not self._started.wait(_THREAD_SECONDS):
            raise ended()
        with self._lock:
            if self._closed:
                raise ended()
            try:
                self._loop.call_soon_threadsafe(function, *args, context=context)
            except RuntimeError as error:
                raise ended() from error

    def _spawn(self, ticket: Ticket) -> None:
        self._tasks.start_soon(ticket.run)

    def _with(self, context: contextvars.Context | None) -> contextvars.Context:
        """Return the event loop's context with what ``context`` has besides."""
        self.check_process()
        if not self._started.wait(_THREAD_SECONDS):
            raise ended()
        mixed = self._context.copy()
        for variable, value in [] if context is None else list(context.items()):
            if variable not in mixed:
                mixed.run(variable.set, value)
        return mixed

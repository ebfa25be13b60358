"""Cancel a scenario at every step of the event loop, and look at what is left behind.

A step is what the loop runs between two looks at its queue: a callback on asyncio and uvloop, a
task's step on trio. The scenario is run once to count its steps, then again for each place.

``FASTGPT_SWEEP=all`` cancels at every step, not at a sample of them, and a table at the end of the
run tells how many those were.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import ssl
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import anyio
import anyio.lowlevel
import attrs
import sniffio

from fastgpt_client import AsyncChatClient, FastGPTError, Reply
from fastgpt_client._feed import leaves
from fastgpt_client.testing import FakeFastGPT

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator

#: Cancel at every step of a scenario; else at so many that the default run stays short.
SWEEP_ALL = os.environ.get("FASTGPT_SWEEP") == "all"
_PLACES = 4
#: What happens at the step: an anyio scope is cancelled, the task is cancelled as asyncio does it, an
#: ``asyncio.timeout`` around it has passed, Ctrl-C is pressed, or who reads next leaves by
#: ``SystemExit``.
How = Literal["scope", "task.cancel()", "asyncio.timeout", "Ctrl-C", "SystemExit"]
_TLS = ssl.create_default_context()


@attrs.define(eq=False)
class Seen:
    """What one lossless consumer read of a reply."""

    reply: Reply
    text: str = ""
    to_the_end: bool = False


@attrs.define(eq=False)
class Stage:
    """What a scenario plays with, and what it leaves for the examination."""

    server: FakeFastGPT
    client: AsyncChatClient
    http: Any
    replies: list[Reply] = attrs.field(factory=list)
    seen: list[Seen] = attrs.field(factory=list)
    #: The exceptions that the scenario's own code raised or may let out.
    own: list[BaseException] = attrs.field(factory=list)
    expected: tuple[type[FastGPTError], ...] = ()
    #: What the next reader raises.
    leaving: BaseException | None = None

    def take(self, reply: Reply) -> Reply:
        self.replies.append(reply)
        return reply

    def reader(self, reply: Reply) -> Callable[[AsyncIterable[Any]], Coroutine[Any, Any, str]]:
        """Make a consumer whose reading is examined."""

        async def read(subscription: AsyncIterable[Any]) -> str:
            seen = Seen(reply)
            self.seen.append(seen)
            async for event in subscription:
                seen.text += event.text
                if self.leaving is not None:
                    raise self.leaving
            seen.to_the_end = True
            return seen.text

        return read


@attrs.define(eq=False)
class Scenario:
    """A scenario, how its server and client are made, and what it may raise.

    :param play: what is cancelled.
    :param prepare: what the server is told before.
    :param options: for the client.
    :param limits: for the HTTP library's pool.
    :param expected: errors that may come out of the scenario.
    """

    play: Callable[[Stage], Awaitable[None]]
    prepare: Callable[[FakeFastGPT], None] = lambda server: None
    options: dict[str, Any] = attrs.field(factory=dict)
    limits: dict[str, Any] = attrs.field(factory=dict)
    expected: tuple[type[FastGPTError], ...] = ()

    @property
    def name(self) -> str:
        return self.play.__name__ + "-v2" * (self.options.get("api") == "v2")


# --- steps -------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Steps:
    """Count the steps of the event loop, and do something before one of them."""

    at: int | None
    act: Callable[[], None]
    count: int = 0

    def tick(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.act()

    @contextmanager
    def counting(self) -> Iterator[None]:
        if sniffio.current_async_library() == "trio":
            with self._counting_trio():
                yield
        else:
            with self._counting_asyncio():
                yield

    @contextmanager
    def _counting_trio(self) -> Iterator[None]:
        import trio

        steps = self

        class Counter(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                steps.tick()

        counter = Counter()
        trio.lowlevel.add_instrument(counter)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(counter)

    @contextmanager
    def _counting_asyncio(self) -> Iterator[None]:
        import asyncio

        loop: Any = asyncio.get_running_loop()
        call_soon = loop.call_soon
        over = False

        def counted(callback: Any, *args: Any, context: Any = None) -> Any:
            def step(*args: Any) -> None:
                # What is still queued when the run is over is none of its steps.
                if not over:
                    self.tick()
                callback(*args)

            return call_soon(step, *args, context=context)

        loop.call_soon = counted
        try:
            yield
        finally:
            over = True
            del loop.call_soon


# --- one run -----------------------------------------------------------------------------------

#: What came out of a scenario, and how many steps it took.
Played = tuple[BaseException | None, int]


@attrs.define(eq=False)
class Litter:
    """Catch what shows only in hooks: warnings, unraisable exceptions, errors in the log."""

    found: list[str] = attrs.field(factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        found = self.found

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                found.append(f"log: {record.getMessage()}")

        handler = Handler(logging.ERROR)
        hook = sys.unraisablehook
        sys.unraisablehook = lambda what: found.append(f"unraisable: {what.exc_value!r}")
        logging.getLogger().addHandler(handler)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
                gc.collect()
            found += [f"warning: {warning.message}" for warning in caught]
        finally:
            logging.getLogger().removeHandler(handler)
            sys.unraisablehook = hook


async def play_once(
    scenario: Scenario, library: str, server: FakeFastGPT, *, at: int | None, how: How
) -> int:
    """Play a scenario, cancel it at a step, examine what is left; return the steps it took."""
    where = f"{scenario.name} with {library}, {how} at step {at}"
    http_library = importlib.import_module(library)
    litter = Litter()
    error: BaseException | None = None
    with litter.watching():
        http = http_library.AsyncClient(
            verify=_TLS, trust_env=False, limits=http_library.Limits(**scenario.limits)
        )
        client = AsyncChatClient(
            server.api_key, server.base_url, http_client=http, **scenario.options
        )
        stage = Stage(server, client, http, expected=scenario.expected)
        scenario.prepare(server)
        error, steps = await _PLAY[how](scenario, stage, at)
        try:
            _examine(stage, error)
        except AssertionError as what:
            what.add_note(where)
            raise
        finally:
            await client.aclose()
            await http.aclose()
        with anyio.fail_after(3):
            await server.wait_closed()
        del stage, client, http, error
    assert litter.found == [], where
    return steps


async def _play_scoped(scenario: Scenario, stage: Stage, at: int | None) -> Played:
    scope = anyio.CancelScope()
    steps = Steps(at, scope.cancel)
    error: BaseException | None = None
    with anyio.fail_after(5), steps.counting():
        with scope:
            # Inside the scope: trio's rebuild every group that passes them, the caller's too.
            try:
                await scenario.play(stage)
            except (Exception, BaseExceptionGroup) as raised:
                if all(
                    isinstance(leaf, anyio.get_cancelled_exc_class()) for leaf in leaves(raised)
                ):
                    raise  # of the HTTP library's nursery, while it connected
                error = raised
    return error, steps.count


async def _play_natively(scenario: Scenario, stage: Stage, at: int | None) -> Played:
    import asyncio

    async def play() -> None:
        await scenario.play(stage)

    task: asyncio.Task[None] | None = None

    def cancel() -> None:
        assert task is not None
        task.cancel()

    steps = Steps(at, cancel)
    error: BaseException | None = None
    with anyio.fail_after(5), steps.counting():
        task = asyncio.ensure_future(play())
        try:
            await asyncio.wait([task])
            await task
        except asyncio.CancelledError:  # noqa: ASYNC103 - the task's own end is looked at
            assert at is not None
            assert task.cancelled()
        except Exception as raised:
            error = raised
    return error, steps.count


async def _play_timed(scenario: Scenario, stage: Stage, at: int | None) -> Played:
    import asyncio

    limit = asyncio.timeout(None)
    steps = Steps(at, lambda: limit.reschedule(0))
    error: BaseException | None = None
    with anyio.fail_after(5), steps.counting():
        try:
            async with limit:
                await scenario.play(stage)
        except TimeoutError as raised:
            error = None if limit.expired() else raised
        except Exception as raised:
            error = raised
    return error, steps.count


async def _play_interrupted(scenario: Scenario, stage: Stage, at: int | None) -> Played:
    """Let it come where it does: trio raises it in the main task, asyncio cancels that task."""
    steps = Steps(at, lambda: signal.raise_signal(signal.SIGINT))
    error: BaseException | None = None
    with anyio.fail_after(5):
        try:
            with steps.counting():
                await scenario.play(stage)
        except BaseException as raised:  # noqa: ASYNC103 - the end of the run is looked at
            error = raised
        try:
            # One that came at the last step is still on its way, also after a scenario's own error.
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
        except BaseException as raised:  # noqa: ASYNC103
            error = error or raised
        _forget_cancellation()
    on_trio = sniffio.current_async_library() == "trio"
    mine = KeyboardInterrupt if on_trio else anyio.get_cancelled_exc_class()
    return None if isinstance(error, mine) else error, steps.count


def _forget_cancellation() -> None:
    """Let this task of asyncio go on, which somebody cancelled."""
    if sniffio.current_async_library() == "asyncio":
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        # It stands also where an error of the scenario's own took the cancellation's place.
        while task.cancelling():
            task.uncancel()


async def _play_exit(scenario: Scenario, stage: Stage, at: int | None) -> Played:
    mine = SystemExit("mine")

    def leave() -> None:
        stage.leaving = mine

    steps = Steps(at, leave)
    error: BaseException | None = None
    with anyio.fail_after(5), steps.counting():
        try:
            await scenario.play(stage)
        except BaseException as raised:  # noqa: ASYNC103 - the end of the run is looked at
            error = None if raised is mine else raised
    return error, steps.count


_PLAY: dict[How, Callable[[Scenario, Stage, int | None], Awaitable[Played]]] = {
    "scope": _play_scoped,
    "task.cancel()": _play_natively,
    "asyncio.timeout": _play_timed,
    "Ctrl-C": _play_interrupted,
    "SystemExit": _play_exit,
}


def _examine(stage: Stage, error: BaseException | None) -> None:
    if error is not None:
        own = error in stage.own
        assert own or isinstance(error, stage.expected), f"{error!r} came out"
    pool = stage.http._transport._pool
    left = [connection for connection in pool.connections if not connection.is_idle()]
    assert left == [], "a connection was left open"
    assert pool._requests == [], "a request was left waiting"
    for reply in stage.replies:
        assert reply.open_subscriptions == 0, "a subscription was left open"
        assert str(reply.status) != "streaming"
        if reply.failure is not None:
            assert reply.failure.partial == reply.text
    for seen in stage.seen:
        assert seen.reply.text.startswith(seen.text), "a consumer saw what the reply has not"
        if seen.to_the_end:
            assert seen.text == seen.reply.text, "a consumer lost something"


# --- the sweep ---------------------------------------------------------------------------------


def places(steps: int, key: str, sample: int = _PLACES) -> list[int]:
    """Choose where to cancel: everywhere, or evenly spread, elsewhere for each ``key``."""
    if SWEEP_ALL:
        return list(range(1, steps + 1))
    stride = max(1, steps // sample)
    return list(range(1 + crc32(key.encode()) % stride, steps + 1, stride))


async def sweep(
    scenario: Scenario, library: str, record: Callable[[str, object], None], how: How = "scope"
) -> int:
    """Cancel a scenario at each place; return at how many.

    :param record: the fixture ``record_property``, for the table.
    :raises AssertionError: with the place in a note, if something was left behind.
    """
    async with FakeFastGPT() as server:
        await play_once(scenario, library, server, at=None, how=how)
        steps = await play_once(scenario, library, server, at=None, how=how)
        chosen = places(steps, f"{scenario.name} {library} {how} {loop_name()}")
        for at in chosen:
            await play_once(scenario, library, server, at=at, how=how)
    record("sweep", [scenario.name, how, library, loop_name(), len(chosen), steps])
    return len(chosen)


def sweep_interrupts(
    scenario: Scenario,
    library: str,
    record: Callable[[str, object], None],
    backend: tuple[str, dict[str, Any]],
) -> int:
    """Do what :func:`sweep` does with Ctrl-C, for which each run has an event loop of its own."""

    async def play(at: int | None) -> tuple[int, str]:
        async with FakeFastGPT() as server:
            return await play_once(scenario, library, server, at=at, how="Ctrl-C"), loop_name()

    def run(at: int | None) -> tuple[int, str]:
        return anyio.run(play, at, backend=backend[0], backend_options=backend[1])

    run(None)
    steps, loop = run(None)
    chosen = places(steps, f"{scenario.name} {library} Ctrl-C {loop}", _PLACES)
    for at in chosen:
        run(at)
    record("sweep", [scenario.name, "Ctrl-C", library, loop, len(chosen), steps])
    return len(chosen)


def loop_name() -> str:
    """Return ``asyncio``, ``uvloop`` or ``trio``."""
    if sniffio.current_async_library() == "trio":
        return "trio"
    import asyncio

    module = type(asyncio.get_running_loop()).__module__
    return module.partition(".")[0]


# --- the table ---------------------------------------------------------------------------------


def table(rows: list[list[Any]]) -> Iterator[str]:
    """Yield the lines of a table of what was swept: places tried, of the steps of one run."""
    columns = sorted({(how, library, loop) for _, how, library, loop, *_ in rows})
    cells = {(name, how, library, loop): f"{n}/{m}" for name, how, library, loop, n, m in rows}
    names = dict.fromkeys(name for name, *_ in rows)
    for how in dict.fromkeys(how for how, *_ in columns):
        mine = [column for column in columns if column[0] == how]
        yield f"| {how} | " + " | ".join(f"{library} {loop}" for _, library, loop in mine) + " |"
        yield "|---" * (len(mine) + 1) + "|"
        for name in names:
            found = [cells.get((name, *column), "") for column in mine]
            if any(found):
                yield f"| {name} | " + " | ".join(found) + " |"
        yield ""
    yield f"{sum(row[4] for row in rows)} places"

"""What leaves the block of ``stream()``, and what the block leaves behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    AsyncChatClient,
    AuthenticationError,
    ConnectError,
    FastGPTError,
    NotAnEventStreamError,
    Policy,
    ReplyInterruptedError,
    ServerError,
    Status,
    Timeouts,
    UsageError,
)
from fastgpt_client.testing import Delta, FakeFastGPT, Script, SilentModel
from fastgpt_client.testing import Status as HTTPStatus

from .scripted import (
    ERROR,
    FINISH,
    End,
    Scripted,
    Step,
    Wire,
    asyncio_only,
    collect,
    deltas,
    open_reply,
    settle,
    told,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastgpt_client import Reply

pytestmark = pytest.mark.anyio

Backend = tuple[str, dict[str, Any]]


def run(main: Callable[[], Any], backend: Backend) -> None:
    anyio.run(main, backend=backend[0], backend_options=backend[1])


@asynccontextmanager
async def reply_with_slow_close() -> AsyncIterator[tuple[Reply, Wire, anyio.Event]]:
    """Open a reply whose connection takes until the event is set to close."""
    server = Scripted(deltas(2))
    may_close = anyio.Event()
    with anyio.fail_after(5):
        async with server.client() as client:
            async with client.stream("Hi") as reply:
                await settle()
                wire = server.wire
                reply._control.stop.__self__._response.aclose = may_close.wait  # type: ignore[union-attr]
                yield reply, wire, may_close


# --- what the body raises ----------------------------------------------------------------------


@pytest.mark.parametrize("when", ["streaming", "complete", "failed"])
async def test_the_bodys_own_exception_comes_out_as_itself(when: str) -> None:
    error = ValueError("mine")
    error.__cause__ = cause = KeyError("why")
    ends: dict[str, list[Step]] = {
        "streaming": [],
        "complete": [FINISH, End()],
        "failed": [ERROR],
    }
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_reply(*deltas(2), *ends[when]):
            await settle()
            raise error
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert caught.value.__context__ is None


async def test_the_context_of_the_bodys_exception_is_kept() -> None:
    with pytest.raises(ValueError, match="second") as caught:
        async with open_reply(*deltas(2)):
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904  # the context is what is tested
    assert isinstance(caught.value.__context__, KeyError)


async def test_the_callers_own_group_comes_out_as_the_same_object() -> None:
    group = ExceptionGroup("mine", [ValueError(1), ExceptionGroup("inner", [KeyError(2)])])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_reply(*deltas(2)):
            raise group
    assert caught.value is group


async def test_a_group_of_the_callers_task_group_comes_out_as_it_went_in() -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError("child")

    inside: list[BaseException] = []
    with pytest.raises(ExceptionGroup) as caught:
        async with open_reply(*deltas(2)) as (reply, _):
            try:
                async with anyio.create_task_group() as tg:
                    tg.start_soon(fail)
                    await collect(reply)
            except BaseException as error:
                inside.append(error)
                raise
    assert caught.value is inside[0]


async def test_an_errors_group_around_the_block_catches_bare_exceptions() -> None:
    with pytest.raises(StopIteration):
        async with open_reply(*deltas(2)):
            raise StopIteration  # contextlib treats this one in a way of its own
    with pytest.raises(StopAsyncIteration):
        async with open_reply(*deltas(2)):
            raise StopAsyncIteration


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["body", "task group", "nested group"])
def test_interrupts_leave_the_block_as_themselves(
    stop: type[BaseException], where: str, anyio_backend: Backend
) -> None:
    left: list[BaseException] = []
    wires: list[Wire] = []
    raised = stop("now")

    async def interrupted() -> None:
        await anyio.lowlevel.checkpoint()
        raise raised

    async def body(reply: Reply) -> None:
        if where == "body":
            raise raised
        async with anyio.create_task_group() as outer:
            if where == "task group":
                outer.start_soon(interrupted)
                await collect(reply)
            else:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(interrupted)
                    await collect(reply)

    async def main() -> None:
        try:
            async with open_reply(*deltas(2)) as (reply, wire):
                wires.append(wire)
                await body(reply)
        except BaseException as error:
            left.append(error)
            raise

    with pytest.raises(stop):
        run(main, anyio_backend)
    assert wires[0].closed
    # asyncio takes it out of the loop at once and cancels what is left.
    if where == "body" or anyio_backend[0] == "trio":
        assert left == [raised]


# --- limits and cancellation from outside ------------------------------------------------------


async def test_an_outer_fail_after_is_a_timeout_error_and_not_a_group() -> None:
    with pytest.raises(TimeoutError) as caught:
        with anyio.fail_after(5) as scope:
            async with open_reply(*deltas(2)) as (reply, wire):
                scope.deadline = anyio.current_time()
                await collect(reply)
    assert not isinstance(caught.value, FastGPTError)
    assert reply.status is Status.ABANDONED
    assert wire.closed


async def test_an_outer_move_on_after_ends_quietly() -> None:
    with anyio.move_on_after(5) as scope:
        async with open_reply(*deltas(2)) as (reply, wire):
            await settle()
            scope.deadline = anyio.current_time()
            await collect(reply)
    assert scope.cancelled_caught
    assert reply.text == told(2)
    assert wire.closed


async def test_a_scope_inside_the_block_leaves_the_reply_usable() -> None:
    async with open_reply(*deltas(2)) as (reply, wire):
        with anyio.move_on_after(0.02) as scope:
            await collect(reply)
        assert scope.cancelled_caught
        wire.finish(*deltas(1, 2))
        assert await collect(reply) == told(3)


async def test_cancelling_the_callers_task_group_leaves_nothing_open() -> None:
    replies: list[Reply] = []
    wires: list[Wire] = []

    async def chat() -> None:
        async with open_reply(*deltas(2)) as (reply, wire):
            replies.append(reply)
            wires.append(wire)
            await reply.feed(collect, collect)

    async with anyio.create_task_group() as tg:
        for _ in range(3):
            tg.start_soon(chat)
        await settle()
        tg.cancel_scope.cancel()
    assert [reply.status for reply in replies] == [Status.ABANDONED] * 3
    assert all(wire.closed for wire in wires)
    assert [reply.open_subscriptions for reply in replies] == [0, 0, 0]


@asyncio_only
async def test_native_task_cancellation_leaves_nothing_open() -> None:
    replies: list[Reply] = []
    wires: list[Wire] = []

    async def chat() -> None:
        async with open_reply(*deltas(2)) as (reply, wire):
            replies.append(reply)
            wires.append(wire)
            await collect(reply)

    task = asyncio.ensure_future(chat())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert replies[0].status is Status.ABANDONED
    assert wires[0].closed


@asyncio_only
async def test_asyncio_timeout_around_the_block_is_a_timeout_error() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5) as limit:
            async with open_reply(*deltas(2)) as (reply, wire):
                limit.reschedule(anyio.current_time())
                await collect(reply)
    assert wire.closed


@asyncio_only
async def test_asyncio_timeout_inside_the_block_leaves_the_reply_usable() -> None:
    async with open_reply(*deltas(2)) as (reply, wire):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await collect(reply)
        wire.finish(*deltas(1, 2))
        assert await collect(reply) == told(3)


@asyncio_only
async def test_an_asyncio_task_group_around_several_chats_gets_bare_failures() -> None:
    async def chat() -> None:
        async with open_reply(*deltas(2), ERROR) as (reply, _):
            await collect(reply)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as tg:
            tg.create_task(chat())
    assert [type(error).__name__ for error in caught.value.exceptions] == ["QuotaExceededError"]


# --- cancellation during the clean-up ----------------------------------------------------------


async def test_the_bodys_exception_survives_a_cancellation_during_the_clean_up() -> None:
    error = ValueError("mine")
    with anyio.CancelScope() as outer:
        async with anyio.create_task_group() as tg:

            async def cancel_later(may_close: anyio.Event) -> None:
                with anyio.CancelScope(shield=True):
                    await settle()
                    outer.cancel()
                    await settle()
                    may_close.set()

            with pytest.raises(ValueError, match="mine") as caught:
                async with reply_with_slow_close() as (_, _wire, may_close):
                    tg.start_soon(cancel_later, may_close)
                    raise error
    assert caught.value is error


async def test_a_cancellation_during_the_clean_up_without_an_exception_is_a_cancellation() -> None:
    after = False
    with anyio.CancelScope() as outer:
        async with anyio.create_task_group() as tg:

            async def cancel_later(may_close: anyio.Event) -> None:
                with anyio.CancelScope(shield=True):
                    await settle()
                    outer.cancel()
                    may_close.set()

            async with reply_with_slow_close() as (_, _wire, may_close):
                tg.start_soon(cancel_later, may_close)
            await anyio.lowlevel.checkpoint()
            after = True
    assert outer.cancelled_caught
    assert not after


@asyncio_only
async def test_the_bodys_exception_survives_a_native_cancellation_during_the_clean_up() -> None:
    error = ValueError("mine")

    async def chat() -> None:
        async with reply_with_slow_close():
            raise error

    task = asyncio.ensure_future(chat())
    await settle()
    await settle()
    assert not task.done()
    task.cancel()
    with pytest.raises(ValueError, match="mine") as caught:
        await task
    assert caught.value is error


@asyncio_only
async def test_the_bodys_exception_survives_a_native_cancellation_while_the_server_is_told() -> (
    None
):
    error = ValueError("mine")
    with anyio.fail_after(5):
        async with FakeFastGPT() as server:
            told_of_it = anyio.Event()

            async def never(_: Any) -> Any:
                told_of_it.set()
                await anyio.sleep_forever()

            server.route("POST", "/api/v2/chat/stop", never)
            server.script(Script(Delta("Once "), SilentModel()))

            async def chat() -> None:
                async with AsyncChatClient(
                    server.api_key, server.base_url, api="v2", app_id=server.app_id
                ) as client:
                    async with client.stream("Hi") as reply:
                        async for _ in reply:
                            raise error

            task = asyncio.ensure_future(chat())
            await told_of_it.wait()
            task.cancel()
            with pytest.raises(ValueError, match="mine") as caught:
                await task
            assert caught.value is error


@pytest.mark.virtual_time
async def test_the_clean_up_takes_no_longer_than_the_close_limit() -> None:
    async def never() -> None:
        await anyio.sleep_forever()

    server = Scripted(deltas(2))
    with anyio.fail_after(100):
        async with server.client() as client:
            began = anyio.current_time()
            async with client.stream("Hi", timeouts=Timeouts(close=3)) as reply:
                await settle()
                reply._control.stop.__self__._response.aclose = never  # type: ignore[union-attr]
            assert anyio.current_time() - began == pytest.approx(3)


# --- entering ----------------------------------------------------------------------------------


async def test_a_wrong_key_is_told_as_one_bare_error() -> None:
    async with FakeFastGPT() as server:
        async with AsyncChatClient("wrong", server.base_url) as client:
            # The server says so in an event stream with HTTP 200.
            with anyio.fail_after(5), pytest.raises(AuthenticationError) as caught:
                async with client.stream("Hi") as reply:
                    await reply.final()
    assert caught.value.partial == ""


@pytest.mark.parametrize(
    "answer, error",
    [
        (HTTPStatus(502, "<html>bad gateway</html>", "text/html"), ServerError),
        (HTTPStatus(200, "<html>hello</html>", "text/html"), NotAnEventStreamError),
    ],
)
async def test_what_is_no_event_stream_is_raised_when_the_block_is_entered(
    answer: HTTPStatus, error: type[FastGPTError]
) -> None:
    async with FakeFastGPT() as server:
        server.script(answer)
        async with AsyncChatClient(server.api_key, server.base_url) as client:
            with anyio.fail_after(5), pytest.raises(error):
                async with client.stream("Hi"):
                    pytest.fail("entered")


async def test_a_refused_connection_is_a_connect_error_with_its_cause() -> None:
    server = Scripted(error="ConnectError")
    async with server.client() as client:
        with pytest.raises(ConnectError) as caught:
            async with client.stream("Hi"):
                pytest.fail("entered")
    assert type(caught.value.__cause__).__name__ == "ConnectError"
    assert caught.value.reply is None


async def test_a_connection_that_breaks_before_the_headers_is_interrupted() -> None:
    server = Scripted(error="ReadError")
    async with server.client() as client:
        with pytest.raises(ReplyInterruptedError):
            await client.ask("Hi")
    assert len(server.requests) == 1


async def test_cancelling_while_the_block_is_entered_is_a_plain_cancellation() -> None:
    server = Scripted(headers_after=1000)
    async with server.client() as client:
        with anyio.move_on_after(0.02) as scope:
            async with client.stream("Hi"):
                pytest.fail("entered")
        assert scope.cancelled_caught


async def test_only_our_clocks_bound_the_silence_of_a_model() -> None:
    server = Scripted([FINISH, End()])
    async with server.client() as client:
        await client.ask("Hi", timeouts=Timeouts(connect=7))
    limits = server.requests[0].extensions["timeout"]
    assert limits == {"connect": 7, "pool": 7, "read": None, "write": None}


# --- the client around it ----------------------------------------------------------------------


async def test_closing_the_client_ends_open_replies_with_an_error_that_says_so() -> None:
    server = Scripted(deltas(2))
    async with server.client() as client:
        with anyio.fail_after(5), pytest.raises(ReplyInterruptedError, match="client was closed"):
            async with client.stream("Hi") as reply:
                async for event in reply:
                    if event.index == 1:
                        await client.aclose()
        assert reply.failure is not None
        assert reply.failure.partial == told(2)
        assert server.wire.closed


async def test_closing_the_client_in_one_task_tells_the_replies_of_all_others() -> None:
    server = Scripted(deltas(2))
    met: list[str] = []
    async with server.client() as client:

        async def chat(policy: Policy) -> None:
            async with client.stream("Hi") as reply:
                with pytest.raises(ReplyInterruptedError) as caught:
                    await reply.feed(collect, policy=policy)
                met.append(caught.value.partial)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                for policy in (Policy.lossless(), Policy.paced(), Policy.live()):
                    tg.start_soon(chat, policy)
                await settle()
                await client.aclose()
    assert met == [told(2)] * 3


async def test_a_complete_reply_is_not_changed_by_closing_the_client() -> None:
    server = Scripted([*deltas(2), FINISH, End()])
    async with server.client() as client:
        async with client.stream("Hi") as reply:
            await reply.final()
            await client.aclose()
            assert await collect(reply) == told(2)
    assert reply.status is Status.COMPLETE


async def test_a_closed_client_says_so() -> None:
    server = Scripted()
    async with server.client() as client:
        await client.aclose()
        with pytest.raises(UsageError, match="closed"):
            await client.ask("Hi")
        await client.aclose()


async def test_a_client_may_be_entered_and_left_in_different_tasks() -> None:
    server = Scripted([*deltas(2), FINISH, End()])
    async with server.client() as client:

        async def enter() -> None:
            await client.__aenter__()

        async def leave() -> None:
            await client.__aexit__(None, None, None)

        async with anyio.create_task_group() as tg:
            tg.start_soon(enter)
        assert (await client.ask("Hi")).text == told(2)
        async with anyio.create_task_group() as tg:
            tg.start_soon(leave)


def test_a_client_of_another_event_loop_says_so(anyio_backend: Backend) -> None:
    kept: list[AsyncChatClient] = []
    server = Scripted([FINISH, End()])

    async def first() -> None:
        async with server.client() as client:
            kept.append(client)
            await client.ask("Hi")
            client._closed = False

    async def second() -> None:
        async with server.client():
            kept[0]._closed = False
            with pytest.raises(UsageError, match="another event loop"):
                await kept[0].ask("Hi")

    run(first, anyio_backend)
    run(second, anyio_backend)


# --- left in another task ----------------------------------------------------------------------


def test_leaving_the_block_in_another_task_says_so_and_names_the_right_way(
    anyio_backend: Backend,
) -> None:
    met: list[BaseException] = []
    wires: list[Wire] = []

    async def main() -> None:
        server = Scripted(deltas(2))
        async with server.client() as client:
            block = client.stream("Hi")
            await block.__aenter__()
            await settle()
            wires.append(server.wire)

            async def leave() -> None:
                try:
                    await block.__aexit__(None, None, None)
                except BaseException as error:  # noqa: ASYNC103 - looked at below
                    met.append(error)

            async with anyio.create_task_group() as tg:
                tg.start_soon(leave)

    if anyio_backend[0] == "asyncio":
        run(main, anyio_backend)
    else:
        # trio counts the nurseries of a task: the task that entered cannot end any more.
        with pytest.raises(BaseException, match="misnesting"):
            run(main, anyio_backend)
    assert [type(error) for error in met] == [UsageError]
    assert "another task" in str(met[0])
    assert "fastgpt_client.asgi.ReplyResponse" in str(met[0])
    assert wires[0].closed


def test_a_generator_around_the_block_that_is_finished_elsewhere_says_so(
    anyio_backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    on_trio = anyio_backend[0] == "trio"
    told_of: list[str] = []
    wires: list[Wire] = []

    async def main() -> None:
        if not on_trio:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: told_of.append(str(context.get("exception")))
            )
        server = Scripted(deltas(2))
        async with server.client() as client:

            async def texts() -> AsyncIterator[str]:  # noqa: ASYNC900 - what goes wrong is the point
                async with client.stream("Hi", timeouts=Timeouts(close=1e-6)) as reply:
                    async for event in reply:
                        yield event.text  # noqa: ASYNC119 - what goes wrong is the point

            generator = texts()
            assert await anext(generator) == "<0>"
            wires.append(server.wire)
            with pytest.warns(ResourceWarning) if on_trio else nullcontext():
                del generator
                gc.collect()
            with anyio.fail_after(5):
                while not wires[0].closed:  # noqa: ASYNC110 - no event tells of it
                    await anyio.sleep(0.001)
                await settle()
            gc.collect()

    with caplog.at_level(logging.ERROR):
        run(main, anyio_backend)
    told_of += [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert any("fastgpt_client.asgi.ReplyResponse" in message for message in told_of)
    assert wires[0].closed

"""What is used wrongly says what is wrong and what to do, at once and without hanging."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from fastgpt_client import AsyncChatClient, InvalidArgumentError, Policy, Reply, UsageError
from fastgpt_client.consumers import print_text

from .scripted import FINISH, End, Scripted, deltas, open_reply, settle, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastgpt_client import Subscription

    Backend = tuple[str, dict[str, Any]]

pytestmark = pytest.mark.anyio


def run(main: Callable[[], Awaitable[Any]], backend: Backend) -> Any:
    async def bounded() -> Any:
        with anyio.fail_after(5):
            return await main()

    return anyio.run(bounded, backend=backend[0], backend_options=backend[1])


# --- the block ---------------------------------------------------------------------------------


async def test_a_block_that_is_entered_twice_says_that_it_is_one_request() -> None:
    server = Scripted([*deltas(1), FINISH, End()])
    async with server.client() as client:
        block = client.stream("Hi")
        async with block as reply:
            assert (await reply.final()).text == told(1)
            with pytest.raises(UsageError, match=r"once.*stream\(\) again"):
                async with block:
                    pass
        with pytest.raises(UsageError, match="once"):
            async with block:
                pass
    assert len(server.requests) == 1


async def test_a_block_that_could_not_be_entered_is_not_entered_again() -> None:
    server = Scripted(error="ConnectError")
    async with server.client() as client:
        block = client.stream("Hi")
        with pytest.raises(Exception, match="no connection"):
            await block.__aenter__()
        with pytest.raises(UsageError, match="once"):
            await block.__aenter__()
    assert len(server.requests) == 1


async def test_iterating_over_a_block_says_how_to_enter_it() -> None:
    server = Scripted()
    async with server.client() as client:
        with pytest.raises(UsageError, match=r"async with client\.stream\(…\) as reply"):
            async for _ in client.stream("Hi"):  # type: ignore[attr-defined]
                pass
    assert server.requests == []


async def test_awaiting_a_block_says_how_to_enter_it() -> None:
    async with Scripted().client() as client:
        with pytest.raises(UsageError, match=r"async with client\.stream.*await client\.ask"):
            await client.stream("Hi")  # type: ignore[misc]


async def test_a_block_that_is_printed_says_what_it_is() -> None:
    async with Scripted([*deltas(1), FINISH, End()]).client() as client:
        block = client.stream("Hi")
        assert "not entered: write `async with client.stream(…) as reply:`" in repr(block)
        assert repr(client.conversation().stream("Hi")) == repr(block)
        async with block:
            assert repr(block) == "<block of client.stream(), entered>"


async def test_a_plain_with_says_how_to_enter_the_block() -> None:
    async with Scripted().client() as client:
        with pytest.raises(UsageError, match=r"async with client\.stream"):
            with client.stream("Hi"):  # type: ignore[attr-defined]
                pass


@pytest.mark.parametrize("name", ["text", "final", "feed", "subscribe", "stop", "typo"])
async def test_a_block_that_is_taken_for_its_reply_says_how_to_enter_it(name: str) -> None:
    async with Scripted().client() as client:
        with pytest.raises(AttributeError, match=rf"'{name}'.*async with client\.stream"):
            getattr(client.stream("Hi"), name)


async def test_a_block_that_is_never_entered_sends_nothing_and_leaves_nothing() -> None:
    server = Scripted()
    async with server.client() as client:
        client.stream("Hi")
    assert server.requests == []


# --- after the block ---------------------------------------------------------------------------


async def test_a_reply_after_its_block_says_what_still_works() -> None:
    async with open_reply(*deltas(2), FINISH, End()) as (reply, _):
        await reply.final()
    for policy in (None, Policy.paced(), Policy.live()):
        with pytest.raises(UsageError, match=r"after the reply's block.*\.text"):
            reply.subscribe(policy)
    with pytest.raises(UsageError, match=r"after the reply's block.*\.text"):
        aiter(reply)
    with pytest.raises(UsageError, match="after the reply's block"):
        await reply.feed(print_text)
    assert reply.text == told(2)
    assert (await reply.final()).text == told(2)
    assert await reply.stop() == "ended"


async def test_a_loop_that_goes_on_after_the_block_says_that_it_is_closed() -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        events = aiter(reply)
        await anext(events)
    with pytest.raises(anyio.ClosedResourceError, match="end of the reply's block"):
        await anext(events)


# --- word for word -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, options, words",
    [
        (
            ("print",),
            {},
            "feed() takes one or more async callables that take a subscription, such as print_text "
            "(without parentheses)",
        ),
        ((print_text,), {"policy": []}, "feed() got 0 policies for 1 consumers"),
        (
            (print_text,),
            {"policy": "live"},
            "feed() got 4 policies for 1 consumers",
        ),
        (
            (print_text,),
            {"on_failure": "ignore"},
            "feed() knows 'drain' and 'cancel' there, not 'ignore'",
        ),
        (
            (print_text,),
            {"on_error": "drain"},
            "feed() knows 'cancel' and 'isolate' there, not 'drain'",
        ),
        (
            (print_text,),
            {"policy": ["live"]},
            "policy must be Policy.lossless(), .paced() or .live(), not 'live'",
        ),
    ],
)
async def test_what_feed_refuses_it_explains(
    arguments: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    async with open_reply(FINISH, End()) as (reply, _):
        with pytest.raises(InvalidArgumentError) as caught:
            await reply.feed(*arguments, **options)
    assert str(caught.value) == words


async def test_what_is_used_too_late_or_in_two_tasks_is_explained() -> None:
    async with open_reply(*deltas(2)) as (reply, _):
        await settle()
        subscription = reply.subscribe(name="mine")
        said: list[str] = []

        async def use(call: Callable[[], Awaitable[Any]]) -> None:
            try:
                await call()
            except (anyio.BusyResourceError, anyio.ClosedResourceError, UsageError) as error:
                said.append(str(error))

        async with anyio.create_task_group() as tg:
            for _ in range(2):  # the events that are there
                await subscription.receive()
            tg.start_soon(use, subscription.receive)
            await settle()
            await use(subscription.receive)
            subscription.close()
    await use(reply.final)
    with pytest.raises(UsageError) as caught:
        reply.subscribe()
    assert [*said, str(caught.value)] == [
        "the subscription 'mine' belongs to one task and another task is waiting on it: give each "
        "task a subscription of its own with reply.subscribe()",
        "the subscription 'mine' is closed, by close() or by the end of the reply's block: "
        "subscribe() again inside the block",
        "the reply's block was left before the reply ended, so there is no whole answer; what "
        "arrived is in .text",
        "subscribe() was called after the reply's block: what arrived is in .text, .reasoning, "
        ".status and .failure",
    ]


async def test_a_second_loop_over_a_subscription_is_explained() -> None:
    async with open_reply(*deltas(2)) as (reply, _):
        await settle()
        subscription = reply.subscribe(name="mine")
        await anext(aiter(subscription))

        async def loop() -> None:
            with pytest.raises(anyio.BusyResourceError) as caught:
                aiter(subscription)
            assert str(caught.value) == (
                "the subscription 'mine' belongs to one task and another task iterates it already: "
                "give each task a subscription of its own with reply.subscribe()"
            )

        async with anyio.create_task_group() as tg:
            tg.start_soon(loop)


async def test_a_subscription_is_called_by_its_consumers_name() -> None:
    async def counter(subscription: Subscription) -> str:
        return subscription.name

    class Counter:
        async def __call__(self, subscription: Subscription) -> str:
            return subscription.name

    async with open_reply(*deltas(2), FINISH, End()) as (reply, _):
        names = await reply.feed(counter, functools.partial(counter), Counter())
        assert names == ("counter", "counter", "Counter")
        assert reply.subscribe().name == "lossless"
        assert reply.subscribe(Policy.live()).name == "live"
        assert aiter(reply).name == "loop"


# --- another event loop ------------------------------------------------------------------------


async def wait_for_an_event(reply: Reply) -> None:
    async for _ in reply:
        pass


async def receive_one(reply: Reply) -> None:
    with reply.subscribe() as subscription:
        await subscription.receive()


async def receive_one_paced(reply: Reply) -> None:
    with reply.subscribe(Policy.paced()) as subscription:
        await subscription.receive()


async def receive_many(reply: Reply) -> None:
    with reply.subscribe() as subscription:
        await subscription.receive_many()


async def wait_for_the_end(reply: Reply) -> None:
    await reply.final()


async def stop(reply: Reply) -> None:
    await reply.stop()


async def feed(reply: Reply) -> None:
    await reply.feed(print_text)


@pytest.mark.parametrize(
    "use",
    [
        wait_for_an_event,
        receive_one,
        receive_one_paced,
        receive_many,
        wait_for_the_end,
        stop,
        feed,
    ],
)
@pytest.mark.parametrize("other", ["asyncio", "trio"])
async def test_a_reply_that_is_used_in_another_event_loop_says_so_and_does_not_hang(
    use: Callable[[Reply], Awaitable[None]], other: str
) -> None:
    pytest.importorskip(other)
    met: list[BaseException] = []

    async with open_reply(*deltas(2)) as (reply, wire):
        await settle()

        def elsewhere() -> None:
            try:
                run(lambda: use(reply), (other, {}))
            except BaseException as error:  # noqa: ASYNC103 - looked at below
                met.append(error)

        await anyio.to_thread.run_sync(elsewhere)
        assert [type(error) for error in met] == [UsageError]
        assert str(met[0]) == (
            "this reply lives in another event loop, where its block is: read it there, or from "
            "another thread with anyio.from_thread.run()"
        )
        # It harmed nobody.
        wire.finish()
        assert (await reply.final()).text == told(2)


async def test_a_worker_thread_reads_a_reply_the_right_way() -> None:
    async with open_reply(*deltas(2), FINISH, End()) as (reply, _):

        def work() -> str:
            answer = anyio.from_thread.run(reply.final)
            return str(answer.text)

        assert await anyio.to_thread.run_sync(work) == told(2)


def test_a_client_that_goes_to_another_backend_says_so(anyio_backend: Backend) -> None:
    other = "asyncio" if anyio_backend[0] == "trio" else "trio"
    pytest.importorskip(other)
    server = Scripted([FINISH, End()])
    client: AsyncChatClient | None = None

    async def first() -> None:
        nonlocal client
        async with server.client() as client:
            await client.ask("Hi")
            client._closed = False

    async def second() -> None:
        assert client is not None
        client._closed = False
        with pytest.raises(UsageError, match=r"another event loop.*one AsyncChatClient for each"):
            await client.ask("Hi")
        with pytest.raises(UsageError, match="another event loop"):
            await client.create_chat_completion("Hi")
        with pytest.raises(UsageError, match="another event loop"):
            await client.request("GET", "/api/core/chat/init")

    run(first, anyio_backend)
    run(second, (other, {}))
    assert len(server.requests) == 1


async def test_a_client_in_a_thread_with_a_loop_of_its_own_says_so() -> None:
    met: list[BaseException] = []
    server = Scripted([*deltas(1), FINISH, End()])
    async with server.client() as client:
        await client.ask("Hi")

        async def ask() -> None:
            await client.ask("Hi")

        def elsewhere() -> None:
            try:
                run(ask, ("asyncio", {}))
            except BaseException as error:  # noqa: ASYNC103 - looked at below
                met.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await anyio.to_thread.run_sync(thread.join, 5)
    assert [type(error) for error in met] == [UsageError]

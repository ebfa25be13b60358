"""What a subscription sees: policies, replay, checkpoints, endings, native cancellation."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    InvalidArgumentError,
    Policy,
    QuotaExceededError,
    ReplyInterruptedError,
    Status,
    UsageError,
)

from .scripted import (
    ERROR,
    FINISH,
    End,
    asyncio_only,
    collect,
    delta,
    deltas,
    open_reply,
    settle,
    told,
)

if TYPE_CHECKING:
    from fastgpt_client import Reply, Subscription

pytestmark = pytest.mark.anyio

POLICIES = [Policy.lossless(), Policy.paced(0), Policy.paced(3), Policy.live(1), Policy.live(64)]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p.kind}-{p.buffer}")


def seen_events(reply: Reply) -> int:
    return reply.timings.events


# --- lossless ----------------------------------------------------------------------------------


async def test_a_lossless_subscription_sees_every_event_in_order() -> None:
    async with open_reply(*deltas(200), FINISH, End()) as (reply, _):
        events = [event async for event in reply.subscribe()]
        assert [event.index for event in events] == list(range(200))
        assert "".join(event.text for event in events) == told(200) == reply.text


async def test_a_late_subscriber_replays_from_the_first_event() -> None:
    async with open_reply(*deltas(3)) as (reply, wire):
        await settle()
        assert reply.text == told(3)
        late = reply.subscribe()
        assert (await late.receive()).text == "<0>"
        wire.finish(*deltas(1, 3))
        assert await collect(late) == told(3, 1)


async def test_a_subscriber_after_the_end_replays_and_ends() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        await reply.final()
        assert await collect(reply.subscribe()) == told(3)


async def test_each_loop_over_the_reply_starts_at_the_first_event() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        async for event in reply:
            assert event.text == "<0>"
            break
        assert await collect(reply) == told(3)
        assert await collect(reply) == told(3)


async def test_a_loop_that_was_left_can_be_taken_up_again() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        subscription = reply.subscribe()
        async for event in subscription:
            assert event.text == "<0>"
            break
        assert await collect(subscription) == "<1><2>"


async def test_an_unread_lossless_subscription_holds_nobody_up() -> None:
    async with open_reply(*deltas(500), FINISH, End()) as (reply, _):
        unread = reply.subscribe()
        assert (await reply.final()).text == told(500)
        assert unread.statistics().behind == 500


# --- paced -------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [0, 3])
@pytest.mark.parametrize("one_chunk", [False, True], ids=["chunks", "one chunk"])
async def test_the_producer_is_at_most_the_buffer_and_one_ahead_of_a_paced_consumer(
    buffer: int, one_chunk: bool
) -> None:
    frames = deltas(20)
    async with open_reply() as (reply, wire):
        with reply.subscribe(Policy.paced(buffer)) as paced:
            if one_chunk:
                wire.finish(b"".join(frames))
            else:
                wire.finish(*frames)
            await settle()
            # Nothing was taken yet: nothing is in hand.
            assert seen_events(reply) == buffer + 1
            for number in range(20):
                event = await paced.receive()
                assert event.text == f"<{number}>"
                await settle()
                assert seen_events(reply) == min(20, number + 1 + buffer + 1)
                assert reply.text == told(seen_events(reply))
            with pytest.raises(anyio.EndOfStream):
                await paced.receive()


async def test_a_paced_consumer_makes_the_server_wait() -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(Policy.paced()) as paced:
            wire.finish(*deltas(20))
            await settle()
            assert wire.reads == 1
            await paced.receive()
            await settle()
            assert wire.reads == 2


async def test_a_late_paced_subscriber_replays_and_then_paces() -> None:
    async with open_reply(*deltas(5)) as (reply, wire):
        await settle()
        with reply.subscribe(Policy.paced()) as paced:
            wire.finish(*deltas(10, 5))
            await settle()
            assert seen_events(reply) == 6
            assert "".join([(await paced.receive()).text for _ in range(5)]) == told(5)
            await settle()
            assert seen_events(reply) == 6
            assert await collect(paced) == told(10, 5)


async def test_a_paced_subscriber_that_comes_while_the_producer_reads_slows_it_at_once() -> None:
    async with open_reply() as (reply, wire):
        first = reply.subscribe()
        wire.push(*deltas(1))
        await first.receive()
        with reply.subscribe(Policy.paced()) as paced:
            wire.finish(*deltas(19, 1))
            await settle()
            assert seen_events(reply) == 2
            assert await collect(paced) == told(20)


async def test_two_paced_consumers_see_everything_and_the_slower_one_sets_the_pace() -> None:
    async with open_reply(*deltas(20), FINISH, End()) as (reply, _):
        with reply.subscribe(Policy.paced()) as slow, reply.subscribe(Policy.paced(3)) as fast:
            texts: list[str] = []

            async def read() -> None:
                texts.append(await collect(fast))

            async with anyio.create_task_group() as tg:
                tg.start_soon(read)
                for number in range(20):
                    await settle()
                    assert seen_events(reply) <= number + 1
                    assert (await slow.receive()).text == f"<{number}>"
            assert texts == [told(20)]


async def test_closing_a_paced_subscription_frees_the_producer() -> None:
    async with open_reply(*deltas(20), FINISH, End()) as (reply, _):
        paced = reply.subscribe(Policy.paced())
        await settle()
        assert reply.status is Status.STREAMING
        paced.close()
        assert (await reply.final()).text == told(20)


async def test_a_forgotten_paced_subscription_frees_the_producer() -> None:
    async with open_reply(*deltas(20), FINISH, End()) as (reply, _):
        paced = reply.subscribe(Policy.paced())
        await paced.receive()
        await settle()
        assert reply.status is Status.STREAMING
        alive = weakref.ref(paced)
        del paced
        gc.collect()
        assert alive() is None
        assert (await reply.final()).text == told(20)


async def test_a_paced_loop_that_is_left_by_break_and_forgotten_frees_the_producer() -> None:
    async with open_reply(*deltas(20), FINISH, End()) as (reply, _):

        async def first_word() -> str:
            async for event in reply.subscribe(Policy.paced()):
                return event.text
            return ""

        assert await first_word() == "<0>"
        gc.collect()
        assert (await reply.final()).text == told(20)


async def test_a_paced_subscription_reads_to_the_end_after_the_reply_ended() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        with reply.subscribe(Policy.paced(5)) as paced:
            await reply.final()
            assert await collect(paced) == told(3)


# --- live --------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [1, 3, 64])
async def test_a_slow_live_consumer_loses_the_oldest_and_counts_them(buffer: int) -> None:
    async with open_reply() as (reply, wire):
        live = reply.subscribe(Policy.live(buffer))
        seen: list[str] = []
        expected: list[str] = []
        kept: list[str] = []
        for start in range(0, 100, 20):
            wire.push(*deltas(20, start))
            await settle()
            seen.append((await live.receive()).text)
            kept = [*kept, *(f"<{start + more}>" for more in range(20))][-buffer:]
            expected.append(kept.pop(0))
        wire.finish()
        seen += [event.text async for event in live]
        assert seen == expected + kept
        assert len(seen) + live.dropped == 100 == seen_events(reply)
        statistics = live.statistics()
        assert statistics.dropped == live.dropped > 0
        assert (statistics.received, statistics.behind) == (len(seen), 0)


async def test_a_live_consumer_that_is_late_starts_from_now() -> None:
    async with open_reply(*deltas(5)) as (reply, wire):
        await settle()
        live = reply.subscribe(Policy.live(8))
        wire.finish(*deltas(2, 5))
        assert await collect(live) == told(2, 5)
        assert live.dropped == 0


async def test_a_live_consumer_that_keeps_up_loses_nothing() -> None:
    async with open_reply() as (reply, wire):
        live = reply.subscribe(Policy.live(1))
        for number in range(50):
            wire.push(delta(f"<{number}>"))
            assert (await live.receive()).text == f"<{number}>"
        wire.finish()
        assert await collect(live) == ""
        assert live.dropped == 0


# --- one task, one subscription ----------------------------------------------------------------


@every_policy
async def test_a_second_task_that_waits_on_the_same_subscription_gets_a_clear_error(
    policy: Policy,
) -> None:
    async with open_reply() as (reply, wire):
        subscription = reply.subscribe(policy, name="mine")
        texts: list[str] = []

        async def read() -> None:
            texts.append(await collect(subscription))

        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            await settle()
            with pytest.raises(anyio.BusyResourceError, match=r"'mine'.*reply\.subscribe\(\)"):
                await subscription.receive()
            with pytest.raises(anyio.BusyResourceError, match=r"'mine'.*reply\.subscribe\(\)"):
                async for _ in subscription:
                    pass
            wire.finish(*deltas(1))
        assert texts == [told(1)]


async def test_two_tasks_that_iterate_buffered_events_do_not_share_them_out() -> None:
    async with open_reply(*deltas(300), FINISH, End()) as (reply, _):
        await reply.final()
        subscription = reply.subscribe()
        texts: list[str] = []
        refused: list[str] = []

        async def read() -> None:
            try:
                texts.append(await collect(subscription))
            except anyio.BusyResourceError as error:
                refused.append(str(error))

        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            tg.start_soon(read)
        assert texts == [told(300)]
        assert len(refused) == 1


async def test_a_subscription_can_be_made_in_one_task_and_read_in_another() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        texts: list[str] = []

        async def read(subscription: Subscription) -> None:
            texts.append(await collect(subscription))

        async with anyio.create_task_group() as tg:
            tg.start_soon(read, reply.subscribe())
        assert texts == [told(3)]


async def test_a_subscription_goes_to_another_task_after_single_reads() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        subscription = reply.subscribe()
        assert (await subscription.receive()).text == "<0>"
        texts: list[str] = []

        async def rest() -> None:
            texts.append(await collect(subscription))

        async with anyio.create_task_group() as tg:
            tg.start_soon(rest)
        assert texts == ["<1><2>"]


async def test_a_subscription_goes_to_another_task_when_the_first_ones_loop_was_cancelled() -> None:
    async with open_reply(*deltas(1)) as (reply, wire):
        subscription = reply.subscribe()
        texts: list[str] = []

        async def first() -> None:
            with anyio.move_on_after(0.01):
                texts.append((await subscription.receive()).text)
                await collect(subscription)

        async def rest() -> None:
            texts.append(await collect(subscription))

        async with anyio.create_task_group() as tg:
            tg.start_soon(first)
        wire.finish(*deltas(2, 1))
        async with anyio.create_task_group() as tg:
            tg.start_soon(rest)
        assert texts == ["<0>", "<1><2>"]


async def test_a_second_task_after_a_failed_loop_sees_the_failure() -> None:
    async with open_reply(*deltas(1), ERROR) as (reply, _):
        subscription = reply.subscribe()
        met: list[str] = []

        async def read() -> None:
            with pytest.raises(QuotaExceededError) as caught:
                await collect(subscription)
            met.append(caught.value.partial)

        for _ in range(2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(read)
        assert met == ["<0>"] * 2


# --- closing -----------------------------------------------------------------------------------


@every_policy
async def test_a_closed_subscription_says_so(policy: Policy) -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        subscription = reply.subscribe(policy, name="mine")
        subscription.close()
        subscription.close()
        with pytest.raises(anyio.ClosedResourceError, match="'mine' is closed"):
            await subscription.receive()
        with pytest.raises(anyio.ClosedResourceError):
            await collect(subscription)
        with pytest.raises(anyio.ClosedResourceError):
            await subscription.receive_many()
        assert reply.open_subscriptions == 0


@every_policy
async def test_closing_a_subscription_wakes_the_task_that_waits_on_it(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        subscription = reply.subscribe(policy)
        woken: list[BaseException] = []

        async def read() -> None:
            try:
                await subscription.receive()
            except anyio.ClosedResourceError as error:
                woken.append(error)

        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            await settle()
            subscription.close()
        assert len(woken) == 1
        wire.finish()
        await reply.final()


@every_policy
async def test_closing_while_events_are_on_their_way_disturbs_nobody(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        for number in range(20):
            subscription = reply.subscribe(policy)

            async def read(subscription: Subscription = subscription) -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    while True:
                        await subscription.receive()

            async with anyio.create_task_group() as tg:
                tg.start_soon(read)
                await settle()
                # The producer is woken before the reader, or after it.
                wire.push(delta(f"<{number}>"))
                subscription.close()
        wire.finish()
        assert (await reply.final()).text == told(20)


async def test_a_subscription_closes_at_the_end_of_its_with_block() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        with reply.subscribe() as first:
            assert reply.open_subscriptions == 1
        async with reply.subscribe() as second:
            assert reply.open_subscriptions == 1
        assert reply.open_subscriptions == 0
        for closed in (first, second):
            with pytest.raises(anyio.ClosedResourceError):
                await closed.receive()


@every_policy
async def test_leaving_the_block_closes_every_subscription(policy: Policy) -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        subscription = reply.subscribe(policy)
    assert reply.open_subscriptions == 0
    with pytest.raises(anyio.ClosedResourceError, match="block"):
        await subscription.receive()


async def test_subscribing_after_the_block_raises_a_usage_error() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        await reply.final()
    with pytest.raises(UsageError, match=r"subscribe\(\).*block"):
        reply.subscribe()
    with pytest.raises(UsageError):
        reply.__aiter__()


async def test_a_policy_of_the_wrong_type_is_refused() -> None:
    async with open_reply() as (reply, _):
        with pytest.raises(InvalidArgumentError) as caught:
            reply.subscribe("live")  # type: ignore[arg-type]
        assert caught.value.field == "policy"


# --- the receive stream's interface ------------------------------------------------------------


@every_policy
async def test_receive_ends_with_end_of_stream_again_and_again(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        subscription = reply.subscribe(policy)
        wire.finish(*deltas(1))
        assert (await subscription.receive()).text == "<0>"
        for _ in range(3):
            with pytest.raises(anyio.EndOfStream):
                await subscription.receive()
        assert await collect(subscription) == ""


async def test_receive_many_returns_what_is_there_and_at_most_64() -> None:
    async with open_reply(*deltas(100)) as (reply, wire):
        await settle()
        subscription = reply.subscribe()
        assert (await subscription.receive()).text == "<0>"
        sizes = [len(await subscription.receive_many()) for _ in range(2)]
        assert sum(sizes) == 99
        assert max(sizes) == 64
        wire.finish(*deltas(1, 100))
        assert [event.text for event in await subscription.receive_many()] == ["<100>"]
        with pytest.raises(anyio.EndOfStream):
            await subscription.receive_many()


@pytest.mark.parametrize("policy", [Policy.paced(0), Policy.live(64)], ids=["paced", "live"])
async def test_receive_many_of_a_paced_or_live_subscription_returns_one(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            wire.finish(*deltas(5))
            got = [await subscription.receive_many() for _ in range(5)]
            assert [[event.text for event in events] for events in got] == [
                [f"<{number}>"] for number in range(5)
            ]


async def test_statistics_tell_how_far_a_subscription_is() -> None:
    async with open_reply(*deltas(10)) as (reply, wire):
        await settle()
        subscription = reply.subscribe()
        for _ in range(4):
            await subscription.receive()
        statistics = subscription.statistics()
        assert (statistics.received, statistics.behind, statistics.dropped) == (4, 6, 0)
        assert statistics.tasks_waiting == 0
        async with anyio.create_task_group() as tg:
            tg.start_soon(collect, subscription)
            await settle()
            statistics = subscription.statistics()
            assert (statistics.received, statistics.behind) == (10, 0)
            assert statistics.tasks_waiting == 1
            wire.finish()


async def test_the_repr_tells_name_policy_and_place() -> None:
    async with open_reply(*deltas(2)) as (reply, _):
        await settle()
        subscription = reply.subscribe(name="printer")
        assert repr(subscription) == "<Subscription 'printer', lossless, at 0 of 2>"
        subscription.close()
        assert repr(subscription) == "<Subscription 'printer', lossless, closed>"


# --- checkpoints -------------------------------------------------------------------------------


async def test_reading_many_buffered_events_lets_another_task_run_every_64() -> None:
    count = 100_000
    async with open_reply(delta("x") * count, FINISH, End(), limit=15) as (reply, _):
        await reply.final()
        gaps: list[int] = []
        at = last = 0
        reading = True

        async def other() -> None:
            nonlocal last
            while reading:
                gaps.append(at - last)
                last = at
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tg:
            tg.start_soon(other)
            async for _ in reply:
                at += 1
            reading = False
        assert at == count
        assert max(gaps) <= 128  # trio runs two runnable tasks in either order
        assert len(gaps) > count / 128


async def test_a_cancelled_body_stops_within_64_buffered_events() -> None:
    async with open_reply(b"".join(deltas(1000)), FINISH, End()) as (reply, _):
        await reply.final()
        seen = 0
        with anyio.CancelScope() as scope:
            async for _ in reply:
                seen += 1
                if seen == 10:
                    scope.cancel()
        assert scope.cancelled_caught
        assert seen <= 10 + 63


@every_policy
@pytest.mark.parametrize("method", ["receive", "receive_many", "__anext__"])
async def test_a_first_read_sees_cancellation_even_when_an_event_is_there(
    policy: Policy, method: str
) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            wire.push(*deltas(3))
            await settle()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await getattr(subscription, method)()
            assert scope.cancelled_caught


async def test_a_paced_subscription_yields_at_every_item() -> None:
    async with open_reply(*deltas(20)) as (reply, wire):
        await settle()
        wire.finish()
        with reply.subscribe(Policy.paced(50)) as paced:
            for _ in range(20):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await paced.receive()
                assert scope.cancelled_caught
                await paced.receive()


async def test_the_end_is_a_checkpoint_too() -> None:
    async with open_reply(FINISH, End()) as (reply, _):
        await reply.final()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await collect(reply)
        assert scope.cancelled_caught


# --- the end and the failure -------------------------------------------------------------------


@every_policy
async def test_a_failure_comes_after_everything_that_arrived(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            seen = ""
            wire.push(b"".join(deltas(1)))
            seen += (await subscription.receive()).text
            assert subscription.met_failure is False
            wire.push(delta("<1>"), ERROR)
            with pytest.raises(QuotaExceededError) as caught:
                async for event in subscription:
                    seen += event.text
            assert seen == told(2) == caught.value.partial == reply.text
            assert subscription.met_failure is True
            with pytest.raises(QuotaExceededError):
                await subscription.receive()


async def test_each_subscription_raises_an_exception_of_its_own_with_one_cause() -> None:
    import httpx

    broken = httpx.ReadError("reset")
    async with open_reply(*deltas(3), broken) as (reply, _):
        met: list[ReplyInterruptedError] = []
        for _ in range(3):
            with pytest.raises(ReplyInterruptedError) as caught:
                await collect(reply)
            met.append(caught.value)
        with pytest.raises(ReplyInterruptedError) as final:
            await reply.final()
        met.append(final.value)
        assert reply.failure is not None
        assert len({id(error) for error in [*met, reply.failure]}) == 5
        assert {id(error.__cause__) for error in met} == {id(broken)}
        assert {error.partial for error in met} == {told(3)}
        assert all(error.reply is reply for error in met)


# --- native cancellation on asyncio ------------------------------------------------------------


@asyncio_only
@every_policy
@pytest.mark.parametrize("spins", range(6))
async def test_a_native_cancellation_at_the_hand_over_loses_nothing(
    policy: Policy, spins: int
) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            seen: list[Any] = []
            for number in range(20):
                task = asyncio.ensure_future(subscription.receive())
                await settle()
                wire.push(delta(f"<{number}>"))
                for _ in range(spins):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    seen.append((await task).text)
                except asyncio.CancelledError:  # noqa: ASYNC103 - another task's cancellation
                    with anyio.fail_after(2):
                        seen.append((await subscription.receive()).text)  # noqa: ASYNC102 - another task's cancellation
            wire.finish()
            assert await collect(subscription) == ""
            assert "".join(seen) == told(20)
            assert subscription.dropped == 0


@asyncio_only
@every_policy
async def test_asyncio_timeouts_around_single_reads_lose_nothing(policy: Policy) -> None:
    async with open_reply() as (reply, wire):

        async def write() -> None:
            for number in range(60):
                wire.push(delta(f"<{number}>"))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
            wire.finish()

        with reply.subscribe(policy) as subscription:
            async with anyio.create_task_group() as tg:
                tg.start_soon(write)
                seen = ""
                # The one without a limit gets on where a loop's clock makes every limit zero.
                limits = itertools.cycle([0, 0.0005, None])
                while True:
                    try:
                        async with asyncio.timeout(next(limits)):
                            seen += (await subscription.receive()).text
                    except TimeoutError:
                        pass
                    except anyio.EndOfStream:
                        break
                    await asyncio.sleep(0)
            if policy.kind != "live":
                assert seen == told(60)
            assert seen.count("<") + subscription.dropped == 60


@every_policy
async def test_cancelled_waits_leave_no_litter(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            for _ in range(50):
                with anyio.move_on_after(0):
                    await subscription.receive()
            assert reply._fanout.waiting == []
            wire.finish(*deltas(1))
            assert await collect(subscription) == told(1)


@asyncio_only
@every_policy
async def test_natively_cancelled_waits_leave_no_litter(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            for _ in range(50):
                task = asyncio.ensure_future(subscription.receive())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert reply._fanout.waiting == []
            wire.finish(*deltas(1))
            assert await collect(subscription) == told(1)

"""How ``feed()`` runs consumers side by side, and who is told what when something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client import InvalidArgumentError, Policy, QuotaExceededError, Status

from .scripted import ERROR, FINISH, End, collect, deltas, open_reply, settle, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastgpt_client import Reply, Subscription

pytestmark = pytest.mark.anyio

on_failure_each = pytest.mark.parametrize("on_failure", ["drain", "cancel"])
on_error_each = pytest.mark.parametrize("on_error", ["cancel", "isolate"])


class Reader:
    """A consumer that notes what it saw and how it ended."""

    def __init__(self, *, slow: int = 0, fail_after: int | None = None) -> None:
        self.seen = ""
        self.end = "unfinished"
        self._slow = slow
        self._fail_after = fail_after

    async def __call__(self, subscription: Subscription) -> str:
        try:
            async for event in subscription:
                self.seen += event.text
                for _ in range(self._slow):
                    await settle()
                if event.index + 1 == self._fail_after:
                    raise ValueError(self.seen)
        except Exception as error:
            self.end = type(error).__name__
            raise
        except BaseException:
            self.end = "cancelled"
            raise
        self.end = "complete"
        return self.seen


async def feed_error(reply: Reply, *consumers: Any, **options: Any) -> Exception | None:
    try:
        await reply.feed(*consumers, **options)
    except Exception as error:
        return error
    return None


# --- results -----------------------------------------------------------------------------------


async def test_the_results_come_in_the_order_of_the_consumers() -> None:
    finished: list[int] = []

    def consumer(number: int, slow: int) -> Any:
        async def read(subscription: Subscription) -> int:
            async for _ in subscription:
                for _round in range(slow):
                    await settle()
            finished.append(number)
            return number

        return read

    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        assert await reply.feed(consumer(0, 3), consumer(1, 1), consumer(2, 0)) == (0, 1, 2)
        assert finished == [2, 1, 0]


async def test_each_consumer_sees_the_whole_reply() -> None:
    async with open_reply() as (reply, wire):
        readers = [Reader(), Reader(slow=1), Reader(slow=2)]

        async def write() -> None:
            for number in range(5):
                await settle()
                wire.push(*deltas(4, number * 4))
            wire.finish()

        async with anyio.create_task_group() as tg:
            tg.start_soon(write)
            assert await reply.feed(*readers) == (told(20),) * 3
        assert [reader.end for reader in readers] == ["complete"] * 3


async def test_consumers_run_side_by_side() -> None:
    async with open_reply() as (reply, wire):
        first, second = anyio.Event(), anyio.Event()

        async def one(subscription: Subscription) -> None:
            await subscription.receive()
            first.set()
            await second.wait()

        async def two(subscription: Subscription) -> None:
            await first.wait()
            await subscription.receive()
            second.set()

        wire.finish(*deltas(1))
        assert await reply.feed(one, two) == (None, None)


async def test_one_policy_serves_all_and_a_sequence_serves_each() -> None:
    kinds: list[str] = []

    async def note(subscription: Subscription) -> None:
        kinds.append(repr(subscription).split(", ")[1])
        await collect(subscription)

    async with open_reply(FINISH, End()) as (reply, _):
        await reply.feed(note, note, policy=Policy.live())
        assert kinds == ["live", "live"]
        kinds.clear()
        await reply.feed(note, note, policy=[Policy.lossless(), Policy.paced()])
        assert sorted(kinds) == ["lossless", "paced"]


async def test_a_consumer_may_return_before_the_end_and_holds_nobody_up() -> None:
    async def first(subscription: Subscription) -> str:
        return (await subscription.receive()).text

    async with open_reply(*deltas(50), FINISH, End()) as (reply, _):
        results = await reply.feed(first, collect, policy=[Policy.paced(), Policy.paced()])
        assert results == ("<0>", told(50))
        assert reply.open_subscriptions == 0


async def test_feed_can_be_called_again_and_replays() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        assert await reply.feed(collect) == (told(3),)
        assert await reply.feed(collect, collect) == (told(3), told(3))


async def test_feed_closes_its_subscriptions_and_no_others() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        mine = reply.subscribe()
        kept: list[Subscription] = []

        async def keep(subscription: Subscription) -> None:
            kept.append(subscription)

        await reply.feed(keep)
        assert reply.open_subscriptions == 1
        with pytest.raises(anyio.ClosedResourceError, match="keep"):
            await kept[0].receive()
        assert await collect(mine) == told(3)


async def test_arguments_that_cannot_be_used_are_refused() -> None:
    async with open_reply(FINISH, End()) as (reply, _):
        calls: list[tuple[Callable[[], Awaitable[Any]], str]] = [
            (lambda: reply.feed(), "consumers"),
            (lambda: reply.feed("print"), "consumers"),  # type: ignore[arg-type]
            (lambda: reply.feed(collect, policy=[]), "policy"),
            (lambda: reply.feed(collect, on_failure="ignore"), "on_failure"),  # type: ignore[arg-type]
            (lambda: reply.feed(collect, on_error="drain"), "on_error"),  # type: ignore[arg-type]
            (lambda: reply.feed(collect, policy="live"), "policy"),  # type: ignore[arg-type]
        ]
        for wrong, field in calls:
            with pytest.raises(InvalidArgumentError) as caught:
                await wrong()
            assert caught.value.field == field
        assert reply.open_subscriptions == 0


# --- the reply fails ---------------------------------------------------------------------------


@on_error_each
async def test_drain_lets_each_consumer_read_what_had_arrived_and_see_the_failure(
    on_error: Any,
) -> None:
    async with open_reply(*deltas(5), ERROR) as (reply, _):
        readers = [Reader(), Reader(slow=2)]
        error = await feed_error(reply, *readers, on_failure="drain", on_error=on_error)
        assert isinstance(error, QuotaExceededError)
        assert error.partial == told(5)
        assert [reader.seen for reader in readers] == [told(5)] * 2
        assert [reader.end for reader in readers] == ["QuotaExceededError"] * 2


@on_error_each
async def test_cancel_cancels_the_consumers_as_soon_as_the_reply_failed(on_error: Any) -> None:
    async with open_reply(*deltas(5)) as (reply, wire):
        quick, slow = Reader(), Reader(slow=3)

        async def later() -> None:
            await settle()
            wire.push(ERROR)

        async with anyio.create_task_group() as tg:
            tg.start_soon(later)
            error = await feed_error(reply, quick, slow, on_failure="cancel", on_error=on_error)
        assert isinstance(error, QuotaExceededError)
        assert slow.end == "cancelled"
        assert slow.seen != told(5)
        assert told(5).startswith(slow.seen)
        assert quick.seen == told(5)


async def test_cancel_after_the_failure_runs_no_consumer_to_its_first_event() -> None:
    async with open_reply(*deltas(5), ERROR) as (reply, _):
        await settle()
        reader = Reader()
        error = await feed_error(reply, reader, on_failure="cancel")
        assert isinstance(error, QuotaExceededError)
        assert reader.seen == ""


@on_failure_each
async def test_a_complete_reply_cancels_nobody(on_failure: Any) -> None:
    async with open_reply(*deltas(5), FINISH, End()) as (reply, _):
        readers = [Reader(), Reader(slow=2)]
        assert await reply.feed(*readers, on_failure=on_failure) == (told(5), told(5))


@on_failure_each
async def test_a_stopped_reply_cancels_nobody(on_failure: Any) -> None:
    async with open_reply(*deltas(5)) as (reply, _):
        readers = [Reader(), Reader(slow=2)]

        async def stop() -> None:
            await settle()
            await reply.stop()

        async with anyio.create_task_group() as tg:
            tg.start_soon(stop)
            assert await reply.feed(*readers, on_failure=on_failure) == (told(5), told(5))
        assert reply.status is Status.STOPPED


async def test_a_consumer_that_handles_the_failure_itself_keeps_its_result() -> None:
    async def careful(subscription: Subscription) -> str:
        try:
            return await collect(subscription)
        except QuotaExceededError as error:
            return f"cut: {error.partial}"

    async with open_reply(*deltas(2), ERROR) as (reply, _):
        # It met the failure, so feed tells it too.
        error = await feed_error(reply, careful)
        assert isinstance(error, QuotaExceededError)


async def test_a_consumer_that_meets_the_failure_elsewhere_is_told_it_by_feed() -> None:
    async def wait(subscription: Subscription) -> None:
        with subscription:
            await reply.final()

    async with open_reply(*deltas(2), ERROR) as (reply, _):
        error = await feed_error(reply, wait)
        assert isinstance(error, QuotaExceededError)


# --- consumers fail ----------------------------------------------------------------------------


@on_failure_each
async def test_a_failing_consumer_cancels_its_siblings(on_failure: Any) -> None:
    async with open_reply(*deltas(5)) as (reply, _):
        bad, good = Reader(fail_after=2), Reader()
        error = await feed_error(reply, bad, good, on_failure=on_failure, on_error="cancel")
        assert isinstance(error, ExceptionGroup)
        assert error.message == "consumers of the reply failed"
        assert [str(one) for one in error.exceptions] == [told(2)]
        assert error.__cause__ is None
        assert good.end == "cancelled"
        assert reply.status is Status.STREAMING


@on_failure_each
async def test_isolate_lets_the_siblings_finish_and_raises_afterwards(on_failure: Any) -> None:
    async with open_reply(*deltas(5), FINISH, End()) as (reply, _):
        bad, good, bad_too = Reader(fail_after=2), Reader(slow=1), Reader(fail_after=4)
        error = await feed_error(
            reply, bad, good, bad_too, on_failure=on_failure, on_error="isolate"
        )
        assert isinstance(error, ExceptionGroup)
        assert sorted(str(one) for one in error.exceptions) == [told(2), told(4)]
        assert error.__cause__ is None
        assert (good.end, good.seen) == ("complete", told(5))


async def test_a_failing_consumer_comes_in_a_group_even_alone() -> None:
    async with open_reply(*deltas(5)) as (reply, _):
        error = await feed_error(reply, Reader(fail_after=1))
        assert isinstance(error, ExceptionGroup)
        assert type(error.exceptions[0]) is ValueError


async def test_the_body_gets_the_consumers_group_as_the_same_object() -> None:
    caught_inside: list[Exception] = []
    with pytest.raises(ExceptionGroup) as caught:
        async with open_reply(*deltas(5)) as (reply, _):
            try:
                await reply.feed(Reader(fail_after=1))
            except ExceptionGroup as error:
                caught_inside.append(error)
                raise
    assert caught.value is caught_inside[0]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_consumer_leaves_the_block_as_itself(
    stop: type[BaseException], anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    async def interrupted(subscription: Subscription) -> None:
        await subscription.receive()
        raise stop

    async def main() -> None:
        async with open_reply(*deltas(5)) as (reply, _):
            await reply.feed(interrupted, collect)

    # asyncio takes such an exception out of the loop, so the loop is one of its own.
    with pytest.raises(stop):
        anyio.run(main, backend=anyio_backend[0], backend_options=anyio_backend[1])


# --- both --------------------------------------------------------------------------------------


@on_failure_each
@on_error_each
async def test_if_both_happen_the_group_wins_and_the_failure_is_its_cause(
    on_failure: Any, on_error: Any
) -> None:
    async def fail_at_the_end(subscription: Subscription) -> None:
        try:
            await collect(subscription)
        finally:
            raise ValueError("while handling")

    async with open_reply(*deltas(2)) as (reply, wire):

        async def later() -> None:
            await settle()
            wire.push(ERROR)

        async with anyio.create_task_group() as tg:
            tg.start_soon(later)
            error = await feed_error(
                reply, fail_at_the_end, collect, on_failure=on_failure, on_error=on_error
            )
        assert isinstance(error, ExceptionGroup)
        assert [str(one) for one in error.exceptions] == ["while handling"]
        assert isinstance(error.__cause__, QuotaExceededError)
        assert isinstance(reply.failure, QuotaExceededError)


# --- cancelling a feed -------------------------------------------------------------------------


async def test_cancelling_a_feed_closes_its_subscriptions_and_leaves_the_reply_alone() -> None:
    async with open_reply(*deltas(2)) as (reply, wire):
        with anyio.move_on_after(0.01) as scope:
            await reply.feed(collect, collect, policy=Policy.paced())
        assert scope.cancelled_caught
        assert reply.open_subscriptions == 0
        assert reply.status is Status.STREAMING
        wire.finish(*deltas(1, 2))
        assert await collect(reply) == told(3)


async def test_a_feed_that_was_cancelled_before_it_ran_leaves_nothing_open() -> None:
    async with open_reply(*deltas(2)) as (reply, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await reply.feed(collect, policy=Policy.paced())
        assert scope.cancelled_caught
        assert reply.open_subscriptions == 0

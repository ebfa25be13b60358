"""What a reply tells: text so far, status, the whole answer, and its failure, where it is met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    AnswerDelta,
    BadEventError,
    FastGPTError,
    NodeStatus,
    Policy,
    QuotaExceededError,
    ReplyInterruptedError,
    Status,
    UsageError,
    WorkflowError,
)

from .scripted import (
    DONE,
    ERROR,
    FINISH,
    HEARTBEAT,
    STATUS,
    TERMINAL,
    End,
    answer,
    collect,
    delta,
    deltas,
    frame,
    http_library,
    open_reply,
    settle,
    told,
)

if TYPE_CHECKING:
    from fastgpt_client import Subscription

pytestmark = pytest.mark.anyio


# --- so far, and at the end --------------------------------------------------------------------


async def test_text_and_reasoning_grow_while_the_reply_arrives() -> None:
    async with open_reply() as (reply, wire):
        assert (reply.text, reply.reasoning, reply.status) == ("", "", Status.STREAMING)
        wire.push(answer({"reasoning_content": "Hm. "}), delta("Once "))
        await settle()
        assert (reply.text, reply.reasoning) == ("Once ", "Hm. ")
        wire.push(delta("upon"))
        await settle()
        assert reply.text == "Once upon"
        wire.finish()
        await reply.final()
        assert (reply.text, reply.status, reply.failure) == ("Once upon", Status.COMPLETE, None)


async def test_the_text_is_the_texts_of_the_events_joined() -> None:
    async with open_reply(STATUS, HEARTBEAT, *deltas(3), HEARTBEAT, FINISH, End()) as (reply, _):
        events = [event async for event in reply]
        assert "".join(event.text for event in events) == told(3) == reply.text
        assert [type(event) for event in events] == [NodeStatus, *[AnswerDelta] * 3]
        assert [event.index for event in events] == [0, 1, 2, 3]
        assert reply.timings.heartbeats == 2


async def test_final_waits_for_the_end_and_returns_the_whole_answer() -> None:
    async with open_reply(*deltas(3)) as (reply, wire):
        answers: list[str] = []

        async def wait() -> None:
            answers.append((await reply.final()).text)

        async with anyio.create_task_group() as tg:
            tg.start_soon(wait)
            tg.start_soon(wait)
            await settle()
            assert answers == []
            wire.finish(*deltas(1, 3))
        assert answers == [told(4), told(4)]


async def test_final_after_the_loop_and_after_the_block_returns_the_same() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        assert await collect(reply) == told(3)
        inside = await reply.final()
    assert await reply.final() == inside
    assert (reply.text, reply.reasoning, reply.status) == (told(3), "", Status.COMPLETE)
    assert reply.failure is None


@pytest.mark.parametrize("chat_id", [None, "a chat"])
async def test_a_reply_and_its_answer_have_the_chat_id_that_was_sent(chat_id: str | None) -> None:
    async with open_reply(*deltas(1), FINISH, End(), chat_id=chat_id) as (reply, _):
        assert reply.chat_id == chat_id
        assert (await reply.final()).chat_id == chat_id


async def test_an_empty_reply_is_complete() -> None:
    async with open_reply(FINISH, End()) as (reply, _):
        assert await collect(reply) == ""
        assert (await reply.final()).text == ""
        assert reply.status is Status.COMPLETE


@pytest.mark.parametrize("end", [DONE, TERMINAL, FINISH], ids=["done", "terminal", "both"])
async def test_done_or_a_finish_reason_makes_a_clean_end_complete(end: bytes) -> None:
    async with open_reply(*deltas(2), end, End()) as (reply, _):
        assert (await reply.final()).status is Status.COMPLETE


async def test_events_between_done_and_the_end_of_the_body_still_count() -> None:
    late = frame("flowResponses", '[{"moduleName":"AI","id":"a","runningTime":1}]')
    async with open_reply(*deltas(2), FINISH, late, End()) as (reply, _):
        assert [node.name for node in (await reply.final()).nodes] == ["AI"]


async def test_a_network_error_after_done_is_complete_too() -> None:
    async with open_reply(*deltas(2), FINISH, http_library().ReadError("reset")) as (reply, _):
        assert (await reply.final()).status is Status.COMPLETE
        assert reply.failure is None


async def test_a_network_error_between_finish_reason_and_done_is_not_complete() -> None:
    error = http_library().RemoteProtocolError("incomplete chunked read")
    async with open_reply(*deltas(2), TERMINAL, error) as (reply, _):
        with pytest.raises(ReplyInterruptedError) as caught:
            await reply.final()
        assert caught.value.partial == told(2)
        assert caught.value.__cause__ is error


async def test_a_body_that_just_ends_is_interrupted_and_never_a_success() -> None:
    async with open_reply(*deltas(2), End()) as (reply, _):
        seen = ""
        with pytest.raises(ReplyInterruptedError) as caught:
            async for event in reply:
                seen += event.text
        assert seen == caught.value.partial == told(2)
        assert reply.status is Status.FAILED


async def test_a_stream_cut_inside_a_frame_keeps_the_whole_frames_before() -> None:
    cut = b"".join(deltas(3))[:-20]
    async with open_reply(cut, End()) as (reply, _):
        with pytest.raises(ReplyInterruptedError) as caught:
            await reply.final()
        assert caught.value.partial == told(2)


async def test_what_arrived_together_with_a_network_error_is_kept() -> None:
    async with open_reply(delta("a"), delta("b"), http_library().ReadError("x")) as (reply, _):
        with pytest.raises(ReplyInterruptedError) as caught:
            await reply.final()
        assert caught.value.partial == "ab"


# --- failures ----------------------------------------------------------------------------------


async def test_a_failure_is_raised_in_the_loop() -> None:
    seen = ""
    with pytest.raises(QuotaExceededError) as caught:
        async with open_reply(*deltas(3), ERROR) as (reply, _):
            async for event in reply:
                seen += event.text
    assert seen == caught.value.partial == reply.text == told(3)
    assert caught.value.reply is reply
    assert reply.failure is not None
    assert reply.failure is not caught.value
    assert isinstance(reply.failure, QuotaExceededError)


async def test_a_failure_is_raised_in_final() -> None:
    with pytest.raises(QuotaExceededError) as caught:
        async with open_reply(*deltas(3), ERROR) as (reply, _):
            await reply.final()
    assert caught.value.partial == told(3)
    with pytest.raises(QuotaExceededError):
        await reply.final()


async def test_a_failure_is_raised_in_feed() -> None:
    with pytest.raises(QuotaExceededError) as caught:
        async with open_reply(*deltas(3), ERROR) as (reply, _):
            await reply.feed(collect, collect)
    assert caught.value.partial == told(3)


async def test_a_failure_that_the_body_met_and_handled_stays_handled() -> None:
    async with open_reply(*deltas(3), ERROR) as (reply, _):
        for meet in (lambda: collect(reply), reply.final, lambda: reply.feed(collect)):
            with pytest.raises(QuotaExceededError):
                await meet()
    assert reply.status is Status.FAILED


async def test_leaving_early_raises_no_failure_that_nobody_met() -> None:
    async with open_reply(*deltas(3), ERROR) as (reply, _):
        async for _event in reply:
            break
        await settle()
        assert reply.status is Status.FAILED
    assert isinstance(reply.failure, QuotaExceededError)


async def test_a_body_that_reads_nothing_raises_no_failure() -> None:
    async with open_reply(*deltas(3), ERROR) as (reply, _):
        await settle()
    assert reply.status is Status.FAILED


async def test_a_body_that_only_subscribed_raises_no_failure() -> None:
    async with open_reply(*deltas(3), ERROR) as (reply, _):
        unread = reply.subscribe()
        await settle()
        assert unread.statistics().received == 0


async def test_the_block_raises_a_failure_that_a_cancelled_reader_could_not() -> None:
    with pytest.raises(QuotaExceededError) as caught:
        async with open_reply(*deltas(1)) as (reply, wire):
            subscription = reply.subscribe()
            await subscription.receive()
            async with anyio.create_task_group() as tg:
                tg.start_soon(collect, subscription)
                await settle()
                wire.push(ERROR)
                while reply.status is Status.STREAMING:
                    await anyio.lowlevel.checkpoint()
                    if reply.status is not Status.STREAMING:
                        tg.cancel_scope.cancel()
    assert caught.value.partial == told(1)


async def test_a_failure_that_was_met_after_a_cancelled_wait_is_not_raised_twice() -> None:
    async with open_reply(*deltas(1), ERROR) as (reply, _):
        await settle()
        subscription = reply.subscribe()
        await subscription.receive()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await subscription.receive()
        with pytest.raises(QuotaExceededError):
            await subscription.receive()


async def test_a_failure_that_feed_raised_after_cancelling_is_not_raised_twice() -> None:
    async with open_reply(*deltas(1)) as (reply, wire):

        async def later() -> None:
            await settle()
            wire.push(ERROR)

        async with anyio.create_task_group() as tg:
            tg.start_soon(later)
            with pytest.raises(QuotaExceededError):
                await reply.feed(collect, collect, on_failure="cancel")


@pytest.mark.parametrize("count", [0, 1])
async def test_a_failure_that_feed_raised_at_once_is_not_raised_twice(count: int) -> None:
    async with open_reply(*deltas(count), ERROR) as (reply, _):
        await settle()
        with pytest.raises(QuotaExceededError):
            await reply.feed(collect, collect, on_failure="cancel")


async def test_the_cause_of_a_feeds_group_is_not_raised_again_by_the_block() -> None:
    async def fail(subscription: Subscription) -> None:
        await settle()
        raise ValueError

    async def read_at_the_end(subscription: Subscription) -> None:
        await subscription.receive()
        try:
            await anyio.sleep_forever()
        finally:
            await subscription.receive()  # noqa: ASYNC102 - cancelled there on purpose

    async with open_reply(*deltas(1), ERROR) as (reply, _):
        with pytest.raises(ExceptionGroup) as caught:
            await reply.feed(fail, read_at_the_end)
        assert isinstance(caught.value.__cause__, QuotaExceededError)


async def test_the_block_raises_a_failure_that_a_consumers_own_limit_hid() -> None:
    async def read_a_little(subscription: Subscription) -> str:
        event = await subscription.receive()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await subscription.receive()
        return event.text

    results: tuple[str, ...] = ()
    with pytest.raises(QuotaExceededError):
        async with open_reply(*deltas(1), ERROR) as (reply, _):
            await settle()
            results = await reply.feed(read_a_little)
    assert results == ("<0>",)


async def test_text_that_could_not_be_read_fails_the_reply() -> None:
    async with open_reply(*deltas(2), frame("answer", "{broken"), delta("x")) as (reply, _):
        with pytest.raises(BadEventError) as caught:
            await collect(reply)
        assert caught.value.partial == told(2)


async def test_a_failed_node_fails_a_reply_that_the_server_calls_complete() -> None:
    nodes = frame(
        "flowResponses",
        '[{"moduleName":"AI","moduleType":"chatNode","id":"a","runningTime":1,'
        '"finishReason":"error","errorText":"no such model"}]',
    )
    async with open_reply(*deltas(2), TERMINAL, nodes, DONE, End()) as (reply, _):
        count = 0
        with pytest.raises(WorkflowError, match="no such model") as caught:
            async for _event in reply:
                count += 1
        assert count == 3
        assert caught.value.partial == told(2)
        assert [node.name for node in caught.value.nodes] == ["AI"]
        assert [node.name for node in reply.answer.failed_nodes] == ["AI"]
    async with open_reply(*deltas(2), TERMINAL, nodes, DONE, End(), raise_on_node_error=False) as (
        reply,
        _,
    ):
        assert [node.name for node in (await reply.final()).failed_nodes] == ["AI"]


# --- groups ------------------------------------------------------------------------------------


async def test_a_group_of_the_replys_own_failures_becomes_one_bare_failure() -> None:
    with pytest.raises(QuotaExceededError) as caught:
        async with (
            open_reply(*deltas(3), ERROR) as (reply, _),
            anyio.create_task_group() as tg,
        ):
            for _ in range(3):
                tg.start_soon(collect, reply.subscribe())
    assert caught.value.partial == told(3)
    assert caught.value.reply is reply


async def test_nested_groups_of_own_failures_become_one_bare_failure() -> None:
    with pytest.raises(QuotaExceededError):
        async with open_reply(*deltas(3), ERROR) as (reply, _):
            errors: list[FastGPTError] = []
            for _ in range(3):
                try:
                    await collect(reply)
                except QuotaExceededError as error:
                    errors.append(error)
            inner = ExceptionGroup("inner", errors[:2])
            raise ExceptionGroup("outer", [inner, errors[2]])


async def test_a_group_with_anything_else_in_it_passes_as_the_same_object() -> None:
    mixed: ExceptionGroup[Any] | None = None
    with pytest.raises(ExceptionGroup) as caught:
        async with open_reply(*deltas(3), ERROR) as (reply, _):
            try:
                await collect(reply)
            except QuotaExceededError as error:
                mixed = ExceptionGroup("mixed", [error, ValueError("mine")])
                raise mixed from None
    assert caught.value is mixed


async def test_a_group_with_another_replys_failure_passes_as_the_same_object() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with open_reply(*deltas(1), ERROR) as (one, _):
            async with open_reply(*deltas(1), ERROR) as (other, _):
                errors: list[FastGPTError] = []
                for reply in (one, other):
                    try:
                        await reply.final()
                    except QuotaExceededError as error:
                        errors.append(error)
                both = ExceptionGroup("both", errors)
                raise both
    assert caught.value is both


# --- leaving early -----------------------------------------------------------------------------


async def test_leaving_early_abandons_the_reply_and_closes_its_connection() -> None:
    async with open_reply(*deltas(3)) as (reply, wire):
        async for event in reply:
            if event.index == 1:
                break
    assert reply.status is Status.ABANDONED
    assert wire.closed
    assert reply.failure is None
    assert reply.text == told(3)


async def test_final_after_leaving_early_says_that_there_is_no_whole_answer() -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        await settle()
    with pytest.raises(UsageError, match="left before") as caught:
        await reply.final()
    assert caught.value.partial == told(3)


async def test_a_task_that_waits_for_final_when_the_block_is_left_is_told() -> None:
    told_so: list[str] = []
    async with anyio.create_task_group() as tg:
        async with open_reply(*deltas(3)) as (reply, _):

            async def wait() -> None:
                with pytest.raises(UsageError) as caught:
                    await reply.final()
                told_so.append(str(caught.value))

            tg.start_soon(wait)
            await settle()
    assert len(told_so) == 1


async def test_a_reader_in_an_outer_task_is_told_when_the_block_is_left() -> None:
    ended: list[BaseException | str] = []
    async with anyio.create_task_group() as tg:
        async with open_reply(*deltas(3)) as (reply, _):

            async def read(policy: Policy) -> None:
                try:
                    ended.append(await collect(reply.subscribe(policy)))
                except anyio.ClosedResourceError as error:
                    ended.append(error)

            for policy in (Policy.lossless(), Policy.paced(), Policy.live()):
                tg.start_soon(read, policy)
            await settle()
    # An abandoned reply is no complete one: nobody may take it for the end.
    assert [type(item) for item in ended] == [anyio.ClosedResourceError] * 3


async def test_the_repr_tells_status_and_count() -> None:
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        await reply.final()
        assert repr(reply) == "<Reply complete, 3 events>"

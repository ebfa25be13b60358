"""Every clock of ``Timeouts``, in virtual time, a millisecond before and after its limit."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    FastGPTError,
    Policy,
    ReplyInterruptedError,
    ReplyTimeoutError,
    Status,
    Timeouts,
)

from .scripted import (
    FINISH,
    HEARTBEAT,
    STATUS,
    TERMINAL,
    At,
    End,
    Scripted,
    Step,
    answer,
    collect,
    delta,
    deltas,
    frame,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastgpt_client import Subscription


pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

#: Seconds that virtual time may run in one test: what hangs ends there, at once.
LONG = 1_000_000.0
MS = 0.001
NO_LIMITS = Timeouts(connect=None, first_token=None, idle=None, silence=None, close=None)


def only(**limits: float) -> Timeouts:
    """Switch every clock off but these."""
    return Timeouts(
        **{
            "connect": None,
            "first_token": None,
            "idle": None,
            "silence": None,
            "total": None,
            "close": None,
            "consumer": None,
            **limits,
        }
    )


async def outcome(
    steps: Sequence[Step], timeouts: Timeouts, *, headers_after: float = 0.0
) -> tuple[str, float, str]:
    """Return how a reply ended (``complete`` or the clock's name), when, and with which text."""
    server = Scripted(steps, headers_after)
    began = anyio.current_time()
    with anyio.fail_after(LONG):
        async with server.client() as client:
            try:
                async with client.stream("Hi", timeouts=timeouts) as reply:
                    answer = await reply.final()
                return answer.status, answer.timings.total, answer.text
            except ReplyTimeoutError as error:
                rang = error
    assert isinstance(rang, TimeoutError)
    assert rang.clock in str(rang)
    assert rang.seconds == getattr(timeouts, rang.clock)
    return rang.clock, anyio.current_time() - began, rang.partial


# --- an hour -----------------------------------------------------------------------------------


async def test_an_hour_long_stream_with_heartbeats_and_a_delta_a_minute_completes() -> None:
    steps: list[Step] = []
    for number in range(60):
        for beat in range(6):
            steps += [At(number * 60 + beat * 10), HEARTBEAT]
        steps += [At(number * 60 + 55), delta(f"<{number}>")]
    steps += [At(3600), FINISH, End()]
    how, when, text = await outcome(steps, Timeouts())
    assert (how, text) == ("complete", told(60))
    assert when == pytest.approx(3600)


async def test_several_consumers_follow_an_hour_long_stream() -> None:
    steps: list[Step] = []
    for number in range(360):
        steps += [At(number * 10), delta(f"<{number}>") if number % 6 == 0 else HEARTBEAT]
    server = Scripted([*steps, FINISH, End()])
    texts = "".join(f"<{number}>" for number in range(0, 360, 6))
    with anyio.fail_after(LONG):
        async with server.client() as client, client.stream("Hi") as reply:
            results = await reply.feed(
                collect, collect, collect, policy=[Policy.lossless(), Policy.paced(), Policy.live()]
            )
    assert results == (texts, texts, texts)


# --- connect and pool --------------------------------------------------------------------------


@pytest.mark.parametrize("error, clock", [("ConnectTimeout", "connect"), ("PoolTimeout", "pool")])
async def test_a_connection_that_takes_too_long_rings_its_clock(error: str, clock: str) -> None:
    server = Scripted([FINISH, End()], headers_after=10 + MS, error=error)
    with anyio.fail_after(LONG):
        async with server.client(timeouts=only(connect=10)) as client:
            with pytest.raises(ReplyTimeoutError) as caught:
                await client.ask("Hi")
    assert caught.value.clock == clock
    assert caught.value.seconds == 10
    assert caught.value.partial == ""
    assert type(caught.value.__cause__).__name__ == error


@pytest.mark.parametrize("error", ["ConnectTimeout", "PoolTimeout"])
async def test_a_connection_just_in_time_does_not_ring(error: str) -> None:
    server = Scripted([FINISH, End()], headers_after=10 - MS, error=error)
    with anyio.fail_after(LONG):
        async with server.client(timeouts=only(connect=10)) as client:
            assert (await client.ask("Hi")).status is Status.COMPLETE


# --- first token -------------------------------------------------------------------------------


async def test_headers_just_before_the_first_token_limit_are_in_time() -> None:
    how, _, _ = await outcome(
        [delta("x"), FINISH, End()], only(first_token=20), headers_after=20 - MS
    )
    assert how == "complete"


async def test_no_headers_until_the_first_token_limit_ring_it() -> None:
    how, when, text = await outcome([], only(first_token=20), headers_after=20 + MS)
    assert (how, text) == ("first_token", "")
    assert when == pytest.approx(20)


async def test_no_headers_until_the_total_limit_ring_that() -> None:
    how, when, _ = await outcome([], only(first_token=20, total=15), headers_after=100)
    assert how == "total"
    assert when == pytest.approx(15)


FIRST_TOKENS = {
    "text": delta("x"),
    "reasoning": answer({"reasoning_content": "Hm"}),
    "question": frame(
        "interactive",
        '{"interactive":{"type":"userSelect","params":{"description":"?","userSelectOptions":'
        '[{"key":"a","value":"A"}]}}}',
    ),
    "plugin output": frame(
        "flowResponses",
        '[{"moduleName":"Plugin","moduleType":"pluginOutput","id":"a","runningTime":1,'
        '"pluginOutput":{"out":"1"}}]',
    ),
}


@pytest.mark.parametrize("kind", FIRST_TOKENS)
async def test_the_first_token_just_in_time_stops_its_clock(kind: str) -> None:
    steps: list[Step] = [STATUS, At(20 - MS), FIRST_TOKENS[kind], At(500), FINISH, End()]
    how, when, _ = await outcome(steps, only(first_token=20))
    assert how == "complete"
    assert when == pytest.approx(500)


@pytest.mark.parametrize("kind", FIRST_TOKENS)
async def test_the_first_token_just_too_late_rings_its_clock(kind: str) -> None:
    steps: list[Step] = [STATUS, At(20 + MS), FIRST_TOKENS[kind], FINISH, End()]
    how, when, text = await outcome(steps, only(first_token=20))
    assert (how, text) == ("first_token", "")
    assert when == pytest.approx(20)


async def test_statuses_and_heartbeats_are_no_first_token() -> None:
    steps: list[Step] = []
    for second in range(40):
        steps += [At(second), STATUS, HEARTBEAT]
    how, when, _ = await outcome(steps, only(first_token=20))
    assert how == "first_token"
    assert when == pytest.approx(20)


async def test_an_end_without_any_token_just_in_time_is_complete() -> None:
    how, _, _ = await outcome([STATUS, At(20 - MS), FINISH, End()], only(first_token=20))
    assert how == "complete"


async def test_the_first_token_clock_counts_from_sending_and_not_from_the_headers() -> None:
    how, when, _ = await outcome([STATUS], only(first_token=20), headers_after=15)
    assert how == "first_token"
    assert when == pytest.approx(20)


async def test_the_idle_clock_takes_over_after_the_first_token() -> None:
    steps: list[Step] = [At(5), delta("x"), At(100), FINISH, End()]
    how, when, text = await outcome(steps, only(first_token=20, idle=30))
    assert (how, text) == ("idle", "x")
    assert when == pytest.approx(35)


# --- idle --------------------------------------------------------------------------------------


async def test_an_event_just_before_the_idle_limit_starts_it_anew() -> None:
    steps: list[Step] = [delta("a")]
    for number in range(1, 10):
        steps += [At(number * (25 - MS)), delta("b")]
    how, _, _ = await outcome([*steps, FINISH, End()], only(idle=25))
    assert how == "complete"


async def test_an_event_just_after_the_idle_limit_is_too_late() -> None:
    steps: list[Step] = [At(1), delta("a"), At(26 + MS), delta("b"), FINISH, End()]
    how, when, text = await outcome(steps, only(idle=25))
    assert (how, text) == ("idle", "a")
    assert when == pytest.approx(26)


async def test_heartbeats_do_not_stop_the_idle_clock() -> None:
    steps: list[Step] = [delta("a")]
    for number in range(1, 10):
        steps += [At(number * 10), HEARTBEAT]
    how, when, _ = await outcome(steps, only(idle=25))
    assert how == "idle"
    assert when == pytest.approx(25)


async def test_any_event_but_a_heartbeat_is_progress() -> None:
    steps: list[Step] = [delta("a")]
    for number in range(1, 10):
        steps += [At(number * 20), STATUS]
    how, _, _ = await outcome([*steps, At(190), FINISH, End()], only(idle=25))
    assert how == "complete"


# --- silence -----------------------------------------------------------------------------------


async def test_a_heartbeat_just_before_the_silence_limit_starts_it_anew() -> None:
    steps: list[Step] = [HEARTBEAT]
    for number in range(1, 10):
        steps += [At(number * (35 - MS)), HEARTBEAT]
    how, _, _ = await outcome([*steps, FINISH, End()], only(silence=35))
    assert how == "complete"


async def test_a_byte_just_after_the_silence_limit_is_too_late() -> None:
    steps: list[Step] = [At(1), HEARTBEAT, At(36 + MS), delta("a"), FINISH, End()]
    how, when, _ = await outcome(steps, only(silence=35))
    assert how == "silence"
    assert when == pytest.approx(36)


async def test_any_byte_breaks_the_silence() -> None:
    whole = delta("slow")
    steps: list[Step] = []
    for number, byte in enumerate(whole):
        steps += [At(number * 30.0), bytes([byte])]
    steps += [FINISH, End()]
    how, _, text = await outcome(steps, only(silence=35))
    assert (how, text) == ("complete", "slow")


async def test_silence_begins_with_the_first_byte_of_the_body() -> None:
    how, when, _ = await outcome([At(300), delta("a"), FINISH, End()], only(silence=35))
    assert how == "complete"
    assert when == pytest.approx(300)


async def test_silence_between_the_last_text_and_the_terminal_chunk_counts_too() -> None:
    how, when, text = await outcome([delta("a"), At(40), FINISH, End()], only(silence=35))
    assert (how, text) == ("silence", "a")
    assert when == pytest.approx(35)


# --- total -------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers_after", [0.0, 60.0])
async def test_an_end_just_before_the_total_limit_is_complete(headers_after: float) -> None:
    steps: list[Step] = [At(120 - MS - headers_after), delta("a"), FINISH, End()]
    server = Scripted(steps, headers_after)
    with anyio.fail_after(LONG):
        async with server.client() as client:
            answer = await client.ask("Hi", timeouts=only(total=120))
    assert answer.status is Status.COMPLETE


@pytest.mark.parametrize("headers_after", [0.0, 60.0])
async def test_a_stream_that_goes_on_after_the_total_limit_rings_it(headers_after: float) -> None:
    steps: list[Step] = []
    for number in range(20):
        steps += [At(number * 10), delta(f"<{number}>")]
    how, when, text = await outcome(steps, only(total=120.5), headers_after=headers_after)
    assert how == "total"
    assert when == pytest.approx(120.5)
    assert told(20).startswith(text)


# --- close -------------------------------------------------------------------------------------


async def test_late_events_within_the_close_limit_count() -> None:
    late = frame("flowResponses", '[{"moduleName":"AI","id":"a","runningTime":1}]')
    server = Scripted([delta("a"), FINISH, At(2 - MS), late, At(100), End()])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            answer = await client.ask("Hi")
    assert [node.name for node in answer.nodes] == ["AI"]
    assert answer.timings.total == pytest.approx(2)


async def test_a_body_that_stays_open_after_done_ends_at_the_close_limit() -> None:
    late = frame("flowResponses", '[{"moduleName":"AI","id":"a","runningTime":1}]')
    server = Scripted([At(5), delta("a"), FINISH, At(7 + MS), late])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            answer = await client.ask("Hi")
    assert answer.status is Status.COMPLETE
    assert answer.nodes == ()
    assert answer.timings.total == pytest.approx(7)


@pytest.mark.parametrize("clock", ["silence", "idle", "total", "first_token"])
async def test_after_done_no_clock_but_close_can_fail_the_reply(clock: str) -> None:
    timeouts = only(**{clock: 5.0})
    how, when, _ = await outcome([FINISH, At(30), End()], timeouts)
    assert how == "complete"
    assert when <= 30


async def test_after_a_finish_reason_without_done_the_clocks_go_on() -> None:
    how, when, text = await outcome([delta("a"), TERMINAL], only(idle=25))
    assert (how, text) == ("idle", "a")
    assert when == pytest.approx(25)


# --- consumers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [0, 3])
async def test_a_slow_paced_consumer_is_never_taken_for_a_dead_server(buffer: int) -> None:
    limits = Timeouts(first_token=20, idle=25, silence=35, total=60, close=2)
    steps: list[Step] = []
    for number in range(20):
        steps += [At(number * 1.0), delta(f"<{number}>")]
    server = Scripted([*steps, FINISH, End()])

    async def slow(subscription: Subscription) -> str:
        text = ""
        async for event in subscription:
            text += event.text
            await anyio.sleep(100)
        return text

    with anyio.fail_after(LONG):
        async with server.client() as client, client.stream("Hi", timeouts=limits) as reply:
            assert await reply.feed(slow, policy=Policy.paced(buffer)) == (told(20),)
    assert reply.status is Status.COMPLETE


async def test_holding_the_producer_up_before_done_does_not_lengthen_the_close_limit() -> None:
    server = Scripted([*deltas(5), FINISH])  # the body stays open
    with anyio.fail_after(LONG):
        async with server.client() as client, client.stream("Hi") as reply:
            with reply.subscribe(Policy.paced()) as slow:
                for _ in range(5):
                    await anyio.sleep(100)
                    await slow.receive()
                done = anyio.current_time()
                await reply.final()
                assert anyio.current_time() - done == pytest.approx(2)


async def test_a_late_event_that_a_paced_consumer_holds_up_does_not_use_up_the_close_limit() -> (
    None
):
    late = frame("flowResponses", '[{"moduleName":"AI","id":"a","runningTime":1}]')
    later = frame("workflowDuration", '{"durationSeconds":1}')
    server = Scripted([delta("a"), FINISH, late, At(101), later, At(500), End()])
    with anyio.fail_after(LONG):
        async with server.client() as client, client.stream("Hi") as reply:
            with reply.subscribe(Policy.paced()) as slow:
                await slow.receive()
                await anyio.sleep(100)
                assert (await slow.receive()).name == "flowResponses"
                assert (await slow.receive()).name == "workflowDuration"
                answer = await reply.final()
                assert answer.duration == 1


async def test_the_time_that_a_paced_consumer_takes_does_not_count_in_total() -> None:
    steps: list[Step] = [delta("a"), delta("b"), delta("c"), At(1000), FINISH, End()]
    server = Scripted(steps)
    with anyio.fail_after(LONG):
        async with (
            server.client() as client,
            client.stream("Hi", timeouts=only(total=60)) as reply,
        ):
            with reply.subscribe(Policy.paced()) as slow:
                for _ in range(3):
                    await anyio.sleep(100)
                    await slow.receive()
                freed = anyio.current_time()
                with pytest.raises(ReplyTimeoutError) as caught:
                    await reply.final()
                assert caught.value.clock == "total"
                assert anyio.current_time() - freed == pytest.approx(60)


async def test_the_clocks_go_on_from_where_they_stood() -> None:
    server = Scripted([delta("a"), At(10), delta("b"), delta("c"), At(2000), End()])
    with anyio.fail_after(LONG):
        async with (
            server.client() as client,
            client.stream("Hi", timeouts=only(idle=25, silence=25)) as reply,
        ):
            with reply.subscribe(Policy.paced()) as slow:
                await slow.receive()
                await anyio.sleep(500)
                assert (await slow.receive()).text == "b"
                freed = anyio.current_time()
                assert (await slow.receive()).text == "c"
                with pytest.raises(ReplyTimeoutError) as caught:
                    await slow.receive()
                assert caught.value.clock in ("idle", "silence")
                assert anyio.current_time() - freed == pytest.approx(25)


@pytest.mark.parametrize("clock", ["first_token", "idle", "silence"])
async def test_no_clock_of_the_network_runs_while_a_paced_consumer_holds_it_up(clock: str) -> None:
    first = STATUS if clock == "first_token" else delta("a")
    server = Scripted([first, first, At(515), delta("b"), FINISH, End()])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=only(**{clock: 20.0})) as reply:
                with reply.subscribe(Policy.paced()) as slow:
                    await slow.receive()
                    await anyio.sleep(500)
                    await slow.receive()
                    assert (await slow.receive()).text == "b"


@pytest.mark.parametrize("late, rings", [(-MS, False), (MS, True)])
async def test_the_consumer_clock_bounds_one_wait_for_a_paced_subscription(
    late: float, rings: bool
) -> None:
    server = Scripted([*deltas(4), FINISH, End()])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=only(consumer=30)) as reply:
                with reply.subscribe(Policy.paced(), name="speech") as slow:
                    assert (await slow.receive()).text == "<0>"
                    await anyio.sleep(30 + late)
                    text = "<0>"
                    end: anyio.EndOfStream | ReplyTimeoutError | None = None
                    while end is None:
                        try:
                            text += (await slow.receive()).text
                        except (anyio.EndOfStream, ReplyTimeoutError) as error:
                            end = error
                        await anyio.sleep(20)
    if rings:
        assert isinstance(end, ReplyTimeoutError)
        assert end.clock == "consumer"
        assert "'speech'" in str(end)
        assert end.partial == text == told(2)
    else:
        assert isinstance(end, anyio.EndOfStream)
        assert text == told(4)


async def test_one_warning_after_ten_seconds_names_the_paced_subscription(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Scripted([*deltas(4), FINISH, End()])
    with anyio.fail_after(LONG), caplog.at_level(logging.WARNING, logger="fastgpt_client"):
        async with server.client() as client, client.stream("Hi") as reply:
            with reply.subscribe(Policy.paced(), name="speech") as slow:
                await slow.receive()
                await anyio.sleep(10 - MS)
                assert caplog.records == []
                await anyio.sleep(2 * MS)
                assert len(caplog.records) == 1
                assert "'speech'" in caplog.text
                for _ in range(3):
                    await slow.receive()
                    await anyio.sleep(100)
    assert len(caplog.records) == 1


async def test_the_warning_calls_a_consumer_with_options_as_its_author_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def speak(events: Subscription, *, secret: str) -> None:
        async for _ in events:
            await anyio.sleep(11)

    server = Scripted([*deltas(4), FINISH, End()])
    with anyio.fail_after(LONG), caplog.at_level(logging.WARNING, logger="fastgpt_client"):
        async with server.client() as client, client.stream("Hi") as reply:
            await reply.feed(functools.partial(speak, secret="s3cret"), policy=Policy.paced())
    assert "subscription 'speak';" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_lossless_consumer_that_is_slow_changes_no_clock() -> None:
    server = Scripted([*deltas(4), FINISH, End()])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=Timeouts(total=60)) as reply:
                text = ""
                async for event in reply:
                    await anyio.sleep(1000)
                    text += event.text
    assert text == told(4)
    assert reply.timings.total < 1


# --- a consumer that holds the event loop ------------------------------------------------------


def hold_the_loop(seconds: float) -> None:
    """Do what ``time.sleep()`` does to the event loop, in virtual time."""
    import trio

    clock: Any = trio.lowlevel.current_clock()
    clock.jump(seconds)


@pytest.mark.parametrize("clock", ["first_token", "idle", "silence", "total"])
@pytest.mark.parametrize("attempt", range(8))
async def test_bytes_that_wait_behind_a_consumer_that_holds_the_loop_keep_the_clocks_quiet(
    clock: str, attempt: int
) -> None:
    # trio runs what is ready in a random order, so one attempt would prove nothing.
    first: list[Step] = [STATUS] if clock == "first_token" else [delta("a")]
    server = Scripted([*first, At(20), delta("b"), FINISH, End()])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=only(**{clock: 25.0})) as reply:
                async for _ in reply:
                    hold_the_loop(30)
                    break
                assert (await reply.final()).text.endswith("b")


@pytest.mark.parametrize("attempt", range(8))
async def test_a_silent_server_behind_a_consumer_that_holds_the_loop_still_rings(
    attempt: int,
) -> None:
    server = Scripted([delta("a")])
    with anyio.fail_after(LONG):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=only(idle=25)) as reply:
                async for _ in reply:
                    hold_the_loop(30)
                    break
                with pytest.raises(ReplyTimeoutError) as caught:
                    await reply.final()
                assert caught.value.clock == "idle"


# --- clocks and other limits -------------------------------------------------------------------


async def test_an_outer_fail_after_that_comes_first_is_a_plain_timeout_error() -> None:
    server = Scripted([delta("a")])
    async with server.client() as client:
        with pytest.raises(TimeoutError) as caught:
            with anyio.fail_after(10):
                async with client.stream("Hi", timeouts=only(idle=25)) as reply:
                    await reply.final()
    assert not isinstance(caught.value, FastGPTError)


async def test_a_clock_that_comes_before_an_outer_fail_after_is_a_reply_timeout() -> None:
    server = Scripted([delta("a")])
    async with server.client() as client:
        with pytest.raises(ReplyTimeoutError) as caught:
            with anyio.fail_after(30):
                async with client.stream("Hi", timeouts=only(idle=25)) as reply:
                    await reply.final()
    assert caught.value.clock == "idle"


@pytest.mark.parametrize("attempt", range(8))
async def test_a_clock_and_an_outer_fail_after_in_the_same_instant_end_in_a_timeout(
    attempt: int,
) -> None:
    server = Scripted([delta("a")])
    async with server.client() as client:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(25):
                async with client.stream("Hi", timeouts=only(idle=25)) as reply:
                    await reply.final()


@pytest.mark.parametrize("clock", ["first_token", "idle", "silence", "total"])
@pytest.mark.parametrize("attempt", range(8))
async def test_the_end_and_a_clock_in_the_same_instant_is_the_end(clock: str, attempt: int) -> None:
    first: list[Step] = [STATUS] if clock == "first_token" else [delta("a")]
    how, when, _ = await outcome([*first, At(25), FINISH, End()], only(**{clock: 25.0}))
    assert how == "complete"
    assert when == pytest.approx(25)


@pytest.mark.parametrize("attempt", range(8))
async def test_a_bare_end_of_the_body_and_a_clock_in_the_same_instant_is_the_end(
    attempt: int,
) -> None:
    with pytest.raises(ReplyInterruptedError):
        await outcome([delta("a"), At(25), End()], only(idle=25))


async def test_two_clocks_in_the_same_instant_ring_one_of_them() -> None:
    how, when, _ = await outcome([delta("a")], only(idle=25, silence=25, total=25))
    assert how in ("idle", "silence", "total")
    assert when == pytest.approx(25)


async def test_the_first_of_several_clocks_rings() -> None:
    assert (await outcome([delta("a")], only(idle=25, silence=24, total=26)))[0] == "silence"
    assert (await outcome([delta("a")], only(idle=23, silence=24, total=26)))[0] == "idle"
    assert (await outcome([delta("a")], only(idle=25, silence=24, total=22)))[0] == "total"


async def test_limits_that_are_switched_off_never_ring() -> None:
    steps: list[Step] = [
        At(100_000),
        delta("a"),
        At(500_000),
        delta("b"),
        At(900_000),
        FINISH,
        End(),
    ]
    how, when, _ = await outcome(steps, NO_LIMITS)
    assert how == "complete"
    assert when == pytest.approx(900_000)


async def test_a_timeout_is_told_to_every_reader_and_keeps_the_text() -> None:
    server = Scripted(deltas(3))
    with anyio.fail_after(LONG):
        async with server.client() as client:
            async with client.stream("Hi", timeouts=only(idle=25)) as reply:
                met: list[ReplyTimeoutError] = []
                for _ in range(3):
                    with pytest.raises(ReplyTimeoutError) as caught:
                        await collect(reply)
                    met.append(caught.value)
    assert [error.partial for error in met] == [told(3)] * 3
    assert len({id(error) for error in met}) == 3
    assert [error.clock for error in met] == ["idle"] * 3
    assert server.wire.closed


async def test_the_timings_tell_first_token_and_total() -> None:
    steps: list[Step] = [STATUS, At(7), delta("a"), At(12), FINISH, End()]
    server = Scripted(steps, headers_after=3)
    with anyio.fail_after(LONG):
        async with server.client() as client:
            timings = (await client.ask("Hi")).timings
    assert timings.first_token == pytest.approx(7)
    assert timings.total == pytest.approx(12)
    assert timings.events == 2

"""How the bytes become events: chunks, bursts, bounds, breaks, and the connection afterwards."""

from __future__ import annotations

import gc
import logging
import re
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    AsyncChatClient,
    BadEventError,
    NotAnEventStreamError,
    Policy,
    QuotaExceededError,
    ReplyInterruptedError,
    ReplyTooLargeError,
    Status,
)
from fastgpt_client.testing import Delta, FakeFastGPT, Raw, Script, SilentModel

from .scripted import (
    ERROR,
    FINISH,
    HEARTBEAT,
    STATUS,
    End,
    Step,
    Turn,
    collect,
    delta,
    deltas,
    frame,
    open_reply,
    settle,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgpt_client import Reply

pytestmark = pytest.mark.anyio


# --- chunks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000, 1_000_000])
async def test_how_the_bytes_are_cut_into_chunks_changes_nothing(size: int) -> None:
    whole = STATUS + delta("你好") + HEARTBEAT + delta("🌊 ") + b"".join(deltas(20)) + FINISH
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    async with open_reply(*chunks, End()) as (reply, _):
        events = [event async for event in reply]
        assert reply.text == "你好🌊 " + told(20)
        assert [event.index for event in events] == list(range(23))
        assert reply.timings.bytes == len(whole)


async def test_an_event_is_handed_out_before_the_next_read_ends() -> None:
    async with open_reply() as (reply, wire):
        subscription = reply.subscribe()
        for number in range(20):
            wire.push(delta(f"<{number}>"))
            assert (await subscription.receive()).text == f"<{number}>"
            assert wire.reads == number + 1


async def test_an_event_is_handed_out_as_soon_as_its_blank_line_came() -> None:
    async with open_reply() as (reply, wire):
        subscription = reply.subscribe()
        event = delta("now")
        wire.push(event[:-1])
        await settle()
        assert reply.text == ""
        wire.push(event[-1:])
        assert (await subscription.receive()).text == "now"


async def test_a_burst_of_buffered_chunks_does_not_hold_the_event_loop() -> None:
    async with open_reply() as (reply, wire):
        turns = 0

        async def other() -> None:
            nonlocal turns
            while reply.status is Status.STREAMING:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tg:
            tg.start_soon(other)
            await settle()
            turns = 0
            wire.finish(*deltas(20_000))
        # Some 2 ms of work each: a burst of this size is a tenth of a second and more.
        assert turns > 10
        assert reply.text == told(20_000)


# --- bounds ------------------------------------------------------------------------------------


async def test_a_reply_beyond_max_reply_bytes_ends_with_what_came_before() -> None:
    size = sum(map(len, deltas(10)))
    async with open_reply(*deltas(10), max_reply_bytes=size) as (reply, wire):
        await settle()
        assert reply.status is Status.STREAMING
        wire.push(b":")
        with pytest.raises(ReplyTooLargeError, match="max_reply_bytes") as caught:
            await collect(reply)
        assert caught.value.partial == told(10)
        await settle()
        assert wire.closed


async def test_an_endless_line_ends_the_reply_and_keeps_the_frames_before() -> None:
    chunk = b"x" * (1 << 16)  # as much as the HTTP libraries read at once
    body: list[Step] = [chunk, Turn()]
    async with open_reply(delta("kept"), *body * 640) as (reply, wire):
        with pytest.raises(ReplyTooLargeError) as caught:
            await reply.final()
        assert caught.value.partial == "kept"
        # One event may have 16 MiB; it is given up with the burst that it ends in.
        assert wire.reads <= 1 + 256 + 64


# --- breaks ------------------------------------------------------------------------------------


async def test_an_exception_that_is_none_of_the_http_librarys_is_the_cause_of_a_failure() -> None:
    odd = RuntimeError("a transport of the caller's own")
    async with open_reply(*deltas(2), odd) as (reply, _):
        with pytest.raises(ReplyInterruptedError, match="RuntimeError") as caught:
            await collect(reply)
        assert caught.value.__cause__ is odd
        assert caught.value.partial == told(2)


@pytest.mark.parametrize("body", ["<html><body>It works!</body></html>", '{"choices": []}', "{"])
async def test_a_body_that_is_no_event_stream_says_how_it_begins(body: str) -> None:
    async with open_reply(body.encode(), End()) as (reply, _):
        with pytest.raises(NotAnEventStreamError, match=re.escape(repr(body))):
            await reply.final()


async def test_a_connection_that_cannot_be_closed_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "fastgpt_client")
    async with open_reply(*deltas(2), FINISH, End()) as (reply, wire):
        wire.close_error = OSError("already gone")
        assert await collect(reply) == told(2)
        assert (await reply.final()).status is Status.COMPLETE
    logged = [record.getMessage() for record in caplog.records]
    assert "closing the response failed" in logged


async def test_nothing_is_read_after_an_error_event() -> None:
    async with open_reply(*deltas(2), ERROR) as (reply, wire):
        with pytest.raises(QuotaExceededError):
            await reply.final()
        wire.push(*deltas(5, 2))
        await settle()
        assert reply.text == told(2)
        assert wire.closed


@pytest.mark.parametrize("policy", [Policy.lossless(), Policy.paced()], ids=lambda p: p.kind)
async def test_events_and_an_error_in_one_chunk_keep_their_order(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            wire.push(b"".join([*deltas(5), ERROR, *deltas(5, 5)]))
            seen = ""
            with pytest.raises(QuotaExceededError) as caught:
                async for event in subscription:
                    seen += event.text
        assert seen == told(5) == caught.value.partial


@pytest.mark.parametrize("policy", [Policy.lossless(), Policy.paced()], ids=lambda p: p.kind)
async def test_events_and_a_broken_one_in_one_chunk_keep_what_came_before(policy: Policy) -> None:
    async with open_reply() as (reply, wire):
        with reply.subscribe(policy) as subscription:
            wire.push(b"".join([*deltas(5), frame("answer", "not json"), delta("no")]))
            seen = ""
            with pytest.raises(BadEventError):
                async for event in subscription:
                    seen += event.text
        assert seen == told(5) == reply.text


# --- the connection afterwards -----------------------------------------------------------------


def connections(http: Any) -> list[Any]:
    return list(http._transport._pool.connections)


async def test_a_complete_reply_gives_its_connection_back(
    http_client_factory: Callable[[], Any],
) -> None:
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, http_client_factory() as http:
            client = AsyncChatClient(server.api_key, server.base_url, http_client=http)
            async with client:
                for _ in range(3):
                    await client.ask("Hi")
                    assert [connection.is_idle() for connection in connections(http)] == [True]
            assert server.connections == 1


async def two_words(reply: Reply) -> None:
    async for event in reply:
        if event.text == "upon":
            return


@pytest.mark.parametrize("how", ["held up", "failed", "late"])
async def test_a_reply_that_is_left_between_two_reads_leaves_no_generator(
    how: str, http_client_factory: Callable[[], Any]
) -> None:
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, http_client_factory() as http:
            said = [Delta("Once "), Delta("upon"), Delta(" a"), Delta(" time")]
            if how == "failed":
                server.script(Script(*said, Raw("answer", "not json"), SilentModel()))
            else:
                server.script(Script(*said, SilentModel()))
            client = AsyncChatClient(server.api_key, server.base_url, http_client=http)

            async def chat() -> None:
                async with client.stream("Hi") as reply:
                    if how == "held up":
                        paced = reply.subscribe(Policy.paced())
                        await paced.receive()
                        await settle()
                    elif how == "failed":
                        with pytest.raises(BadEventError):
                            await reply.final()
                    else:
                        await two_words(reply)
                        await reply.stop()

            async with client:
                await chat()
                assert connections(http) == []
                gc.collect()
            await server.wait_closed()


@pytest.mark.parametrize("how", ["break", "raise", "cancel", "stop", "timeout"])
async def test_an_early_end_closes_its_connection_and_leaves_no_generator(
    how: str, http_client_factory: Callable[[], Any]
) -> None:
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, http_client_factory() as http:
            server.script(Script(Delta("Once "), Delta("upon"), SilentModel()))
            client = AsyncChatClient(server.api_key, server.base_url, http_client=http)
            async with client:
                with anyio.CancelScope() as scope:
                    try:
                        async with client.stream("Hi") as reply:
                            await two_words(reply)
                            if how == "raise":
                                raise ValueError
                            if how == "cancel":
                                scope.cancel()
                                await anyio.sleep_forever()
                            if how == "stop":
                                await reply.stop()
                                assert connections(http) == []
                            if how == "timeout":
                                with anyio.fail_after(0.01):
                                    await reply.final()
                    except (ValueError, TimeoutError):
                        pass
                assert connections(http) == []
                gc.collect()
            await server.wait_closed()

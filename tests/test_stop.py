"""Stopping a reply: what readers see, and what the server is told."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client import (
    AsyncChatClient,
    ConnectError,
    Policy,
    QuotaExceededError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    Status,
    Timeouts,
)
from fastgpt_client.testing import (
    Delta,
    ErrorFrame,
    FakeFastGPT,
    Script,
    SilentModel,
    WaitFor,
)
from fastgpt_client.testing import Status as HTTPStatus

from .scripted import FINISH, End, Scripted, collect, deltas, open_reply, settle, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

TALKING = Script(Delta("Once "), Delta("upon"), SilentModel())


@asynccontextmanager
async def talking(
    http_client_factory: Callable[[], Any],
    *,
    app_id: bool = True,
    version: str = "4.16.0",
    **options: Any,
) -> AsyncIterator[tuple[FakeFastGPT, AsyncChatClient]]:
    """Run a server whose model says two words and then nothing, and a client for it."""
    with anyio.fail_after(10):
        async with FakeFastGPT(server_version=version) as server, http_client_factory() as http:
            server.script(TALKING)
            async with AsyncChatClient(
                server.api_key,
                server.base_url,
                app_id=server.app_id if app_id else None,
                http_client=http,
                **options,
            ) as client:
                yield server, client


async def two_words(reply: Any) -> None:
    async for event in reply:
        if event.text == "upon":
            return


def our_warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return our own: asyncio's debug mode warns of a slow machine."""
    return [record for record in caplog.records if record.name.startswith("fastgpt_client")]


# --- what readers see --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [Policy.lossless(), Policy.paced(), Policy.live()], ids=lambda p: p.kind
)
async def test_stop_from_another_task_ends_loops_normally(policy: Policy) -> None:
    async with open_reply(*deltas(0)) as (reply, wire):
        texts: list[str] = []

        async def read() -> None:
            texts.append(await collect(reply.subscribe(policy)))

        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            tg.start_soon(read)
            await settle()
            wire.push(*deltas(3))
            await settle()
            assert await reply.stop() == "closed"
        assert texts == [told(3)] * 2
        assert reply.status is Status.STOPPED
        assert reply.failure is None
        assert wire.closed


async def test_final_returns_the_answer_so_far_after_a_stop() -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        await settle()
        await reply.stop()
        answer = await reply.final()
    assert (answer.text, answer.status) == (told(3), Status.STOPPED)
    assert (await reply.final()).text == told(3)


async def test_final_in_another_task_is_woken_by_a_stop() -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        texts: list[str] = []

        async def wait() -> None:
            texts.append((await reply.final()).text)

        async with anyio.create_task_group() as tg:
            tg.start_soon(wait)
            await settle()
            await reply.stop()
        assert texts == [told(3)]


async def test_a_late_subscriber_replays_a_stopped_reply_and_ends() -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        await settle()
        await reply.stop()
        assert await collect(reply) == told(3)
        with pytest.raises(anyio.EndOfStream):
            subscription = reply.subscribe(Policy.live())
            await subscription.receive()


async def test_stop_inside_the_loop_ends_it_after_what_had_arrived() -> None:
    async with open_reply(*deltas(5)) as (reply, _):
        seen = ""
        async for event in reply:
            seen += event.text
            if event.index == 1:
                await reply.stop()
        assert seen == reply.text == told(5)


async def test_nothing_arrives_after_a_stop() -> None:
    async with open_reply(b"".join(deltas(200))) as (reply, wire):
        with reply.subscribe(Policy.paced()) as paced:
            await paced.receive()
            await settle()
            assert reply.text == told(2)
            await reply.stop()
            wire.push(*deltas(10))
            await settle()
            assert reply.text == told(2)
            assert await collect(paced) == "<1>"
        assert (await reply.final()).text == told(2)


async def test_stopping_twice_or_after_the_end_changes_nothing() -> None:
    async with open_reply(*deltas(3)) as (reply, _):
        await settle()
        assert await reply.stop() == "closed"
        assert await reply.stop() == "ended"
    async with open_reply(*deltas(3), FINISH, End()) as (reply, _):
        await reply.final()
        assert await reply.stop() == "ended"
        assert reply.status is Status.COMPLETE


async def test_a_body_may_raise_after_a_stop() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with open_reply(*deltas(3)) as (reply, _):
            await reply.stop()
            raise ValueError("mine")
    assert reply.status is Status.STOPPED


# --- v1 ----------------------------------------------------------------------------------------


async def test_stopping_v1_closes_the_connection_which_stops_the_run(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory) as (server, client):
        async with client.stream("Hi") as reply:
            await two_words(reply)
            assert await reply.stop() == "closed"
            assert (await server.wait_run()).status == "aborted"
        assert server.stops == []


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
async def test_leaving_v1_early_stops_the_run(
    how: str, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory) as (server, client):
        with anyio.CancelScope() as scope:
            try:
                async with client.stream("Hi") as reply:
                    await two_words(reply)
                    if how == "raise":
                        raise ValueError
                    if how == "cancel":
                        scope.cancel()
                        await anyio.sleep_forever()
            except ValueError:
                pass
        assert (await server.wait_run()).status == "aborted"
        await server.wait_closed()
        assert len(server.requests) == 1


# --- v2 ----------------------------------------------------------------------------------------


async def test_stopping_v2_posts_a_stop_and_reports_that_a_run_took_it(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        async with client.stream("Hi") as reply:
            await two_words(reply)
            assert await reply.stop() == "confirmed"
            assert (await reply.final()).text == "Once upon"
        request = await server.wait_stop()
        assert request.json == {"appId": server.app_id, "chatId": reply.chat_id}
        assert (await server.wait_run()).status == "stopped"
        assert len(server.stops) == 1


@pytest.mark.parametrize("how", ["break", "raise", "cancel", "timeout"])
async def test_leaving_v2_early_posts_a_stop_after_closing_the_stream(
    how: str, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        limits = Timeouts(idle=0.05) if how == "timeout" else None
        chat_id = "of-this-test"
        with anyio.CancelScope() as scope:
            try:
                async with client.stream("Hi", chat_id=chat_id, timeouts=limits) as reply:
                    await two_words(reply)
                    if how == "raise":
                        raise ValueError
                    if how == "cancel":
                        scope.cancel()
                        await anyio.sleep_forever()
                    if how == "timeout":
                        await reply.final()
            except (ValueError, ReplyTimeoutError):
                pass
        request = await server.wait_stop()
        assert request.json == {"appId": server.app_id, "chatId": chat_id}
        run = await server.wait_run()
        assert run.status == "stopped"
        assert run.client_left


async def test_leaving_v2_early_posts_the_stop_even_if_the_pool_has_one_connection() -> None:
    from .scripted import http_library

    library = http_library()

    def one_connection() -> Any:
        return library.AsyncClient(limits=library.Limits(max_connections=1))

    async with talking(one_connection, api="v2") as (server, client):
        async with client.stream("Hi") as reply:
            await two_words(reply)
        await server.wait_stop()
        assert (await server.wait_run()).status == "stopped"


async def test_a_chat_id_of_the_callers_own_is_the_one_that_is_stopped(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        async with client.stream("Hi", chat_id="mine") as reply:
            await two_words(reply)
        assert (await server.wait_stop()).json["chatId"] == "mine"


async def test_leaving_v2_early_without_an_app_id_warns_once(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(http_client_factory, api="v2", app_id=False) as (server, client):
        with caplog.at_level(logging.WARNING, logger="fastgpt_client"):
            async with client.stream("Hi") as reply:
                await two_words(reply)
        assert len(our_warnings(caplog)) == 1
        assert "app_id" in caplog.text
        assert server.stops == []


async def test_stopping_v2_without_an_app_id_says_not_told(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(http_client_factory, api="v2", app_id=False) as (_, client):
        with caplog.at_level(logging.WARNING, logger="fastgpt_client"):
            async with client.stream("Hi") as reply:
                await two_words(reply)
                assert await reply.stop() == "not_told"
                assert reply.status is Status.STOPPED
        assert len(our_warnings(caplog)) == 1


@pytest.mark.parametrize("how", ["stop", "leave"])
async def test_a_server_without_the_endpoint_makes_one_warning_and_no_failure(
    how: str, http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        server.route("POST", "/api/v2/chat/stop", HTTPStatus(404, "<html>404</html>", "text/html"))
        with caplog.at_level(logging.WARNING, logger="fastgpt_client"):
            async with client.stream("Hi") as reply:
                await two_words(reply)
                if how == "stop":
                    assert await reply.stop() == "not_told"
        assert len(our_warnings(caplog)) == 1
        assert "cannot stop a run" in caplog.text


async def test_a_server_that_refuses_the_stop_makes_one_warning_and_no_failure(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        server.route("POST", "/api/v2/chat/stop", HTTPStatus(500, {"code": 500, "message": "no"}))
        with caplog.at_level(logging.WARNING, logger="fastgpt_client"):
            async with client.stream("Hi") as reply:
                await two_words(reply)
                assert await reply.stop() == "not_told"
        assert len(our_warnings(caplog)) == 1
        assert "refused" in caplog.text


async def test_leaving_does_not_wait_for_the_answer_to_the_stop(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        asked = anyio.Event()

        async def never(_: Any) -> Any:
            asked.set()
            await anyio.sleep_forever()

        server.route("POST", "/api/v2/chat/stop", never)
        with anyio.fail_after(4):
            async with client.stream("Hi", timeouts=Timeouts(close=3600)) as reply:
                await two_words(reply)
        assert asked.is_set()


@pytest.mark.parametrize("end", ["complete", "failed"])
async def test_a_v2_reply_that_ended_by_itself_posts_no_stop(
    end: str, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        if end == "complete":
            server.script("Hello")
            await client.ask("Hi")
        else:
            server.script(Script(Delta("a"), ErrorFrame("no", 500004, "aiPointsNotEnough")))
            with pytest.raises(QuotaExceededError):
                await client.ask("Hi")
        assert len(server.requests) == 1


async def test_a_stop_that_is_cancelled_before_the_server_was_told_is_told_on_leaving(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        async with client.stream("Hi") as reply:
            await two_words(reply)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await reply.stop()
            assert scope.cancelled_caught
        await server.wait_stop()
        assert (await server.wait_run()).status == "stopped"


@pytest.mark.parametrize("headers", [False, True], ids=["before headers", "after headers"])
async def test_ask_that_is_cancelled_posts_a_stop(
    headers: bool, http_client_factory: Callable[[], Any]
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        first = [Delta("Once ")] if headers else []
        server.script(Script(*first, WaitFor("never")))
        async with anyio.create_task_group() as tg:
            tg.start_soon(client.ask, "Hi")
            await server.wait_at_gate("never")
            tg.cancel_scope.cancel()
        await server.wait_stop()
        assert (await server.wait_run()).status == "stopped"


async def test_a_clock_that_rings_before_the_headers_posts_a_stop(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        server.script(Script(WaitFor("never")))
        with pytest.raises(ReplyTimeoutError) as caught:
            await client.ask("Hi", timeouts=Timeouts(first_token=0.1))
        assert caught.value.clock == "first_token"
        assert (await server.wait_stop()).json["appId"] == server.app_id
        assert (await server.wait_run()).status == "stopped"


async def test_a_v2_reply_that_the_client_gives_up_posts_a_stop(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):
        with pytest.raises(ReplyTooLargeError):
            await client.ask("Hi", max_reply_bytes=100)
        await server.wait_stop()
        assert (await server.wait_run()).status == "stopped"


async def test_closing_the_client_posts_a_stop_for_each_v2_reply_that_is_open(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(http_client_factory, api="v2") as (server, client):

        async def chat(chat_id: str) -> None:
            async with client.stream("Hi", chat_id=chat_id) as reply:
                await two_words(reply)
                with pytest.raises(ReplyInterruptedError, match="client was closed"):
                    await reply.final()

        async with anyio.create_task_group() as tg:
            for chat_id in ("one", "two", "three"):
                tg.start_soon(chat, chat_id)
            await server.wait_until(lambda: len(server.runs) == 3)
            await settle()
            await client.aclose()
        await server.wait_stop(3)
        assert sorted(stop.json["chatId"] for stop in server.stops) == ["one", "three", "two"]
    assert our_warnings(caplog) == []


async def test_closing_the_client_of_v2_replies_without_an_app_id_says_that_they_go_on(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(http_client_factory, api="v2", app_id=False) as (server, client):
        with pytest.raises(ReplyInterruptedError):
            async with client.stream("Hi") as reply:
                await two_words(reply)
                await client.aclose()
                await reply.final()
        assert server.stops == []
    (warning,) = our_warnings(caplog)
    assert "goes on" in warning.getMessage()


async def test_a_stop_that_does_not_reach_the_server_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Scripted(steps=deltas(2))
    async with server.client(api="v2", app_id="a" * 24) as client:
        async with client.stream("Hi") as reply:
            async for _ in reply:
                server.error = "ConnectError"
                break
    assert server.requests[-1].url.path == "/api/v2/chat/stop"
    assert reply.status is Status.ABANDONED
    (warning,) = our_warnings(caplog)
    assert "the run, which goes on: no connection" in warning.getMessage()


async def test_a_refused_connection_posts_no_stop(caplog: pytest.LogCaptureFixture) -> None:
    server = Scripted(error="ConnectError")
    async with server.client(api="v2", app_id="a" * 24) as client:
        with pytest.raises(ConnectError):
            await client.ask("Hi")
    assert {request.url.path for request in server.requests} == {"/api/v2/chat/completions"}
    assert our_warnings(caplog) == []


@pytest.mark.virtual_time
async def test_stop_waits_a_limited_time_for_the_servers_answer() -> None:
    answered = Scripted(deltas(2))

    async def handler(request: Any) -> Any:
        if request.url.path.endswith("/stop"):
            await anyio.sleep_forever()
        return await answered(request)

    from .scripted import http_library

    library = http_library()
    with anyio.fail_after(1000):
        async with library.AsyncClient(transport=library.MockTransport(handler)) as http:
            client = AsyncChatClient(
                "key", "http://test", app_id="a" * 24, api="v2", http_client=http
            )
            async with client, client.stream("Hi") as reply:
                await settle()
                began = anyio.current_time()
                assert await reply.stop() == "unconfirmed"
                assert 5 < anyio.current_time() - began < 20


@pytest.mark.virtual_time
@pytest.mark.parametrize("takes, report", [(4.9, "confirmed"), (5.1, "unconfirmed")])
async def test_only_the_time_that_the_answer_took_tells_whether_a_run_took_the_stop(
    takes: float, report: str
) -> None:
    from .scripted import http_library

    library = http_library()
    answered = Scripted(deltas(2))

    async def handler(request: Any) -> Any:
        if request.url.path.endswith("/stop"):
            await anyio.sleep(takes)
            return library.Response(200, json={"code": 200, "data": None})
        return await answered(request)

    with anyio.fail_after(1000):
        async with library.AsyncClient(transport=library.MockTransport(handler)) as http:
            client = AsyncChatClient(
                "key", "http://test", app_id="a" * 24, api="v2", http_client=http
            )
            async with client, client.stream("Hi") as reply:
                await settle()
                assert await reply.stop() == report

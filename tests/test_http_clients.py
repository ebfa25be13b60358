"""The caller's own HTTP client: its pool, its limits, HTTP/2, and what stands in between."""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client import AsyncChatClient, Reply, ReplyTimeoutError, Timeouts

from .fault_server import (
    BODY,
    CHUNKED_HEAD,
    LAST_CHUNK,
    REQUEST,
    TEXT,
    FaultServer,
    Fin,
    Gate,
    Silence,
    Wait,
    chunk,
)
from .scripted import DONE, FINISH, TERMINAL, delta, http_library
from .web_servers import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Factory = Callable[..., Any]
    Application = Callable[[Any, Any, Any], Awaitable[None]]

pytestmark = pytest.mark.anyio

WHOLE = CHUNKED_HEAD + chunk(BODY) + LAST_CHUNK


def pool(http: Any) -> Any:
    return http._transport._pool


def busy(http: Any) -> list[Any]:
    return [one for one in pool(http).connections if not one.is_idle()]


async def test_a_small_pool_serves_many_chats_one_after_the_other(
    http_client_factory: Factory,
) -> None:
    limits = http_library().Limits(max_connections=2)
    texts: list[str] = []
    with FaultServer.of(*(WHOLE, REQUEST) * 11, WHOLE) as server:
        async with http_client_factory(limits=limits) as http:
            client = AsyncChatClient("key", server.url, http_client=http)

            async def ask() -> None:
                texts.append((await client.ask("Hi")).text)

            with anyio.fail_after(5):
                async with client, anyio.create_task_group() as tg:
                    for _ in range(12):
                        tg.start_soon(ask)
            assert busy(http) == []
            assert pool(http)._requests == []
            assert server.accepted <= 2
    assert texts == [TEXT] * 12


async def test_a_full_pool_rings_the_clock_of_the_pool_and_sends_nothing(
    http_client_factory: Factory,
) -> None:
    limits = http_library().Limits(max_connections=1)
    with FaultServer.of(CHUNKED_HEAD + chunk(delta("Once ")), Gate(), Silence()) as server:
        async with http_client_factory(limits=limits) as http:
            client = AsyncChatClient("key", server.url, http_client=http)
            with anyio.fail_after(5):
                async with client, client.stream("Hi") as reply:
                    assert (await anext(aiter(reply))).text == "Once "
                    with pytest.raises(ReplyTimeoutError, match="pool") as caught:
                        await client.ask("Hi", timeouts=Timeouts(connect=0.05))
                    assert caught.value.clock == "pool"
                    assert caught.value.seconds == 0.05
                    assert len(server.requests) == 1
                    assert pool(http)._requests != []
                    assert str(reply.status) == "streaming"
            assert pool(http)._requests == pool(http).connections == []


async def test_a_place_that_becomes_free_in_a_full_pool_is_taken(
    http_client_factory: Factory,
) -> None:
    limits = http_library().Limits(max_connections=1)
    with FaultServer.of(CHUNKED_HEAD + chunk(delta("Once ")), Silence()) as server:
        server.scripts.append((*server.scripts[0][:1], WHOLE, Fin()))
        async with http_client_factory(limits=limits) as http:
            client = AsyncChatClient("key", server.url, http_client=http)
            answers: list[str] = []

            async def second() -> None:
                answers.append((await client.ask("Hi")).text)

            with anyio.fail_after(5):
                async with client, anyio.create_task_group() as tg:
                    async with client.stream("Hi") as reply:
                        await anext(aiter(reply))
                        tg.start_soon(second)
                        while len(pool(http)._requests) < 2:  # noqa: ASYNC110 - no event tells
                            await anyio.sleep(0.001)
            assert answers == [TEXT]


@pytest.mark.parametrize("place", ["before the headers", "between two events"])
async def test_the_librarys_own_limits_do_not_apply(
    place: str, http_client_factory: Factory
) -> None:
    first = CHUNKED_HEAD + chunk(delta("Once "))
    rest = chunk(delta("upon") + FINISH) + LAST_CHUNK
    pause = Wait(0.2)
    steps = (pause, first, rest) if place == "before the headers" else (first, pause, rest)
    with FaultServer.of(*steps, Fin()) as server:
        # As its default of 5 s would end a model that is silent for longer.
        async with http_client_factory(timeout=0.05) as http:
            client = AsyncChatClient(
                "key", server.url, http_client=http, timeouts=Timeouts(connect=5)
            )
            with anyio.fail_after(5):
                async with client:
                    assert (await client.ask("Hi")).text == "Once upon"


async def test_a_proxy_that_keeps_the_body_open_after_done_costs_only_the_close_limit(
    http_client_factory: Factory,
) -> None:
    with FaultServer.of(CHUNKED_HEAD + chunk(BODY), Silence()) as server:
        async with http_client_factory() as http:
            limits = Timeouts(close=0.1, silence=5, idle=5, first_token=5)
            client = AsyncChatClient("key", server.url, http_client=http, timeouts=limits)
            with anyio.fail_after(5):
                async with client:
                    answer = await client.ask("Hi")
                    assert (answer.text, str(answer.status)) == (TEXT, "complete")
                    # The body is not at its end, so the connection is of no more use.
                    assert pool(http).connections == []
                await anyio.to_thread.run_sync(server.wait_closed)


async def test_the_callers_client_stays_open_and_keeps_its_own_settings(
    http_client_factory: Factory,
) -> None:
    with FaultServer.of(WHOLE, Fin()) as server:
        async with http_client_factory(headers={"X-Tenant": "a"}, timeout=3) as http:
            async with AsyncChatClient("key", server.url, http_client=http) as client:
                with anyio.fail_after(5):
                    await client.ask("Hi")
            assert not http.is_closed
            assert http.timeout.read == 3
    assert b"X-Tenant: a" in server.requests[0]


# --- HTTP/2 ------------------------------------------------------------------------------------


def application(left: anyio.Event, *parts: bytes, hold: bool) -> Application:
    """Make a server of event streams.

    :param left: set when the application is told that the client has gone.
    :param parts: what is sent, each by itself.
    :param hold: whether nothing more comes then.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        while (await receive())["more_body"]:  # noqa: ASYNC110 - the request's own messages
            pass
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if hold:
            while (await receive())["type"] != "http.disconnect":  # noqa: ASYNC110 - the same
                pass
            left.set()
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


needs_http2 = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("h2", "hypercorn"))), reason="h2 or hypercorn is missing"
)


def two(factory: Factory) -> Any:
    # With prior knowledge, so that no certificate is needed.
    return factory(http1=False, http2=True)


@needs_http2
async def test_a_reply_over_http2_is_the_same_reply_and_many_share_a_connection(
    http_client_factory: Factory, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    left = anyio.Event()
    parts = (delta("Once "), delta("upon"), TERMINAL, DONE)
    texts: list[str] = []
    with caplog.at_level(logging.WARNING, logger="fastgpt_client"), anyio.fail_after(10):
        served = application(left, *parts, hold=False)
        async with serve(served, "hypercorn", anyio_backend_name) as server:
            async with two(http_client_factory) as http:
                client = AsyncChatClient("key", f"http://127.0.0.1:{server.port}", http_client=http)

                async def ask() -> None:
                    texts.append((await client.ask("Hi")).text)

                async with client, anyio.create_task_group() as tg:
                    for _ in range(5):
                        tg.start_soon(ask)
                assert busy(http) == []
                assert len(pool(http).connections) <= 5
    assert texts == ["Once upon"] * 5
    assert [record for record in caplog.records if record.name.startswith("fastgpt")] == []


@needs_http2
@pytest.mark.parametrize("how", ["break", "raise", "cancel", "stop", "timeout"])
async def test_leaving_a_reply_early_over_http2_logs_one_warning(
    how: str,
    http_client_factory: Factory,
    anyio_backend_name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left = anyio.Event()
    replies: list[Reply] = []

    async def chat(client: AsyncChatClient) -> None:
        limits = Timeouts(idle=0.2 if how == "timeout" else None)
        with anyio.CancelScope() as scope:
            async with client.stream("Hi", timeouts=limits) as reply:
                replies.append(reply)
                async for _ in reply:
                    if how == "raise":
                        raise ZeroDivisionError
                    if how == "cancel":
                        scope.cancel()
                    if how == "break":
                        break
                    if how == "stop":
                        assert await reply.stop() == "not_told"

    with caplog.at_level(logging.WARNING, logger="fastgpt_client"), anyio.fail_after(10):
        served = application(left, delta("Once "), hold=True)
        async with serve(served, "hypercorn", anyio_backend_name) as server:
            async with two(http_client_factory) as http:
                client = AsyncChatClient("key", f"http://127.0.0.1:{server.port}", http_client=http)
                async with client:
                    if how == "raise":
                        with pytest.raises(ZeroDivisionError):
                            await chat(client)
                    elif how == "timeout":
                        with pytest.raises(ReplyTimeoutError):
                            await chat(client)
                    else:
                        await chat(client)
                assert busy(http) == []
            gc.collect()
    assert replies[0].text == "Once "
    said = [record.message for record in caplog.records if record.name.startswith("fastgpt")]
    assert len(said) == (how != "stop"), said
    assert all("HTTP/2" in message for message in said)


@needs_http2
async def test_a_refusal_over_http2_is_a_refusal(
    http_client_factory: Factory, anyio_backend_name: str
) -> None:
    body = json.dumps({"code": 514, "statusText": "unAuthApiKey", "message": "", "data": None})
    error = f"event: error\ndata: {body}\n\n".encode()
    with anyio.fail_after(10):
        served = application(anyio.Event(), error, hold=False)
        async with serve(served, "hypercorn", anyio_backend_name) as server:
            async with two(http_client_factory) as http:
                client = AsyncChatClient("key", f"http://127.0.0.1:{server.port}", http_client=http)
                with pytest.raises(Exception, match="does not know this API key"):
                    await client.ask("Hi")
                assert busy(http) == []

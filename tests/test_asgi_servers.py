"""Replies over real sockets: web servers, frameworks, and browsers that leave in the middle."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("fastapi", reason="fastapi is not installed")
pytest.importorskip("hypercorn", reason="hypercorn is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from fastgpt_client import AsyncChatClient
from fastgpt_client.asgi import ReplyResponse
from fastgpt_client.testing import (
    Delta,
    FakeFastGPT,
    NodeStatus,
    Script,
    Silence,
    Truncate,
    WaitFor,
)

from .browsers import Browser, frames, texts
from .scripted import Scripted, deltas, settle
from .web_servers import WebServer, on_each_server, request, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.anyio

Backend = tuple[str, dict[str, Any]]
STORY = "Once upon a time there was a stream."


def bare(client: AsyncChatClient) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while not (await receive())["type"].endswith("shutdown"):
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            render = scope["path"].strip("/")
            await ReplyResponse(client, "Hi", render)(scope, receive, send)

    return application


def starlette(client: AsyncChatClient) -> Any:
    async def endpoint(request: Request) -> Response:
        return ReplyResponse(client, "Hi", request.path_params["render"])

    return Starlette(routes=[Route("/{render}", endpoint)])


def starlette_behind_middleware(client: AsyncChatClient) -> Any:
    async def pass_on(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response

    async def endpoint(request: Request) -> Response:
        return ReplyResponse(client, "Hi", request.path_params["render"])

    return Starlette(
        routes=[Route("/{render}", endpoint)],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=pass_on),
            Middleware(GZipMiddleware, minimum_size=1),
        ],
    )


def fastapi(client: AsyncChatClient) -> Any:
    application = FastAPI()

    @application.get("/{render}")
    async def endpoint(render: Any) -> ReplyResponse:
        return ReplyResponse(client, "Hi", render)

    return application


FRAMEWORKS = [bare, starlette, starlette_behind_middleware, fastapi]
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)


@asynccontextmanager
async def served(
    framework: Callable[[AsyncChatClient], Any], server_name: str, backend: Backend
) -> AsyncIterator[tuple[FakeFastGPT, WebServer]]:
    async with FakeFastGPT() as fastgpt:
        async with AsyncChatClient(fastgpt.api_key, fastgpt.base_url) as client:
            async with serve(framework(client), server_name, backend[0]) as web:
                with anyio.fail_after(10):  # noqa: ASYNC100 - around the body
                    yield fastgpt, web


@on_each_server
@each_framework
async def test_a_whole_answer_arrives(
    framework: Callable[..., Any], server_name: str, anyio_backend: Backend
) -> None:
    async with served(framework, server_name, anyio_backend) as (fastgpt, web):
        fastgpt.reply(STORY)
        head, body = await web.get("/events")
        _, plain = await web.get("/plain")
    assert head.startswith("HTTP/1.1 200")
    assert "content-type: text/event-stream; charset=utf-8" in head.lower()
    shown = frames(body)
    assert shown[-1].event == "end"
    assert texts(shown) == STORY
    assert plain == STORY


@on_each_server
@each_framework
async def test_the_answer_arrives_while_the_model_still_speaks(
    framework: Callable[..., Any], server_name: str, anyio_backend: Backend
) -> None:
    async with served(framework, server_name, anyio_backend) as (fastgpt, web):
        fastgpt.script(Script(NodeStatus("AI"), Delta("Once "), Silence()))
        async with web.connect() as browser:
            await browser.send(request("/events"))
            await browser.until(b"Once ")
            assert fastgpt.runs[0].status == "running"


@on_each_server
@each_framework
@pytest.mark.parametrize("render", ["events", "plain"])
async def test_the_model_is_stopped_when_a_browser_leaves_in_the_middle(
    framework: Callable[..., Any], server_name: str, render: str, anyio_backend: Backend
) -> None:
    async with served(framework, server_name, anyio_backend) as (fastgpt, web):
        fastgpt.script(Script(NodeStatus("AI"), Delta("Once "), Silence()))
        async with web.connect() as browser:
            await browser.send(request(f"/{render}"))
            await browser.until(b"Once ")
        run = await fastgpt.wait_run()
        assert run.status == "aborted"
        assert fastgpt.aborted == [run]
        # The application goes on serving.
        fastgpt.reply(STORY)
        assert (await web.get("/plain"))[1] == STORY


@on_each_server
async def test_the_model_is_stopped_when_a_browser_leaves_and_does_not_read(
    server_name: str, anyio_backend: Backend
) -> None:
    async with served(bare, server_name, anyio_backend) as (fastgpt, web):
        # More than every buffer on the way takes, so that sending is what is cancelled.
        fastgpt.script(Script(*[Delta("0123456789" * 6000)] * 200, WaitFor("leaving")))
        async with web.connect() as browser:
            await browser.send(request("/events"))
            await browser.until(b"0123456789")
            await fastgpt.wait_at_gate("leaving")
        assert (await fastgpt.wait_run()).status == "aborted"


@on_each_server
@each_framework
async def test_failures_are_statuses_before_and_events_after_the_first_byte(
    framework: Callable[..., Any], server_name: str, anyio_backend: Backend
) -> None:
    async with served(framework, server_name, anyio_backend) as (fastgpt, web):
        fastgpt.script(Script(Truncate()))
        head, body = await web.get("/events")
        assert head.startswith("HTTP/1.1 502")
        assert json.loads(body)["error"]["type"] == "ReplyInterruptedError"
        fastgpt.script(Script(Delta("Once "), Truncate()))
        head, body = await web.get("/events")
        assert head.startswith("HTTP/1.1 200")
        assert [frame.event for frame in frames(body)] == ["AnswerDelta", "error"]


@on_each_server
async def test_an_event_source_that_connects_again_gets_204(
    server_name: str, anyio_backend: Backend
) -> None:
    async with served(starlette, server_name, anyio_backend) as (fastgpt, web):
        head, body = await web.get("/events", "Last-Event-ID: 3")
        assert fastgpt.requests == []
    assert head.startswith("HTTP/1.1 204")
    assert body == ""


@on_each_server
async def test_fastapi_gives_dependencies_and_runs_background_tasks(
    server_name: str, anyio_backend: Backend
) -> None:
    saved: list[str] = []
    application = FastAPI()
    clients: list[AsyncChatClient] = []

    async def question() -> str:
        return "How are you?"

    def save(response: ReplyResponse) -> None:
        assert response.reply is not None
        saved.append(response.reply.text)

    @application.get("/ask")
    async def ask(background: BackgroundTasks, text: str = Depends(question)) -> ReplyResponse:
        response = ReplyResponse(clients[0], text, "plain")
        response.set_cookie("seen", "1")
        background.add_task(save, response)
        return response

    def with_client(client: AsyncChatClient) -> Any:
        clients.append(client)
        return application

    async with served(with_client, server_name, anyio_backend) as (fastgpt, web):
        fastgpt.reply(STORY)
        head, body = await web.get("/ask")
        assert body == STORY
        assert fastgpt.requests[0].json["messages"][-1]["content"] == "How are you?"
        assert "set-cookie: seen=1" in head.lower()
        assert '"/ask"' in (await web.get("/openapi.json"))[1]
    assert saved == [STORY]


@on_each_server
async def test_a_response_can_be_mounted_as_an_application(
    server_name: str, anyio_backend: Backend
) -> None:
    def mounted(client: AsyncChatClient) -> Any:
        return Starlette(routes=[Mount("/story", app=ReplyResponse(client, "Hi", "plain"))])

    async with served(mounted, server_name, anyio_backend) as (fastgpt, web):
        fastgpt.reply(STORY)
        assert (await web.get("/story/"))[1] == STORY
    assert len(fastgpt.requests) == 1


# --- the way that does not work ----------------------------------------------------------------


@pytest.mark.filterwarnings("default:Async generator:ResourceWarning")
def test_a_block_inside_a_streaming_responses_generator_names_the_right_class(
    anyio_backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    told_of: list[str] = []

    async def main() -> None:
        if anyio_backend[0] == "asyncio":
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: told_of.append(str(context.get("exception")))
            )
        server = Scripted(deltas(2))
        async with server.client() as client:

            async def texts() -> AsyncIterator[str]:  # noqa: ASYNC900 - what is tested
                async with client.stream("Hi") as reply:
                    async for event in reply:
                        yield event.text  # noqa: ASYNC119

            # From version 2.4 of the specification on, sending to a browser that left fails.
            browser = Browser(gone_error=OSError("gone"))

            async def show() -> None:
                # No scope around it here: the generator leaves its own ones open in this task.
                with pytest.raises(ClientDisconnect):
                    await StreamingResponse(texts())(
                        {"type": "http", "asgi": {"spec_version": "2.4"}},
                        browser._receive,
                        browser._send,
                    )

            async with anyio.create_task_group() as tg:
                tg.start_soon(show)
                await browser.wait_for("<1>")
                browser.leave()
                server.wire.push(*deltas(1, 2))
            gc.collect()
            with anyio.fail_after(5):
                while not server.wire.closed:  # noqa: ASYNC110 - closed by the finalizer
                    await anyio.sleep(0.001)
                await settle()
            gc.collect()

    with caplog.at_level(logging.ERROR):
        # The scopes of the block belong to the response's task, which cannot end without them.
        with pytest.raises(ExceptionGroup) as caught:
            anyio.run(main, backend=anyio_backend[0], backend_options=anyio_backend[1])
    (error,) = caught.value.exceptions
    assert ("cancel scope" if anyio_backend[0] == "asyncio" else "Nursery") in repr(error)
    told_of += [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert any("fastgpt_client.asgi.ReplyResponse" in message for message in told_of)

"""Attaching to a run again: catch-up and live phases, saved ends, servers without it.

No recorded server has the endpoint; the frames follow FastGPT's source (4.16.0).
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import fastgpt_client as f
from fastgpt_client import AsyncChatClient, InvalidArgumentError, Timeouts
from fastgpt_client.testing import FakeFastGPT, RawResponse, Refusal
from fastgpt_client.testing import Status as HTTPStatus

from .recordings import STREAM_HEAD, chunked, stream_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

PATH = "/api/core/chat/resume"
SELECT = {"type": "userSelect", "params": {"userSelectOptions": [{"key": "a", "value": "A"}]}}


def frame(name: str, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


def said(text: str | None, finish: str | None = None) -> bytes:
    delta = {"role": "assistant", "content": text}
    return frame("answer", {"choices": [{"delta": delta, "index": 0, "finish_reason": finish}]})


CATCHUP, LIVE = frame("resumePhase", "catchup"), frame("resumePhase", "live")
END = said(None, "stop") + frame("answer", "[DONE]")


def completed(*value: Any) -> bytes:
    items = [
        {"dataId": "d", "obj": "Human", "value": [{"text": {"content": "question"}}]},
        {"dataId": "d", "obj": "AI", "value": list(value)},
    ]
    payload = {
        "chatGenerateStatus": 1,
        "hasBeenRead": True,
        "records": {"list": items, "total": 2, "hasMorePrev": False, "hasMoreNext": False},
    }
    return frame("resumeCompleted", payload) + frame("done", "[DONE]")


@asynccontextmanager
async def resuming(
    http_client_factory: Callable[[], Any], answer: Any, **options: Any
) -> AsyncIterator[tuple[FakeFastGPT, AsyncChatClient]]:
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, http_client_factory() as http:
            if answer is not None:
                server.route("GET", PATH, answer)
            options = {"app_id": server.app_id, **options}
            async with AsyncChatClient(
                server.api_key, server.base_url, http_client=http, **options
            ) as client:
                yield server, client


async def test_what_was_sent_before_comes_first_and_then_what_is_new(
    http_client_factory: Callable[[], Any],
) -> None:
    body = (
        CATCHUP
        + frame("flowNodeStatus", {"status": "running", "name": "AI"})
        + said("Once ")
        + LIVE
        + said("upon")
        + frame("workflowDuration", {"durationSeconds": 3.2})
        + END
    )
    answer = RawResponse(stream_response(body))
    async with resuming(http_client_factory, answer) as (server, client):
        async with client.resume("chat 1/河") as reply:
            events = [event async for event in reply]
            final = await reply.final()
        phases = [event.phase for event in events if isinstance(event, f.ResumePhase)]
        assert phases == ["catchup", "live"]
        assert (final.text, final.duration, final.chat_id) == ("Once upon", 3.2, "chat 1/河")
        (request,) = server.requests
        assert request.method == "GET"
        assert request.query == {"appId": server.app_id, "chatId": "chat 1/河"}
        assert request.header("accept") == "text/event-stream"
        assert request.header("authorization") == f"Bearer {server.api_key}"
        assert request.body == b""


@pytest.mark.parametrize("cut", [None, 1])
async def test_of_a_run_that_has_ended_the_saved_answer_comes(
    cut: int | None, http_client_factory: Callable[[], Any]
) -> None:
    tool = {"id": "t", "toolName": "W", "functionName": "w", "params": "{}", "response": "r"}
    body = completed(
        {"reasoning": {"content": "Hm."}, "text": {"content": "Once "}},
        {"id": "t", "tools": [tool]},
        {"text": {"content": "upon"}},
    )
    answer = RawResponse(stream_response(body), cut)
    async with resuming(http_client_factory, answer) as (_, client):
        async with client.resume("c") as reply:
            events = [event async for event in reply]
            final = await reply.final()
    assert [type(event) for event in events] == [f.ResumeCompleted, f.AnswerDelta]
    assert [event.index for event in events] == [0, 1]
    assert "".join(event.text for event in events) == reply.text == final.text == "Once upon"
    assert final.reasoning == "Hm."
    assert [use.response for use in final.tool_calls] == ["r"]
    assert final.status is f.Status.COMPLETE


async def test_what_was_lost_comes_with_the_saved_end(
    http_client_factory: Callable[[], Any],
) -> None:
    unavailable = frame("resumeUnavailable", {"reason": "memoryPressure"})
    body = CATCHUP + unavailable + b": ping\n\n: ping\n\n" + completed({"text": {"content": "all"}})
    answer = RawResponse(stream_response(body))
    async with resuming(http_client_factory, answer) as (_, client):
        async with client.resume("c") as reply:
            assert (await reply.final()).text == "all"


@pytest.mark.parametrize(
    ("saved", "rest"), [("Once upon", "upon"), ("Once ", ""), ("something else", "")]
)
async def test_the_saved_answer_repeats_nothing_that_came_before(
    saved: str, rest: str, http_client_factory: Callable[[], Any]
) -> None:
    body = CATCHUP + said("Once ") + completed({"text": {"content": saved}})
    answer = RawResponse(stream_response(body))
    async with resuming(http_client_factory, answer) as (_, client):
        async with client.resume("c") as reply:
            assert (await reply.final()).text == "Once " + rest


async def test_a_saved_question_is_the_replys_question(
    http_client_factory: Callable[[], Any],
) -> None:
    answer = RawResponse(stream_response(completed({"interactive": SELECT})))
    async with resuming(http_client_factory, answer) as (_, client):
        conversation = client.conversation("c", api="v2")
        async with conversation.resume() as reply:
            events = [event async for event in reply]
        assert isinstance(events[-1], f.Interactive)
        assert conversation.pending == events[-1]
        assert conversation.pending.answer("a").content == "A"


@pytest.mark.parametrize("records", [{}, {"list": None}, {"list": [3]}, {"list": []}])
async def test_a_saved_end_without_an_answer_is_an_empty_reply(
    records: Any, http_client_factory: Callable[[], Any]
) -> None:
    body = frame("resumeCompleted", {"records": records}) + frame("done", "[DONE]")
    answer = RawResponse(stream_response(body))
    async with resuming(http_client_factory, answer) as (_, client):
        async with client.resume("c") as reply:
            assert (await reply.final()).text == ""


async def test_a_server_without_it_names_what_to_do_instead(
    http_client_factory: Callable[[], Any],
) -> None:
    async with resuming(http_client_factory, None) as (_, client):
        with pytest.raises(f.NotFoundError, match=r"conversation\.recover\(\)") as caught:
            async with client.resume("c"):
                pass
    assert caught.value.status_code == 404


async def test_the_recorded_answer_of_a_server_without_it_is_understood(
    http_client_factory: Callable[[], Any], captures: Any
) -> None:
    folder = captures / "captures-4.14"
    for name in ("resume_apikey_sse", "resume_apikey_json", "resume_cookie_sse"):
        answer = RawResponse((folder / f"{name}.raw").read_bytes())
        async with resuming(http_client_factory, answer) as (_, client):
            with pytest.raises(f.NotFoundError, match=r"recover\(\)"):
                async with client.resume("c"):
                    pass


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Refusal("x", 502000, "appUnExist"), f.NotFoundError),
        (Refusal("x", 514, "unAuthApiKey"), f.AuthenticationError),
        (HTTPStatus(406, {"code": 406, "message": "still generating"}), f.ServerError),
    ],
)
async def test_a_refusal_comes_out_as_itself(
    answer: Any, error: type[f.APIError], http_client_factory: Callable[[], Any]
) -> None:
    async with resuming(http_client_factory, answer) as (_, client):
        with pytest.raises(error) as caught:
            async with client.resume("c"):
                pass
    assert "recover" not in str(caught.value)


async def test_leaving_leaves_the_run_alone_and_stopping_stops_it(
    http_client_factory: Callable[[], Any],
) -> None:
    unfinished = RawResponse(STREAM_HEAD + chunked([CATCHUP, said("Once ")]))
    stop = "/api/v2/chat/stop"
    async with resuming(http_client_factory, unfinished) as (server, client):
        server.route("POST", stop, {"success": True})
        async with client.resume("c") as reply:
            async for event in reply:
                if event.text:
                    break
        await server.wait_closed()
        assert [request.path for request in server.requests] == [PATH]
        async with client.resume("c") as reply:
            async for event in reply:
                if event.text:
                    break
            outcome = await reply.stop()
        assert outcome == "confirmed"
        assert [request.path for request in server.requests] == [PATH, PATH, stop]
        assert server.requests[-1].json == {"appId": server.app_id, "chatId": "c"}


async def test_a_resumed_reply_that_breaks_off_is_interrupted(
    http_client_factory: Callable[[], Any],
) -> None:
    answer = RawResponse(STREAM_HEAD + chunked([CATCHUP, said("Once ")]), close=True)
    async with resuming(http_client_factory, answer) as (_, client):
        with pytest.raises(f.ReplyInterruptedError) as caught:
            async with client.resume("c") as reply:
                await reply.final()
    assert caught.value.partial == "Once "


async def test_the_limits_hold_for_a_resumed_reply_too(
    http_client_factory: Callable[[], Any],
) -> None:
    answer = RawResponse(STREAM_HEAD + chunked([CATCHUP]))
    async with resuming(http_client_factory, answer) as (_, client):
        with pytest.raises(f.ReplyTimeoutError) as caught:
            async with client.resume("c", timeouts=Timeouts(first_token=0.1)) as reply:
                await reply.final()
    assert caught.value.clock == "first_token"


@pytest.mark.parametrize(
    ("options", "arguments", "field"),
    [
        ({"app_id": None}, {"chat_id": "c"}, "app_id"),
        ({}, {"chat_id": "c", "app_id": "zzz"}, "app_id"),
        ({}, {"chat_id": ""}, "chat_id"),
        ({}, {"chat_id": None}, "chat_id"),
        ({}, {"chat_id": "c", "timeouts": 3}, "timeouts"),
    ],
)
async def test_a_bad_argument_is_refused_at_once(options: Any, arguments: Any, field: str) -> None:
    async with AsyncChatClient("k", **{"app_id": "a" * 24, **options}) as client:
        with pytest.raises(InvalidArgumentError) as caught:
            client.resume(**arguments)
    assert caught.value.field == field

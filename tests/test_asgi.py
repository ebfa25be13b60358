"""A reply on its way to a browser: what is sent, and what a browser that leaves does."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    APIError,
    AsyncChatClient,
    AuthenticationError,
    ChatBusyError,
    ChatClient,
    ConnectError,
    Event,
    FastGPTError,
    InvalidArgumentError,
    Policy,
    QuotaExceededError,
    RateLimitError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    Status,
    Timeouts,
    UsageError,
    ValidationError,
    WorkflowError,
)
from fastgpt_client.asgi import (
    Rendering,
    ReplyResponse,
    SubscriptionResponse,
    describe,
    http_status,
)
from fastgpt_client.testing import (
    Delta,
    FakeFastGPT,
    FastAnswer,
    Frame,
    Interactive,
    NodeStatus,
    Reasoning,
    Script,
    Silence,
    ToolCall,
    ToolParams,
    Truncate,
    Variables,
    WaitFor,
    chat_node,
)
from fastgpt_client.testing import NodeResponse as NodeResponseStep
from fastgpt_client.testing import Status as HTTPStatus

from .browsers import Browser, texts
from .scripted import (
    FINISH,
    HEARTBEAT,
    At,
    End,
    Scripted,
    delta,
    deltas,
    settle,
    told,
)

pytestmark = pytest.mark.anyio

BROKEN_LINE = "\n[The answer broke off.]\n"


async def shown(server: FakeFastGPT, render: Any = "events", **options: Any) -> Browser:
    """Answer one browser, from the first byte to the last."""
    browser = Browser()
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        await browser.open(ReplyResponse(client, "Hi", render, **options))
    return browser


# --- what is sent ------------------------------------------------------------------------------


async def test_each_event_is_sent_under_its_class_and_its_index() -> None:
    async with FakeFastGPT() as server:
        server.script(
            Script(
                NodeStatus("AI Chat"),
                Reasoning("hm"),
                Delta("Once\nupon"),
                ToolCall("t1", "Clock", "clock"),
                ToolParams("t1", '{"zone":"UTC"}'),
                FastAnswer("a time"),
            )
        )
        browser = await shown(server)
    assert browser.status == 200
    assert browser.header("content-type") == "text/event-stream; charset=utf-8"
    assert browser.finished
    assert [frame.event for frame in browser.frames] == [
        "NodeStatus",
        "AnswerDelta",
        "AnswerDelta",
        "ToolCall",
        "ToolParams",
        "FastAnswer",
        "WorkflowDuration",
        "end",
    ]
    status, thought, said, tool, params, fast, duration, _ = (f.json for f in browser.frames)
    assert status == {"index": 0, "status": "running", "node_name": "AI Chat"}
    assert thought == {"index": 1, "text": "", "reasoning": "hm"}
    assert said == {"index": 2, "text": "Once\nupon", "reasoning": ""}
    assert tool["tool_name"] == "Clock"
    assert params["params"] == '{"zone":"UTC"}'
    assert fast["text"] == "\na time"
    assert duration["seconds"] == 0.25
    assert [frame.id for frame in browser.frames[:3]] == ["0", "1", "2"]


async def test_the_inside_of_the_workflow_is_not_sent() -> None:
    async with FakeFastGPT() as server:
        server.script(
            Script(
                Variables({"secret": "s3cret"}),
                NodeResponseStep(chat_node("x", question="s3cret prompt")),
                Frame("newThing", {"inner": "s3cret"}),
                Interactive(
                    {
                        "type": "userSelect",
                        "params": {
                            "description": "Which?",
                            "userSelectOptions": [{"key": "o1", "value": "This"}],
                        },
                        "memoryEdges": ["s3cret"],
                        "nodeOutputs": ["s3cret"],
                    }
                ),
            )
        )
        browser = await shown(server)
    assert "s3cret" not in browser.body
    (question,) = (frame.json for frame in browser.frames if frame.event == "Interactive")
    assert question["description"] == "Which?"
    assert question["options"] == [{"key": "o1", "value": "This"}]
    assert "params" not in question


async def test_the_end_tells_status_tokens_and_times() -> None:
    async with FakeFastGPT() as server:
        server.reply("Once upon a time")
        browser = await shown(server)
    end = browser.frames[-1]
    assert end.event == "end"
    assert end.json["status"] == "complete"
    assert end.json["usage"]["output_tokens"] == len("Once upon a time")
    assert 0 < end.json["first_token"] <= end.json["total"]


@pytest.mark.parametrize("text", ["plain", "two\nlines", "\n", " space", "\u2028", "end\n\n", "🌊"])
async def test_text_arrives_as_it_was_said(text: str) -> None:
    async with FakeFastGPT() as server:
        server.script(Script(NodeStatus("AI"), Delta("<"), Delta(text), Delta(">")))
        browser = await shown(server, "text")
        plain = await shown(server, "plain")
        typed = await shown(server)
    said = [frame for frame in browser.frames if frame.event == "message"]
    assert "".join(frame.data for frame in said) == f"<{text}>"
    assert browser.frames[-1].event == "end"
    assert plain.body == f"<{text}>"
    assert plain.header("content-type") == "text/plain; charset=utf-8"
    assert texts(typed.frames) == f"<{text}>"


async def test_a_carriage_return_in_text_mode_is_a_line_end() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("a\r\nb\rc")))
        browser = await shown(server, "text")
    assert browser.frames[0].data == "a\nb\nc"


async def test_nothing_may_store_or_hold_back_the_answer() -> None:
    async with FakeFastGPT() as server:
        browser = await shown(server, "plain", headers={"Cache-Control": "no-cache", "X-Own": "1"})
    assert browser.header("cache-control") == "no-cache"
    assert browser.header("x-own") == "1"
    assert browser.header("x-accel-buffering") == "no"
    assert browser.header("x-content-type-options") == "nosniff"


async def test_a_function_of_an_event_decides_what_is_sent() -> None:
    def loud(event: Event) -> bytes | None:
        return event.text.upper().encode() if event.text else None

    async with FakeFastGPT() as server:
        server.reply("once")
        browser = await shown(server, loud)
        typed = await shown(server, Rendering(event=loud, media_type="text/loud"))
    assert browser.body == "ONCE"
    assert browser.header("content-type") == "application/octet-stream"
    assert typed.header("content-type") == "text/loud"


async def test_an_answer_without_text_is_an_empty_body() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(NodeStatus("AI")))
        browser = await shown(server, "plain")
    assert (browser.status, browser.body, browser.finished) == (200, "", True)


async def test_a_browser_that_is_slow_gets_everything() -> None:
    server = Scripted([*deltas(500), FINISH, End()])
    browser = Browser()
    async with server.client() as client:
        response = ReplyResponse(client, "Hi")
        await browser.open(response)
    assert texts(browser.frames) == told(500)
    assert response.reply is not None
    assert response.reply.text == told(500)
    # What has arrived goes out together.
    assert len(browser.messages) < 100


async def test_a_policy_may_bound_what_waits_for_a_slow_browser() -> None:
    server = Scripted([*deltas(200), FINISH, End()])
    browser = Browser()
    async with server.client() as client:
        await browser.open(ReplyResponse(client, "Hi", policy=Policy.paced(2)))
    assert texts(browser.frames) == told(200)


# --- heartbeats --------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_silence_is_filled_with_comments() -> None:
    server = Scripted([delta("a"), At(50), delta("b"), FINISH, End()])
    browser = Browser()
    async with server.client(timeouts=Timeouts(silence=None)) as client:
        with anyio.fail_after(100):
            async with anyio.create_task_group() as tg:
                tg.start_soon(_open_patiently, browser, ReplyResponse(client, "Hi", heartbeat=15))
    assert browser.body.count(": \n\n") == 3
    assert texts(browser.frames) == "ab"


@pytest.mark.virtual_time
async def test_a_heartbeat_starts_the_response_while_the_server_sends_nothing() -> None:
    server = Scripted([delta("a"), FINISH, End()], headers_after=40)
    browser = Browser()
    async with server.client() as client:
        await _open_patiently(browser, ReplyResponse(client, "Hi", heartbeat=15))
    assert browser.body.startswith(": \n\n: \n\nid: 0\n")


@pytest.mark.virtual_time
async def test_a_heartbeat_waits_until_a_slow_browser_has_taken_what_is_on_its_way() -> None:
    sending = most = 0

    async def slow(message: Any) -> None:
        nonlocal sending, most
        sending += 1
        most = max(most, sending)
        await anyio.sleep(40)
        await browser._send(message)
        sending -= 1

    server = Scripted([delta("a"), At(1), delta("b"), At(200), FINISH, End()])
    browser = Browser()
    async with server.client(timeouts=Timeouts(silence=None, idle=None)) as client:
        await ReplyResponse(client, "Hi", heartbeat=15)(
            {"type": "http", "method": "GET", "headers": []}, browser._receive, slow
        )
    assert most == 1
    assert texts(browser.frames[:-1]) == "ab"
    assert browser.body.count(": \n\n") >= 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("options", [{"heartbeat": None}, {"render": "plain", "heartbeat": 1}])
async def test_heartbeats_can_be_off_and_plain_text_has_none(options: dict[str, Any]) -> None:
    server = Scripted([delta("a"), At(30), delta("b"), FINISH, End()])
    browser = Browser()
    async with server.client() as client:
        await _open_patiently(browser, ReplyResponse(client, "Hi", **options))
    assert ": \n\n" not in browser.body
    assert browser.finished


@pytest.mark.virtual_time
async def test_the_servers_own_heartbeats_are_not_passed_on() -> None:
    server = Scripted([delta("a"), At(5), HEARTBEAT, At(9), HEARTBEAT, FINISH, End()])
    browser = Browser()
    async with server.client() as client:
        await _open_patiently(browser, ReplyResponse(client, "Hi"))
    assert [frame.event for frame in browser.frames] == ["AnswerDelta", "end"]
    assert ": \n\n" not in browser.body


async def _open_patiently(browser: Browser, response: ReplyResponse) -> None:
    # Browser.open() has a limit of its own, which virtual time would reach.
    await response(
        {"type": "http", "method": "GET", "headers": []}, browser._receive, browser._send
    )


# --- failures ----------------------------------------------------------------------------------


async def test_a_failure_before_the_first_byte_is_an_http_status() -> None:
    async with FakeFastGPT() as server:
        server.script(HTTPStatus(502, "<html>http://10.0.0.7 is down</html>", "text/html"))
        browser = await shown(server, headers={"X-Own": "1"})
    assert browser.status == 502
    assert browser.header("content-type") == "application/json"
    assert browser.header("x-own") == "1"
    assert browser.finished
    assert "10.0.0.7" not in browser.body
    assert browser.messages[1]["body"] == (
        b'{"error":{"type":"ServerError","message":"The service failed."}}'
    )


async def test_a_wrong_key_is_told_without_it_and_is_not_the_browsers_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser = Browser()
    async with FakeFastGPT() as server:
        async with AsyncChatClient("wrong-secret-key", server.base_url) as client:
            with caplog.at_level(logging.WARNING):
                await browser.open(ReplyResponse(client, "Hi", "text"))
    assert browser.status == 502
    assert '"type":"AuthenticationError"' in browser.body
    assert "AuthenticationError" in caplog.text
    assert "wrong-secret-key" not in browser.body + caplog.text


async def test_too_many_requests_tell_when_to_come_again() -> None:
    async with FakeFastGPT(rate_limit=1) as server:
        await shown(server)
        browser = await shown(server)
    assert browser.status == 429
    after = browser.header("retry-after")
    assert after is not None
    assert 1 <= int(after) <= 60
    assert '"retry_after":' in browser.body


@pytest.mark.parametrize("render", ["events", "text"])
async def test_a_failure_after_the_first_byte_is_an_event(render: str) -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Truncate()))
        browser = await shown(server, render)
    assert browser.status == 200
    assert browser.finished
    error = browser.frames[-1]
    assert error.event == "error"
    assert error.json == {"type": "ReplyInterruptedError", "message": "The answer broke off."}
    assert not [frame for frame in browser.frames if frame.event == "end"]


async def test_a_failure_after_the_first_byte_is_the_last_line_of_plain_text() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Truncate()))
        browser = await shown(server, "plain")
    assert browser.body == "Once " + BROKEN_LINE
    assert browser.finished


@pytest.mark.virtual_time
async def test_a_time_limit_is_told_with_its_clock() -> None:
    server = Scripted([delta("a")])
    browser = Browser()
    async with server.client(timeouts=Timeouts(silence=None, idle=25)) as client:
        await _open_patiently(browser, ReplyResponse(client, "Hi"))
    assert browser.frames[-1].json == {
        "type": "ReplyTimeoutError",
        "message": "The answer took too long.",
        "clock": "idle",
        "seconds": 25,
    }


@pytest.mark.virtual_time
async def test_a_failure_after_a_heartbeat_is_an_event_too() -> None:
    server = Scripted(headers_after=1000)
    browser = Browser()
    async with server.client(timeouts=Timeouts(first_token=20)) as client:
        await _open_patiently(browser, ReplyResponse(client, "Hi", heartbeat=15))
    assert browser.status == 200
    assert browser.frames[-1].json["clock"] == "first_token"


async def test_a_failed_node_is_told_after_the_text_and_not_in_its_own_words() -> None:
    async with FakeFastGPT() as server:
        server.reply("Once", error="model sk-s3cret at http://10.0.0.7 said no")
        browser = await shown(server)
        allowed = await shown(server, raise_on_node_error=False)
    assert texts(browser.frames[:-1]) == "Once"
    assert browser.frames[-1].json["type"] == "WorkflowError"
    assert "s3cret" not in browser.body
    assert allowed.frames[-1].event == "end"


async def test_a_page_may_be_told_in_other_words() -> None:
    def in_chinese(error: FastGPTError) -> dict[str, Any]:
        return {**describe(error), "message": "回答中断了", "partial": len(error.partial)}

    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Truncate()))
        browser = await shown(server, describe=in_chinese)
        plain = await shown(server, "plain", describe=in_chinese)
    assert browser.frames[-1].json["message"] == "回答中断了"
    assert browser.frames[-1].json["partial"] == 5
    assert plain.body == "Once \n[回答中断了]\n"


async def test_a_rendering_that_cannot_tell_a_failure_cuts_the_body_off() -> None:
    def only_text(event: Event) -> bytes | None:
        return event.text.encode() or None

    browser = Browser()
    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Truncate()))
        async with AsyncChatClient(server.api_key, server.base_url) as client:
            with pytest.raises(ReplyInterruptedError):
                await browser.open(ReplyResponse(client, "Hi", only_text))
    assert browser.body == "Once "
    assert not browser.finished


async def test_an_error_of_the_rendering_comes_out_bare_and_stops_the_model() -> None:
    def broken(event: Event) -> bytes | None:
        raise ZeroDivisionError

    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), WaitFor("never")))
        async with AsyncChatClient(server.api_key, server.base_url) as client:
            with pytest.raises(ZeroDivisionError):
                await Browser().open(ReplyResponse(client, "Hi", broken))
            with anyio.fail_after(5):
                await server.wait_run()
        assert len(server.aborted) == 1


@pytest.mark.parametrize(
    "error, status",
    [
        (RateLimitError(), 429),
        (QuotaExceededError(), 503),
        (ChatBusyError(), 409),
        (ValidationError(), 400),
        (AuthenticationError(), 502),
        (APIError(), 502),
        (WorkflowError(), 502),
        (ReplyTimeoutError(), 504),
        (ConnectError(), 502),
        (ReplyTooLargeError(), 502),
        (FastGPTError(), 502),
    ],
)
def test_every_failure_has_a_status_and_a_sentence(error: FastGPTError, status: int) -> None:
    assert http_status(error) == status
    assert describe(error)["type"] == type(error).__name__
    assert describe(error)["message"].endswith(".")


# --- browsers that leave, connect again, or ask for the head ------------------------------------


@pytest.mark.parametrize("render", ["events", "text", "plain"])
async def test_the_model_is_stopped_when_the_browser_leaves(render: str) -> None:
    browser = Browser()
    async with FakeFastGPT() as server:
        server.script(Script(Delta("Once "), Silence()))
        async with AsyncChatClient(server.api_key, server.base_url) as client:
            response = ReplyResponse(client, "Hi", render)  # type: ignore[arg-type]
            async with anyio.create_task_group() as tg:
                tg.start_soon(browser.open, response)
                await browser.wait_for("Once")
                browser.leave()
            with anyio.fail_after(5):
                await server.wait_run()
            assert [run.text for run in server.aborted] == ["Once "]
            assert response.reply is not None
            assert response.reply.status is Status.ABANDONED
            assert response.reply.open_subscriptions == 0
    assert not browser.finished


async def test_a_browser_that_leaves_before_the_answer_stops_the_request() -> None:
    browser = Browser()
    server = Scripted(headers_after=1000)
    async with server.client() as client:
        async with anyio.create_task_group() as tg:
            tg.start_soon(browser.open, ReplyResponse(client, "Hi"))
            await settle()
            assert len(server.requests) == 1
            browser.leave()
    assert browser.messages == []


@pytest.mark.parametrize("error", [OSError("gone"), BrokenPipeError(), anyio.BrokenResourceError()])
async def test_a_server_that_says_by_an_error_that_the_browser_left(error: Exception) -> None:
    async def waits_for_ever() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    browser = Browser(gone_error=error)
    server = Scripted(deltas(2))
    async with server.client() as client:
        response = ReplyResponse(client, "Hi")
        async with anyio.create_task_group() as tg:
            tg.start_soon(
                response,
                {"type": "http", "method": "GET", "headers": []},
                waits_for_ever,
                browser._send,
            )
            await browser.wait_for("<1>")
            browser.leave()
            server.wire.push(*deltas(1, 2))
    assert server.wire.closed
    assert response.reply is not None
    assert response.reply.status is Status.ABANDONED


async def test_cancelling_the_application_stops_the_model() -> None:
    browser = Browser()
    server = Scripted(deltas(2))
    async with server.client() as client:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tg:
                tg.start_soon(browser.open, ReplyResponse(client, "Hi"))
                await browser.wait_for("<1>")
                scope.cancel()
    assert scope.cancelled_caught
    assert server.wire.closed


async def test_an_event_source_that_connects_again_does_not_ask_again() -> None:
    browser = Browser(headers={"Last-Event-ID": "3"})
    async with FakeFastGPT() as server:
        async with AsyncChatClient(server.api_key, server.base_url) as client:
            await browser.open(ReplyResponse(client, "Hi"))
        assert server.requests == []
    assert (browser.status, browser.body, browser.finished) == (204, "", True)


async def test_a_request_for_the_head_does_not_ask() -> None:
    browser = Browser(method="HEAD")
    async with FakeFastGPT() as server:
        async with AsyncChatClient(server.api_key, server.base_url) as client:
            await browser.open(ReplyResponse(client, "Hi"))
        assert server.requests == []
    assert (browser.status, browser.body) == (200, "")
    assert browser.header("content-type") == "text/event-stream; charset=utf-8"


async def test_the_background_runs_after_the_response_and_sees_the_reply() -> None:
    saved: list[str] = []

    async def save() -> None:
        await anyio.lowlevel.checkpoint()
        assert response.reply is not None
        saved.append(f"{response.reply.status}: {response.reply.text}")

    server = Scripted([*deltas(2), FINISH, End()])
    async with server.client() as client:
        response = ReplyResponse(client, "Hi", background=save)
        await Browser().open(response)
    assert saved == [f"complete: {told(2)}"]


async def test_the_background_also_runs_when_the_browser_has_left() -> None:
    saved: list[str] = []

    async def save() -> None:
        await anyio.lowlevel.checkpoint()
        assert response.reply is not None
        saved.append(f"{response.reply.status}: {response.reply.text}")

    browser = Browser()
    server = Scripted(deltas(2))
    async with server.client() as client:
        response = ReplyResponse(client, "Hi", background=save)
        async with anyio.create_task_group() as tg:
            tg.start_soon(browser.open, response)
            await browser.wait_for("<1>")
            browser.leave()
    assert saved == [f"abandoned: {told(2)}"]


async def test_one_response_answers_several_requests() -> None:
    server = Scripted([*deltas(2), FINISH, End()])
    browsers = [Browser(), Browser()]
    async with server.client() as client:
        application = ReplyResponse(client, "Hi", "plain")
        async with anyio.create_task_group() as tg:
            for browser in browsers:
                tg.start_soon(browser.open, application)
    assert [browser.body for browser in browsers] == [told(2)] * 2
    assert len(server.requests) == 2


async def test_stopping_the_reply_ends_the_response_well() -> None:
    browser = Browser()
    server = Scripted(deltas(2))
    async with server.client() as client:
        response = ReplyResponse(client, "Hi")
        async with anyio.create_task_group() as tg:
            tg.start_soon(browser.open, response)
            await browser.wait_for("<1>")
            assert response.reply is not None
            await response.reply.stop()
    assert browser.frames[-1].event == "end"
    assert browser.frames[-1].json["status"] == "stopped"


# --- wrong use ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, field",
    [
        ({"render": "html"}, "render"),
        ({"render": 3}, "render"),
        ({"heartbeat": 0}, "heartbeat"),
        ({"api": "v3"}, "api"),
        ({"timeouts": 5}, "timeouts"),
    ],
)
def test_wrong_arguments_are_refused_in_the_endpoint(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ReplyResponse(AsyncChatClient("key"), "Hi", **options)
    assert caught.value.field == field


def test_a_blocking_client_is_refused() -> None:
    with ChatClient("key") as client:
        with pytest.raises(InvalidArgumentError, match="AsyncChatClient") as caught:
            ReplyResponse(client, "Hi")  # type: ignore[arg-type]
    assert caught.value.field == "client"


async def test_an_error_of_the_web_server_comes_out_bare_and_stops_the_model() -> None:
    async def broken() -> dict[str, Any]:
        await settle()
        raise ZeroDivisionError

    server = Scripted(deltas(2))
    async with server.client() as client:
        with anyio.fail_after(5), pytest.raises(ZeroDivisionError):
            await ReplyResponse(client, "Hi")(
                {"type": "http", "method": "GET", "headers": []}, broken, Browser()._send
            )
    assert server.wire.closed


async def test_only_http_is_answered() -> None:
    async with AsyncChatClient("key") as client:
        with pytest.raises(UsageError, match="lifespan"):
            await ReplyResponse(client, "Hi")({"type": "lifespan"}, anyio.sleep_forever, print)  # type: ignore[arg-type]


async def test_a_client_that_was_closed_is_a_mistake_of_the_application() -> None:
    async with AsyncChatClient("key") as client:
        response = ReplyResponse(client, "Hi")
    with pytest.raises(UsageError, match="closed"):
        await Browser().open(response)


def test_starlette_is_not_needed() -> None:
    program = """
import sys
sys.modules["starlette"] = None
from fastgpt_client import AsyncChatClient
from fastgpt_client.asgi import ReplyResponse
response = ReplyResponse(AsyncChatClient("key"), "Hi")
assert type(response).__mro__[-2:] == (ReplyResponse.__mro__[1], object), type(response).__mro__
print(response.status_code, len(response.raw_headers))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.split()[0] == b"200"


# --- one reply for several browsers ------------------------------------------------------------


async def test_each_browser_sees_the_whole_reply_whenever_it_comes() -> None:
    early, late, after = Browser(), Browser(), Browser()
    server = Scripted(deltas(2))
    async with server.client() as client, client.stream("Hi") as reply:
        async with anyio.create_task_group() as tg:
            tg.start_soon(early.open, SubscriptionResponse(reply))
            await early.wait_for("<1>")
            tg.start_soon(late.open, SubscriptionResponse(reply, "plain"))
            await late.wait_for("<1>")
            server.wire.finish(*deltas(1, 2))
        await after.open(SubscriptionResponse(reply, "text"))
    assert texts(early.frames) == late.body == told(3)
    assert "".join(f.data for f in after.frames if f.event == "message") == told(3)
    assert len(server.requests) == 1


async def test_a_browser_that_leaves_a_shared_reply_closes_only_its_own_subscription() -> None:
    leaving, staying = Browser(), Browser()
    server = Scripted(deltas(2))
    async with server.client() as client, client.stream("Hi") as reply:
        async with anyio.create_task_group() as tg:
            tg.start_soon(leaving.open, SubscriptionResponse(reply))
            tg.start_soon(staying.open, SubscriptionResponse(reply))
            await leaving.wait_for("<1>")
            await staying.wait_for("<1>")
            assert reply.open_subscriptions == 2
            leaving.leave()
            await settle()
            assert reply.open_subscriptions == 1
            assert reply.status is Status.STREAMING
            server.wire.finish(*deltas(1, 2))
    assert texts(staying.frames) == told(3)


async def test_an_event_source_that_connects_again_goes_on_where_it_was() -> None:
    browser = Browser(headers={"Last-Event-ID": "1"})
    server = Scripted([*deltas(4), FINISH, End()])
    async with server.client() as client, client.stream("Hi") as reply:
        await reply.final()
        await browser.open(SubscriptionResponse(reply))
    assert texts(browser.frames) == told(2, 2)


async def test_a_last_event_id_that_is_none_is_ignored() -> None:
    browser = Browser(headers={"Last-Event-ID": "²x"})
    server = Scripted([*deltas(2), FINISH, End()])
    async with server.client() as client, client.stream("Hi") as reply:
        await browser.open(SubscriptionResponse(reply))
    assert texts(browser.frames) == told(2)


async def test_the_failure_of_a_shared_reply_is_told_to_each_browser() -> None:
    browsers = [Browser(), Browser()]
    server = Scripted([*deltas(2), End()])
    async with server.client() as client:
        with pytest.raises(ReplyInterruptedError):
            async with client.stream("Hi") as reply:
                async with anyio.create_task_group() as tg:
                    for browser in browsers:
                        tg.start_soon(browser.open, SubscriptionResponse(reply))
                await reply.final()
    for browser in browsers:
        assert browser.frames[-1].json["type"] == "ReplyInterruptedError"


async def test_a_browser_is_told_when_the_holder_leaves_the_block_too_soon() -> None:
    browser = Browser()
    server = Scripted(deltas(2))
    async with server.client() as client:
        async with anyio.create_task_group() as tg:
            async with client.stream("Hi") as reply:
                tg.start_soon(browser.open, SubscriptionResponse(reply))  # noqa: ASYNC111
                await browser.wait_for("<1>")
    assert browser.frames[-1].event == "error"
    assert browser.frames[-1].json["type"] == "ReplyInterruptedError"


async def test_a_reply_whose_block_was_left_cannot_be_shown() -> None:
    server = Scripted([*deltas(2), FINISH, End()])
    async with server.client() as client:
        async with client.stream("Hi") as reply:
            await reply.final()
        with pytest.raises(UsageError, match="after the reply's block"):
            await Browser().open(SubscriptionResponse(reply))

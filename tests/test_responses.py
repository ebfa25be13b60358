"""Responses of ``AsyncChatClient.create_chat_completion``: lines, whole bodies, ends, clean-up."""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    APIError,
    AsyncChatClient,
    AsyncChatResponse,
    AuthenticationError,
    BadEventError,
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    NotAnEventStreamError,
    NotFoundError,
    ProtocolError,
    QuotaExceededError,
    RateLimitError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    ServerError,
    Timeouts,
    UsageError,
    ValidationError,
    WorkflowError,
)
from fastgpt_client.testing import (
    Close,
    CutChunk,
    Delta,
    ErrorFrame,
    FakeFastGPT,
    Raw,
    RawResponse,
    Refusal,
    Reset,
    Script,
    SilentModel,
    Status,
    Truncate,
    chat_script,
)

from .scripted import DONE, FINISH, HEARTBEAT, At, End, Scripted, delta, http_library
from .sweep import Scenario, Stage, sweep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

pytestmark = pytest.mark.anyio

QUESTION = [{"role": "user", "content": "Hi"}]


@pytest.fixture
async def server() -> AsyncIterator[FakeFastGPT]:
    async with FakeFastGPT() as server:
        with anyio.fail_after(10):
            yield server


@pytest.fixture
async def client(server: FakeFastGPT) -> AsyncIterator[AsyncChatClient]:
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        yield client


async def lines_of(response: AsyncChatResponse) -> tuple[list[str], FastGPTError | None]:
    """Every line, and what was raised after the last."""
    lines: list[str] = []
    try:
        async for line in response.aiter_lines():
            lines.append(line)  # noqa: PERF401 - what came before an error counts
    except FastGPTError as error:
        return lines, error
    return lines, None


def text_in(lines: list[str]) -> str:
    chunks = [json.loads(line[5:]) for line in lines if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"]["content"] or "" for c in chunks if "choices" in c)


# --- lines -------------------------------------------------------------------------------------


async def test_the_lines_are_those_of_the_body(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    body = 'event: answer\ndata: {"choices":[{"delta":{"content":"a\u2028b"}}]}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    server.play_raw(head % len(body.encode()) + body.encode(), cut=1)
    response = await client.create_chat_completion(QUESTION, stream=True)
    assert await lines_of(response) == (body.split("\n")[:-1], None)


async def test_a_last_line_without_an_end_is_a_line_of_a_complete_reply(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    body = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: last'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    server.play_raw(head % len(body) + body)
    response = await client.create_chat_completion(QUESTION, stream=True)
    assert (await lines_of(response))[0][-1] == "data: last"


async def test_status_and_headers_are_there_before_the_lines(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    async with await client.create_chat_completion(QUESTION, stream=True) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.raise_for_status() is response
        assert repr(response) == "<AsyncChatResponse HTTP 200>"


INCOMPLETE: list[tuple[str, Any, type[FastGPTError], str]] = [
    ("truncated", Script(Delta("Once"), Truncate()), ReplyInterruptedError, "Once"),
    ("in a line", Script(Delta("Once"), Truncate(mid_frame=True)), ReplyInterruptedError, "Once"),
    ("in a chunk", Script(Delta("Once"), CutChunk()), ReplyInterruptedError, "Once"),
    ("between chunks", Script(Delta("Once"), Close()), ReplyInterruptedError, "Once"),
    ("reset", Script(Delta("Once"), Reset()), ReplyInterruptedError, "Once"),
    (
        "error frame",
        Script(Delta("Once"), ErrorFrame("x", 500004, "aiPointsNotEnough")),
        QuotaExceededError,
        "Once",
    ),
    ("bad event", Script(Delta("Once"), Raw(None, "{oops"), Delta("!")), BadEventError, "Once!"),
    ("refused stream", Refusal("x", 514, "unAuthApiKey"), AuthenticationError, ""),
    ("429", Status(429, {"code": 429, "message": "try in 7 seconds"}), RateLimitError, ""),
    ("400", Status(400, {"code": 400, "message": "Data validation error"}), ValidationError, ""),
    ("413", Status(413, "Body exceeded 10mb limit"), ValidationError, ""),
    ("gateway", Status(502, "<html>bad gateway</html>", "text/html"), ServerError, ""),
    ("moved", Status(308, headers={"location": "/elsewhere"}), APIError, ""),
    ("a page", Status(200, "<html>hello</html>", "text/html"), NotAnEventStreamError, ""),
    ("plain text", Status(200, "hello"), NotAnEventStreamError, ""),
    ("nothing", Status(200), ReplyInterruptedError, ""),
    ("old refusal", Status(200, {"code": 502000, "statusText": "appUnExist"}), NotFoundError, ""),
]


@pytest.mark.parametrize(
    "answer, error, text", [case[1:] for case in INCOMPLETE], ids=[case[0] for case in INCOMPLETE]
)
async def test_an_incomplete_reply_raises_after_its_last_line(
    server: FakeFastGPT,
    client: AsyncChatClient,
    answer: Any,
    error: type[FastGPTError],
    text: str,
) -> None:
    server.enqueue(answer)
    response = await client.create_chat_completion(QUESTION, stream=True)
    lines, raised = await lines_of(response)
    assert isinstance(raised, error)
    assert raised.partial == text
    if text:
        for line in lines:
            if line.startswith("data: {oops"):
                lines.remove(line)
        assert text_in(lines) == text
    assert len(client._responses) == 0
    # Once more: the same failure, as an exception of its own.
    again = (await lines_of(response))[1]
    assert type(again) is type(raised)
    assert again is not raised


async def test_a_node_that_failed_raises_after_the_last_line_of_a_detailed_reply(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(chat_script("Once", error="no such model"))
    response = await client.create_chat_completion(QUESTION, stream=True, detail=True)
    lines, raised = await lines_of(response)
    assert "data: [DONE]" in lines
    assert isinstance(raised, WorkflowError)
    assert raised.partial == "Once"
    plain = await client.create_chat_completion(QUESTION, stream=True)
    assert (await lines_of(plain))[1] is None


async def test_a_connection_that_breaks_after_done_is_a_complete_reply(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    body = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
    server.enqueue(RawResponse(head + body, close=True))
    response = await client.create_chat_completion(QUESTION, stream=True)
    lines, raised = await lines_of(response)
    assert raised is None
    assert lines[-2:] == ["data: [DONE]", ""]


async def test_a_reply_beyond_the_limit_is_given_up(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(chat_script("x" * 5000))
    response = await client.create_chat_completion(QUESTION, stream=True, max_reply_bytes=2000)
    lines, raised = await lines_of(response)
    assert lines
    assert isinstance(raised, ReplyTooLargeError)
    with pytest.raises(ReplyTooLargeError):
        await client.create_chat_completion(QUESTION, max_reply_bytes=2000)


# --- leaving -----------------------------------------------------------------------------------


async def test_an_early_break_is_closed_with_the_client(server: FakeFastGPT) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        response = await client.create_chat_completion(QUESTION, stream=True)
        async for _ in response.aiter_lines():
            break
        assert len(client._responses) == 1
    await server.wait_disconnect()
    assert len(server.aborted) == 1
    with pytest.raises(ReplyInterruptedError, match="the client was closed"):
        await anext(response.aiter_lines())
        await anext(response.aiter_lines())


async def test_a_forgotten_response_is_closed_with_the_next_call(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.enqueue(Script(Delta("Once"), SilentModel()))
    response = await client.create_chat_completion(QUESTION, stream=True)
    async for _ in response.aiter_lines():
        break
    del response
    gc.collect()
    await client.create_chat_completion(QUESTION)
    await server.wait_disconnect()
    assert len(client._responses) == 0


async def test_a_closed_response_has_no_more_lines(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    response = await client.create_chat_completion(QUESTION, stream=True)
    lines = response.aiter_lines()
    await anext(lines)
    await response.aclose()
    await response.aclose()
    await server.wait_disconnect()
    with pytest.raises(ReplyInterruptedError, match="the response was closed"):
        [line async for line in lines]


async def test_closing_the_client_ends_a_reader_in_another_task(server: FakeFastGPT) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    client = AsyncChatClient(server.api_key, server.base_url)
    response = await client.create_chat_completion(QUESTION, stream=True)
    ended: list[tuple[list[str], FastGPTError | None]] = []

    async def read() -> None:
        ended.append(await lines_of(response))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
    (lines, error) = ended[0]
    assert text_in(lines) == "Once"
    assert isinstance(error, ReplyInterruptedError)
    assert "the client was closed" in str(error)
    assert error.partial == "Once"
    await server.wait_disconnect()


async def test_a_cancelled_reader_closes_its_connection(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    response = await client.create_chat_completion(QUESTION, stream=True)
    seen: list[str] = []
    with anyio.CancelScope() as scope:
        async for line in response.aiter_lines():
            seen.append(line)
            if len(seen) == 2:
                scope.cancel()
    assert scope.cancelled_caught
    await server.wait_disconnect()
    assert len(client._responses) == 0


async def test_a_second_reader_at_the_same_time_is_told_so(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    response = await client.create_chat_completion(QUESTION, stream=True)
    lines = response.aiter_lines()
    await anext(lines)
    await anext(lines)

    async def read() -> None:
        await anext(lines)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(UsageError, match="another task"):
            await anext(response.aiter_lines())
        await anyio.wait_all_tasks_blocked()
        assert server.disconnects == 0, "the first reader was disturbed"
        group.cancel_scope.cancel()


async def leave_at_once(stage: Stage) -> None:
    response = await stage.client.create_chat_completion(QUESTION, stream=True)
    try:
        async for _ in response.aiter_lines():
            break
    finally:
        await response.aclose()


async def read_lines(stage: Stage) -> None:
    response = await stage.client.create_chat_completion(QUESTION, stream=True)
    try:
        assert text_in([line async for line in response.aiter_lines()]) == "Once upon"
    finally:
        await response.aclose()


async def read_json(stage: Stage) -> None:
    response = await stage.client.create_chat_completion(QUESTION)
    assert response.answer().text == "Once upon"


def tell(server: FakeFastGPT) -> None:
    server.script(Script(Delta("Once "), Delta("upon")))


def fall_silent(server: FakeFastGPT) -> None:
    server.script(Script(Delta("Once "), SilentModel()))


SCENARIOS = [
    Scenario(read_lines, tell),
    Scenario(leave_at_once, fall_silent),
    Scenario(read_json, tell),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_call_that_is_cancelled_anywhere_leaves_nothing_behind(
    scenario: Scenario, library: str, record_property: Callable[[str, object], None]
) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    assert await sweep(scenario, library, record_property) > 3


# --- whole bodies ------------------------------------------------------------------------------


async def test_a_whole_answer_is_there_as_json_and_as_an_answer(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(chat_script("Once upon", reasoning="Hm."))
    response = await client.create_chat_completion(QUESTION, detail=True, chatId="chat-7")
    payload = response.json()
    assert payload["choices"][0]["finish_reason"] == "stop"
    assert json.loads(response.text) == json.loads(response.content) == payload
    answer = response.answer()
    assert (answer.text, answer.reasoning, answer.chat_id) == ("Once upon", "Hm.", "chat-7")
    assert answer.usage is not None
    assert answer.timings.bytes == len(response.content)
    assert answer.timings.total > 0
    assert response.raise_for_status() is response
    assert (await lines_of(response)) == ([response.text], None)


async def test_a_node_that_failed_makes_the_whole_answer_raise(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.script(chat_script("Once", error="no such model"))
    for detail in (True, False):
        response = await client.create_chat_completion(QUESTION, detail=detail)
        with pytest.raises(WorkflowError, match="no such model"):
            response.answer()
        assert response.answer(raise_on_node_error=False).text == "Once"


REFUSED: list[tuple[Any, type[FastGPTError]]] = [
    (Refusal("x", 514, "unAuthApiKey"), AuthenticationError),
    (Status(429, {"code": 429, "message": "try in 7 seconds"}), RateLimitError),
    (Status(200, {"code": 502000, "statusText": "appUnExist", "message": ""}), NotFoundError),
    (Status(308, headers={"location": "/x"}), APIError),
]


@pytest.mark.parametrize("answer, error", REFUSED)
async def test_a_refused_call_raises_by_status_and_as_an_answer(
    server: FakeFastGPT, client: AsyncChatClient, answer: Any, error: type[FastGPTError]
) -> None:
    server.enqueue(answer)
    response = await client.create_chat_completion(QUESTION)
    with pytest.raises(error):
        response.raise_for_status()
    with pytest.raises(error):
        response.answer()
    assert isinstance((await lines_of(response))[1], error)


async def test_the_json_of_a_refusal_can_be_looked_at(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    server.enqueue(Refusal("x", 514, "unAuthApiKey"))
    response = await client.create_chat_completion(QUESTION)
    assert response.status_code == 500
    assert response.json()["code"] == 514


@pytest.mark.parametrize(
    "answer, error",
    [
        (Status(200, "<html>hello</html>", "text/html"), ProtocolError),
        (Status(404, "<html>not found</html>", "text/html"), NotFoundError),
        (Status(200, ["no", "completion"]), ProtocolError),
    ],
)
async def test_a_body_that_is_no_completion_says_what_came_instead(
    server: FakeFastGPT, client: AsyncChatClient, answer: Any, error: type[FastGPTError]
) -> None:
    server.enqueue(answer)
    response = await client.create_chat_completion(QUESTION)
    with pytest.raises(error):
        response.answer()


async def test_a_stream_has_no_whole_body(server: FakeFastGPT, client: AsyncChatClient) -> None:
    response = await client.create_chat_completion(QUESTION, stream=True)
    for look in (response.json, response.answer, lambda: response.text, lambda: response.content):
        with pytest.raises(UsageError, match="event stream"):
            look()
    await response.aclose()


async def test_a_whole_answer_that_breaks_off_raises_at_the_call(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    server.enqueue(RawResponse(head + b'{"choices":', close=True))
    with pytest.raises(ReplyInterruptedError):
        await client.create_chat_completion(QUESTION)


# --- what is sent ------------------------------------------------------------------------------


async def test_old_and_new_names_are_the_same_fields(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    app = "65f0000000000000000000aa"
    await client.create_chat_completion(
        QUESTION, False, "chat-1", True, {"a": 1}, "item-1", appId=app, extra={"customUid": "u"}
    )
    await client.create_chat_completion(
        messages=QUESTION,
        stream=False,
        chat_id="chat-1",
        detail=True,
        variables={"a": 1},
        response_chat_item_id="item-1",
        app_id=app,
        extra={"customUid": "u"},
    )
    old, new = (request.json for request in server.requests)
    assert old == new
    assert old == {
        "messages": QUESTION,
        "stream": False,
        "detail": True,
        "chatId": "chat-1",
        "appId": app,
        "variables": {"a": 1},
        "responseChatItemId": "item-1",
        "customUid": "u",
    }


@pytest.mark.parametrize(
    "twins",
    [
        {"chatId": "a", "chat_id": "a"},
        {"responseChatItemId": "a", "response_chat_item_id": "a"},
        {"appId": "65f0000000000000000000aa", "app_id": "65f0000000000000000000aa"},
    ],
)
async def test_both_of_two_twins_are_refused(
    server: FakeFastGPT, client: AsyncChatClient, twins: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match="the same argument"):
        await client.create_chat_completion(QUESTION, **twins)
    assert server.requests == []


async def test_a_missing_key_fails_at_the_call(
    server: FakeFastGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASTGPT_API_KEY", raising=False)
    async with AsyncChatClient(None, server.base_url) as client:
        with pytest.raises(AuthenticationError, match="no API key"):
            await client.create_chat_completion(QUESTION, stream=True)
    assert server.requests == []


async def test_v2_is_asked_where_it_is_wanted(server: FakeFastGPT, client: AsyncChatClient) -> None:
    response = await client.create_chat_completion(QUESTION, stream=True, api="v2", detail=True)
    lines, error = await lines_of(response)
    assert error is None
    assert "event: flowNodeResponse" in lines
    assert server.requests[0].path == "/api/v2/chat/completions"


# --- the original's constructor ----------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 0},
        {"timeout": "30"},
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"retry_delay": -1},
        {"retry_delay": "1"},
    ],
)
def test_an_option_that_cannot_be_used_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        AsyncChatClient("key", **option)
    assert caught.value.field in option


@pytest.mark.virtual_time
async def test_a_connection_is_tried_again_with_growing_waits() -> None:
    server = Scripted(error="ConnectError")
    async with server.client(max_retries=3, retry_delay=2) as client:
        began = anyio.current_time()
        with pytest.raises(ConnectError):
            await client.create_chat_completion(QUESTION)
        assert anyio.current_time() - began == pytest.approx(2 + 4 + 8)
        assert len(server.requests) == 4
        with pytest.raises(ConnectError):
            async with client.stream("Hi"):
                pass
        assert len(server.requests) == 8


@pytest.mark.virtual_time
async def test_a_connection_that_times_out_is_tried_again() -> None:
    server = Scripted(error="ConnectTimeout", headers_after=60)
    async with server.client(max_retries=1, retry_delay=1, timeout=3) as client:
        began = anyio.current_time()
        with pytest.raises(ReplyTimeoutError) as caught:
            await client.create_chat_completion(QUESTION, stream=True)
        assert caught.value.clock == "connect"
        assert anyio.current_time() - began == pytest.approx(3 + 1 + 3)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "error", ["ReadError", "WriteError", "RemoteProtocolError", "ReadTimeout", "PoolTimeout"]
)
async def test_nothing_is_sent_again_that_may_have_reached_the_server(error: str) -> None:
    server = Scripted(error=error, headers_after=20)
    async with server.client(max_retries=5) as client:
        with pytest.raises(FastGPTError):
            await client.create_chat_completion(QUESTION)
        assert len(server.requests) == 1


@pytest.mark.virtual_time
async def test_without_max_retries_a_connection_is_tried_once() -> None:
    server = Scripted(error="ConnectError")
    async with server.client() as client:
        with pytest.raises(ConnectError):
            await client.create_chat_completion(QUESTION)
        assert len(server.requests) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "options, timeouts, seconds",
    [
        ({"timeout": 30}, None, 30),
        ({"timeout": 30}, Timeouts(total=20), 20),
        ({}, Timeouts(total=40), 40),
        ({}, None, 600),
    ],
)
async def test_a_call_without_stream_is_bounded_as_a_whole(
    options: dict[str, Any], timeouts: Timeouts | None, seconds: float
) -> None:
    server = Scripted(headers_after=10_000)
    async with server.client(**options) as client:
        began = anyio.current_time()
        with pytest.raises(ReplyTimeoutError) as caught:
            await client.create_chat_completion(QUESTION, timeouts=timeouts)
        assert anyio.current_time() - began == pytest.approx(seconds)
        assert (caught.value.clock, caught.value.seconds) == ("total", seconds)


@pytest.mark.virtual_time
async def test_a_whole_body_that_stops_coming_is_bounded_too() -> None:
    server = Scripted([b'{"choices":', At(10_000), b"[]}", End()])
    async with server.client(timeout=30) as client:
        began = anyio.current_time()
        with pytest.raises(ReplyTimeoutError):
            await client.create_chat_completion(QUESTION)
        assert anyio.current_time() - began == pytest.approx(30)
        assert server.wire.closed


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "steps, headers_after, timeouts, clock, seconds",
    [
        ((), 500, Timeouts(), "first_token", 120),
        ((), 500, Timeouts(total=50), "total", 50),
        ((delta("Once"), At(500), FINISH, End()), 0, Timeouts(), "silence", 35),
        (
            (delta("Once"), At(30), HEARTBEAT, At(60), HEARTBEAT, At(500)),
            0,
            Timeouts(),
            "silence",
            95,
        ),
        ((delta("Once"), At(30), HEARTBEAT, At(500)), 0, Timeouts(total=50), "total", 50),
    ],
)
async def test_the_lines_of_a_stream_are_bounded_by_named_clocks(
    steps: Any, headers_after: float, timeouts: Timeouts, clock: str, seconds: float
) -> None:
    server = Scripted(steps, headers_after=headers_after)
    async with server.client(timeouts=timeouts) as client:
        began = anyio.current_time()
        error: FastGPTError | None
        try:
            response = await client.create_chat_completion(QUESTION, stream=True)
        except FastGPTError as raised:
            error = raised
        else:
            _, error = await lines_of(response)
        assert isinstance(error, ReplyTimeoutError)
        assert error.clock == clock
        assert anyio.current_time() - began == pytest.approx(seconds)
        assert error.partial == ("Once" if steps else "")


@pytest.mark.virtual_time
async def test_after_done_late_lines_are_waited_for_briefly() -> None:
    server = Scripted([delta("Once"), FINISH, At(1), b": late\n\n", At(500), b": too late\n\n"])
    async with server.client() as client:
        response = await client.create_chat_completion(QUESTION, stream=True)
        began = anyio.current_time()
        lines, error = await lines_of(response)
        assert error is None
        assert ": late" in lines
        assert ": too late" not in lines
        assert anyio.current_time() - began == pytest.approx(3)
    assert DONE.decode().split("\n")[1] in lines


async def test_requests_are_logged_without_the_key(
    server: FakeFastGPT, caplog: pytest.LogCaptureFixture
) -> None:
    for enabled, level in ((True, logging.INFO), (False, logging.DEBUG)):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="fastgpt_client"):
            async with AsyncChatClient(
                server.api_key, server.base_url, enable_logging=enabled
            ) as client:
                await client.create_chat_completion([{"role": "user", "content": "secret"}])
        ours = [r for r in caplog.records if r.name == "fastgpt_client.http"]
        assert [record.levelno for record in ours] == [level]
        assert f"POST {server.base_url}/api/v1/chat/completions: HTTP 200" in ours[0].getMessage()
        assert server.api_key not in caplog.text
        assert "secret" not in ours[0].getMessage()


async def test_a_retry_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = Scripted(error="ConnectError")
    async with server.client(max_retries=1, retry_delay=0, enable_logging=True) as client:
        with caplog.at_level(logging.INFO, logger="fastgpt_client.http"):
            with pytest.raises(ConnectError):
                await client.create_chat_completion(QUESTION)
    assert "the next try comes in 0 s" in caplog.text


# --- the caller's own HTTP client --------------------------------------------------------------


async def test_a_client_of_the_caller_is_used_and_left_open(
    server: FakeFastGPT, http_client_factory: Callable[[], httpx.AsyncClient]
) -> None:
    async with http_client_factory() as http:
        async with AsyncChatClient(server.api_key, server.base_url, http_client=http) as client:
            response = await client.create_chat_completion(QUESTION, stream=True)
            async for _ in response.aiter_lines():
                break
        assert not http.is_closed
    await server.wait_disconnect()


async def test_a_compressed_stream_is_read_within_its_bound(
    server: FakeFastGPT, client: AsyncChatClient
) -> None:
    import zlib

    body = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'
    squeezer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    packed = squeezer.compress(body) + squeezer.flush()
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(packed)
    )
    server.play_raw(head + packed)
    lines, error = await lines_of(await client.create_chat_completion(QUESTION, stream=True))
    assert error is None
    assert text_in(lines) == "Hi"
    server.play_raw(head.replace(b"gzip", b"br") + packed)
    with pytest.raises(NotAnEventStreamError, match="'br'"):
        await client.create_chat_completion(QUESTION, stream=True)


def test_the_library_under_test_is_known() -> None:
    assert http_library().__name__ in ("httpx", "httpx2")

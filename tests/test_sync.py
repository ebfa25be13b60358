"""``ChatClient.create_chat_completion``: plain blocking HTTP, no thread, no event loop."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client import (
    AuthenticationError,
    BadEventError,
    ChatClient,
    ChatResponse,
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    NotAnEventStreamError,
    NotFoundError,
    QuotaExceededError,
    RateLimitError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    ServerError,
    Timeouts,
    UsageError,
    WorkflowError,
)
from fastgpt_client.testing import (
    BlockingFakeFastGPT,
    CutChunk,
    Delta,
    ErrorFrame,
    Heartbeat,
    NoHeaders,
    Pause,
    Raw,
    RawResponse,
    Refusal,
    Reset,
    Script,
    Silence,
    SilentModel,
    Status,
    Truncate,
    WaitFor,
    chat_script,
)

from .scripted import http_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUESTION = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def server() -> Iterator[BlockingFakeFastGPT]:
    with BlockingFakeFastGPT() as server:
        yield server


@pytest.fixture
def client(server: BlockingFakeFastGPT) -> Iterator[ChatClient]:
    with ChatClient(server.api_key, server.base_url) as client:
        yield client


def lines_of(response: ChatResponse) -> tuple[list[str], FastGPTError | None]:
    """Every line, and what was raised after the last."""
    lines: list[str] = []
    try:
        for line in response.iter_lines():
            lines.append(line)  # noqa: PERF402 - what came before an error counts
    except FastGPTError as error:
        return lines, error
    return lines, None


def text_in(lines: list[str]) -> str:
    chunks = [json.loads(line[5:]) for line in lines if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"]["content"] or "" for c in chunks if "choices" in c)


def in_a_thread(function: Any, *args: Any) -> tuple[threading.Thread, list[Any]]:
    """Run a function in a thread; what it returned or raised is in the list at its end."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(function(*args))
        except BaseException as error:  # noqa: ASYNC103 - of a thread
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def ended(thread: threading.Thread) -> None:
    thread.join(5)
    assert not thread.is_alive()


# --- lines and ends ----------------------------------------------------------------------------


def test_the_lines_are_those_of_the_body(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    body = 'event: answer\ndata: {"choices":[{"delta":{"content":"a\u2028b"}}]}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    server.enqueue(RawResponse(head % len(body.encode()) + body.encode(), cut=1))
    response = client.create_chat_completion(QUESTION, stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.raise_for_status() is response
    assert repr(response) == "<ChatResponse HTTP 200>"
    assert lines_of(response) == (body.split("\n")[:-1], None)
    assert lines_of(response) == ([], None)


INCOMPLETE: list[tuple[str, Any, type[FastGPTError], str]] = [
    ("truncated", Script(Delta("Once"), Truncate()), ReplyInterruptedError, "Once"),
    ("in a line", Script(Delta("Once"), Truncate(mid_frame=True)), ReplyInterruptedError, "Once"),
    ("in a chunk", Script(Delta("Once"), CutChunk()), ReplyInterruptedError, "Once"),
    ("reset", Script(Delta("Once"), Reset()), ReplyInterruptedError, "Once"),
    (
        "error frame",
        Script(Delta("Once"), ErrorFrame("x", 500004, "aiPointsNotEnough")),
        QuotaExceededError,
        "Once",
    ),
    ("bad event", Script(Delta("Once"), Raw(None, "oops")), BadEventError, "Once"),
    ("refused stream", Refusal("x", 514, "unAuthApiKey"), AuthenticationError, ""),
    ("429", Status(429, {"code": 429, "message": "try in 7 seconds"}), RateLimitError, ""),
    ("gateway", Status(502, "<html>bad gateway</html>", "text/html"), ServerError, ""),
    ("a page", Status(200, "<html>hello</html>", "text/html"), NotAnEventStreamError, ""),
    ("old refusal", Status(200, {"code": 502000, "statusText": "appUnExist"}), NotFoundError, ""),
]


@pytest.mark.parametrize(
    "answer, error, text", [case[1:] for case in INCOMPLETE], ids=[case[0] for case in INCOMPLETE]
)
def test_an_incomplete_reply_raises_after_its_last_line(
    server: BlockingFakeFastGPT,
    client: ChatClient,
    answer: Any,
    error: type[FastGPTError],
    text: str,
) -> None:
    server.enqueue(answer)
    response = client.create_chat_completion(QUESTION, stream=True)
    lines, raised = lines_of(response)
    assert isinstance(raised, error)
    assert raised.partial == text
    if text:
        assert text_in(lines) == text
    assert len(client._responses) == 0


def test_a_node_that_failed_raises_after_the_last_line(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(chat_script("Once", error="no such model"))
    lines, raised = lines_of(client.create_chat_completion(QUESTION, stream=True, detail=True))
    assert isinstance(raised, WorkflowError)
    assert "data: [DONE]" in lines


def test_a_whole_answer_is_there_as_json_and_as_an_answer(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(chat_script("Once upon"))
    response = client.create_chat_completion(QUESTION, detail=True, chat_id="chat-7")
    assert response.json()["choices"][0]["message"]["content"] == "Once upon"
    answer = response.answer()
    assert (answer.text, answer.chat_id) == ("Once upon", "chat-7")
    assert answer.timings.bytes == len(response.content)
    server.enqueue(Refusal("x", 514, "unAuthApiKey"))
    refused = client.create_chat_completion(QUESTION)
    assert refused.json()["code"] == 514
    with pytest.raises(AuthenticationError):
        refused.raise_for_status()


def test_a_whole_answer_that_breaks_off_raises_at_the_call(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    server.enqueue(RawResponse(head + b'{"choices":', close=True))
    with pytest.raises(ReplyInterruptedError):
        client.create_chat_completion(QUESTION)
    with pytest.raises(ReplyTooLargeError):
        client.create_chat_completion(QUESTION, max_reply_bytes=10)
    server.wait_closed()


def test_old_and_new_names_are_the_same_fields(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    app = "65f0000000000000000000aa"
    client.create_chat_completion(QUESTION, False, "chat-1", True, {"a": 1}, "item-1", appId=app)
    client.create_chat_completion(
        messages=QUESTION,
        stream=False,
        chat_id="chat-1",
        detail=True,
        variables={"a": 1},
        response_chat_item_id="item-1",
        app_id=app,
    )
    old, new = (request.json for request in server.requests)
    assert old == new
    assert old["chatId"] == "chat-1"
    with pytest.raises(InvalidArgumentError, match="the same argument"):
        client.create_chat_completion(QUESTION, chatId="a", chat_id="a")


def test_a_missing_key_fails_at_the_call(
    server: BlockingFakeFastGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASTGPT_API_KEY", raising=False)
    with ChatClient(None, server.base_url) as client:
        with pytest.raises(AuthenticationError, match="no API key"):
            client.create_chat_completion(QUESTION, stream=True)
    assert server.requests == []


def test_key_and_url_are_taken_from_the_environment(
    server: BlockingFakeFastGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTGPT_API_KEY", server.api_key)
    monkeypatch.setenv("FASTGPT_BASE_URL", server.base_url)
    with ChatClient(api_key=None, base_url=None) as client:
        assert client.create_chat_completion(QUESTION).answer().text
        assert repr(client) == f"<ChatClient {server.base_url} v1>"
        assert server.api_key not in repr(client)


def test_the_simple_calls_start_no_thread(server: BlockingFakeFastGPT) -> None:
    before = set(threading.enumerate())
    with ChatClient(server.api_key, server.base_url) as client:
        client.create_chat_completion(QUESTION)
        lines_of(client.create_chat_completion(QUESTION, stream=True))
        mine = {thread.name for thread in set(threading.enumerate()) - before}
    # The embedded server's event loop looks up names in one of its own.
    assert not any("portal" in name for name in mine)


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script, limits, clock",
    [
        (Script(NoHeaders()), {"first_token": 0.2}, "first_token"),
        (Script(NoHeaders()), {"total": 0.2}, "total"),
        (Script(Delta("Once"), Silence()), {"silence": 0.2}, "silence"),
        (Script(Delta("Once"), Silence()), {"total": 0.3}, "total"),
    ],
)
def test_the_lines_of_a_stream_are_bounded_by_named_clocks(
    server: BlockingFakeFastGPT, client: ChatClient, script: Script, limits: Any, clock: str
) -> None:
    server.script(script)
    error: FastGPTError | None
    try:
        response = client.create_chat_completion(QUESTION, stream=True, timeouts=Timeouts(**limits))
    except FastGPTError as raised:
        error = raised
    else:
        _, error = lines_of(response)
    assert isinstance(error, ReplyTimeoutError)
    assert error.clock == clock
    assert error.seconds in limits.values()
    server.wait_closed()


def test_total_is_looked_at_between_two_reads(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    beats = [step for _ in range(200) for step in (Pause(0.05), Heartbeat())]
    server.script(Script(Delta("Once"), *beats))
    response = client.create_chat_completion(QUESTION, stream=True, timeouts=Timeouts(total=0.4))
    _, error = lines_of(response)
    assert isinstance(error, ReplyTimeoutError)
    assert error.clock == "total"
    assert error.partial == "Once"


@pytest.mark.parametrize("option", [{"timeout": 0.2}, {"timeouts": Timeouts(total=0.2)}])
def test_a_call_without_stream_is_bounded_as_a_whole(
    server: BlockingFakeFastGPT, option: dict[str, Any]
) -> None:
    server.script(Script(WaitFor("never")))
    with ChatClient(server.api_key, server.base_url, **option) as client:
        with pytest.raises(ReplyTimeoutError) as caught:
            client.create_chat_completion(QUESTION)
    assert (caught.value.clock, caught.value.seconds) == ("total", 0.2)


def test_a_whole_body_that_drips_is_bounded_too(server: BlockingFakeFastGPT) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(head)
                while not stop.wait(0.02):
                    try:
                        peer.sendall(b" ")
                    except OSError:
                        return

        thread, _ = in_a_thread(drip)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with ChatClient("key", url, timeout=0.5) as client:
                with pytest.raises(ReplyTimeoutError):
                    client.create_chat_completion(QUESTION)
        finally:
            stop.set()
            ended(thread)


def test_a_connection_is_tried_again_and_nothing_else(
    server: BlockingFakeFastGPT, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with ChatClient("key", nobody, max_retries=3, retry_delay=2, enable_logging=True) as client:
        with caplog.at_level(logging.INFO, logger="fastgpt_client.http"):
            with pytest.raises(ConnectError):
                client.create_chat_completion(QUESTION)
        assert waits == [2, 4, 8]
        assert caplog.text.count("the next try comes in") == 3
    with ChatClient("key", nobody) as client:
        with pytest.raises(ConnectError):
            client.create_chat_completion(QUESTION)
    server.enqueue(Script(NoHeaders()))
    with ChatClient(
        server.api_key, server.base_url, max_retries=3, timeouts=Timeouts(first_token=0.2)
    ) as client:
        with pytest.raises(ReplyTimeoutError):
            client.create_chat_completion(QUESTION, stream=True)
    assert waits == [2, 4, 8]
    assert len(server.requests) == 1


def test_requests_are_logged_without_the_key(
    server: BlockingFakeFastGPT, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="fastgpt_client"):
        with ChatClient(server.api_key, server.base_url, enable_logging=True) as client:
            client.create_chat_completion([{"role": "user", "content": "secret"}])
    ours = [record for record in caplog.records if record.name == "fastgpt_client.http"]
    assert [record.levelno for record in ours] == [logging.INFO]
    assert "HTTP 200" in ours[0].getMessage()
    assert server.api_key not in caplog.text


# --- leaving -----------------------------------------------------------------------------------


def test_an_early_break_is_closed_with_the_client(server: BlockingFakeFastGPT) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    with ChatClient(server.api_key, server.base_url) as client:
        response = client.create_chat_completion(QUESTION, stream=True)
        for _ in response.iter_lines():
            break
        assert len(client._responses) == 1
    server.wait_disconnect()
    with pytest.raises(ReplyInterruptedError, match="the client was closed"):
        list(response.iter_lines())
    with pytest.raises(UsageError, match="closed"):
        client.create_chat_completion(QUESTION)
    client.close()


def test_a_forgotten_response_is_closed_with_the_next_call(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.enqueue(Script(Delta("Once"), SilentModel()))
    for _ in client.create_chat_completion(QUESTION, stream=True).iter_lines():
        break
    gc.collect()
    client.create_chat_completion(QUESTION)
    server.wait_disconnect()
    assert len(client._responses) == 0


def test_a_response_is_closed_by_its_own_block(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(Delta("Once"), SilentModel()))
    with client.create_chat_completion(QUESTION, stream=True) as response:
        for _ in response.iter_lines():
            break
    server.wait_disconnect()
    with pytest.raises(ReplyInterruptedError, match="the response was closed"):
        list(response.iter_lines())


@pytest.mark.parametrize("close", ["client", "response"])
def test_closing_ends_a_reader_in_another_thread(server: BlockingFakeFastGPT, close: str) -> None:
    server.script(Script(Delta("Once"), WaitFor("never")))
    client = ChatClient(server.api_key, server.base_url)
    response = client.create_chat_completion(QUESTION, stream=True)
    iterator = response.iter_lines()
    first = next(iterator)
    thread, outcome = in_a_thread(lambda: list(iterator))
    server.wait_at_gate("never")
    while not response._connection or not response._connection._lock.locked():
        time.sleep(0.001)  # until the thread is in its read
    (client if close == "client" else response).close()
    ended(thread)
    assert text_in([first]) == "Once"
    assert isinstance(outcome[0], ReplyInterruptedError)
    assert f"the {close} was closed" in str(outcome[0])
    server.wait_disconnect()
    client.close()


def test_several_threads_may_use_one_client(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(chat_script("Once upon a time"))

    def ask() -> str:
        lines, error = lines_of(client.create_chat_completion(QUESTION, stream=True))
        assert error is None
        return text_in(lines)

    running = [in_a_thread(ask) for _ in range(8)]
    for thread, _ in running:
        ended(thread)
    assert [outcome for _, outcome in running] == [["Once upon a time"]] * 8


def test_a_second_thread_reading_the_same_response_is_told_so(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(Delta("Once"), WaitFor("go")))
    response = client.create_chat_completion(QUESTION, stream=True)
    iterator = response.iter_lines()
    next(iterator)
    thread, outcome = in_a_thread(lambda: list(iterator))
    assert response._connection is not None
    while not response._connection._lock.locked():
        time.sleep(0.001)  # until the thread is in its read
    with pytest.raises(UsageError, match="another thread"):
        next(response.iter_lines())
    server.open_gate("go")
    ended(thread)
    assert outcome[0][-2:] == ["data: [DONE]", ""]


# --- where it may be used ----------------------------------------------------------------------


@pytest.mark.anyio
async def test_in_a_running_event_loop_it_works_and_says_what_it_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with BlockingFakeFastGPT() as server:
        with ChatClient(server.api_key, server.base_url) as client:
            assert client.create_chat_completion(QUESTION).answer().text
            assert client.ask("Hi").text
            assert (await anyio.to_thread.run_sync(client.ask, "Hi")).text
    told = [record for record in caplog.records if record.name == "fastgpt_client.sync"]
    assert [record.levelname for record in told] == ["WARNING"]
    assert "AsyncChatClient" in told[0].getMessage()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_is_told_that_the_client_is_not_its_own(
    server: BlockingFakeFastGPT,
) -> None:
    server.script(Script(Delta("Once"), WaitFor("go")))
    with ChatClient(server.api_key, server.base_url) as client:
        response = client.create_chat_completion(QUESTION, stream=True)
        lines = response.iter_lines()
        first = next(lines)
        block = client.stream("Hi")
        with block as reply:
            events = iter(reply)
            assert next(events).text == "Once"

            def leave() -> None:
                block.__exit__(None, None, None)
                response.close()
                client.close()

            attempts = {
                "lines": lambda: list(response.iter_lines()),
                "call": lambda: client.create_chat_completion(QUESTION),
                "stream": lambda: client.stream("Hi"),
                "ask": lambda: client.ask("Hi"),
                "events": lambda: next(events),
                "final": reply.final,
                "stop": reply.stop,
                "feed": lambda: reply.feed(list),
                "subscribe": reply.subscribe,
            }
            assert _told_in_a_fork(attempts, leave) == ""
            # And here everything goes on.
            server.open_gate("go")
            assert [event.text for event in events if event.text] == []
            assert reply.final().text == "Once"
        assert text_in([first, *lines]) == "Once"
    server.wait_closed()


def _told_in_a_fork(attempts: dict[str, Any], leave: Callable[[], None]) -> str:
    """Try everything in a fork, which then leaves; return what it was not told of."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        try:
            for name, attempt in attempts.items():
                try:
                    attempt()
                except UsageError as error:
                    if "process" in str(error):
                        continue
                except BaseException as error:  # noqa: ASYNC103 - of another process
                    name += repr(error)
                os.write(theirs, f"{name} ".encode())
            leave()
        except BaseException:  # noqa: ASYNC103
            os._exit(1)
        finally:
            os._exit(0)
    os.close(theirs)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with open(ours) as read:
                assert status == 0
                return read.read()
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the forked process hangs")


# --- the caller's own HTTP client --------------------------------------------------------------


def test_a_client_of_the_caller_is_used_and_left_open(server: BlockingFakeFastGPT) -> None:
    library = http_library()
    with library.Client() as http:
        with ChatClient(server.api_key, server.base_url, http_client=http) as client:
            response = client.create_chat_completion(QUESTION, stream=True)
            for _ in response.iter_lines():
                break
        assert not http.is_closed
        server.wait_closed()
        with ChatClient(server.api_key, server.base_url, http_client=http) as client:
            assert client.create_chat_completion(QUESTION).answer().text


def test_an_asynchronous_client_is_refused(server: BlockingFakeFastGPT) -> None:
    library = http_library()
    with pytest.raises(InvalidArgumentError, match="Client"):
        ChatClient(server.api_key, server.base_url, http_client=library.AsyncClient())


def test_a_stream_beside_a_client_of_the_caller_wants_one_for_itself(
    server: BlockingFakeFastGPT,
) -> None:
    library = http_library()
    made: list[Any] = []

    def make() -> Any:
        made.append(library.AsyncClient())
        return made[-1]

    with library.Client() as http:
        with ChatClient(server.api_key, server.base_url, http_client=http) as client:
            with pytest.raises(UsageError, match="async_http_client"):
                client.stream("Hi")
        with ChatClient(
            server.api_key, server.base_url, http_client=http, async_http_client=make
        ) as client:
            assert client.ask("Hi").text
            assert client.ask("Hi").text
    assert len(made) == 1
    assert made[0].is_closed

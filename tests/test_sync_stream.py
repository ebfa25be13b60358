"""``ChatClient.stream``: a blocking reply with the limits, policies and failures of the other."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from fastgpt_client import (
    AnswerDelta,
    AuthenticationError,
    BlockingReply,
    ChatClient,
    FastGPTError,
    InvalidArgumentError,
    NodeStatus,
    Policy,
    QuotaExceededError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    Status,
    Timeouts,
    UsageError,
    WorkflowError,
)
from fastgpt_client.testing import (
    BlockingFakeFastGPT,
    CutChunk,
    Delta,
    ErrorFrame,
    Headers,
    NoHeaders,
    Refusal,
    Script,
    Silence,
    SilentModel,
    Truncate,
    WaitFor,
    chat_script,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastgpt_client import BlockingSubscription, Event

TEXT = ["Once ", "upon ", "a ", "time."]
SILENT = Script(*map(Delta, TEXT), SilentModel())


@pytest.fixture
def server() -> Iterator[BlockingFakeFastGPT]:
    with BlockingFakeFastGPT() as server:
        server.script(Script(*map(Delta, TEXT)))
        yield server


@pytest.fixture
def client(server: BlockingFakeFastGPT) -> Iterator[ChatClient]:
    before = set(threading.enumerate())
    with ChatClient(server.api_key, server.base_url) as client:
        yield client
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)  # what ends, but was not waited for
        assert not thread.is_alive(), f"{thread.name} was left behind"
    assert not [thread for thread in left if "portal" in thread.name]


def text_of(events: Any) -> str:
    return "".join([event.text for event in events])


# --- a reply -----------------------------------------------------------------------------------


def test_events_are_typed_and_each_loop_starts_at_the_first(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(chat_script(TEXT, reasoning="Hm."))
    with client.stream("Hi") as reply:
        assert isinstance(reply, BlockingReply)
        events = list(reply)
        assert [event.index for event in events] == list(range(len(events)))
        assert isinstance(events[0], NodeStatus)
        assert any(isinstance(event, AnswerDelta) for event in events)
        assert text_of(reply) == "".join(TEXT) == reply.text
        assert (reply.reasoning, reply.status, reply.failure) == ("Hm.", Status.COMPLETE, None)
        answer = reply.final()
    assert answer.text == "".join(TEXT)
    assert answer.usage is not None


def test_what_arrived_is_there_while_the_reply_goes_on_and_after_the_block(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(Delta("Once "), WaitFor("go"), Delta("upon")))
    with client.stream("Hi", chat_id="chat-7") as reply:
        events = iter(reply)
        assert next(events).text == "Once "
        assert (reply.text, reply.status, reply.chat_id) == ("Once ", Status.STREAMING, "chat-7")
        assert reply.answer.text == "Once "
        assert repr(reply) == "<BlockingReply streaming, 1 events>"
        assert repr(events).startswith("<BlockingSubscription 'loop', lossless")
        server.open_gate("go")
        assert text_of(events) == "upon"
    assert (reply.text, reply.reasoning, reply.status) == ("Once upon", "", Status.COMPLETE)
    assert reply.final().text == "Once upon"
    assert reply.timings.events == reply.final().timings.events >= 2
    assert reply.stop() == "ended"
    assert list(events) == []
    with pytest.raises(UsageError, match="after the reply's block"):
        reply.subscribe()
    client.close()
    assert reply.final().text == reply.text == "Once upon"


def test_ask_returns_the_whole_answer(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    assert client.ask("Hi", api="v2").text == "".join(TEXT)
    assert server.requests[0].path == "/api/v2/chat/completions"


def test_connections_are_kept_from_one_reply_to_the_next(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    for _ in range(3):
        client.ask("Hi")
    assert server.fake.connections == 1


def test_leaving_early_stops_the_model(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    server.script(SILENT)
    with client.stream("Hi") as reply:
        for _ in reply:
            break
    assert reply.status is Status.ABANDONED
    server.wait_disconnect()
    with pytest.raises(UsageError, match="left before the reply ended"):
        reply.final()


def test_leaving_a_v2_reply_asks_the_server_to_stop(server: BlockingFakeFastGPT) -> None:
    server.script(SILENT)
    with ChatClient(server.api_key, server.base_url, app_id=server.fake.app_id, api="v2") as client:
        with client.stream("Hi") as reply:
            next(iter(reply))
        server.wait_stop()
        assert server.fake.stops[0].json["chatId"] == reply.chat_id


def test_stop_ends_loops_normally(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    server.script(SILENT)
    with client.stream("Hi") as reply:
        seen = []
        for event in reply:
            seen.append(event)
            if len(seen) == len(TEXT):
                assert reply.stop() == "closed"
        assert reply.final().text == text_of(seen) == "".join(TEXT)
        assert reply.status is Status.STOPPED
    server.wait_disconnect()


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script, error",
    [
        (Script(*map(Delta, TEXT), Truncate()), ReplyInterruptedError),
        (Script(*map(Delta, TEXT), CutChunk()), ReplyInterruptedError),
        (
            Script(*map(Delta, TEXT), ErrorFrame("x", 500004, "aiPointsNotEnough")),
            QuotaExceededError,
        ),
        (chat_script(TEXT, error="no such model"), WorkflowError),
    ],
)
def test_a_failure_comes_after_what_had_arrived(
    server: BlockingFakeFastGPT, client: ChatClient, script: Any, error: type[FastGPTError]
) -> None:
    server.script(script)
    seen = []
    with pytest.raises(error) as caught:
        with client.stream("Hi") as reply:
            for event in reply:
                seen.append(event)  # noqa: PERF402 - what came before a failure counts
    assert text_of(seen) == caught.value.partial == "".join(TEXT)
    assert caught.value.reply is reply
    assert reply.status is Status.FAILED
    with pytest.raises(error) as again:
        reply.final()
    assert again.value is not caught.value


def test_a_failure_that_nobody_met_is_not_raised(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(*map(Delta, TEXT), Truncate()))
    with client.stream("Hi") as reply:
        next(iter(reply))
    assert reply.status in (Status.FAILED, Status.ABANDONED)


def test_a_refusal_is_raised_at_the_block(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    server.enqueue(Refusal("x", 514, "unAuthApiKey"))
    with pytest.raises(AuthenticationError):
        client.ask("Hi")
    with pytest.raises(InvalidArgumentError):
        client.stream([])


@pytest.mark.parametrize(
    "script, limits, clock",
    [
        (Script(NoHeaders()), {"first_token": 0.2}, "first_token"),
        (Script(Delta("Once"), SilentModel()), {"idle": 0.2}, "idle"),
        (Script(Delta("Once"), Silence()), {"silence": 0.2}, "silence"),
        (Script(Delta("Once"), SilentModel()), {"total": 0.2}, "total"),
    ],
)
def test_the_clocks_are_those_of_the_asynchronous_client(
    server: BlockingFakeFastGPT, client: ChatClient, script: Script, limits: Any, clock: str
) -> None:
    server.script(script)
    with pytest.raises(ReplyTimeoutError) as caught:
        client.ask("Hi", timeouts=Timeouts(**limits))
    assert caught.value.clock == clock


def test_what_the_body_raises_comes_out_as_itself(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(SILENT)
    for error in (ValueError("mine"), SystemExit(3), ExceptionGroup("g", [KeyError(1)])):
        with pytest.raises(type(error)) as caught:
            with client.stream("Hi") as reply:
                next(iter(reply))
                raise error
        assert caught.value is error
        assert len(caught.traceback) == 1


def test_a_group_with_an_exit_of_the_program_is_that_exit(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(SILENT)
    for error in (KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)) as caught:
            with client.stream("Hi"):
                raise BaseExceptionGroup("g", [ValueError("mine"), error])
        assert caught.value is error


def test_a_group_of_the_reply_s_own_failures_becomes_one(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(Delta("Once"), Truncate()))
    failures: list[Exception] = []
    with pytest.raises(ReplyInterruptedError) as caught:
        with client.stream("Hi") as reply:
            for _ in range(2):
                try:
                    list(reply)
                except FastGPTError as error:
                    failures.append(error)
            raise ExceptionGroup("both", failures)
    assert caught.value.reply is reply
    assert failures[0] is not failures[1]


# --- subscriptions and threads -----------------------------------------------------------------


def test_a_live_subscription_drops_and_counts(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(Headers(), WaitFor("go"), *(Delta(str(n)) for n in range(20))))
    with client.stream("Hi") as reply:
        with reply.subscribe(Policy.live(2), name="bar") as live:
            server.open_gate("go")
            whole = reply.final()
            seen = list(live)
            assert len(seen) == 2
            assert live.dropped == whole.timings.events - 2
            assert live.statistics().received == 2
            assert live.name == "bar"


def test_a_paced_subscription_holds_the_reply_back(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(Headers(), WaitFor("go"), *(Delta(str(n)) for n in range(100))))
    with client.stream("Hi") as reply:
        paced = reply.subscribe(Policy.paced())
        server.open_gate("go")
        assert next(paced).text == "0"
        assert reply.timings.events <= 2
        assert reply.status is Status.STREAMING
        paced.close()
        assert reply.final().timings.events > 100
        with pytest.raises(UsageError, match="is closed"):
            next(paced)


def test_a_paced_subscription_that_was_forgotten_holds_nobody_up(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(*(Delta(str(n)) for n in range(100))))
    with client.stream("Hi") as reply:
        next(reply.subscribe(Policy.paced()))
        gc.collect()
        assert reply.final().timings.events > 100


def test_the_statistics_count_what_was_handed_out(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    with client.stream("Hi") as reply:
        reply.final()
        events = reply.subscribe()
        next(events)
        told = events.statistics()
        assert (told.received, told.behind) == (1, reply.timings.events - 1)


def test_threads_read_subscriptions_of_their_own(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    results: list[str] = []
    with client.stream("Hi") as reply:
        threads = [
            threading.Thread(target=lambda: results.append(text_of(reply))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
    assert results == ["".join(TEXT)] * 4


def test_a_subscription_belongs_to_one_thread(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    errors: list[BaseException] = []

    def read(events: BlockingSubscription) -> None:
        try:
            next(events)
        except UsageError as error:
            errors.append(error)

    with client.stream("Hi") as reply:
        events = iter(reply)
        next(events)
        thread = threading.Thread(target=read, args=(events,))
        thread.start()
        thread.join(5)
        assert text_of(events) == "".join(TEXT[1:])
    assert "belongs to the thread" in str(errors[0])


def test_several_threads_may_stream_through_one_client(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    results: list[str] = []

    def chat() -> None:
        results.extend(client.ask("Hi").text for _ in range(3))

    threads = [threading.Thread(target=chat) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == ["".join(TEXT)] * 18


def test_closing_the_client_ends_a_reader_in_another_thread(server: BlockingFakeFastGPT) -> None:
    server.script(SILENT)
    client = ChatClient(server.api_key, server.base_url)
    outcome: list[Any] = []
    reading = threading.Event()

    def chat() -> None:
        try:
            with client.stream("Hi") as reply:
                for event in reply:
                    outcome.append(event.text)
                    if len(outcome) == len(TEXT):
                        reading.set()
        except FastGPTError as error:
            outcome.append(error)

    thread = threading.Thread(target=chat)
    thread.start()
    assert reading.wait(5)
    client.close()
    thread.join(5)
    assert not thread.is_alive()
    error = outcome.pop()
    assert isinstance(error, ReplyInterruptedError)
    assert error.partial == "".join(outcome) == "".join(TEXT)
    assert "the client was closed" in str(error)
    server.wait_disconnect()


def test_closing_the_client_inside_a_block_ends_the_reply(server: BlockingFakeFastGPT) -> None:
    server.script(SILENT)
    client = ChatClient(server.api_key, server.base_url)
    with client.stream("Hi") as reply:
        events = iter(reply)
        for _ in TEXT:
            next(events)
        client.close()
        assert reply.text == "".join(TEXT)
        for use in (lambda: list(events), reply.final, lambda: reply.feed(list)):
            with pytest.raises(FastGPTError):
                use()
    with pytest.raises(UsageError, match="closed"):
        client.stream("Hi")


def test_closing_the_client_ends_a_call_that_waits_for_its_headers(
    server: BlockingFakeFastGPT,
) -> None:
    server.script(Script(NoHeaders()))
    client = ChatClient(server.api_key, server.base_url)
    outcome: list[Any] = []

    def chat() -> None:
        try:
            client.ask("Hi")
        except FastGPTError as error:
            outcome.append(error)

    thread = threading.Thread(target=chat)
    thread.start()
    server.wait_request()
    client.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(outcome[0], ReplyInterruptedError)
    assert "the client was closed" in str(outcome[0])


def test_a_block_is_entered_once(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    block = client.stream("Hi")
    with block:
        pass
    with pytest.raises(UsageError, match="once"):
        with block:
            pass
    client.stream("never entered")


def test_a_client_that_nobody_closed_says_so_and_ends_its_thread(
    server: BlockingFakeFastGPT,
) -> None:
    client = ChatClient(server.api_key, server.base_url)
    client.ask("Hi")
    (portal,) = [thread for thread in threading.enumerate() if "fastgpt" in thread.name]
    with pytest.warns(ResourceWarning, match="unclosed <ChatClient"):
        del client
        gc.collect()
    portal.join(5)
    assert not portal.is_alive()


def test_a_block_keeps_its_client_until_it_is_left(server: BlockingFakeFastGPT) -> None:
    with pytest.warns(ResourceWarning, match="unclosed <ChatClient"):
        with ChatClient(server.api_key, server.base_url).stream("Hi") as reply:
            (portal,) = [thread for thread in threading.enumerate() if "fastgpt" in thread.name]
            gc.collect()
            assert reply.final().text == "".join(TEXT)
        gc.collect()
    portal.join(5)
    assert not portal.is_alive()


# --- several consumers -------------------------------------------------------------------------


def count(events: Iterator[Event]) -> int:
    return sum(1 for _ in events)


def test_consumers_run_side_by_side_each_in_a_thread(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    threads: set[int] = set()
    together = threading.Barrier(2, timeout=5)

    def collect(events: Iterator[Event]) -> str:
        threads.add(threading.get_ident())
        together.wait()
        return text_of(events)

    with client.stream("Hi") as reply:
        results = reply.feed(count, collect, collect)
        assert results == (reply.timings.events, "".join(TEXT), "".join(TEXT))
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_more_consumers_than_the_event_loop_has_threads_are_fed(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    together = threading.Barrier(45, timeout=5)

    def meet(events: Iterator[Event]) -> int:
        together.wait()
        return count(events)

    with client.stream("Hi") as reply:
        results = reply.feed(*[meet] * 45, policy=Policy.paced())
    assert len(set(results)) == 1


def test_a_consumer_sees_the_caller_s_context(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark")
    mark.set("caller")
    with client.stream("Hi") as reply:
        assert reply.feed(lambda events: mark.get()) == ("caller",)


def test_a_consumer_that_raises_ends_the_others(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(SILENT)
    unwound = []

    def fail(events: Iterator[Event]) -> None:
        next(events)
        raise ValueError("mine")

    def read(events: Iterator[Event]) -> None:
        try:
            for _ in events:
                pass
        except Exception:
            unwound.append("caught")
        finally:
            unwound.append("unwound")

    with pytest.raises(ExceptionGroup) as caught:
        with client.stream("Hi") as reply:
            reply.feed(fail, read)
    assert [str(error) for error in caught.value.exceptions] == ["mine"]
    assert unwound == ["unwound"]


def test_an_isolated_consumer_that_raises_lets_the_others_finish(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    texts = []

    def fail(events: Iterator[Event]) -> None:
        raise ValueError("mine")

    def read(events: Iterator[Event]) -> None:
        texts.append(text_of(events))

    with client.stream("Hi") as reply:
        with pytest.raises(ExceptionGroup):
            reply.feed(fail, read, on_error="isolate")
    assert texts == ["".join(TEXT)]


def test_a_failure_of_the_reply_comes_out_bare_after_every_consumer_saw_it(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(*map(Delta, TEXT), Truncate()))
    texts = []

    def read(events: Iterator[Event]) -> None:
        text = ""
        try:
            for event in events:
                text += event.text
        finally:
            texts.append(text)

    with client.stream("Hi") as reply:
        with pytest.raises(ReplyInterruptedError) as caught:
            reply.feed(read, read)
        assert caught.value.reply is reply
        assert caught.value.partial == "".join(TEXT)
    assert texts == ["".join(TEXT)] * 2


def test_on_failure_cancel_ends_consumers_at_once(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(Script(*map(Delta, TEXT), Truncate()))
    seen: list[str] = []

    def read(events: Iterator[Event]) -> None:
        try:
            list(events)
        except FastGPTError:
            seen.append("failure")

    with client.stream("Hi") as reply:
        with pytest.raises(ReplyInterruptedError):
            reply.feed(read, on_failure="cancel")
    assert seen in ([], ["failure"])


def test_a_consumer_that_exits_the_program_does_so(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(SILENT)

    def leave(events: Iterator[Event]) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        with client.stream("Hi") as reply:
            reply.feed(leave, count)
    assert caught.value.code == 3
    assert client.ask is not None
    server.script(Script(Delta("still")))
    assert client.ask("Hi").text == "still"


def test_consumers_must_be_plain_functions(server: BlockingFakeFastGPT, client: ChatClient) -> None:
    async def consumer(events: Any) -> None: ...

    with client.stream("Hi") as reply:
        for wrong, words in (
            ((consumer,), "plain functions"),
            ((), "one or more"),
            ((1,), "one or more"),
        ):
            with pytest.raises(InvalidArgumentError, match=words):
                reply.feed(*wrong)
        with pytest.raises(InvalidArgumentError):
            reply.feed(count, on_error="ignore")  # type: ignore[arg-type]


def test_leaving_the_block_waits_for_the_threads_of_a_feed(
    server: BlockingFakeFastGPT, client: ChatClient
) -> None:
    server.script(SILENT)
    unwound: list[float] = []
    fed: list[BaseException] = []

    def slow(events: Iterator[Event]) -> None:
        try:
            list(events)
        finally:
            time.sleep(0.1)
            unwound.append(time.monotonic())

    def feed(reply: BlockingReply) -> None:
        try:
            reply.feed(slow)
        except Exception as error:
            fed.append(error)

    with client.stream("Hi") as reply:
        next(iter(reply))
        thread = threading.Thread(target=feed, args=(reply,))
        thread.start()
        while not reply._link.feeds:
            time.sleep(0.001)  # until the thread is in feed()
        assert reply.text
    left = time.monotonic()
    thread.join(5)
    assert unwound == [] or unwound[0] <= left

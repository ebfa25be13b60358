"""OpenTelemetry sees each reply: one span, its metrics, and its context where the reply is read."""

from __future__ import annotations

import contextvars
import importlib
import json
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from fastgpt_client import (
    AsyncChatClient,
    AuthenticationError,
    BlockingSubscription,
    ChatClient,
    FastGPTError,
    InvalidArgumentError,
    ReplyTimeoutError,
    ServerError,
    Timeouts,
    UsageError,
    WorkflowError,
)
from fastgpt_client.otel import instrument
from fastgpt_client.testing import (
    APP_ID,
    BlockingFakeFastGPT,
    Delta,
    FakeFastGPT,
    NoHeaders,
    RawResponse,
    Refusal,
    Script,
    WaitFor,
    chat_node,
    chat_script,
)
from fastgpt_client.testing import NodeResponse as ScriptedNode
from fastgpt_client.testing import Status as HTTPStatus

from .recordings import STREAM_HEAD, chunked
from .scripted import At, Scripted, asyncio_only, delta, deltas, frame, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from fastgpt_client import Subscription

pytestmark = pytest.mark.anyio

QUESTION = "What does the heron whisper?"
TEXT = "It whispers: downhill."
NEVER = Script(Delta("It whispers"), WaitFor("never"))


@attrs.define(eq=False)
class Telemetry:
    """Collect what a client tells OpenTelemetry."""

    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader)
    spans_to: TracerProvider = attrs.field(init=False)
    metrics_to: MeterProvider = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.spans_to = TracerProvider(shutdown_on_exit=False)
        self.spans_to.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.metrics_to = MeterProvider([self.reader], shutdown_on_exit=False)

    def watch(self, client: Any, **options: Any) -> Any:
        options = {"tracer_provider": self.spans_to, "meter_provider": self.metrics_to} | options
        return instrument(client, **options)

    @property
    def tracer(self) -> trace.Tracer:
        return self.spans_to.get_tracer("test")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def points(self, name: str) -> list[Any]:
        """Return the data points of one metric."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@asynccontextmanager
async def asking(
    telemetry: Telemetry, *, app_id: str | None = None, **options: Any
) -> AsyncIterator[tuple[FakeFastGPT, AsyncChatClient]]:
    with anyio.fail_after(5):
        async with FakeFastGPT() as server:
            server.reply(TEXT)
            client = AsyncChatClient(server.api_key, server.base_url, app_id=app_id)
            async with telemetry.watch(client, **options):
                yield server, client


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def whole(span: ReadableSpan) -> str:
    """Return everything that a span says."""
    return f"{span.to_json()} {span.status.description}"


def is_current(span: ReadableSpan) -> bool:
    return get_current_span().get_span_context() == span.get_span_context()


@contextmanager
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that the current span is the same afterwards, and that nobody complained."""
    before = get_current_span()
    yield
    assert get_current_span() is before
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


# --- how replies end ---------------------------------------------------------------------------


async def test_a_reply_is_one_span_that_tells_what_was_asked_and_how_it_went(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left_behind(caplog):
        async with asking(telemetry, app_id=APP_ID) as (server, client):
            answer = await client.ask(QUESTION, chat_id="chat")
            port = int(server.base_url.rpartition(":")[2])
    span = telemetry.span
    assert span.name == f"chat {APP_ID}"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    told = attributes(span)
    assert told.pop("gen_ai.response.time_to_first_chunk") == answer.timings.first_token
    assert answer.usage is not None
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fastgpt",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "chat",
        "gen_ai.agent.id": APP_ID,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "fake-model",
        "gen_ai.usage.input_tokens": answer.usage.input_tokens,
        "gen_ai.usage.output_tokens": answer.usage.output_tokens,
        "fastgpt.api": "v1",
        "fastgpt.reply.outcome": "complete",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert [event.name for event in span.events] == ["first token"]


async def test_the_span_of_a_reply_without_an_app_id_is_named_by_the_operation(
    telemetry: Telemetry,
) -> None:
    async with asking(telemetry) as (_, client):
        await client.ask(QUESTION)
    assert telemetry.span.name == "chat"
    assert "gen_ai.conversation.id" not in attributes(telemetry.span)


async def test_metrics_tell_duration_first_token_and_tokens(telemetry: Telemetry) -> None:
    async with asking(telemetry) as (_, client):
        first = await client.ask(QUESTION)
        second = await client.ask(QUESTION)
    assert first.usage is not None
    assert second.usage is not None
    spans = telemetry.spans
    (duration,) = telemetry.points("gen_ai.client.inference.duration")
    assert duration.count == 2
    nanoseconds = sum((span.end_time or 0) - (span.start_time or 0) for span in spans)
    assert duration.sum == pytest.approx(nanoseconds / 1e9)
    assert duration.explicit_bounds[0] == pytest.approx(0.01)
    assert duration.explicit_bounds[-1] == pytest.approx(81.92)
    (chunk,) = telemetry.points("gen_ai.client.inference.time_to_first_chunk")
    assert chunk.sum == pytest.approx(
        sum(attributes(span)["gen_ai.response.time_to_first_chunk"] for span in spans)
    )
    (tokens_in,) = telemetry.points("gen_ai.client.inference.usage.input_tokens")
    (tokens_out,) = telemetry.points("gen_ai.client.inference.usage.output_tokens")
    assert tokens_in.value == first.usage.input_tokens + second.usage.input_tokens
    assert tokens_out.value == first.usage.output_tokens + second.usage.output_tokens
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fastgpt",
        "gen_ai.response.model": "fake-model",
        "server.address": "127.0.0.1",
        "server.port": attributes(spans[0])["server.port"],
    }
    examples = {example.span_id for example in duration.exemplars}
    assert examples <= {
        (span.get_span_context() or trace.INVALID_SPAN_CONTEXT).span_id for span in spans
    }
    assert examples
    assert dict(tokens_in.attributes) == {
        **duration.attributes,
        "gen_ai.token.modality": "unknown",
    }


async def test_a_reply_without_details_has_no_usage_and_counts_no_tokens(
    telemetry: Telemetry,
) -> None:
    async with asking(telemetry) as (_, client):
        await client.ask(QUESTION, detail=False)
    told = attributes(telemetry.span)
    assert "gen_ai.usage.input_tokens" not in told
    assert "gen_ai.response.model" not in told
    (tokens_in,) = telemetry.points("gen_ai.client.inference.usage.input_tokens")
    assert tokens_in.value == 0


async def test_a_reply_of_two_models_is_said_to_be_of_none(telemetry: Telemetry) -> None:
    async with asking(telemetry) as (server, client):
        nodes = [
            ScriptedNode(chat_node(TEXT, finish="stop")),
            ScriptedNode(chat_node(TEXT, finish="length", model="another", nodeId="2")),
        ]
        server.script(Script(Delta(TEXT), *nodes))
        await client.ask(QUESTION)
    told = attributes(telemetry.span)
    assert "gen_ai.response.model" not in told
    assert told["gen_ai.response.finish_reasons"] == ("length",)


async def test_a_reply_that_fails_is_an_error_without_the_servers_words(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left_behind(caplog):
        async with asking(telemetry) as (server, client):
            server.reply(TEXT, error=f"cannot answer {QUESTION}")
            with pytest.raises(WorkflowError, match="heron"):
                await client.ask(QUESTION)
    span = telemetry.span
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "WorkflowError"
    told = attributes(span)
    assert told["error.type"] == "WorkflowError"
    assert told["fastgpt.reply.outcome"] == "failed"
    assert told["gen_ai.response.finish_reasons"] == ("error",)
    assert "heron" not in whole(span)
    (duration,) = telemetry.points("gen_ai.client.inference.duration")
    assert duration.attributes["error.type"] == "WorkflowError"


async def test_a_failure_that_the_body_swallows_is_an_error_all_the_same(
    telemetry: Telemetry,
) -> None:
    async with asking(telemetry) as (server, client):
        server.reply(TEXT, error="no")
        async with client.stream(QUESTION) as reply:
            with pytest.raises(WorkflowError):
                await reply.final()
    assert attributes(telemetry.span)["error.type"] == "WorkflowError"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (HTTPStatus(500, {"code": 500, "message": QUESTION}), ServerError),
        (Refusal(QUESTION, 514, "unAuthApiKey"), AuthenticationError),
    ],
    ids=["before the block", "in the stream"],
)
async def test_a_refusal_is_an_error_of_its_class(
    answer: Any, kind: type[Exception], telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left_behind(caplog):
        async with asking(telemetry) as (server, client):
            server.script(answer)
            with pytest.raises(kind):
                await client.ask(QUESTION)
    told = attributes(telemetry.span)
    assert told["error.type"] == kind.__name__
    assert told["fastgpt.reply.outcome"] == "failed"
    assert "gen_ai.response.time_to_first_chunk" not in told
    assert "heron" not in whole(telemetry.span)


@pytest.mark.virtual_time
@pytest.mark.parametrize("when", ["before the headers", "in the stream"])
async def test_a_timeout_names_its_clock_and_lasts_as_long_as_that(
    when: str, telemetry: Telemetry
) -> None:
    late = when == "before the headers"
    server = Scripted([delta("Once"), At(3600)], headers_after=3600 if late else 0)
    limits = Timeouts(first_token=20, idle=30, silence=None)
    async with server.client(timeouts=limits) as client:
        telemetry.watch(client)
        with pytest.raises(ReplyTimeoutError):
            await client.ask(QUESTION)
    told = attributes(telemetry.span)
    assert told["error.type"] == "ReplyTimeoutError"
    assert told["fastgpt.timeout.clock"] == ("first_token" if late else "idle")
    if not late:
        (duration,) = telemetry.points("gen_ai.client.inference.duration")
        assert duration.sum == pytest.approx(30, abs=1)


async def test_a_reply_that_is_left_early_is_abandoned_and_no_error(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left_behind(caplog):
        async with asking(telemetry) as (server, client):
            server.script(NEVER)
            async with client.stream(QUESTION) as reply:
                async for _ in reply:
                    break
    assert attributes(telemetry.span)["fastgpt.reply.outcome"] == "abandoned"
    assert attributes(telemetry.span)["gen_ai.response.finish_reasons"] == ("error",)
    assert telemetry.span.status.status_code is StatusCode.UNSET


async def test_a_reply_that_is_stopped_is_no_error(telemetry: Telemetry) -> None:
    async with asking(telemetry) as (server, client):
        server.script(NEVER)
        async with client.stream(QUESTION) as reply:
            async for _ in reply:
                await reply.stop()
    assert attributes(telemetry.span)["fastgpt.reply.outcome"] == "stopped"
    assert telemetry.span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("when", ["before the headers", "in the stream"])
async def test_a_reply_that_is_cancelled_is_no_error(
    when: str, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    silent = when == "before the headers"
    with nothing_left_behind(caplog):
        async with asking(telemetry) as (server, client):
            server.script(Script(NoHeaders()) if silent else NEVER)

            async def ask() -> None:
                with nothing_left_behind(caplog):
                    await client.ask(QUESTION)

            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                await (server.wait_request() if silent else server.wait_at_gate("never"))
                group.cancel_scope.cancel()
    assert attributes(telemetry.span)["fastgpt.reply.outcome"] == "cancelled"
    assert telemetry.span.status.status_code is StatusCode.UNSET


@asyncio_only
async def test_a_task_that_is_cancelled_natively_gets_its_context_back(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    async with asking(telemetry) as (server, client):
        server.script(NEVER)
        spans: list[bool] = []

        async def ask() -> None:
            with nothing_left_behind(caplog):
                try:
                    await client.ask(QUESTION)
                finally:
                    spans.append(get_current_span().is_recording())

        task = asyncio.create_task(ask())
        await server.wait_at_gate("never")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert spans == [False]
    assert attributes(telemetry.span)["fastgpt.reply.outcome"] == "cancelled"


async def test_the_bodys_own_error_is_not_the_replys(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left_behind(caplog):
        async with asking(telemetry) as (_, client):
            with pytest.raises(ValueError, match="mine"):
                async with client.stream(QUESTION) as reply:
                    await reply.final()
                    raise ValueError("mine")
    assert attributes(telemetry.span)["fastgpt.reply.outcome"] == "complete"
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert telemetry.span.events[-1].name == "first token"


async def test_a_run_that_is_read_again_is_no_second_inference(telemetry: Telemetry) -> None:
    node = chat_node(TEXT)
    body = (
        frame("resumePhase", '"live"')
        + delta(TEXT)
        + frame("flowNodeResponse", json.dumps(node))
        + frame("answer", "[DONE]")
    )
    async with asking(telemetry, app_id=APP_ID) as (server, client):
        raw = STREAM_HEAD + chunked([body])
        server.route("GET", "/api/core/chat/resume", RawResponse(raw))
        async with client.resume("chat") as reply:
            assert (await reply.final()).usage is not None
    told = attributes(telemetry.span)
    assert telemetry.span.name == f"fetch_response {APP_ID}"
    assert told["gen_ai.operation.name"] == "fetch_response"
    assert told["gen_ai.conversation.id"] == "chat"
    assert "gen_ai.usage.input_tokens" not in told
    assert telemetry.points("gen_ai.client.inference.duration") == []
    assert telemetry.points("gen_ai.client.inference.usage.input_tokens") == []


# --- the current span --------------------------------------------------------------------------


async def test_consumers_see_the_span_of_their_reply(telemetry: Telemetry) -> None:
    async def consume(events: Subscription) -> trace.SpanContext:
        with telemetry.tracer.start_as_current_span("consumer"):
            async for _ in events:
                pass
            return get_current_span().get_span_context()

    async with asking(telemetry) as (_, client):
        with telemetry.tracer.start_as_current_span("caller"):
            async with client.stream(QUESTION) as reply, anyio.create_task_group() as group:
                body = get_current_span().get_span_context()
                await reply.feed(consume, consume)
                group.start_soon(consume, reply.subscribe())
    spans = {span.name: span for span in telemetry.spans}
    consumers = [span for span in telemetry.spans if span.name == "consumer"]
    assert len(consumers) == 3
    assert spans["chat"].get_span_context() == body
    assert all(span.parent == body for span in consumers)
    assert spans["chat"].parent == spans["caller"].get_span_context()


async def test_two_replies_at_once_are_two_spans_and_each_body_sees_its_own(
    telemetry: Telemetry,
) -> None:
    seen: dict[str, trace.SpanContext] = {}

    async with asking(telemetry) as (server, client):
        server.script(Script(Delta(TEXT), WaitFor("both")))

        async def ask(chat_id: str) -> None:
            async with client.stream(QUESTION, chat_id=chat_id) as reply:
                await server.wait_at_gate("both", 2)
                server.open_gate("both")
                await reply.final()
                seen[chat_id] = get_current_span().get_span_context()

        with telemetry.tracer.start_as_current_span("caller") as caller:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, "a")
                group.start_soon(ask, "b")
    replies = [span for span in telemetry.spans if span.name == "chat"]
    assert {
        attributes(span)["gen_ai.conversation.id"]: span.get_span_context() for span in replies
    } == seen
    assert [span.parent for span in replies] == [caller.get_span_context()] * 2


async def test_a_reply_inside_the_block_of_another_is_its_child(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left_behind(caplog):
        async with asking(telemetry) as (_, client):
            async with client.stream(QUESTION, chat_id="outer"):
                outer = get_current_span()
                await client.ask(QUESTION, chat_id="inner")
                assert get_current_span() is outer
    inner = telemetry.spans[0]
    assert attributes(inner)["gen_ai.conversation.id"] == "inner"
    assert inner.parent == outer.get_span_context()


async def test_the_span_ends_with_the_reply_however_long_the_block_goes_on(
    telemetry: Telemetry,
) -> None:
    async with asking(telemetry) as (_, client):
        async with client.stream(QUESTION) as reply:
            answer = await reply.final()
            await settle()
            get_current_span().set_attribute("mine", True)
            assert telemetry.spans == ()
    span = telemetry.span
    nanoseconds = (span.end_time or 0) - (span.start_time or 0)
    assert nanoseconds / 1e9 == pytest.approx(answer.timings.total, abs=1e-6)
    assert attributes(span)["mine"] is True


async def test_the_request_carries_the_context_of_the_span(telemetry: Telemetry) -> None:
    async with asking(telemetry) as (server, client):
        await client.ask(QUESTION)
        headers = dict(server.requests[0].headers)
    where = telemetry.span.get_span_context()
    assert where is not None
    # The flags after them differ from version to version.
    assert headers["traceparent"].startswith(f"00-{where.trace_id:032x}-{where.span_id:016x}-")
    assert headers["authorization"] == f"Bearer {server.api_key}"


def test_a_block_that_is_left_in_another_task_is_told_and_no_detaching_fails(
    anyio_backend: tuple[str, dict[str, Any]],
    telemetry: Telemetry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    met: list[BaseException] = []

    async def main() -> None:
        async with Scripted(deltas(2)).client() as client:
            telemetry.watch(client)
            block = client.stream(QUESTION)
            await block.__aenter__()
            await settle()

            async def leave() -> None:
                try:
                    await block.__aexit__(None, None, None)
                except BaseException as error:  # noqa: ASYNC103 - looked at below
                    met.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(leave)

    name, options = anyio_backend
    with nothing_left_behind(caplog):
        if name == "asyncio":
            anyio.run(main, backend=name, backend_options=options)
        else:
            # trio counts the nurseries of a task: the task that entered cannot end any more.
            with pytest.raises(BaseException, match="misnesting"):
                anyio.run(main, backend=name, backend_options=options)
    assert [type(error) for error in met] == [UsageError]
    assert attributes(telemetry.span)["fastgpt.reply.outcome"] == "abandoned"


# --- what is kept secret -----------------------------------------------------------------------


async def test_a_span_has_neither_the_key_nor_what_was_said(telemetry: Telemetry) -> None:
    async with asking(telemetry) as (server, client):
        server.enqueue(
            chat_script(TEXT, question=QUESTION, reasoning="The heron thinks."),
            Script(Delta("It whispers"), ScriptedNode(chat_node("", error="whispers too much"))),
            Refusal(f"{QUESTION} {server.api_key}", 514, "unAuthApiKey"),
        )
        await client.ask(QUESTION, variables={"bird": "heron"})
        for _ in range(2):
            with pytest.raises(FastGPTError):
                await client.ask(QUESTION)
    assert len(telemetry.spans) == 3
    for span in telemetry.spans:
        for secret in (server.api_key, "heron", "whispers"):
            assert secret not in whole(span)


async def test_a_span_has_what_was_said_if_that_is_asked_for(telemetry: Telemetry) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://files/secret"}}
    async with asking(telemetry, capture_content=True) as (server, client):
        server.enqueue(chat_script(TEXT, reasoning="The heron thinks."))
        server.script(Refusal(f"no {QUESTION} {server.api_key}", 500))
        await client.ask(
            [
                {"role": "system", "content": "Whisper."},
                {"role": "assistant", "content": None, "tool_calls": []},
                {"role": "user", "content": [{"type": "text", "text": QUESTION}, picture]},
            ]
        )
        with pytest.raises(ServerError):
            await client.ask(QUESTION)
    first, second = telemetry.spans
    assert json.loads(attributes(first)["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Whisper."}]},
        {"role": "assistant", "parts": []},
        {
            "role": "user",
            "parts": [{"type": "text", "content": QUESTION}, {"type": "image_url"}],
        },
    ]
    assert json.loads(attributes(first)["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "The heron thinks."},
                {"type": "text", "content": TEXT},
            ],
        }
    ]
    assert "heron" in (second.status.description or "")
    assert server.api_key not in whole(second)


# --- instrument() ------------------------------------------------------------------------------


async def test_instrumenting_again_replaces_what_was_said_before(telemetry: Telemetry) -> None:
    async with asking(telemetry) as (_, client):
        assert telemetry.watch(client, capture_content=True) is client
        await client.ask(QUESTION)
    assert "gen_ai.input.messages" in attributes(telemetry.span)


async def test_without_a_provider_an_instrumented_client_works_as_before() -> None:
    with anyio.fail_after(5):
        async with FakeFastGPT() as server:
            server.reply(TEXT)
            client = instrument(AsyncChatClient(server.api_key, server.base_url))
            async with client:
                assert (await client.ask(QUESTION)).text == TEXT
            assert "traceparent" not in dict(server.requests[0].headers)


@pytest.mark.parametrize("wrong", [None, "client", AsyncChatClient])
def test_what_is_no_client_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        instrument(wrong)
    assert caught.value.field == "client"


def test_without_opentelemetry_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "fastgpt_client.otel")
    with pytest.raises(ImportError, match=r"fastgpt-client\[otel\]"):
        importlib.import_module("fastgpt_client.otel")


def test_the_package_itself_does_not_import_opentelemetry() -> None:
    program = "import sys, fastgpt_client; assert 'opentelemetry' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


# --- blocking ----------------------------------------------------------------------------------


def test_a_blocking_reply_is_a_child_of_the_span_of_its_caller(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with BlockingFakeFastGPT() as server, nothing_left_behind(caplog):
        server.reply(TEXT)
        with telemetry.watch(ChatClient(server.api_key, server.base_url)) as client:
            with telemetry.tracer.start_as_current_span("caller") as caller:
                client.ask(QUESTION)
                with client.stream(QUESTION, chat_id="chat") as reply:
                    reply.final()
    replies = [span for span in telemetry.spans if span.name == "chat"]
    assert [span.parent for span in replies] == [caller.get_span_context()] * 2
    assert attributes(replies[1])["gen_ai.conversation.id"] == "chat"
    assert attributes(replies[1])["fastgpt.reply.outcome"] == "complete"


def test_the_span_of_a_blocking_reply_is_current_in_its_block_and_its_consumers(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    def speak(events: BlockingSubscription) -> str:
        with telemetry.tracer.start_as_current_span("speak"):
            return "".join(event.text for event in events)

    with BlockingFakeFastGPT() as server, nothing_left_behind(caplog):
        server.reply(TEXT)
        with telemetry.watch(ChatClient(server.api_key, server.base_url)) as client:
            with client.stream(QUESTION) as reply:
                get_current_span().set_attribute("my.user", "a hash")
                assert reply.feed(speak, speak) == (TEXT, TEXT)
            assert not get_current_span().get_span_context().is_valid
            # As the block of a generator that is begun in one context and closed in another.
            block = client.stream(QUESTION)
            contextvars.copy_context().run(block.__enter__).final()
            block.__exit__(None, None, None)
            with pytest.raises(ZeroDivisionError), client.stream(QUESTION):
                raise ZeroDivisionError
            assert not get_current_span().get_span_context().is_valid
    chat = next(span for span in telemetry.spans if span.name == "chat")
    assert attributes(chat)["my.user"] == "a hash"
    spoken = [span for span in telemetry.spans if span.name == "speak"]
    assert [span.parent for span in spoken] == [chat.get_span_context()] * 2

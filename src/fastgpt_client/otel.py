"""Tell OpenTelemetry of each reply: one span, its metrics, and its context for who reads it.

The names are those of the semantic conventions for generative AI, release 0.1, which are still in
development there and so may change here too.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import msgspec

from ._answer import Answer, Status
from ._client import AsyncChatClient
from ._errors import InvalidArgumentError, ReplyTimeoutError
from ._sync import ChatClient

try:
    from opentelemetry import context, metrics, propagate, trace
except ImportError as _missing:
    raise ImportError(
        "fastgpt_client.otel needs OpenTelemetry's API, which the extra 'otel' brings: "
        "pip install 'fastgpt-client[otel]'"
    ) from _missing

if TYPE_CHECKING:
    from types import TracebackType

    from ._observation import Asked

__all__ = ["instrument"]

_Client = TypeVar("_Client", bound=AsyncChatClient | ChatClient)

_NAME: Final = "fastgpt_client"
#: Bounds of the histograms' buckets in seconds, as the conventions have them.
_SECONDS: Final = tuple(0.01 * 2**power for power in range(14))

#: Tells whether a context is the one in which a span was made current.
_here: ContextVar[object] = ContextVar("fastgpt_client.otel")


def instrument(
    client: _Client,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    capture_content: bool = False,
) -> _Client:
    """Tell OpenTelemetry of each reply of a client from now on.

    The span of a reply is the current one inside its block, so what is begun there belongs to it;
    its context also goes to the server with the request. It has no message, no text and no words
    of an error, unless ``capture_content`` says so, and never the key. Instrumenting a client again
    replaces what was said before.

    :param client: the client.
    :param tracer_provider: where spans go; to the global provider if it is ``None``.
    :param meter_provider: where metrics go; to the global provider if it is ``None``.
    :param capture_content: whether spans have the messages, the text, the reasoning and the words
        of an error.
    :returns: the client.
    :raises InvalidArgumentError: if it is no client.
    """
    inner: object = client._async if isinstance(client, ChatClient) else client
    if not isinstance(inner, AsyncChatClient):
        raise InvalidArgumentError(
            f"client must be an AsyncChatClient or a ChatClient, not {client!r}", field="client"
        )
    telemetry = _Telemetry(tracer_provider, meter_provider, capture_content)
    others = (seen for seen in inner._observers if not isinstance(seen, _Telemetry))
    inner._observers = (*others, telemetry)
    return client


class _Telemetry:
    """Observe replies for one tracer and one meter."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None,
        meter_provider: metrics.MeterProvider | None,
        capture_content: bool,
    ) -> None:
        release = _version()
        self.tracer = trace.get_tracer(_NAME, release, tracer_provider)
        self.capture_content = capture_content
        meter = metrics.get_meter(_NAME, release, meter_provider)
        self.duration = meter.create_histogram(
            "gen_ai.client.inference.duration",
            unit="s",
            description="GenAI client inference operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first = meter.create_histogram(
            "gen_ai.client.inference.time_to_first_chunk",
            unit="s",
            description="Time from the request to the first chunk of the response.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.input_tokens = meter.create_counter(
            "gen_ai.client.inference.usage.input_tokens",
            unit="{token}",
            description="The number of input tokens used.",
        )
        self.output_tokens = meter.create_counter(
            "gen_ai.client.inference.usage.output_tokens",
            unit="{token}",
            description="The number of output tokens used.",
        )

    def __call__(self, asked: Asked) -> _ReplySpan:
        return _ReplySpan(self, asked)


@attrs.define(eq=False)
class _ReplySpan(AbstractContextManager[None]):
    """Hold the span of one reply, and make it the current one of whoever enters."""

    telemetry: _Telemetry
    asked: Asked
    span: trace.Span = attrs.field(init=False)
    #: The attributes of every metric of this reply.
    labels: dict[str, str | int] = attrs.field(init=False)
    started: int = attrs.field(factory=time.time_ns, init=False)
    #: The context that has the span; metrics are told it as their example.
    current: context.Context = attrs.field(init=False)
    _marked: Token[object] = attrs.field(init=False)
    _attached: Token[context.Context] = attrs.field(init=False)

    def __enter__(self) -> None:
        request = self.asked.request
        # A run that is only read again is no inference, and its tokens were counted before.
        operation = "chat" if request.owns_run else "fetch_response"
        url = urlsplit(self.asked.base_url)
        self.labels = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "fastgpt",
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        }
        more: dict[str, Any] = {"gen_ai.request.stream": True, "fastgpt.api": request.api}
        if request.chat_id is not None:
            more["gen_ai.conversation.id"] = request.chat_id
        if request.app_id is not None:
            more["gen_ai.agent.id"] = request.app_id
        self.span = self.telemetry.tracer.start_span(
            f"{operation} {request.app_id}" if request.app_id else operation,
            kind=trace.SpanKind.CLIENT,
            attributes={**self.labels, **more},
            start_time=self.started,
        )
        self.current = trace.set_span_in_context(self.span)
        propagate.inject(self.asked.headers, self.current)
        self._marked = _here.set(self)
        self._attached = context.attach(self.current)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._make_uncurrent()
        end = time.time_ns()
        try:
            if self.asked.reply is not None:
                # A block may go on long after its reply.
                timings = self.asked.reply.timings
                end = self.started + int(timings.total * 1e9)
            self._tell(error, (end - self.started) / 1e9)
        finally:
            self.span.end(end)

    def _make_uncurrent(self) -> None:
        try:
            _here.reset(self._marked)
        except ValueError:
            # The block was left in another task, where this span was never made current;
            # detaching there would log an error.
            return
        context.detach(self._attached)

    def _tell(self, error: BaseException | None, seconds: float) -> None:
        reply, span, telemetry = self.asked.reply, self.span, self.telemetry
        failure = error if reply is None else reply.failure
        ended: dict[str, str] = {}
        if isinstance(failure, Exception):
            ended["error.type"] = type(failure).__name__
            span.set_attributes(ended)
            if isinstance(failure, ReplyTimeoutError):
                span.set_attribute("fastgpt.timeout.clock", failure.clock)
            words = str(failure) if telemetry.capture_content else type(failure).__name__
            span.set_status(trace.StatusCode.ERROR, words)
        answer = Answer(status=Status.ABANDONED) if reply is None else reply.answer
        outcome = answer.status.value
        if isinstance(failure, Exception):
            outcome = Status.FAILED.value
        elif answer.status is Status.ABANDONED and not isinstance(error, Exception | None):
            outcome = "cancelled"
        span.set_attribute("fastgpt.reply.outcome", outcome)
        span.set_attribute("gen_ai.response.finish_reasons", [_finish_reason(answer)])
        self._tell_content(answer)
        models = {node.model for node in answer.nodes if node.model}
        if len(models) == 1:
            (self.labels["gen_ai.response.model"],) = models
            span.set_attribute("gen_ai.response.model", self.labels["gen_ai.response.model"])
        first = answer.timings.first_token
        if first is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", first)
            span.add_event("first token", timestamp=self.started + int(first * 1e9))
        if self.asked.request.owns_run:
            telemetry.duration.record(seconds, {**self.labels, **ended}, self.current)
            self._count(answer)

    def _count(self, answer: Answer) -> None:
        telemetry, labels = self.telemetry, self.labels
        if answer.timings.first_token is not None:
            telemetry.first.record(answer.timings.first_token, labels, self.current)
        # FastGPT does not tell tokens of texts from those of images.
        kinds = {**labels, "gen_ai.token.modality": "unknown"}
        usage = answer.usage
        counted = (0, 0) if usage is None else (usage.input_tokens, usage.output_tokens)
        telemetry.input_tokens.add(counted[0], kinds, self.current)
        telemetry.output_tokens.add(counted[1], kinds, self.current)
        if usage is not None:
            self.span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
            self.span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)

    def _tell_content(self, answer: Answer) -> None:
        if not self.telemetry.capture_content:
            return
        asked = msgspec.json.decode(self.asked.request.body or b"{}").get("messages", [])
        said = {"reasoning": answer.reasoning, "text": answer.text}
        parts = [{"type": kind, "content": text} for kind, text in said.items() if text]
        for name, messages in (
            ("gen_ai.input.messages", [*map(_message, asked)]),
            ("gen_ai.output.messages", [{"role": "assistant", "parts": parts}]),
        ):
            self.span.set_attribute(name, msgspec.json.encode(messages).decode())


def _finish_reason(answer: Answer) -> str:
    if answer.status is not Status.COMPLETE:
        return "error"  # the convention's word for every end that was not the model's
    told = [node.finish_reason for node in answer.nodes if node.finish_reason]
    return told[-1] if told else "stop"


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return {
        "role": message["role"],
        # Of a file only that there was one: its URL is a key to it.
        "parts": [
            {"type": "text", "content": part.get("text", "")}
            if part["type"] == "text"
            else {"type": part["type"]}
            for part in parts
        ],
    }


def _version() -> str:
    try:
        return version("fastgpt-client")
    except PackageNotFoundError:  # run from a folder that was not installed
        return ""

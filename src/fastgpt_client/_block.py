"""Own everything of one reply between entering and leaving: connection, tasks, subscriptions."""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
from anyio.lowlevel import checkpoint

from ._answer import Status
from ._bodies import RequestBody, ResponseBody
from ._clocks import Clocks
from ._errors import (
    FastGPTError,
    NotAnEventStreamError,
    ProtocolError,
    ReplyInterruptedError,
    ReplyTimeoutError,
    UsageError,
)
from ._feed import is_failure_of, leaves
from ._http import HTTP, is_event_stream, refusal
from ._limits import Timeouts
from ._observation import Observation
from ._producer import Producer
from ._reply import Control, Reply, StopOutcome
from ._requests import ChatRequest, Target
from ._resume import ResumeRequest
from ._stop import RunStopper
from ._transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_log = logging.getLogger("fastgpt_client.block")

#: Seconds for the body of a refusal, which is short.
_REFUSAL_SECONDS = 5.0


@attrs.define(eq=False)
class Block:
    """Open one reply, and leave nothing of it behind.

    :param target: the server and the key.
    :param request: what to send.
    :param limits: the time limits.
    :param max_bytes: bytes that the reply's body may have.
    :param raise_on_node_error: whether an uncaught failed node fails the reply.
    :param app_id: the app's id for stopping a v2 run.
    :param observation: who wants to see the reply.
    """

    target: Target
    request: ChatRequest | ResumeRequest
    limits: Timeouts
    max_bytes: int
    raise_on_node_error: bool
    app_id: str | None
    observation: Observation
    _http: HTTP = attrs.field(init=False)
    _body: RequestBody | None = attrs.field(default=None, init=False)
    _response: Any = attrs.field(default=None, init=False)
    _producer: Producer | None = attrs.field(default=None, init=False)
    _reply: Reply | None = attrs.field(default=None, init=False)
    #: When the clean-up must be over, in the event loop's time.
    _close_by: float | None = attrs.field(default=None, init=False)
    _ended_by_client: ReplyInterruptedError | None = attrs.field(default=None, init=False)
    _told: bool = attrs.field(default=False, init=False)

    @asynccontextmanager
    async def open(
        self, http: Callable[[], HTTP], register: Callable[[Block], Any]
    ) -> AsyncIterator[Reply]:
        """Send the request and yield the reply.

        :param http: gives the HTTP client, if it can be used here and now.
        :param register: called with this block once there is a reply that a closing client can
            end.
        """
        self._http = http()
        with self.observation:
            owner = anyio.get_current_task().id
            started = anyio.current_time()
            try:
                await self._send(started)
            except (anyio.get_cancelled_exc_class(), ReplyTimeoutError):
                with anyio.CancelScope(shield=True, deadline=self._close_deadline()):
                    await self._give_up_unanswered()
                raise
            body_error: BaseException | None = None
            other_error: BaseException | None = None
            try:
                producer, reply = self._prepare(started)
                register(self)
                async with anyio.create_task_group() as group:
                    group.start_soon(producer.run, name="fastgpt_client producer")
                    group.start_soon(producer.watchdog.run, name="fastgpt_client watchdog")
                    try:
                        yield reply
                    except anyio.get_cancelled_exc_class():
                        raise
                    except BaseException as error:
                        body_error = error
                    finally:
                        # In another task trio's nursery would wait for its tasks without an end.
                        elsewhere = anyio.get_current_task().id != owner
                        deadline = math.inf if elsewhere else self._close_deadline()
                        with anyio.CancelScope(shield=True, deadline=deadline):
                            await self._leave(producer)
            except BaseException as error:  # noqa: ASYNC103 - raised again below, as itself
                other_error = error
            try:
                with anyio.CancelScope(shield=True, deadline=self._close_deadline()):
                    await self._clean_up()
            except BaseException as error:  # noqa: ASYNC103 - raised again below, unless outranked
                # Native asyncio cancellation passes every shield.
                other_error = other_error or error
            if anyio.get_current_task().id != owner:
                raise _left_elsewhere() from body_error
            # What leaving adds to an error of the body is cancellation, no more.
            if (left_with := body_error or other_error) is not None:
                self._raise_bare(left_with)
            if self._reply is not None and self._reply._fanout.owed:
                self._reply._fanout.raise_failure()

    def end(self) -> None:
        """Let the reply fail because its client is closed, unless it has ended."""
        assert self._producer is not None
        if self._ended_by_client is None:
            self._ended_by_client = ReplyInterruptedError(
                "the client was closed before the reply ended"
            )
            self._producer.fail(self._ended_by_client)

    async def wait_ended(self) -> None:
        """Wait until the network is done with; then tell the server of a run that would go on."""
        assert self._producer is not None
        assert self._reply is not None
        await self._producer.wait_finished()
        was_ended = self._reply.failure is not None and self._reply.failure is self._ended_by_client
        if was_ended and not self._told and self.request.owns_run:
            await self._tell_server()

    async def _send(self, started: float) -> None:
        limits = self.limits
        first_token, total = limits.seconds("first_token"), limits.seconds("total")
        if self.request.body is not None:
            self._body = RequestBody(self.request.body)
        with anyio.CancelScope(deadline=started + min(first_token, total)) as scope:
            response = await self._http.send(
                self.request.method,
                self.target,
                self.request.path,
                content=self.request.body,
                body=self._body,
                accept="text/event-stream",
                connect=limits.connect,
                headers={**self.observation.asked.headers, **self.request.headers},
            )
            if not is_event_stream(response):
                refused = await refusal(response, self.target, _REFUSAL_SECONDS)
                raise self.request.refused(refused)
            self._response = response
        if scope.cancelled_caught:
            clock, seconds = min(("first_token", first_token), ("total", total), key=_second)
            raise ReplyTimeoutError(
                f"the server sent nothing, not even headers, within {seconds:g} s ({clock})",
                clock=clock,  # type: ignore[arg-type]
                seconds=seconds,
            )

    def _prepare(self, started: float) -> tuple[Producer, Reply]:
        transcript = Transcript()
        reply = Reply(transcript, self.request.chat_id)
        reply._fanout.loop = anyio.lowlevel.current_token()
        producer = Producer(
            reply,
            transcript,
            Clocks(self.limits, started),
            ResponseBody(self._response),
            self.target,
            self.max_bytes,
            self.raise_on_node_error,
            self._http.explain,
        )
        reply._control = Control(self._stop, producer.timings)
        self._producer, self._reply = producer, reply
        self.observation.asked.reply = reply
        return producer, reply

    async def _leave(self, producer: Producer) -> None:
        producer.cancel()
        producer.watchdog.stop()
        await producer.wait_finished()

    def _close_deadline(self) -> float:
        if self._close_by is None:
            self._close_by = anyio.current_time() + self.limits.seconds("close")
        return self._close_by

    async def _clean_up(self) -> None:  # noqa: ASYNC910 - aclose() yields before it raises
        reply = self._reply
        gave_up = False
        if reply is not None:
            # Here the failure is of our own making; where the server ended it, no run goes on.
            gave_up = reply.status in (Status.STREAMING, Status.STOPPED) or (
                isinstance(reply.failure, ReplyTimeoutError | ProtocolError)
                and not isinstance(reply.failure, NotAnEventStreamError)
            )
            reply._end(Status.ABANDONED)
            reply._fanout.close()
            _log_end(reply)
        try:
            await self._response.aclose()
        except Exception:
            _log.debug("closing the response failed", exc_info=True)
        if gave_up and not self._told and self.request.owns_run:
            await self._tell_server()

    async def _give_up_unanswered(self) -> None:
        # A server may hold back even the headers while the run that it has begun goes on.
        await checkpoint()
        written = self._body is not None and self._body.written
        _log.debug("the reply was given up before the server answered")
        if written and self.request.api == "v2" and self.request.owns_run:
            await self._stopper().tell()

    async def _tell_server(self) -> None:
        self._told = True
        await checkpoint()
        if self._response.http_version == "HTTP/2":
            # Leaving an HTTP/2 stream resets nothing that FastGPT's proxies pass on (measured
            # with hypercorn behind httpcore: not told after a second).
            _log.warning(
                "the reply was left early over HTTP/2, which tells the server nothing: use an "
                "HTTP/1.1 client to make that stop the run"
            )
        if self.request.api == "v2":
            await self._stopper().tell()

    def _stopper(self) -> RunStopper:
        return RunStopper(
            self._http, self.target, self.app_id, self.request.chat_id, self.limits.connect
        )

    async def _stop(self) -> StopOutcome:
        assert self._reply is not None
        assert self._producer is not None
        if self._reply.status is not Status.STREAMING:
            await checkpoint()
            return "ended"
        self._reply._end(Status.STOPPED)
        self._producer.cancel()
        await self._producer.wait_finished()
        outcome: StopOutcome = "not_told" if self._response.http_version == "HTTP/2" else "closed"
        if self.request.api == "v2":
            outcome = await self._stopper().stop()
        # Not before: if this is cancelled, leaving the block tells the server.
        self._told = True
        return outcome

    def _raise_bare(self, error: BaseException) -> None:
        """Raise what the body raised as itself, and the reply's own failure without a group."""
        reply = self._reply
        if isinstance(error, BaseExceptionGroup):
            for leaf in leaves(error):
                if isinstance(leaf, KeyboardInterrupt | SystemExit):
                    raise leaf
            if reply is not None and is_failure_of(reply, error):
                reply._fanout.raise_failure()
        raise error


def _log_end(reply: Reply) -> None:
    # Of a failure its class alone: a server's words may repeat the question.
    if _log.isEnabledFor(logging.DEBUG):
        timings, failure = reply.timings, reply.failure
        _log.debug(
            "the reply is %s%s after %.2f s, the first token after %s: %d events, %d heartbeats, "
            "%d bytes",
            reply.status,
            "" if failure is None else f" ({type(failure).__name__})",
            timings.total,
            "never" if timings.first_token is None else f"{timings.first_token:.2f} s",
            timings.events,
            timings.heartbeats,
            timings.bytes,
        )


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _left_elsewhere() -> FastGPTError:
    return UsageError(
        "the block of client.stream() was left in another task than the one that entered it. "
        "That happens when it stands inside a generator that a web framework finishes, or in a "
        "fixture: keep the whole block in one coroutine; for a web response use "
        "fastgpt_client.asgi.ReplyResponse"
    )

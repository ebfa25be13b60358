"""Read one reply from the network: the only task that does, and the only one that appends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._answer import Status, Timings
from ._bodies import ResponseBody
from ._burst import BURST_CHUNKS, BurstReader
from ._clocks import Bell, Clocks, Watchdog
from ._errors import (
    FastGPTError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    TransportError,
)
from ._refusals import HEAD_BYTES, broke_off, without_key
from ._reply import Reply
from ._requests import Target
from ._sse import ServerSentEvent, SSEDecoder
from ._transcript import Transcript

_log = logging.getLogger("fastgpt_client.producer")

#: Seconds of work after which the producer lets others run: reads of buffered chunks do not.
_WORK_SECONDS: Final = 0.002

_TIMEOUT_WORDS: Final = {
    "first_token": "no text came within {0:g} s (first_token)",
    "idle": "nothing but heartbeats came for {0:g} s (idle)",
    "silence": "not even a heartbeat came for {0:g} s (silence): the line is dead",
    "total": "the reply was not complete within {0:g} s (total)",
    "consumer": "the subscription {1!r} made the reply wait for {0:g} s (consumer)",
}


@attrs.define(eq=False)
class Producer:
    """Read the body into the transcript, wake the subscriptions, and store how it ended."""

    reply: Reply
    transcript: Transcript = attrs.field(repr=False)
    clocks: Clocks
    body: ResponseBody
    target: Target
    max_bytes: int
    raise_on_node_error: bool
    explain: Callable[[Exception], FastGPTError]
    watchdog: Watchdog = attrs.field(init=False)
    #: Whether the network is done with, the connection included.
    _finished: bool = attrs.field(default=False, init=False)
    _finish: anyio.Event | None = attrs.field(default=None, init=False)
    _scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    _decoder: SSEDecoder = attrs.field(factory=SSEDecoder, init=False)
    _reader: BurstReader = attrs.field(init=False, repr=False)
    _bytes: int = attrs.field(default=0, init=False)
    # What the server sent is in no representation: it may echo the key.
    _head: bytes = attrs.field(default=b"", init=False, repr=False)
    _frames_seen: bool = attrs.field(default=False, init=False)
    _error: Exception | None = attrs.field(default=None, init=False, repr=False)
    _at_eof: bool = attrs.field(default=False, init=False)
    _working_since: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.watchdog = Watchdog(self.clocks, self._ring)
        self._reader = BurstReader(self.body, self._before_wait, self._after_wait)

    def cancel(self) -> None:
        """Stop reading; the connection is closed if the body was not at its end."""
        self._scope.cancel()

    def fail(self, error: Exception) -> None:
        """Stop reading and let the reply fail, unless it has ended."""
        if self._error is None:
            self._error = error
        self._scope.cancel()

    def timings(self) -> Timings:
        """Return what was counted and timed so far."""
        clocks = self.clocks
        first = clocks.first_token
        end = anyio.current_time() if clocks.ended is None else clocks.ended
        return Timings(
            first_token=None if first is None else first - clocks.started,
            total=end - clocks.started,
            events=len(self.transcript.events),
            heartbeats=self.transcript.heartbeats,
            bytes=self._bytes,
        )

    async def run(self) -> None:
        """Read to the end of the body; never raise an :class:`Exception`, store it."""
        self._working_since = anyio.current_time()
        try:
            with self._scope:
                try:
                    await self._read()
                except Exception as error:
                    self._error = self._error or error
                finally:
                    await self.body.unwind()  # noqa: ASYNC102 - shielded inside, and cancelled
        finally:
            self.clocks.ended = anyio.current_time()
            self._conclude()
            self.watchdog.stop()
            try:
                await self._close()  # noqa: ASYNC102, ASYNC120 - shielded inside
            finally:
                self._finished = True
                if self._finish is not None:
                    self._finish.set()

    async def wait_finished(self) -> None:
        """Wait until the network is done with, the connection included."""
        if self._finished:
            await checkpoint()
            return
        if self._finish is None:
            # Not before: most of what a waiting reply keeps are the event loop's objects.
            self._finish = anyio.Event()
        await self._finish.wait()

    async def _close(self) -> None:  # noqa: ASYNC910 - what it awaits is the library's
        # Here, so that the connection is free when the reply has ended and not only when the block
        # is left; and in this task, which native cancellation does not reach.
        deadline = anyio.current_time() + self.clocks.limits.seconds("close")
        with anyio.CancelScope(shield=True, deadline=deadline):  # noqa: ASYNC912
            try:
                await self.body.aclose()
            except Exception:
                _log.debug("closing the response failed", exc_info=True)

    async def _read(self) -> None:  # noqa: ASYNC910 - the reader waits, or the clock yields
        more = True
        while more:
            self._choose_burst()
            try:
                more = await self._reader.read()
            except Exception:
                # The network failed, but what came before that has arrived.
                await self._deliver()  # noqa: ASYNC120 - being cancelled is worth more
                raise
            await self._deliver()
        self._at_eof = True

    def _choose_burst(self) -> None:
        # A paced subscription wants its events one at a time.
        self._reader.most = 1 if self.reply._fanout.permits else BURST_CHUNKS

    def _before_wait(self) -> None:
        # What arrives between an error and the cancellation that it brings is no part of the reply.
        ended = self._error is not None or self.reply._fanout.ended
        if self._reader.chunks and not ended:
            try:
                self._publish()
            except Exception as error:
                # The read has begun and must be cancelled, not left.
                self.fail(error)

    def _after_wait(self) -> None:
        self._working_since = now = anyio.current_time()
        self.clocks.last_byte = now
        self._choose_burst()

    async def _deliver(self) -> None:  # noqa: ASYNC910 - yields by the clock
        if self._error is not None or self.reply._fanout.ended:
            # Where this task is cancelled: whoever sets an error or stops the reply does that.
            await checkpoint()
            return
        now = anyio.current_time()
        if self._reader.chunks:
            self.clocks.last_byte = now
            if self.reply._fanout.permits:
                await self._publish_paced()
            else:
                self._publish()
        if now - self._working_since >= _WORK_SECONDS:
            await checkpoint()
            self._working_since = anyio.current_time()

    def _publish(self) -> None:
        take = self.transcript.take
        try:
            for frame in self._decode():
                take(frame)
        finally:
            self._note_published()

    async def _publish_paced(self) -> None:  # noqa: ASYNC910 - waits where a consumer is behind
        try:
            for frame in self._decode():
                if self.transcript.take(frame):
                    self._note_published()
                    await self._pace(len(self.transcript.events) - 1)
                if self.reply._fanout.ended:
                    break  # stopped meanwhile
        finally:
            self._note_published()

    def _decode(self) -> list[ServerSentEvent]:
        chunks = self._reader.chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self.body.inflater is not None:
            data = self.body.inflater.feed(data, self.max_bytes - self._bytes)
        first = not self._bytes
        self._bytes += len(data)
        if not self._frames_seen and len(self._head) < HEAD_BYTES:
            self._head += data[:HEAD_BYTES]
        frames: list[ServerSentEvent] = []
        try:
            beyond = max(0, self._bytes - self.max_bytes)
            # What fits counts, however the body came in pieces.
            self._decoder.feed_into(data[: len(data) - beyond], frames)
            if beyond:
                raise ReplyTooLargeError(
                    f"the reply is larger than max_reply_bytes ({self.max_bytes}); it was given up"
                )
        except ReplyTooLargeError as error:
            # What was complete before the line that is too long still counts.
            self._frames_seen = self._frames_seen or bool(frames)
            for frame in frames:
                self.transcript.take(frame)
            raise error
        self._frames_seen = self._frames_seen or bool(frames)
        if first:
            if self.clocks.last_byte is None:
                self.clocks.last_byte = anyio.current_time()
            self.watchdog.look()
        return frames

    def _note_published(self) -> None:
        clocks, transcript = self.clocks, self.transcript
        fanout = self.reply._fanout
        if len(transcript.events) != fanout.announced:
            fanout.announced = len(transcript.events)
            clocks.last_progress = now = clocks.last_byte or anyio.current_time()
            if clocks.first_token is None and transcript.has_content:
                clocks.first_token = now
                self.watchdog.look()
            fanout.wake()
        if transcript.done and clocks.done is None:
            clocks.done = anyio.current_time()
            self.watchdog.look()

    async def _pace(self, index: int) -> None:  # noqa: ASYNC910 - a permit may be taken at once
        for permits in self.reply._fanout.paced():
            if permits.offer(index):
                continue
            self.clocks.hold(permits.name, anyio.current_time())
            self.watchdog.look()
            try:
                await permits.hand_over(index)
            finally:
                self._working_since = now = anyio.current_time()
                self.clocks.release(now)
                self.watchdog.look()

    def _ring(self, bell: Bell) -> bool:
        clocks = self.clocks
        if bell == "warning":
            if clocks.warn_once():
                _log.warning(
                    "the reply has waited 10 s for the paced subscription %r; nothing more is "
                    "read from the server until it goes on (Timeouts.consumer would end this)",
                    clocks.held_by,
                )
            return False
        if self.transcript.done:
            # Only late events were waited for: the reply is complete.
            self.cancel()
        else:
            seconds = clocks.limits.seconds(bell)
            words = _TIMEOUT_WORDS[bell].format(seconds, clocks.held_by)
            self.fail(ReplyTimeoutError(words, clock=bell, seconds=seconds))  # type: ignore[arg-type]
        return True

    def _conclude(self) -> None:
        transcript, error = self.transcript, self._error
        if transcript.done and (error is None or self._is_network(error)):
            error = None
        elif self._at_eof and (error is None or isinstance(error, ReplyTimeoutError)):
            # The end of the body and a clock in the same instant: the end wins.
            head = b"" if self._frames_seen else self._head
            error = None if transcript.complete else broke_off(head, self.target)
        elif error is None:
            # Cancelled from outside: the block decides what that means.
            return
        if error is None and self.raise_on_node_error:
            error = transcript.workflow_error()
        failure = None if error is None else self.explain(without_key(error, self.target))
        status = Status.COMPLETE if failure is None else Status.FAILED
        self.reply._end(status, failure)

    def _is_network(self, error: Exception) -> bool:
        return isinstance(error, TransportError) or not isinstance(error, FastGPTError)

"""Keep what a response has told so far: its lines, and how it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, cast

import attrs

from ._answer import Answer, Timings
from ._errors import (
    FastGPTError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    TransportError,
    UsageError,
)
from ._json_answer import is_completion, read_json_answer
from ._lines import LineSplitter
from ._payloads import UNREADABLE, decode_any, load
from ._refusals import HEAD_BYTES, broke_off, no_event_stream, no_json, refusal_in, without_key
from ._requests import Target
from ._sse import ServerSentEvent, SSEDecoder
from ._transcript import Transcript


@attrs.define(eq=False, kw_only=True)
class Received:
    """Record one response of ``create_chat_completion``; nothing here reads from the network.

    :param status_code: the HTTP status.
    :param headers: the response's headers.
    :param target: what to redact.
    :param chat_id: the chat's id, if the client sent one.
    :param max_bytes: bytes that the body may have.
    """

    # What the server sent is in no representation: it may echo the key.
    status_code: int
    headers: Mapping[str, str]
    target: Target
    chat_id: str | None
    max_bytes: int
    #: The lines that have come and were not handed out.
    lines: deque[str] = attrs.field(factory=deque, init=False, repr=False)
    #: Whether nothing more comes.
    ended: bool = attrs.field(default=False, init=False)
    #: What is raised after the last line, or ``None``.
    failure: FastGPTError | None = attrs.field(default=None, init=False)
    #: The whole body, or ``None`` of an event stream.
    content: bytes | None = attrs.field(default=None, init=False, repr=False)
    #: Why the server refused, as far as status and body tell.
    refusal: FastGPTError | None = attrs.field(default=None, init=False)
    _seconds: float = attrs.field(default=0.0, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    _head: bytes = attrs.field(default=b"", init=False, repr=False)
    _splitter: LineSplitter = attrs.field(factory=LineSplitter, init=False, repr=False)
    _decoder: SSEDecoder = attrs.field(factory=SSEDecoder, init=False)
    _transcript: Transcript = attrs.field(factory=Transcript, init=False, repr=False)
    _frames_seen: bool = attrs.field(default=False, init=False)
    _first_error: FastGPTError | None = attrs.field(default=None, init=False, repr=False)

    # --- an event stream -----------------------------------------------------------------------

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of an event stream."""
        if self.ended:
            return
        self._bytes += len(chunk)
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[:HEAD_BYTES]
        self.lines.extend(self._splitter.feed(chunk))
        frames: list[ServerSentEvent] = []
        too_large: FastGPTError | None = None
        try:
            self._decoder.feed_into(chunk, frames)
        except ReplyTooLargeError as error:
            too_large = error
        for frame in frames:
            self._frames_seen = True
            try:
                self._transcript.take(frame)
            except FastGPTError as error:
                # The lines go on: what is wrong is raised after the last of them.
                self._first_error = self._first_error or error
        if self._bytes > self.max_bytes:
            too_large = ReplyTooLargeError(
                f"the reply is larger than max_reply_bytes ({self.max_bytes}); it was given up"
            )
        if too_large is not None:
            self.end(too_large)

    @property
    def done(self) -> bool:
        """Whether ``[DONE]`` was seen, so that nothing but late events can follow."""
        return self._transcript.done

    def end(self, error: FastGPTError | None = None) -> None:
        """Note the end of an event stream.

        :param error: what ended it, ``None`` for the end of the body.
        """
        if self.ended:
            return
        self.ended = True
        transcript = self._transcript
        if transcript.done and isinstance(error, TransportError | ReplyTimeoutError):
            error = None
        elif error is None and not transcript.complete:
            error = broke_off(b"" if self._frames_seen else self._head, self.target)
        failure = self._first_error or error or transcript.workflow_error()
        if failure is None:
            self.lines.extend(self._splitter.end())
        else:
            # Half a line is none: a program would take it for JSON.
            failure = cast(FastGPTError, without_key(failure, self.target))
            failure.partial = transcript.text
        self.failure = failure

    # --- a body that is there as a whole -------------------------------------------------------

    def take_whole(self, data: bytes, *, stream: bool, seconds: float) -> None:
        """Take a body that is no event stream.

        :param data: the body.
        :param stream: whether an event stream was asked for, so that this cannot be the answer.
        :param seconds: how long the call took.
        """
        self.content = data
        self._seconds = seconds
        self.ended = True
        self.lines.extend(self._splitter.feed(data))
        self.lines.extend(self._splitter.end())
        told = (self.status_code, self.headers, data, self.target)
        self.refusal = refusal_in(*told)
        self.failure = no_event_stream(*told) if stream else self.refusal

    def body(self) -> bytes:
        """Return the whole body.

        :raises UsageError: if the response is an event stream.
        """
        if self.content is None:
            raise UsageError(
                "this response is an event stream, which has no whole body: iterate over its "
                "lines, or use client.stream() for typed events and the answer"
            )
        return self.content

    def json(self) -> Any:
        """Return the decoded body, also that of a refusal.

        :raises ProtocolError: if the server answered with something else.
        """
        data = self.body()
        try:
            return load(decode_any, data)
        except UNREADABLE:
            raise no_json(self.status_code, self.headers, data, self.target) from None

    def answer(self, raise_on_node_error: bool) -> Answer:
        """Read the body as an answer."""
        payload = self.json()
        self.raise_failure()
        if not is_completion(payload):
            raise no_json(self.status_code, self.headers, self.body(), self.target)
        timings = Timings(total=self._seconds, bytes=len(self.body()))
        found = read_json_answer(payload, timings=timings, chat_id=self.chat_id)
        if found.failure is not None and raise_on_node_error:
            raise found.failure
        return found.answer

    def raise_for_status(self) -> None:
        """Raise what the server refused."""
        if self.refusal is not None:
            raise self.refusal._twin()

    def raise_failure(self) -> None:
        """Raise what is to be raised after the last line, if anything is."""
        if self.failure is not None:
            raise self.failure._twin()

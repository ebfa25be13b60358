"""What must hold for any bytes that a server may send; the fuzzer and a test look for exceptions."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from fastgpt_client._answer import Status, Timings
from fastgpt_client._errors import APIError, BadEventError, FastGPTError, ReplyTooLargeError
from fastgpt_client._json_answer import is_completion, read_json_answer
from fastgpt_client._lines import LineSplitter
from fastgpt_client._payloads import UNREADABLE, decode_any, load
from fastgpt_client._sse import SSEDecoder
from fastgpt_client._transcript import Transcript

#: What a stream may end with.
DOCUMENTED = (APIError, BadEventError, ReplyTooLargeError)


def check(data: bytes) -> None:
    """Look at one input: its first byte says as what, the second how it is cut.

    :raises AssertionError: if something that must hold does not.
    """
    if len(data) < 2:
        return
    mode, seed, body = data[0], data[1], data[2:]
    pieces = list(cut(body, Random(seed)))
    (check_events, check_events, check_lines, check_json)[mode % 4](body, pieces, mode >> 2)


def cut(data: bytes, random: Random) -> Iterator[bytes]:
    """Cut ``data`` into pieces, some of one byte and some of none."""
    most = random.choice([1, 3, 20, 200])
    place = 0
    while place < len(data):
        size = random.randint(0, most)
        yield data[place : place + size]
        place += size


def read(chunks: Sequence[bytes], limit: int) -> tuple[Transcript, FastGPTError | None]:
    """Read a stream to its end or its first error, as the producer does."""
    decoder, transcript = SSEDecoder(limit), Transcript()
    error: FastGPTError | None = None
    for chunk in chunks:
        frames: list[Any] = []
        try:
            decoder.feed_into(chunk, frames)
        except ReplyTooLargeError as too_large:
            error = too_large
        try:
            for frame in frames:
                transcript.take(frame)
        except DOCUMENTED as refused:
            error = refused
        if error is not None:
            break
    return transcript, error


def told(transcript: Transcript, error: FastGPTError | None) -> tuple[Any, ...]:
    """Return everything that a caller can see of a reply."""
    answer = transcript.answer(Status.COMPLETE, Timings(), None)
    return (
        [(type(event), event, event.raw) for event in transcript.events],
        transcript.complete,
        transcript.done,
        transcript.heartbeats,
        transcript.has_content,
        answer,
        repr(transcript.workflow_error()),
        type(error),
        str(error),
    )


def check_events(body: bytes, pieces: Sequence[bytes], option: int) -> None:
    """Look at a stream of events: documented errors, any chunking, the text is the events'."""
    limit = 16 * 1024 * 1024 if option % 2 else 40 + option
    transcript, error = read([body], limit)
    # As text, since what is not a number does not equal itself.
    assert repr(told(transcript, error)) == repr(told(*read(pieces, limit)))
    assert transcript.text == "".join(event.text for event in transcript.events)
    assert transcript.reasoning == "".join(
        getattr(event, "reasoning", "") for event in transcript.events
    )
    assert [event.index for event in transcript.events] == list(range(len(transcript.events)))
    if error is not None:
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def check_lines(body: bytes, pieces: Sequence[bytes], option: int) -> None:
    """Look at the lines of a body: any chunking gives the same."""

    def lines(chunks: Sequence[bytes]) -> list[str]:
        splitter = LineSplitter()
        found = [line for chunk in chunks for line in splitter.feed(chunk)]
        return [*found, *splitter.end()]

    whole = lines([body])
    assert whole == lines(pieces)
    assert not any("\n" in line or "\r" in line for line in whole)


def check_json(body: bytes, pieces: Sequence[bytes], option: int) -> None:
    """Look at the JSON of a completion: it is read, or it is none."""
    try:
        payload = load(decode_any, body)
    except UNREADABLE:
        return
    if is_completion(payload):
        found = read_json_answer(payload, timings=Timings(), chat_id=None)
        assert isinstance(found.answer.text, str)
        repr(found)

"""Build the bytes that the server sends: FastGPT's framing, made before anything is timed."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Final

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream;charset=utf-8\r\n"
    b"Cache-Control: no-cache, no-transform\r\n"
    b"Connection: keep-alive\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK: Final = b"0\r\n\r\n"
#: The events of one block; a long reply is this block, again and again.
BLOCK_EVENTS: Final = 1_000

_WORDS: Final = (
    "the",
    "model",
    "answers",
    "我们",
    "with",
    "a",
    "story,",
    "人工智能",
    "知道",
    "why",
)


def _tokens() -> Iterator[str]:
    choose = random.Random(6)  # noqa: S311 - the same text in every run
    while True:
        yield choose.choice(_WORDS) + choose.choice((" ", " ", "", ".\n"))


TOKENS: Final = tuple(itertools.islice(_tokens(), BLOCK_EVENTS))


def answer(content: str | None, finish_reason: str | None = None) -> bytes:
    """Return the payload of one answer chunk, as FastGPT writes it (recorded, 4.14.7)."""
    delta = {"role": "assistant", "content": content}
    return json.dumps(
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [{"delta": delta, "index": 0, "finish_reason": finish_reason}],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(payload: bytes) -> bytes:
    """Return an answer event in FastGPT's two HTTP chunks."""
    return chunk(b"event: answer\n") + chunk(b"data: " + payload + b"\n\n")


_PAYLOADS: Final = tuple(map(answer, TOKENS))
_EVENTS: Final = tuple(map(event, _PAYLOADS))
_BLOCK: Final = b"".join(_EVENTS)
TAIL: Final = event(answer(None, "stop")) + event(b"[DONE]") + LAST_CHUNK


def single_events(count: int) -> Iterator[bytes]:
    """Yield the HTTP chunks of each of ``count`` answer events."""
    return itertools.islice(itertools.cycle(_EVENTS), count)


def blocks(count: int) -> Iterator[bytes]:
    """Yield the HTTP chunks of ``count`` answer events, many at once."""
    whole, rest = divmod(count, BLOCK_EVENTS)
    yield from itertools.repeat(_BLOCK, whole)
    if rest:
        yield b"".join(_EVENTS[:rest])


def body_chunks(count: int) -> list[bytes]:
    """Return a body of ``count`` answer events as an HTTP library hands it out: chunk by chunk."""
    frames = [
        part
        for payload in itertools.islice(itertools.cycle(_PAYLOADS), count)
        for part in (b"event: answer\n", b"data: " + payload + b"\n\n")
    ]
    return [*frames, b"event: answer\n", b"data: " + answer(None, "stop") + b"\n\n"]


def body_length(count: int) -> int:
    """Return how many bytes of the body ``count`` answer events are."""
    lengths = itertools.islice(itertools.cycle(map(len, _PAYLOADS)), count)
    return sum(lengths) + count * len(b"event: answer\ndata: \n\n")


def text_length(count: int) -> int:
    """Return how many characters of text ``count`` answer events carry."""
    lengths = itertools.islice(itertools.cycle(map(len, TOKENS)), count)
    return sum(lengths)

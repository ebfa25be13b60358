"""Run the rooms that do no input or output over bytes in memory.

``python -m benchmarks.pure ROOM TIMES`` runs one of them over the same thousand events again and
again, and prints nothing: it is what ``benchmarks.instructions`` counts.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fastgpt_client._decode import decode
from fastgpt_client._sse import SSEDecoder
from fastgpt_client._transcript import Transcript

from . import wire

if TYPE_CHECKING:
    from fastgpt_client._sse import ServerSentEvent

#: Events in what ``benchmarks.instructions`` counts.
COUNTED_EVENTS: Final = 1_000
#: Chunks that arrive together, as in a burst.
_TOGETHER: Final = 64


def bursts(events: int) -> list[bytes]:
    """Return the body of ``events`` answers as the decoder gets it: 64 chunks at a time."""
    chunks = wire.body_chunks(events)
    return [
        b"".join(chunks[place : place + _TOGETHER]) for place in range(0, len(chunks), _TOGETHER)
    ]


def frames(events: int) -> list[ServerSentEvent]:
    """Return ``events`` answers and the terminal chunk, decoded as server-sent events."""
    return SSEDecoder().feed(b"".join(bursts(events)))


def bytes_to_frames(data: list[bytes]) -> int:
    """Decode bytes into server-sent events."""
    decoder = SSEDecoder()
    return sum(len(decoder.feed(part)) for part in data)


def frames_to_events(data: list[ServerSentEvent]) -> int:
    """Decode server-sent events into typed ones."""
    for index, frame in enumerate(data):
        decode(frame.event, frame.data, index)
    return len(data)


def frames_to_transcript(data: list[ServerSentEvent]) -> int:
    """Decode server-sent events into typed ones, and keep them."""
    transcript = Transcript()
    for frame in data:
        transcript.take(frame)
    return len(data)


def bytes_to_transcript(data: list[bytes]) -> int:
    """Decode bytes into typed events, and keep them: the whole way but for network and readers."""
    decoder, transcript = SSEDecoder(), Transcript()
    for part in data:
        for frame in decoder.feed(part):
            transcript.take(frame)
    return len(transcript.events)


#: What can be run, by name: how to make its input, and the work itself.
ROOMS: Final[dict[str, tuple[Callable[..., object], Callable[..., int]]]] = {
    "bytes → server-sent events": (bursts, bytes_to_frames),
    "server-sent events → typed events": (frames, frames_to_events),
    "server-sent events → transcript": (frames, frames_to_transcript),
    "bytes → transcript": (bursts, bytes_to_transcript),
}


def cost(room: str, events: int) -> float:
    """Return microseconds of CPU an event.

    :param room: a name in :data:`ROOMS`.
    :param events: how many events to run it over.
    """
    make, work = ROOMS[room]
    data = make(events)
    gc.collect()
    start = time.process_time()
    work(data)
    return (time.process_time() - start) / events * 1e6


if __name__ == "__main__":
    _make, _work = ROOMS[sys.argv[1]]
    _input = _make(COUNTED_EVENTS)
    for _ in range(int(sys.argv[2])):
        _work(_input)

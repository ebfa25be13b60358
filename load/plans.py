"""What one stream of the load test is: the same for who serves it and who reads it."""

from __future__ import annotations

import json
import random

import attrs

#: What may go wrong, and the error that it must become.
FAULTS = {
    "reset": "ReplyInterruptedError",
    "cut chunk": "ReplyInterruptedError",
    "clean end": "ReplyInterruptedError",
    "closed before the headers": "ReplyInterruptedError",
    "silence": "ReplyTimeoutError",
    "error event": "QuotaExceededError",
    "garbage": "BadEventError",
    "too many requests": "RateLimitError",
    "wrong key": "AuthenticationError",
    "html": "NotAnEventStreamError",
}


@attrs.frozen
class Plan:
    """Describe one stream.

    :param seconds: the pause before each text.
    :param fault: what goes wrong after :attr:`texts`, or ``""``.
    """

    texts: tuple[str, ...]
    seconds: float
    fault: str

    @property
    def text(self) -> str:
        """The text that arrives."""
        early = self.fault in ("too many requests", "wrong key", "html")
        early = early or self.fault == "closed before the headers"
        return "" if early else "".join(self.texts)


def plan(number: int, pause: float) -> Plan:
    """Make the plan of a stream from its number.

    :param number: the stream's number, the seed of all that is random in it.
    :param pause: seconds between two texts, on average.
    """
    chance = random.Random(number)
    fault = chance.choice(list(FAULTS)) if chance.random() < 0.2 else ""
    texts = tuple(f"<{number}.{place} 你好>" for place in range(chance.randint(1, 20)))
    return Plan(texts, pause * chance.uniform(0.5, 1.5), fault)


def frame(name: str, data: str) -> bytes:
    """Return one event of the stream."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def answer(text: str, finish_reason: str | None = None) -> bytes:
    """Return an event with text."""
    choice = {"delta": {"content": text}, "index": 0, "finish_reason": finish_reason}
    return frame("answer", json.dumps({"choices": [choice]}, ensure_ascii=False))

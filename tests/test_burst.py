"""A burst reader hands over what has arrived, and says when it is about to wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from fastgpt_client._burst import BURST_CHUNKS, BurstReader

pytestmark = pytest.mark.anyio

WAIT = None


class Body:
    """Give chunks at once, and wait where the script says so."""

    def __init__(self, *script: bytes | Exception | None) -> None:
        self.script = [*script]
        self.waits = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while self.script:
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            if step is not None:
                return step
            self.waits += 1
            await checkpoint()
        raise StopAsyncIteration


class Log:
    """Note what the reader calls, and take its chunks when it is about to wait."""

    def __init__(self, body: Body, *, most_after_wait: int = BURST_CHUNKS) -> None:
        self.calls: list[object] = []
        self.most_after_wait = most_after_wait
        self.reader = BurstReader(body, self.before_wait, self.after_wait)

    def before_wait(self) -> None:
        self.calls.append(("about to wait", *self.reader.chunks))
        self.reader.chunks.clear()

    def after_wait(self) -> None:
        self.calls.append("arrived")
        self.reader.most = self.most_after_wait


async def test_chunks_that_arrived_together_are_handed_over_before_the_wait() -> None:
    log = Log(Body(b"a", b"b", WAIT, b"c"))
    with anyio.fail_after(5):
        assert await log.reader.read() is False
    assert log.calls == [("about to wait", b"a", b"b"), "arrived"]
    assert log.reader.chunks == [b"c"]


async def test_a_read_that_yields_twice_is_one_wait() -> None:
    log = Log(Body(b"a", WAIT, WAIT, b"b"))
    with anyio.fail_after(5):
        await log.reader.read()
    assert log.calls == [("about to wait", b"a"), "arrived"]


async def test_a_burst_ends_at_its_number_of_chunks_and_the_next_goes_on_there() -> None:
    log = Log(Body(*[b"x"] * BURST_CHUNKS, b"y"))
    with anyio.fail_after(5):
        assert await log.reader.read() is True
        assert log.reader.chunks == [b"x"] * BURST_CHUNKS
        log.reader.chunks.clear()
        assert await log.reader.read() is False
    assert log.reader.chunks == [b"y"]
    assert log.calls == []


async def test_a_large_chunk_ends_a_burst_by_itself() -> None:
    large = bytes(4096)
    log = Log(Body(b"a", large, b"b"))
    with anyio.fail_after(5):
        assert await log.reader.read() is True
    assert log.reader.chunks == [b"a", large]


async def test_a_smaller_burst_may_be_chosen_when_something_has_arrived() -> None:
    log = Log(Body(WAIT, b"a", b"b"), most_after_wait=1)
    with anyio.fail_after(5):
        assert await log.reader.read() is True
    assert log.reader.chunks == [b"a"]


async def test_an_error_of_the_body_comes_out_and_what_came_before_it_stays() -> None:
    log = Log(Body(b"a", ValueError("broken")))
    with anyio.fail_after(5), pytest.raises(ValueError, match="broken"):
        await log.reader.read()
    assert log.reader.chunks == [b"a"]


async def test_the_end_of_the_body_after_a_wait_is_an_arrival() -> None:
    log = Log(Body(WAIT))
    with anyio.fail_after(5):
        assert await log.reader.read() is False
    assert log.calls == [("about to wait",), "arrived"]


async def test_cancellation_reaches_the_read_and_nothing_has_arrived() -> None:
    body = Body(WAIT, b"a")
    log = Log(body)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await log.reader.read()
    assert scope.cancelled_caught
    assert (log.calls, log.reader.chunks, body.waits) == ([("about to wait",)], [], 1)

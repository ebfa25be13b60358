"""Every way in which the fake server can break, as a client on a bare socket sees it."""

from __future__ import annotations

import json

import anyio
import pytest

from fastgpt_client.testing import (
    Close,
    CutChunk,
    Delta,
    Done,
    Drip,
    FakeFastGPT,
    Finish,
    Headers,
    Heartbeat,
    NoHeaders,
    Pause,
    RawBytes,
    RawResponse,
    Reset,
    Script,
    Silence,
    SilentModel,
    Truncate,
    WaitFor,
)

from .raw_http import V1, V2, connect, post, question, request_bytes

pytestmark = pytest.mark.anyio

HELLO = (
    b'data: {"id":"","object":"","created":0,"model":"","choices":[{"delta":{"role":"assistant",'
    b'"content":"hello"},"index":0,"finish_reason":null}]}\n\n'
)
EMPTY = HELLO.replace(b"hello", b"")
STREAM = request_bytes(V1, question(stream=True))


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def test_truncate_ends_the_body_cleanly_without_done() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("hello"), Truncate()))
        response = await post(server, V1, question(stream=True))
        assert response.wire_body == framed(HELLO) + b"0\r\n\r\n"
        assert (await server.wait_run()).status == "failed"


@pytest.mark.parametrize("detail", [True, False])
async def test_truncate_can_end_in_the_middle_of_a_line(detail: bool) -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("hello"), Truncate(mid_frame=True)))
        response = await post(server, V1, question(stream=True, detail=detail))
    last = response.text.split("\n\n")[-1].split("\n")
    assert len(last) == 1 + detail
    assert last[-1].startswith('data: {"id":""')
    assert not last[-1].endswith("}")


async def test_a_connection_stays_usable_after_a_truncated_body() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.enqueue(Script(Truncate()), "whole")
        await client.post(V1, question(stream=True))
        response = await client.post(V1, question(stream=True))
        assert response.text.endswith("data: [DONE]\n\n")
        assert server.connections == 1


async def test_cut_chunk_closes_in_the_middle_of_a_chunk() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("hello"), CutChunk()))
        await client.send(STREAM)
        await client.until(framed(HELLO))
        rest = await client.rest()
    size, _, data = rest.partition(b"\r\n")
    assert 0 < len(data) < int(size, 16)


async def test_close_ends_between_two_chunks_without_the_last_one() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("hello"), Close()))
        await client.send(STREAM)
        await client.until(framed(HELLO))
        assert await client.rest() == b""
        await server.wait_closed()


async def test_close_alone_sends_the_headers_first() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Close()))
        await client.send(STREAM)
        assert (await client.rest()).endswith(b"Transfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("before", [(), (Headers(),), (Delta("hello"),)])
async def test_reset_is_a_reset_and_not_an_end(before: tuple[Headers | Delta, ...]) -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(*before, WaitFor("read"), Reset()))
        await client.send(STREAM)
        await server.wait_at_gate("read")
        if before:
            await client.until(framed(HELLO) if before != (Headers(),) else b"\r\n\r\n")
        server.open_gate("read")
        with pytest.raises(anyio.BrokenResourceError):
            await client.more()
        await server.wait_closed()
        # A server that breaks a connection has not seen its client leave.
        assert server.disconnects == 0


async def test_drip_sends_the_rest_byte_by_byte() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("hello"), Drip(), Delta("hello"), Truncate()))
        await client.send(STREAM)
        await client.until(framed(HELLO))
        reads = 0
        received = client.buffer
        while not received.endswith(b"0\r\n\r\n"):
            received += await client.more()
            reads += 1
        assert received == framed(HELLO) + b"0\r\n\r\n"
        # The kernel may join bytes, but not all of them.
        assert reads > 5


async def test_silence_sends_no_heartbeats() -> None:
    async with FakeFastGPT(heartbeat_every=0.01) as server, connect(server) as client:
        server.script(Script(Delta("hello"), Silence()))
        await client.send(STREAM)
        await client.until(framed(HELLO))
        with anyio.move_on_after(0.1) as limit:
            while True:
                # A heartbeat may have been on its way before the line died.
                assert set((await client.stream.receive()).split(framed(EMPTY))) == {b""}
                limit.deadline = anyio.current_time() + 0.1
        assert limit.cancelled_caught


async def test_headers_can_come_long_before_the_first_event() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Headers(), WaitFor("go"), Delta("hello")))
        await client.send(STREAM)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.buffer == b""
        server.open_gate("go")
        assert (await client.until(b"\n\n\r\n")) == framed(HELLO)


async def test_headers_come_with_the_first_event_otherwise() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(WaitFor("go"), Delta("hello")))
        await client.send(STREAM)
        await server.wait_at_gate("go")
        with anyio.move_on_after(0.05) as limit:
            await client.stream.receive()
        assert limit.cancelled_caught
        server.open_gate("go")
        assert framed(HELLO) in await client.more()


@pytest.mark.parametrize("stream", [True, False])
async def test_no_headers_accepts_the_request_and_never_answers(stream: bool) -> None:
    async with FakeFastGPT(heartbeat_every=0.01) as server, connect(server) as client:
        server.script(Script(NoHeaders()))
        await client.send(request_bytes(V1, question(stream=stream)))
        await server.wait_request()
        with anyio.move_on_after(0.05) as limit:
            await client.stream.receive()
        assert limit.cancelled_caught


@pytest.mark.parametrize("waiting", [SilentModel(), WaitFor("never"), Pause(60)])
async def test_a_waiting_model_sends_heartbeats(waiting: SilentModel | WaitFor | Pause) -> None:
    async with FakeFastGPT(heartbeat_every=0.01) as server, connect(server) as client:
        server.script(Script(waiting))
        await client.send(STREAM)
        await client.until(b"\r\n\r\n")
        for _ in range(3):
            assert await client.exactly(len(framed(EMPTY))) == framed(EMPTY)


async def test_no_heartbeats_come_when_they_are_switched_off() -> None:
    async with FakeFastGPT(heartbeat_every=None) as server:
        server.script(Script(Pause(0.03), Delta("hello"), Heartbeat(), Truncate()))
        assert (await post(server, V1, question(stream=True))).chunks == [HELLO, EMPTY]


async def test_heartbeats_never_fall_into_another_frame() -> None:
    async with FakeFastGPT(heartbeat_every=0.004) as server:
        server.script(Script(Drip(), *[Delta("hello")] * 8))
        response = await post(server, V1, question(stream=True, detail=True))
    for frame in response.text.split("\n\n")[:-1]:
        event, data = frame.split("\n")
        assert event.startswith("event: ")
        assert data == "data: [DONE]" or json.loads(data.removeprefix("data: ")) is not None
    assert b"".join(response.chunks).count(EMPTY) > 1


async def test_a_stream_may_die_after_its_terminal_chunk_or_after_done() -> None:
    async with FakeFastGPT() as server:
        server.enqueue(Script(Delta("hello"), Finish(), CutChunk()))
        server.enqueue(Script(Delta("hello"), Finish(), Done(), Close()))
        async with connect(server) as client:
            await client.send(STREAM)
            finished = await client.rest()
        async with connect(server) as client:
            await client.send(STREAM)
            done = await client.rest()
    assert b'"finish_reason":"stop"' in finished
    assert b"[DONE]" not in finished
    assert done.endswith(framed(b"data: [DONE]\n\n"))
    assert [run.status for run in server.runs] == ["complete", "complete"]


async def test_raw_bytes_break_frames_and_characters_apart() -> None:
    river = "河".encode()
    async with FakeFastGPT() as server:
        server.script(
            Script(RawBytes(b"data: "), RawBytes(river[:1]), RawBytes(river[1:]), Truncate())
        )
        response = await post(server, V1, question(stream=True))
    assert response.chunks == [b"data: ", river[:1], river[1:]]


# --- answers without a stream -------------------------------------------------------------------


async def test_a_json_answer_is_cut_in_the_middle_of_its_body() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("hello"), CutChunk()))
        await client.send(request_bytes(V1, question()))
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert 0 < len(body) < length


async def test_a_json_answer_can_be_reset_or_refused_at_the_end_of_its_run() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("hello"), Reset()))
        await client.send(request_bytes(V1, question()))
        with pytest.raises(anyio.BrokenResourceError):
            await client.more()


# --- raw responses ------------------------------------------------------------------------------


async def test_a_raw_response_is_sent_as_it_is_and_may_end_the_connection() -> None:
    raw = b"HTTP/1.0 299 Odd\r\nx: 1\r\n\r\nuntil the end"
    async with FakeFastGPT() as server, connect(server) as client:
        server.play_raw(raw, close=True)
        await client.send(STREAM)
        assert await client.rest() == raw


async def test_a_raw_response_can_be_cut_into_single_bytes() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b"x" * 30
    async with FakeFastGPT() as server, connect(server) as client:
        server.play_raw(raw, cut=1)
        await client.send(STREAM)
        first = await client.more()
        assert len(first) < len(raw)
        assert first + await client.exactly(len(raw) - len(first)) == raw


async def test_a_connection_stays_usable_after_a_raw_response() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with FakeFastGPT() as server, connect(server) as client:
        server.play_raw(raw)
        # Two requests at once: the second one waits in the server meanwhile.
        await client.send(STREAM + STREAM)
        assert await client.exactly(len(raw)) == raw
        assert (await client.response()).text.endswith("data: [DONE]\n\n")


def test_a_raw_response_cannot_be_cut_into_nothing() -> None:
    with pytest.raises(ValueError, match="at least 1 byte"):
        RawResponse(b"x", cut=0)


# --- broken requests ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_, status",
    [
        (b"NOT HTTP\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_a_broken_request_is_answered_and_the_connection_closed(
    request_: bytes, status: bytes
) -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        await client.send(request_)
        assert (await client.rest()).startswith(b"HTTP/1.1 " + status)
        assert server.requests == []


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        request = request_bytes(V2, question(stream=True), headers=("Expect: 100-continue",))
        head, _, body = request.partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)
        assert (await client.response()).text.endswith("data: [DONE]\n\n")

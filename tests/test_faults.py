"""What comes of a reply when the network or the server breaks, at every place of the stream."""

from __future__ import annotations

import json
import zlib
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from fastgpt_client import (
    AsyncChatClient,
    AuthenticationError,
    BadEventError,
    ConnectError,
    FastGPTError,
    NotAnEventStreamError,
    ProtocolError,
    QuotaExceededError,
    RateLimitError,
    Reply,
    ReplyInterruptedError,
    ReplyTimeoutError,
    ReplyTooLargeError,
    ServerError,
    Timeouts,
)

from .fault_server import (
    BODY,
    CHUNKED_HEAD,
    END,
    FRAMES,
    LAST_CHUNK,
    REQUEST,
    TEXT,
    Arrived,
    Drip,
    End,
    FaultServer,
    Fin,
    Gate,
    Reset,
    Silence,
    Step,
    Wire,
    arrived,
    chunk,
    cut,
    free_port,
    head,
    whole,
)
from .scripted import DONE, ERROR, FINISH, delta, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], Any]

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive]

#: A limit that is meant to ring, on real sockets.
SHORT = 0.2
#: One that is not.
LONG = 10.0

ONE_CHUNK_A_FRAME = Wire.chunked([data for data, _ in FRAMES])


@attrs.define
class Outcome:
    """What a caller saw of one reply."""

    error: FastGPTError | None = None
    text: str = ""
    reply: Reply | None = None


async def talk(server: FaultServer, factory: Factory, until: str, **limits: float) -> Outcome:
    """Ask once, read to the end, and look that no connection is left open.

    :param until: the gate of the server is opened when this text has come.
    """
    outcome = Outcome()
    timeouts = Timeouts(**{"connect": LONG, "first_token": LONG, "silence": LONG} | limits)
    if not until:
        server.release()
    with anyio.fail_after(5):
        async with factory() as http:
            client = AsyncChatClient("key", server.url, http_client=http, timeouts=timeouts)
            try:
                async with client, client.stream("Hi") as outcome.reply:
                    async for event in outcome.reply:
                        outcome.text += event.text
                        if outcome.text == until:
                            server.release()
            except FastGPTError as error:
                outcome.error = error
            left = [one for one in http._transport._pool.connections if not one.is_idle()]
            assert left == []
            assert http._transport._pool._requests == []
            if outcome.error is not None:
                # The server sees it too, before the client itself is closed.
                await anyio.to_thread.run_sync(server.wait_closed)
    return outcome


def expected_error(came: Arrived, end: End | str) -> tuple[type[FastGPTError] | None, str | None]:
    """Say which error, and which clock, belongs to what had arrived and how it ended."""
    if came.done or (came.terminal and end == "clean end"):
        return None, None
    if end == "silence":
        return ReplyTimeoutError, "silence" if came.body else "first_token"
    return ReplyInterruptedError, None


def check(outcome: Outcome, came: Arrived, end: End | str) -> None:
    kind, clock = expected_error(came, end)
    assert type(outcome.error) is (kind or type(None)), outcome.error
    assert getattr(outcome.error, "clock", None) == clock
    assert outcome.text == came.text
    if outcome.error is not None:
        assert outcome.error.partial == came.text
        if end != "silence" and kind is not None and end != "clean end":
            assert outcome.error.__cause__ is not None
    if outcome.reply is not None:
        assert outcome.reply.text == came.text
        assert str(outcome.reply.status) == ("failed" if kind else "complete")


def limits_for(came: Arrived, end: End | str) -> dict[str, float]:
    _, clock = expected_error(came, end)
    limits = {"close": SHORT if came.done and end == "silence" else LONG}
    return limits | ({clock: SHORT} if clock else {})


# --- a cut at each place -----------------------------------------------------------------------


def place_of(what: str) -> int:
    data = ONE_CHUNK_A_FRAME.data
    return {
        "before the headers": 0,
        "inside the status line": 7,
        "inside the headers": len(CHUNKED_HEAD) - 9,
        "before the end of the headers": len(CHUNKED_HEAD) - 1,
        "after the headers": len(CHUNKED_HEAD),
        "inside the first chunk size": len(CHUNKED_HEAD) + 1,
        "inside the first frame": len(CHUNKED_HEAD) + 20,
        "inside a later chunk size": data.index(FRAMES[1][0]) - 3,
        "inside a frame": data.index(b"Once ") + 2,
        "inside a utf-8 sequence": data.index("你".encode()) + 1,
        "before a blank line": data.index(FRAMES[2][0]) + len(FRAMES[2][0]) - 1,
        "between two frames": data.index(FRAMES[2][0]) + len(FRAMES[2][0]),
        "after a heartbeat": data.index(FRAMES[3][0]) + len(FRAMES[3][0]),
        "after the terminal chunk": data.index(FRAMES[5][0]) + len(FRAMES[5][0]),
        "inside [DONE]": data.index(b"[DONE]") + 3,
        "after [DONE]": data.index(DONE) + len(DONE),
        "inside a late event": data.index(b"flowResponses") + 4,
        "before the last chunk": len(data) - len(LAST_CHUNK),
        "inside the last chunk": len(data) - 2,
    }[what]


PLACES = [
    "before the headers",
    "inside the status line",
    "inside the headers",
    "before the end of the headers",
    "after the headers",
    "inside the first chunk size",
    "inside the first frame",
    "inside a later chunk size",
    "inside a frame",
    "inside a utf-8 sequence",
    "before a blank line",
    "between two frames",
    "after a heartbeat",
    "after the terminal chunk",
    "inside [DONE]",
    "after [DONE]",
    "inside a late event",
    "before the last chunk",
    "inside the last chunk",
]


def breaking(pieces: list[Step], end: End) -> FaultServer:
    # A reset throws away what the client has not read yet, so it waits until the text was.
    gate: list[Step] = [Gate()] if end == "reset" else []
    return FaultServer.of(*pieces, *gate, END[end])


@pytest.mark.parametrize("end", [*END])
@pytest.mark.parametrize("place", PLACES)
async def test_a_break_has_its_own_error_and_keeps_what_had_arrived(
    place: str, end: End, http_client_factory: Factory
) -> None:
    offset = place_of(place)
    came = ONE_CHUNK_A_FRAME.before(offset)
    with breaking([ONE_CHUNK_A_FRAME.data[:offset]], end) as server:
        outcome = await talk(server, http_client_factory, came.text, **limits_for(came, end))
        assert (len(server.requests), server.accepted) == (1, 1)
    check(outcome, came, end)


@pytest.mark.parametrize("end", [*END])
async def test_random_cuts_and_breaks_have_their_errors(
    end: End, http_client_factory: Factory
) -> None:
    for seed in range(5 if end == "silence" else 20):
        random = Random(f"{end} {seed}")
        wire = Wire.chunked([*cut(BODY, random, 200)])
        offset = random.randrange(len(wire.data) + 1)
        came = wire.before(offset)
        sent = wire.data[:offset]
        # Only a server that will not be waited for may be slow between its writes.
        pieces: list[Step] = [sent] if end == "silence" else [*cut(sent, random)]
        if offset == len(wire.data):
            end_here: str = "clean end"
        else:
            end_here = end
        with breaking(pieces, end) as server:
            outcome = await talk(
                server, http_client_factory, came.text, **limits_for(came, end_here)
            )
        check(outcome, came, end_here)


@pytest.mark.parametrize("framing", ["chunked", "until close"])
async def test_a_clean_end_at_any_byte_is_complete_only_after_a_finish_reason(
    framing: str, http_client_factory: Factory
) -> None:
    random = Random(framing)
    offsets = [0, 1, 5, 8, 20, *(random.randrange(len(BODY)) for _ in range(25)), len(BODY)]
    for offset in offsets:
        body = BODY[:offset]
        came = arrived(body)
        if framing == "chunked":
            sent = CHUNKED_HEAD + b"".join(map(chunk, cut(body, random, 150))) + LAST_CHUNK
        else:
            sent = head() + body
        with FaultServer.of(*cut(sent, random, 200), Fin()) as server:
            outcome = await talk(server, http_client_factory, came.text)
        check(outcome, came, "clean end")


# --- before anything is sent -------------------------------------------------------------------


async def test_a_refused_connection_is_a_connect_error(http_client_factory: Factory) -> None:
    async with http_client_factory() as http:
        url = f"http://127.0.0.1:{free_port()}"
        async with AsyncChatClient("key", url, http_client=http) as client:
            with anyio.fail_after(5), pytest.raises(ConnectError) as caught:
                await client.ask("Hi")
        assert http._transport._pool.connections == []
    assert caught.value.__cause__ is not None
    assert caught.value.partial == ""


async def test_a_server_that_accepts_and_never_reads_rings_first_token(
    http_client_factory: Factory,
) -> None:
    with FaultServer.of() as server:
        server.scripts[0] = (Silence(),)
        outcome = await talk(server, http_client_factory, "", first_token=SHORT)
    assert isinstance(outcome.error, ReplyTimeoutError)
    assert (outcome.error.clock, outcome.error.seconds) == ("first_token", SHORT)


async def test_a_request_on_a_connection_that_breaks_is_not_sent_again(
    http_client_factory: Factory,
) -> None:
    answer = CHUNKED_HEAD + chunk(BODY) + LAST_CHUNK
    with FaultServer.of() as server:
        server.scripts[0] = (REQUEST, answer, REQUEST, Reset())
        async with http_client_factory() as http:
            client = AsyncChatClient("key", server.url, http_client=http)
            with anyio.fail_after(5):
                async with client:
                    assert (await client.ask("Hi")).text == TEXT
                    with pytest.raises(ReplyInterruptedError):
                        await client.ask("Hi")
            assert http._transport._pool.connections == []
        assert (server.accepted, len(server.requests)) == (1, 2)


async def test_a_kept_connection_that_the_server_closed_is_replaced(
    http_client_factory: Factory,
) -> None:
    answer = CHUNKED_HEAD + chunk(BODY) + LAST_CHUNK
    with FaultServer.of(answer, Fin()) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient("key", server.url, http_client=http)
            with anyio.fail_after(5):
                async with client:
                    for _ in range(3):
                        assert (await client.ask("Hi")).text == TEXT
                        await anyio.to_thread.run_sync(server.wait_closed)
        assert (server.accepted, len(server.requests)) == (3, 3)


# --- odd, but whole ----------------------------------------------------------------------------


async def test_one_byte_a_write_is_the_same_reply(http_client_factory: Factory) -> None:
    with FaultServer.of(Drip(ONE_CHUNK_A_FRAME.data), Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    check(outcome, arrived(BODY), "fin")


@pytest.mark.parametrize("kind", ["text", "comment", "unknown field", "unknown event"])
async def test_a_line_of_100_kb_is_a_line(kind: str, http_client_factory: Factory) -> None:
    long = "文" * 33_334
    line = {
        "text": delta(long),
        "comment": f": {long}\n\n".encode(),
        "unknown field": f"{long}\n\n".encode(),
        "unknown event": frame("novelty", long),
    }[kind]
    random = Random(kind)
    body = delta("a") + line + delta("z") + FINISH
    wire = Wire.chunked([*cut(body, random, 9000)])
    with FaultServer.of(*cut(wire.data, random, 5000), Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert outcome.error is None
    assert outcome.text == f"a{long if kind == 'text' else ''}z"


# --- the server says so ------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(len(FRAMES) + 1))
async def test_an_error_event_at_any_place_is_its_error_after_what_came_before(
    place: int, http_client_factory: Factory
) -> None:
    before = b"".join(data for data, _ in FRAMES[:place])
    after = BODY[len(before) :]
    random = Random(place)
    wire = Wire.chunked([*cut(before + ERROR + after, random, 300)])
    with FaultServer.of(*cut(wire.data, random, 300), Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert type(outcome.error) is QuotaExceededError
    assert outcome.error.status_text == "aiPointsNotEnough"
    assert outcome.text == outcome.error.partial == arrived(before).text


@pytest.mark.parametrize("name", ["answer", "fastAnswer", ""])
@pytest.mark.parametrize("place", [0, 2, 5])
async def test_garbage_in_the_place_of_text_is_a_bad_event_at_any_place(
    place: int, name: str, http_client_factory: Factory
) -> None:
    before = b"".join(data for data, _ in FRAMES[:place])
    garbage = b'data: {"choices":[{"delta":{"content":"lo\n\n'
    if name:
        garbage = f"event: {name}\n".encode() + garbage
    random = Random(f"{name} {place}")
    wire = Wire.chunked([*cut(before + garbage + BODY[len(before) :], random, 300)])
    with FaultServer.of(*cut(wire.data, random, 300), Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert type(outcome.error) is BadEventError
    assert outcome.text == outcome.error.partial == arrived(before).text


@pytest.mark.parametrize("place", [0, 2, 5, len(FRAMES)])
async def test_garbage_in_another_event_loses_no_text(
    place: int, http_client_factory: Factory
) -> None:
    before = b"".join(data for data, _ in FRAMES[:place])
    garbage = b"event: flowNodeStatus\ndata: \xff{\n\nevent: \xc3\x28\ndata: \xff\n\n"
    wire = Wire.chunked([before + garbage + BODY[len(before) :]])
    with FaultServer.of(wire.data, Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert outcome.error is None
    assert outcome.text == TEXT


def envelope(code: int, status_text: str, message: str) -> bytes:
    fields = {"code": code, "statusText": status_text, "message": message, "data": None}
    return json.dumps(fields).encode()


WRONG_KEY = envelope(514, "unAuthApiKey", "common:code_error.error_message.514")
HTML = b"<html><body><h1>Bad gateway</h1></body></html>"


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
@pytest.mark.parametrize(
    "status, content_type, body, kind",
    [
        ("401 Unauthorized", "application/json", WRONG_KEY, AuthenticationError),
        ("401 Unauthorized", "application/json", b"{}", AuthenticationError),
        (
            "429 Too Many Requests",
            "application/json",
            envelope(429, "tooManyRequest", "try again in 7 seconds"),
            RateLimitError,
        ),
        (
            "500 Internal Server Error",
            "application/json",
            envelope(500, "error", "it broke"),
            ServerError,
        ),
        ("500 Internal Server Error", "application/json", WRONG_KEY, AuthenticationError),
        ("500 Internal Server Error", "application/json", b"{", ServerError),
        ("200 OK", None, b"event: error\ndata: " + WRONG_KEY + b"\n\n", AuthenticationError),
        ("200 OK", "application/json", WRONG_KEY, AuthenticationError),
        ("500 X", "text/plain", b"event: error\ndata: " + WRONG_KEY + b"\n\n", AuthenticationError),
        ("500 X", "text/plain", b"event: error\n\n", ServerError),
        ("200 OK", "text/html", HTML, NotAnEventStreamError),
        ("200 OK", None, HTML, NotAnEventStreamError),
        # JSON that does not say so, as an old server behind a proxy that drops the header.
        ("200 OK", None, WRONG_KEY, AuthenticationError),
        ("200 OK", "text/event-stream", WRONG_KEY, AuthenticationError),
        ("502 Bad Gateway", "text/html", HTML, ServerError),
        ("204 No Content", None, b"", NotAnEventStreamError),
    ],
)
async def test_what_is_no_stream_is_the_error_that_it_means(
    status: str,
    content_type: str | None,
    body: bytes,
    kind: type[FastGPTError],
    framing: str,
    http_client_factory: Factory,
) -> None:
    if framing == "length" or not body:
        sent = whole(status, content_type, body)
    elif framing == "chunked":
        sent = head(status, content_type, "Transfer-Encoding: chunked") + chunk(body) + LAST_CHUNK
    else:
        sent = head(status, content_type) + body
    with FaultServer.of(*cut(sent, Random(framing), 40), Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert type(outcome.error) is kind, outcome.error
    assert outcome.error.partial == outcome.text == ""
    assert getattr(outcome.error, "retry_after", 7) == 7


@pytest.mark.parametrize("end", ["reset", "fin"])
async def test_a_refusal_whose_body_breaks_off_is_still_a_refusal(
    end: End, http_client_factory: Factory
) -> None:
    sent = whole("401 Unauthorized", "application/json", WRONG_KEY)[:-10]
    with FaultServer.of(sent, END[end]) as server:
        outcome = await talk(server, http_client_factory, "")
    assert type(outcome.error) is AuthenticationError


# --- compressed --------------------------------------------------------------------------------

GZIP = head("200 OK", "text/event-stream", "Content-Encoding: gzip", "Transfer-Encoding: chunked")


def gzipped(*parts: bytes) -> list[bytes]:
    """Compress so that each part can be read as soon as it has come."""
    deflate = zlib.compressobj(wbits=31)
    return [deflate.compress(part) + deflate.flush(zlib.Z_SYNC_FLUSH) for part in parts]


async def test_a_stream_that_a_proxy_compressed_is_read_as_it_arrives(
    http_client_factory: Factory,
) -> None:
    parts = gzipped(*(data for data, _ in FRAMES))
    first = b"".join(map(chunk, parts[:3]))
    rest = b"".join(map(chunk, parts[3:])) + LAST_CHUNK
    until = "".join(text for _, text in FRAMES[:3])
    # The rest comes only when the beginning was read.
    random = Random("gzip")
    with FaultServer.of(*cut(GZIP + first, random), Gate(), *cut(rest, random), Fin()) as server:
        outcome = await talk(server, http_client_factory, until)
    check(outcome, arrived(BODY), "clean end")


@pytest.mark.parametrize("frames", range(len(FRAMES)))
@pytest.mark.parametrize("end", ["fin", "reset", "clean end"])
async def test_a_compressed_stream_that_breaks_keeps_what_had_arrived(
    end: str, frames: int, http_client_factory: Factory
) -> None:
    came = arrived(b"".join(data for data, _ in FRAMES[:frames]))
    parts = gzipped(*(data for data, _ in FRAMES[:frames]))
    sent = GZIP + b"".join(map(chunk, parts))
    last: list[Step] = [LAST_CHUNK, Fin()] if end == "clean end" else [Gate(), END[end]]  # type: ignore[index]
    with FaultServer.of(sent, *last) as server:
        outcome = await talk(server, http_client_factory, came.text)
    check(outcome, came, end)


async def test_what_only_claims_to_be_compressed_is_a_protocol_error(
    http_client_factory: Factory,
) -> None:
    with FaultServer.of(GZIP + chunk(BODY) + LAST_CHUNK, Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert isinstance(outcome.error, ProtocolError)
    assert not isinstance(outcome.error, ReplyTooLargeError)
    assert outcome.text == ""


# --- HTTP itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"HTTP/1.1 abc OK\r\n\r\n",
        head("200 OK", "text/event-stream", "Content-Length: -5"),
        head("200 OK", "text/event-stream", "X: " + "x" * 200_000),
    ],
    ids=["another protocol", "tls", "status", "length", "endless header"],
)
async def test_what_is_no_http_is_an_interrupted_reply(
    sent: bytes, http_client_factory: Factory
) -> None:
    with FaultServer.of(sent, Fin()) as server:
        outcome = await talk(server, http_client_factory, "")
    assert type(outcome.error) is ReplyInterruptedError
    assert outcome.error.__cause__ is not None


@pytest.mark.parametrize("bad", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdefg\r\n"])
async def test_broken_chunking_keeps_the_text_before_and_is_an_interrupted_reply(
    bad: bytes, http_client_factory: Factory
) -> None:
    with FaultServer.of(CHUNKED_HEAD + chunk(delta("Once ")), Gate(), bad, Fin()) as server:
        outcome = await talk(server, http_client_factory, "Once ")
    assert type(outcome.error) is ReplyInterruptedError
    assert outcome.text == outcome.error.partial == "Once "

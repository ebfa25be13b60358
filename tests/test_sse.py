"""Bytes become server-sent events as the HTML standard says, whatever the chunks are."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgpt_client import ReplyTooLargeError
from fastgpt_client._limits import MAX_EVENT_BYTES
from fastgpt_client._sse import ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


Events = list[tuple[str, str, str]]


def parse(chunks: Iterable[bytes], limit: int = MAX_EVENT_BYTES) -> tuple[Events, int | None]:
    """The events as text, and the reconnection time."""
    decoder = SSEDecoder(limit)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [
        (event, data.decode("utf-8", "replace"), last_id) for event, data, last_id in events
    ], decoder.retry


def whole(stream: bytes | str) -> Events:
    return parse([stream.encode() if isinstance(stream, str) else stream])[0]


def singly(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def chunkings(stream: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, in two at every place, and some random ways."""
    yield [stream]
    yield singly(stream)
    for at in range(len(stream) + 1):
        yield [stream[:at], stream[at:]]
    choose = random.Random(len(stream))
    for pieces in range(3, 23):
        places = sorted(choose.choices(range(len(stream) + 1), k=pieces))
        yield [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


# --- the outside table --------------------------------------------------------------------------------


def test_every_outside_case_gives_the_expected_events_for_every_chunking(
    sse_cases_file: Path,
) -> None:
    cases: list[dict[str, Any]] = json.loads(sse_cases_file.read_text("utf-8"))["cases"]
    for case in cases:
        wanted = [(event["event"], event["data"], event["id"]) for event in case["expected"]]
        for chunks in chunkings(case["input"].encode()):
            got = parse(chunks)
            assert got == (wanted, case["expected_retry_ms"]), (case["name"], chunks)
    assert len({case["name"] for case in cases}) == len(cases) > 30


# --- the standard's rules -----------------------------------------------------------------------------

RULES: dict[str, tuple[str | bytes, Events]] = {
    "a line feed ends a line": ("data: a\n\n", [("message", "a", "")]),
    "a carriage return ends a line": ("data: a\r\r", [("message", "a", "")]),
    "both together end one line": ("data: a\r\n\r\n", [("message", "a", "")]),
    "line ends may be mixed": ("data: a\rdata: b\r\n\n", [("message", "a\nb", "")]),
    "two carriage returns before a line feed end two lines": (
        "data: a\r\r\ndata: b\n\n",
        [("message", "a", ""), ("message", "b", "")],
    ),
    "nothing else ends a line": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei\n\n",
        [("message", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei", "")],
    ),
    "an event needs a blank line": ("data: a\n", []),
    "an event needs a whole blank line": ("data: a", []),
    "an event needs data": ("event: x\nid: 1\n\n", []),
    "empty data is data": ("data\n\ndata:\n\n", [("message", "", ""), ("message", "", "")]),
    "two empty data lines make a line feed": ("data\ndata:\n\n", [("message", "\n", "")]),
    "data lines are joined with line feeds": (
        "data: a\ndata:\ndata: b\n\n",
        [("message", "a\n\nb", "")],
    ),
    "one space after the colon is dropped": (
        "data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n",
        [("message", text, "") for text in ("a", "a", " a", "\ta")],
    ),
    "only the first colon divides": ("data: a: b:c\n\n", [("message", "a: b:c", "")]),
    "the event's name is for one event": (
        "event: answer\ndata: a\n\ndata: b\n\n",
        [("answer", "a", ""), ("message", "b", "")],
    ),
    "the name is forgotten without data too": (
        "event: answer\n\ndata: b\n\n",
        [("message", "b", "")],
    ),
    "the last name counts": ("event: a\nevent: b\ndata: x\n\n", [("b", "x", "")]),
    "an empty name is no name": ("event: a\nevent:\ndata: x\n\n", [("message", "x", "")]),
    "a name may come after the data": ("data: x\nevent: a\n\n", [("a", "x", "")]),
    "a name may be in any script": ("event: 回答\ndata: x\n\n", [("回答", "x", "")]),
    "an id stays": (
        "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")],
    ),
    "an id without data stays too": ("id: 7\n\ndata: a\n\n", [("message", "a", "7")]),
    "an id with a null is ignored": ("id: 1\nid: a\0b\ndata: a\n\n", [("message", "a", "1")]),
    "a comment is nothing": (": data: x\n:\ndata: a\n:data: y\n\n", [("message", "a", "")]),
    "unknown fields are nothing": (
        "Data: x\n data: x\ndata : x\nfoo: x\nfoo\ndata: a\n\n",
        [("message", "a", "")],
    ),
    "a field's name is exact": ("datab: x\ndat: x\nevents: y\ndata: a\n\n", [("message", "a", "")]),
    "a byte order mark at the start is dropped": (
        b"\xef\xbb\xbfdata: a\n\n",
        [("message", "a", "")],
    ),
    "one byte order mark is dropped": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    "a byte order mark elsewhere is not": (
        b"data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: b\n\n",
        [("message", "\ufeffa", "")],
    ),
    "half a byte order mark is none": (b"\xef\xbbdata: a\n\ndata: b\n\n", [("message", "b", "")]),
    "malformed UTF-8 becomes replacement characters": (
        b"data: \xff\xc3(\xe4\xbd\n\nevent: \xfe\ndata: b\n\n",
        [("message", "\ufffd\ufffd(\ufffd", ""), ("\ufffd", "b", "")],
    ),
    "nothing is nothing": ("", []),
    "blank lines are nothing": ("\n\r\n\r\n\n", []),
}


@pytest.mark.parametrize("stream, events", RULES.values(), ids=RULES)
def test_a_rule_of_the_standard_holds_for_every_chunking(
    stream: str | bytes, events: Events
) -> None:
    data = stream.encode() if isinstance(stream, str) else stream
    for chunks in chunkings(data):
        assert parse(chunks)[0] == events, chunks


@pytest.mark.parametrize(
    "line, retry",
    [
        ("retry: 1500", 1500),
        ("retry:0003", 3),
        ("retry: +5", None),
        ("retry: -5", None),
        ("retry: 1_000", None),
        ("retry: 5 ", None),
        ("retry:  5", None),
        ("retry: ٣", None),
        ("retry: 1e3", None),
        ("retry", None),
        ("retry:", None),
        ("Retry: 5", None),
    ],
)
def test_a_reconnection_time_is_ascii_digits_only(line: str, retry: int | None) -> None:
    for chunks in chunkings(f"{line}\n".encode()):
        assert parse(chunks) == ([], retry)


def test_an_endless_reconnection_time_is_no_error() -> None:
    assert parse([b"retry: " + b"9" * 10_000 + b"\ndata: a\n\n"])[0] == [("message", "a", "")]


def test_of_an_endless_reconnection_time_the_first_32_digits_count() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: " + b"7" * 40 + b"\ntime: 5\n")
    assert decoder.retry == int("7" * 32)


def test_a_field_that_sorts_behind_retry_is_none() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"time: 5\n")
    assert decoder.retry is None


def test_malformed_characters_do_not_cost_an_id_or_a_name() -> None:
    (event,) = SSEDecoder().feed(b"id: a\xff\nevent: b\xff\ndata: c\xff\n\n")
    assert event == ("b\ufffd", b"c\xff", "a\ufffd")


def test_only_a_byte_order_mark_is_taken_off() -> None:
    assert SSEDecoder().feed("😀".encode()[:3] + b"data: x\n\n") == []
    assert SSEDecoder().feed(b"\n\xef\xbb\xbfdata: x\n\n") == []


def test_after_a_carriage_return_nothing_but_a_line_feed_is_left_out() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: a\r")
    # A field of the name "\tdata" is none.
    assert decoder.feed(b"\tdata: b\n\n") == [ServerSentEvent("message", b"a", "")]


def test_names_are_remembered_up_to_a_bound() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"".join(b"event: e%d\ndata: x\n\n" % number for number in range(200)))
    assert len(decoder._names) == 64


def test_a_lone_carriage_return_ends_the_event_before_more_bytes_come() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\r") == [ServerSentEvent("message", b"a", "")]
    assert decoder.feed(b"\ndata: b\n") == []
    assert decoder.feed(b"\n") == [ServerSentEvent("message", b"b", "")]


def test_empty_chunks_change_nothing() -> None:
    decoder = SSEDecoder()
    got = [decoder.feed(chunk) for chunk in (b"", b"data: a\r", b"", b"\n", b"", b"\r", b"", b"\n")]
    assert got == [[], [], [], [], [], [ServerSentEvent("message", b"a", "")], [], []]


def test_data_stays_the_bytes_that_came() -> None:
    assert SSEDecoder().feed(b"data: \xff\xe4\n\n")[0].data == b"\xff\xe4"


def test_many_names_are_read_as_well_as_few() -> None:
    stream = "".join(f"event: e{number}\ndata: {number}\n\n" for number in range(500)) * 2
    assert whole(stream) == [(f"e{number}", str(number), "") for number in range(500)] * 2


def test_a_long_line_in_small_pieces_takes_time_in_proportion() -> None:
    # Quadratic work on these 4 MB in single bytes would run into the test's time limit.
    decoder = SSEDecoder()
    assert decoder.feed(b"data: ") == []
    for _ in range(1_000_000):
        decoder.feed(b"abcd")
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 4_000_000


# --- the limit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 100,
        b"data: " + b"x" * 100 + b"\n\n",
        b"data:" + b"x" * 100 + b"\n\n",
        b"data: xxxxxxxxxxxxxx\n" * 4 + b"\n",
        b"data\n" * 40 + b"\n",
        b":" + b"x" * 100 + b"\n",
        b"event: " + b"x" * 100 + b"\ndata: x\n\n",
        b"id: " + b"x" * 100 + b"\n",
        b"nonsense" * 20,
    ],
)
def test_a_line_or_an_event_beyond_the_limit_is_refused_for_every_chunking(stream: bytes) -> None:
    for chunks in chunkings(stream):
        decoder = SSEDecoder(64)
        seen: list[ServerSentEvent] = []
        with pytest.raises(ReplyTooLargeError, match="64 bytes"):
            for chunk in [b"data: before\n\n", *chunks]:
                decoder.feed_into(chunk, seen)
        # What was complete before it is not lost.
        assert seen == [ServerSentEvent("message", b"before", "")], chunks


def test_what_is_too_large_names_the_limit() -> None:
    with pytest.raises(ReplyTooLargeError) as caught:
        SSEDecoder(3).feed(b"data: 1234")
    assert str(caught.value) == (
        "one event of the stream is larger than 3 bytes; the reply was given up"
    )


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    stream = (b"data: " + b"x" * 58 + b"\n\n" + b":" + b"y" * 63 + b"\n") * 100
    for chunks in ([stream], singly(stream)):
        assert parse(chunks, 64)[0] == [("message", "x" * 58, "")] * 100


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n", b"data: x\n\n"])
@pytest.mark.parametrize("limit", [64, 65, 66])
def test_an_unfinished_line_is_refused_at_its_first_byte_beyond_the_limit(
    before: bytes, limit: int
) -> None:
    in_one, in_two = SSEDecoder(limit), SSEDecoder(limit)
    in_one.feed(before + b"x" * limit)
    in_two.feed(before)
    in_two.feed(b"x" * limit)
    for decoder in (in_one, in_two):
        with pytest.raises(ReplyTooLargeError):
            decoder.feed(b"x")
    with pytest.raises(ReplyTooLargeError):
        SSEDecoder(limit).feed(before + b"x" * (limit + 1))


@pytest.mark.parametrize("field", [b"data: ", b"data:"])
def test_the_data_of_an_event_counts_up_to_the_limit_and_anew_in_the_next(field: bytes) -> None:
    line = field + b"x" * (32 - len(field)) + b"\n"
    fits, beyond = line * 2 + b"\n", line + b"x".join([field, b"x" * (32 - len(field)) + b"\n"])
    decoder = SSEDecoder(64)
    assert len(decoder.feed(fits * 3)) == 3
    with pytest.raises(ReplyTooLargeError):
        decoder.feed(beyond)
    with pytest.raises(ReplyTooLargeError):
        SSEDecoder(50).feed(line * 2)


def test_an_event_may_have_16_mib_by_default() -> None:
    data = b"x" * (MAX_EVENT_BYTES - len(b"data: "))
    (event,) = SSEDecoder().feed(b"data: " + data + b"\n\n")
    assert event.data == data
    with pytest.raises(ReplyTooLargeError):
        SSEDecoder().feed(b"data: " + data + b"x\n\n")


# --- for any stream -----------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        b"data",
        b"data:",
        b"data: ",
        b"data: x",
        b"data:  y",
        "data: 你好".encode(),
        b"event: answer",
        b"event:",
        b"event: \xff",
        b"id: 1",
        b"id",
        b"id: \0",
        b"retry: 10",
        b"retry: x",
        b": comment",
        b"",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbfdata: z",
        "data: \u2028".encode(),
        b"unknown: field of some length",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b"", b"\n\n"])
STREAMS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(LINES, ENDS), max_size=30).map(
        lambda pairs: b"".join(line + end for line, end in pairs)
    ),
)


def by_the_standard(stream: bytes) -> tuple[Events, int | None]:
    """The interpretation steps of the standard, word for word, on the whole text."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = re.split("\r\n|\n|\r", text)
    events: Events = []
    data = name = last_id = ""
    retry: int | None = None
    for line in lines:
        if not line:
            if data:
                events.append((name or "message", data[:-1], last_id))
            data = name = ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                last_id = value
            elif field == "retry" and re.fullmatch("[0-9]+", value):
                retry = int(value)
    return events, retry


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    inside = sorted(place % (len(stream) + 1) for place in places)
    return [stream[a:b] for a, b in zip([0, *inside], [*inside, len(stream)], strict=True)]


@given(STREAMS)
@example(b"\xef\xbb\xbf")
@example(b"data: a\r")
def test_any_stream_is_read_as_the_standard_says(stream: bytes) -> None:
    assert parse([stream]) == by_the_standard(stream)


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
def test_chunking_never_changes_the_result(stream: bytes, places: list[int]) -> None:
    expected = parse([stream])
    assert parse(cut(stream, places)) == expected
    assert parse(singly(stream)) == expected


def outcome(chunks: Iterable[bytes], limit: int) -> tuple[list[ServerSentEvent], bool]:
    decoder = SSEDecoder(limit)
    seen: list[ServerSentEvent] = []
    try:
        for chunk in chunks:
            decoder.feed_into(chunk, seen)
    except ReplyTooLargeError:
        return seen, True
    return seen, False


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12), st.integers(1, 40))
@example(b"\xef\xbb\xbfdata: x\n\n", [], 7)
@example(b"\xef\xbb\xbfdata: x", [], 7)
def test_chunking_never_changes_what_is_too_large(
    stream: bytes, places: list[int], limit: int
) -> None:
    expected = outcome([stream], limit)
    assert outcome(cut(stream, places), limit) == expected
    assert outcome(singly(stream), limit) == expected


@given(st.lists(st.binary(max_size=60), max_size=10), st.integers(1, 80))
def test_nothing_but_the_size_limit_ever_raises(chunks: list[bytes], limit: int) -> None:
    decoder = SSEDecoder(limit)
    for chunk in chunks:
        try:
            decoder.feed(chunk)
        except ReplyTooLargeError:
            return

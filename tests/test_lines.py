"""A body becomes lines that end at LF, CRLF and CR only, whatever its chunks are."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgpt_client._lines import LineSplitter


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines + splitter.end()


@pytest.mark.parametrize(
    "body, lines",
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        (b"\r\n\r\n", ["", ""]),
        (b"\n\r", ["", ""]),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n".encode(), ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"]),
        (b"\xef\xbb\xbfdata: x\n", ["data: x"]),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("河🌊\n".encode(), ["河🌊"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
    ],
)
def test_lines_end_where_event_streams_end_them(body: bytes, lines: list[str]) -> None:
    assert split(body) == lines
    assert split(*(body[at : at + 1] for at in range(len(body)))) == lines


def test_a_carriage_return_at_the_end_of_a_chunk_ends_its_line_at_once() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"a\r") == ["a"]
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"b\r") == ["b"]
    assert splitter.feed(b"c\n") == ["c"]
    assert splitter.end() == []


PIECES = st.sampled_from([b"\r", b"\n", b"\r\n", b"data: ", b"x", "河".encode(), "\u2028".encode()])


@given(st.lists(PIECES).map(b"".join), st.lists(st.integers(0, 40)))
def test_the_chunking_does_not_matter(body: bytes, cuts: list[int]) -> None:
    places = sorted({cut for cut in cuts if cut <= len(body)} | {0, len(body)})
    chunks = [body[start:end] for start, end in itertools.pairwise(places)]
    expected = re.split(rb"\r\n|\r|\n", body)
    if expected[-1] == b"":
        expected.pop()
    assert split(*chunks) == [line.decode() for line in expected]

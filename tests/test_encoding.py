"""Compressed bodies are read within a bound, and nothing of them is lost."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgpt_client import FastGPTError, NotAnEventStreamError, ProtocolError, ReplyTooLargeError
from fastgpt_client._encoding import Inflater

TEXT = "data: 白日依山尽\n\n".encode() * 50
MOST = 1_000_000


def inflater(encoding: str = "gzip") -> Inflater:
    made = Inflater.for_encoding(encoding)
    assert made is not None
    return made


def test_what_needs_no_decoding_gets_no_decoder() -> None:
    assert Inflater.for_encoding("") is None
    assert Inflater.for_encoding("identity") is None
    assert Inflater.for_encoding(" Identity ") is None


@pytest.mark.parametrize(
    "encoding, packed",
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT, mtime=0)),
        (" GZIP ", gzip.compress(TEXT, mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        # Some servers mix up the two names.
        ("deflate", gzip.compress(TEXT, mtime=0)),
        ("gzip", zlib.compress(TEXT)),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_gzip_and_deflate_are_undone_in_any_pieces(encoding: str, packed: bytes, size: int) -> None:
    one = inflater(encoding)
    pieces = (packed[at : at + size] for at in range(0, len(packed), size))
    assert b"".join(one.feed(piece, MOST) for piece in pieces) == TEXT


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(NotAnEventStreamError, match="identity"):
        Inflater.for_encoding(encoding)


def test_what_is_flushed_is_read_before_more_comes() -> None:
    pack = zlib.compressobj(wbits=31)
    one = inflater()
    for line in (b"data: a\n\n", b"data: b\n\n"):
        assert one.feed(pack.compress(line) + pack.flush(zlib.Z_SYNC_FLUSH), MOST) == line


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=6), st.integers(1, 40))
def test_several_members_are_read_one_after_the_other(parts: list[bytes], size: int) -> None:
    packed = b"".join(map(gzip.compress, parts))
    one = inflater()
    pieces = (packed[at : at + size] for at in range(0, len(packed), size))
    assert b"".join(one.feed(piece, MOST) for piece in pieces) == b"".join(parts)


def test_padding_after_the_end_is_ignored() -> None:
    one = inflater()
    assert one.feed(gzip.compress(TEXT) + bytes(20), MOST) == TEXT
    assert one.feed(bytes(20), MOST) == b""


@pytest.mark.parametrize("packed", [b"data: not packed\n\n", b"\x1f\x8b\x08" + b"\xff" * 40])
def test_what_is_not_compressed_is_a_protocol_error(packed: bytes) -> None:
    with pytest.raises(ProtocolError, match="cannot be read") as caught:
        inflater().feed(packed, MOST)
    assert isinstance(caught.value.__cause__, zlib.error)


def test_damage_in_the_middle_is_a_protocol_error() -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 100))
    packed[-6] ^= 0xFF
    with pytest.raises(ProtocolError):
        inflater().feed(bytes(packed), MOST)


@pytest.mark.parametrize("most", [0, 1, len(TEXT) - 1])
def test_more_than_allowed_is_refused(most: int) -> None:
    with pytest.raises(ReplyTooLargeError, match="max_reply_bytes"):
        inflater().feed(gzip.compress(TEXT), most)


def test_exactly_what_is_allowed_is_read() -> None:
    assert inflater().feed(gzip.compress(TEXT), len(TEXT)) == TEXT


def test_members_share_the_bound() -> None:
    packed = gzip.compress(b"x" * 600) * 2
    with pytest.raises(ReplyTooLargeError):
        inflater().feed(packed, 1000)
    assert inflater().feed(packed, 1200) == b"x" * 1200


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = b""
    pack = zlib.compressobj(9, wbits=31)
    for _ in range(200):
        bomb += pack.compress(bytes(1024 * 1024))
    bomb += pack.flush()
    assert len(bomb) < 300_000
    with pytest.raises(ReplyTooLargeError) as caught:
        inflater().feed(bomb, 1000)
    frame = caught.value.__traceback__
    assert frame is not None
    while frame.tb_next is not None:
        frame = frame.tb_next
    # One byte too many is all that was ever made of its 200 MB.
    assert len(frame.tb_frame.f_locals["result"]) == 1001


@given(st.lists(st.binary(max_size=60), max_size=5), st.integers(0, 100))
def test_any_bytes_give_at_most_the_bound_or_an_error_of_ours(
    pieces: list[bytes], most: int
) -> None:
    one = inflater()
    try:
        for piece in pieces:
            assert len(one.feed(piece, most)) <= most
    except FastGPTError:
        return

"""What the fuzzer looks for, on where it begins, on what it found, and on some inputs more."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from fuzz import seeds
from fuzz.invariants import check

_parts = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"data: ", b"event: answer\n", b"[DONE]", b"\xef\xbb\xbf", b"\xe4\xbd"]
    + [stream for stream in seeds.streams() if len(stream) < 300]
)


@pytest.mark.parametrize("data", [*seeds.inputs()])
def test_what_must_hold_holds_where_the_fuzzer_begins(data: bytes) -> None:
    for seed in range(5):
        check(bytes([data[0], seed]) + data[2:])


@hypothesis.given(st.binary(min_size=2, max_size=2), st.lists(_parts | st.binary(max_size=9)))
def test_what_must_hold_holds_for_any_bytes(how: bytes, parts: list[bytes]) -> None:
    check(how + b"".join(parts))

"""A recording keeps an exchange, byte by byte and with its times, and can be played again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgpt_client import (
    APIError,
    AsyncChatClient,
    ReplyInterruptedError,
    Status,
)
from fastgpt_client.testing import FakeFastGPT, Pause, RawBytes
from fastgpt_client.testing import Status as Answer
from fastgpt_client.testing._recording import (
    Arrival,
    Recording,
    RecordingError,
    RecordingWriter,
)

EVENT_STREAM = (("content-type", "text/event-stream;charset=utf-8"),)
ANSWER = (
    b'event: answer\ndata: {"choices":[{"delta":{"content":"\xe4\xbd\xa0',
    b'\xe5\xa5\xbd"}}]}\n\n',
    b"event: answer\ndata: [DONE]\n\n",
)


def written(*arrivals: Arrival, end: str = "complete", status: int = 200) -> str:
    file = io.StringIO()
    writer = RecordingWriter(file)
    writer.begin(
        request={"method": "POST", "path": "/api/v1/chat/completions", "body": {"a": "小"}},
        status=status,
        headers=[*EVENT_STREAM, ("Set-Cookie", "secret")],
    )
    for arrival in arrivals:
        writer.arrived(arrival.seconds, arrival.data)
    writer.end(9.5, end)  # type: ignore[arg-type]
    return file.getvalue()


def read(text: str) -> Recording:
    return Recording.read(text.encode().splitlines(keepends=True))


ARRIVALS = tuple(Arrival(n / 10, data) for n, data in enumerate(ANSWER))


def test_what_is_written_is_read_again() -> None:
    recording = read(written(*ARRIVALS))
    assert recording.arrivals == ARRIVALS
    assert recording.request["body"] == {"a": "小"}
    assert (recording.status, recording.content_type) == (200, EVENT_STREAM[0][1])
    assert (recording.end, recording.ended) == ("complete", 9.5)


@given(st.lists(st.binary(min_size=1), max_size=8))
def test_any_bytes_are_kept_exactly(pieces: list[bytes]) -> None:
    arrivals = [Arrival(float(place), piece) for place, piece in enumerate(pieces)]
    assert list(read(written(*arrivals)).arrivals) == arrivals


def test_text_stays_readable_in_the_file_and_each_line_is_json() -> None:
    lines = written(Arrival(0.1, "data: 小河\n\n".encode())).splitlines()
    assert "小河" in lines[1]
    assert json.loads(lines[1])["t"] == 0.1


def test_cookies_are_not_recorded() -> None:
    assert "secret" not in written(*ARRIVALS)


def test_a_file_that_was_cut_short_is_a_broken_answer() -> None:
    lines = written(*ARRIVALS).splitlines(keepends=True)
    recording = read("".join(lines[:-1]))
    assert recording.end == "broken"
    assert recording.error == "the recording was cut short"
    assert recording.arrivals == ARRIVALS


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no recording"),
        ("{}\n", "no recording"),
        ("[1]\n", "line 1 is no JSON object"),
        ("hello\n", "line 1 is no JSON"),
        ('{"fastgpt_recording": 2}\n', "format 2"),
        ('{"fastgpt_recording": 1}\n{"t": 0}\n', "neither data nor base64"),
        ('{"fastgpt_recording": 1}\n{"data": ""}\n', "number of seconds"),
        ('{"fastgpt_recording": 1}\n{"t": 0, "base64": "!"}\n', "base64"),
    ],
)
def test_a_file_that_is_no_recording_says_why(text: str, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        read(text)


def test_unknown_fields_and_empty_lines_do_not_matter() -> None:
    text = written(*ARRIVALS).replace('{"t":', '{"new": 1, "t":').replace("\n", "\n\n")
    assert read(text).arrivals == ARRIVALS


@pytest.mark.parametrize("speed, pauses", [(1, [0.1, 0.1, 9.3]), (10, [0.01, 0.01, 0.93])])
def test_the_times_are_played_at_the_asked_speed(speed: float, pauses: list[float]) -> None:
    script = read(written(*ARRIVALS)).script(speed=speed)
    assert not isinstance(script, Answer)
    waited = [step.seconds for step in script.steps if isinstance(step, Pause)]
    assert waited == pytest.approx(pauses)
    assert [step.data for step in script.steps if isinstance(step, RawBytes)] == list(ANSWER)


def test_without_waiting_there_are_no_pauses() -> None:
    script = read(written(*ARRIVALS)).script(speed=float("inf"))
    assert not isinstance(script, Answer)
    assert not any(isinstance(step, Pause) for step in script.steps)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_not_positive_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        read(written()).script(speed=speed)


@pytest.mark.anyio
async def test_a_played_recording_gives_the_recorded_text() -> None:
    async with (
        FakeFastGPT() as server,
        AsyncChatClient(server.api_key, server.base_url) as client,
    ):
        server.script(read(written(*ARRIVALS)).script(speed=float("inf")))
        with anyio.fail_after(5):
            answer = await client.ask("hello")
    assert (answer.text, answer.status) == ("你好", Status.COMPLETE)


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["broken", "left"])
async def test_a_played_recording_breaks_where_the_recorded_answer_did(end: str) -> None:
    async with (
        FakeFastGPT() as server,
        AsyncChatClient(server.api_key, server.base_url) as client,
    ):
        server.script(read(written(*ARRIVALS[:2], end=end)).script(speed=float("inf")))
        with anyio.fail_after(5), pytest.raises(ReplyInterruptedError) as caught:
            await client.ask("hello")
    assert caught.value.partial == "你好"


@pytest.mark.anyio
async def test_a_played_refusal_is_the_recorded_refusal() -> None:
    body = b'{"code":514,"statusText":"unAuthApiKey","message":"","data":null}'
    recording = Recording(
        status=500, headers=(("content-type", "application/json"),), arrivals=(Arrival(0, body),)
    )
    async with (
        FakeFastGPT() as server,
        AsyncChatClient(server.api_key, server.base_url) as client,
    ):
        server.script(recording.script())
        with anyio.fail_after(5), pytest.raises(APIError) as caught:
            await client.ask("hello")
    assert caught.value.code == 514


def test_a_recording_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "answer.jsonl"
    path.write_text(written(*ARRIVALS), "utf-8")
    assert Recording.load(path).body == b"".join(ANSWER)

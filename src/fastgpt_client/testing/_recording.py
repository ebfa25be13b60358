r"""Keep one exchange with a server in a file, with its timing, and play it again.

The file is JSON Lines in UTF-8, so that a person and ``jq`` can read it::

    {"fastgpt_recording": 1, "created": "2026-01-31T12:00:00Z", "client": "0.1.0",
     "request": {"method": "POST", "path": "/api/v1/chat/completions", "body": {…}},
     "response": {"status": 200, "headers": [["content-type", "text/event-stream;…"]]}}
    {"t": 0.412, "data": "event: answer\ndata: {…}\n\n"}
    {"t": 0.448, "base64": "…"}
    {"t": 2.731, "end": "complete"}

* The first line (one line in the file) says what was asked and how the answer began. It has no
  request headers, so no API key; of the response's headers those are left out that set cookies.
* Each further line is one read from the network: ``t`` seconds after the request was sent, and
  the bytes of the body, as text if they are UTF-8, else in base 64.
* The last line says how the body ended: ``complete``, ``broken`` (``error`` says how) or ``left``
  (the client did). A file without it was cut short, and is read as ``broken``.

A reader ignores fields that it does not know.
"""

from __future__ import annotations

import base64
import datetime
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TextIO

import attrs
import msgspec

from ._answers import Status
from ._faults import Close, Truncate
from ._script import Script, Step
from ._steps import Headers, Pause, RawBytes

End = Literal["complete", "broken", "left"]

_FORMAT: Final = 1
_PRIVATE_HEADERS: Final = frozenset({"set-cookie"})


class RecordingError(ValueError):
    """Report a file that is no recording."""


@attrs.frozen
class Arrival:
    """Hold one read from the network.

    :param seconds: when, from the sending of the request.
    :param data: the bytes.
    """

    seconds: float
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


@attrs.frozen(kw_only=True)
class Recording:
    """Hold one recorded exchange.

    :param request: ``method``, ``path`` and ``body`` of the request.
    :param status: the HTTP status.
    :param headers: the response's headers.
    :param arrivals: the body as it came.
    :param end: how the body ended.
    :param ended: when, in seconds from the sending of the request.
    :param error: how it broke, or ``""``.
    """

    request: Mapping[str, Any] = attrs.field(factory=dict)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    arrivals: tuple[Arrival, ...] = attrs.field(default=(), repr=False)
    end: End = "complete"
    ended: float = 0.0
    error: str = ""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(arrival.data for arrival in self.arrivals)

    @property
    def content_type(self) -> str:
        """The response's content type, ``""`` if it had none."""
        return next((value for name, value in self.headers if name == "content-type"), "")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a file.

        :param path: the file.
        :raises RecordingError: if it is no recording, or one of a later format.
        :raises OSError: if it cannot be read.
        """
        with open(path, "rb") as file:
            return cls.read(file)

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> Recording:
        """Read the lines of a recording.

        :param lines: the lines; empty ones do not count.
        :raises RecordingError: if they are no recording, or one of a later format.
        """
        parsed = [_object(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        head = parsed[0] if parsed else {}
        if head.get("fastgpt_recording") != _FORMAT:
            found = head.get("fastgpt_recording")
            raise RecordingError(
                "this is no recording: its first line has no fastgpt_recording"
                if found is None
                else f"this recording has format {found!r}, and only {_FORMAT} is known here"
            )
        arrivals: list[Arrival] = []
        end: dict[str, Any] = {"end": "broken", "error": "the recording was cut short"}
        for line in parsed[1:]:
            if "end" in line:
                end = line
                break
            arrivals.append(Arrival(_seconds(line), _bytes(line)))
        last = arrivals[-1].seconds if arrivals else 0.0
        response = head.get("response")
        response = response if isinstance(response, dict) else {}
        return cls(
            request=head.get("request") or {},
            status=int(response.get("status", 200)),
            headers=tuple((str(k).lower(), str(v)) for k, v in response.get("headers", ())),
            arrivals=tuple(arrivals),
            end=end["end"] if end["end"] in ("complete", "broken", "left") else "broken",
            ended=_seconds(end) if "t" in end else last,
            error=str(end.get("error", "")),
        )

    def script(self, *, speed: float = 1.0) -> Script | Status:
        """Return what makes a :class:`FakeFastGPT` send the same again.

        The bytes come in the same pieces, each as one HTTP chunk, at the same times. An answer
        that is no event stream comes at once.

        :param speed: 2.0 plays twice as fast; ``inf`` without waiting.
        :raises ValueError: if ``speed`` is not positive.
        """
        if not speed > 0:
            raise ValueError(f"speed must be positive, not {speed!r}")
        streamed = self.content_type.startswith("text/event-stream")
        if self.status != 200 or not (streamed or not self.content_type):
            return Status(self.status, self.body, self.content_type or None)
        steps: list[Step] = []
        before = 0.0
        for arrival in self.arrivals:
            steps += _wait((arrival.seconds - before) / speed)
            steps.append(RawBytes(arrival.data))
            before = arrival.seconds
        steps += _wait((self.ended - before) / speed)
        # Headers with the first bytes: a server may send none before (recorded, 4.14.7).
        if not self.arrivals:
            steps.append(Headers())
        steps.append(Truncate() if self.end == "complete" else Close())
        return Script(*steps, duration=None)


@attrs.define(eq=False)
class RecordingWriter:
    """Write a recording while it happens; each line goes out at once.

    :param file: a text file in UTF-8.
    """

    _file: TextIO
    _ended: bool = attrs.field(default=False, init=False)

    def begin(
        self,
        *,
        request: Mapping[str, Any],
        status: int,
        headers: Iterable[tuple[str, str]],
        client: str = "",
    ) -> None:
        """Write the first line.

        :param request: ``method``, ``path`` and ``body``; nothing secret.
        :param status: the HTTP status of the response.
        :param headers: the response's headers.
        :param client: the version of the client.
        """
        kept = [(k.lower(), v) for k, v in headers if k.lower() not in _PRIVATE_HEADERS]
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._line(
            {
                "fastgpt_recording": _FORMAT,
                "created": now.replace("+00:00", "Z"),
                "client": client,
                "request": request,
                "response": {"status": status, "headers": kept},
            }
        )

    def arrived(self, seconds: float, data: bytes) -> None:
        """Write one read from the network.

        :param seconds: when, from the sending of the request.
        :param data: the bytes.
        """
        try:
            told = {"data": data.decode("utf-8")}
        except UnicodeDecodeError:
            told = {"base64": base64.b64encode(data).decode()}
        self._line({"t": round(seconds, 6), **told})

    def end(self, seconds: float, end: End, error: str = "") -> None:
        """Write the last line; only the first call counts.

        :param seconds: when, from the sending of the request.
        :param end: how the body ended.
        :param error: how it broke.
        """
        if not self._ended:
            self._ended = True
            told = {"error": error} if error else {}
            self._line({"t": round(seconds, 6), "end": end, **told})

    def _line(self, line: Mapping[str, Any]) -> None:
        self._file.write(msgspec.json.encode(line).decode() + "\n")
        self._file.flush()


def _wait(seconds: float) -> list[Step]:
    return [Pause(seconds)] if seconds > 0 else []


def _object(number: int, line: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"line {number} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RecordingError(f"line {number} is no JSON object")
    return value


def _seconds(line: Mapping[str, Any]) -> float:
    value = line.get("t")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordingError(f"t must be a number of seconds, not {value!r}")
    return float(value)


def _bytes(line: Mapping[str, Any]) -> bytes:
    data, coded = line.get("data"), line.get("base64")
    if isinstance(data, str):
        return data.encode()
    if isinstance(coded, str):
        try:
            return base64.b64decode(coded, validate=True)
        except ValueError as error:
            raise RecordingError(f"base64 cannot be read: {error}") from None
    raise RecordingError("a line has neither data nor base64")

"""Turn bytes into server-sent events, as the HTML standard interprets an event stream."""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

from ._errors import ReplyTooLargeError
from ._limits import MAX_EVENT_BYTES

_BOM: Final = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """Hold one dispatched event: its type, its data as bytes, and the last event id."""

    event: str
    data: bytes
    id: str


#: ``ServerSentEvent(…)`` without its Python constructor.
_dispatched: Final = functools.partial(tuple.__new__, ServerSentEvent)


class SSEDecoder:
    """Decode an event stream incrementally; the result does not depend on the chunking.

    Lines end at LF, CRLF and CR only (``bytes.splitlines`` knows no others), and a lone CR at the
    end of a chunk ends its line at once. Data stays bytes: the JSON decoder behind wants bytes.

    :param max_event_bytes: how many bytes a line, or the data of one event, may have.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._tail = bytearray()
        self._after_cr = False
        self._at_start = True
        self._event: bytes = b""
        self._data: list[bytes] = []
        self._data_size = 0
        self._names: dict[bytes, str] = {b"": "message"}
        #: The last event id, ``""`` before the first.
        self.last_event_id = ""
        #: The reconnection time in milliseconds, or ``None`` if none was set.
        self.retry: int | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the stream and return the events that they complete.

        :param chunk: any piece of the stream.
        :raises ReplyTooLargeError: if a line or an event is beyond the limit.
        """
        events: list[ServerSentEvent] = []
        self.feed_into(chunk, events)
        return events

    def feed_into(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Do what :meth:`feed` does, but append to ``events``.

        The events completed before a line beyond the limit are in the list when it raises.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:
                chunk = chunk[1:]
        tail = self._tail
        if b"\n" not in chunk and b"\r" not in chunk:
            tail += chunk
            # A byte order mark does not count.
            if len(tail) > self._limit + len(_BOM) * self._at_start:
                raise self._too_large()
            return
        if tail:
            tail += chunk
            chunk = bytes(tail)
            tail.clear()
        lines = chunk.splitlines()
        end = chunk[-1]
        if end == 0x0D:
            self._after_cr = True
        elif end != 0x0A:
            tail += lines.pop()
        if self._at_start:
            self._at_start = False
            if lines[0][:3] == _BOM:
                lines[0] = lines[0][3:]
        self._lines(lines, events)
        if len(tail) > self._limit:
            raise self._too_large()

    def _lines(self, lines: list[bytes], events: list[ServerSentEvent]) -> None:
        data = self._data
        names = self._names
        for line in lines:
            if not line:
                if data:
                    event = names.get(self._event)
                    if event is None:
                        event = self._name(self._event)
                    payload = data[0] if len(data) == 1 else b"\n".join(data)
                    events.append(_dispatched((event, payload, self.last_event_id)))
                    data.clear()
                    self._data_size = 0
                self._event = b""
            elif line[:6] == b"data: ":
                data.append(line[6:])
                self._data_size += len(line)
                if self._data_size > self._limit:
                    raise self._too_large()
            elif line[:7] == b"event: " and len(line) <= self._limit:
                self._event = line[7:]
            else:
                self._field(line)

    def _field(self, line: bytes) -> None:
        if len(line) > self._limit:
            # Bounded like a line that came in pieces.
            raise self._too_large()
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._data_size += len(line)
            if self._data_size > self._limit:
                raise self._too_large()
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self.last_event_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            # bytes.isdigit() knows ASCII digits only, which is what the standard asks for.
            self.retry = int(value[:32])

    def _name(self, raw: bytes) -> str:
        name = raw.decode("utf-8", "replace")
        if len(self._names) < 64:
            self._names[raw] = name
        return name

    def _too_large(self) -> ReplyTooLargeError:
        return ReplyTooLargeError(
            f"one event of the stream is larger than {self._limit} bytes; the reply was given up"
        )

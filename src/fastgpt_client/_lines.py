"""Turn bytes into lines of text, as server-sent events end them: at LF, CRLF and CR only."""

from __future__ import annotations

from typing import Final

_BOM: Final = b"\xef\xbb\xbf"


class LineSplitter:
    """Split a body into lines incrementally; the result does not depend on the chunking.

    ``str.splitlines`` also splits at U+2028, U+0085 and others, which a model may write inside a
    line (recorded, 4.14.7 and 4.16.0). A lone CR at the end of a chunk ends its line at once. A
    byte order mark at the start is left out, as the standard of event streams says.
    """

    def __init__(self) -> None:
        self._tail = bytearray()
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes and return the lines that they complete, without their ends.

        No line end is part of a longer UTF-8 sequence, so whole lines are decoded; malformed
        UTF-8 becomes U+FFFD.

        :param chunk: any piece of the body.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:
                chunk = chunk[1:]
        tail = self._tail
        if b"\n" not in chunk and b"\r" not in chunk:
            tail += chunk
            return []
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
        return [self._text(line) for line in lines]

    def end(self) -> list[str]:
        """Return the last line, if the body did not end in a line end."""
        tail = bytes(self._tail)
        self._tail.clear()
        return [self._text(tail)] if tail else []

    def _text(self, line: bytes) -> str:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        return line.decode("utf-8", "replace")

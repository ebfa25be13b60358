"""Keep a server's text from steering the terminal: show control characters, do not obey them."""

from __future__ import annotations

from typing import Final, TextIO

import attrs

#: C0 and DEL as their pictures, C1 as a replacement character; line feed and tab stay.
_PICTURES: Final = {
    **{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}


def visible(text: str) -> str:
    """Return ``text`` with its control characters made visible.

    A model, or a page that it quotes, could otherwise move the cursor, set the window's title or
    fill the clipboard.

    :param text: text from outside; a line ended by CR LF ends with LF afterwards.
    """
    return text.replace("\r\n", "\n").translate(_PICTURES)


@attrs.define(eq=False)
class SafeFile:
    """Write to a terminal what :func:`visible` makes of a text."""

    _file: TextIO

    def write(self, text: str, /) -> None:
        """Write ``text``."""
        self._file.write(visible(text))

    def flush(self) -> None:
        """Hand what was written to the terminal."""
        self._file.flush()

"""Hold the steps that break an answer."""

from __future__ import annotations

import attrs


@attrs.frozen
class ErrorFrame:
    """End the stream with ``event: error``: no terminal chunk and no ``[DONE]``.

    A JSON answer becomes the error envelope.

    :param message: the text; a known error has an i18n key here.
    :param code: the business code, or ``None`` for an error that is nothing but a message.
    :param status_text: the stable key of a known error, such as ``aiPointsNotEnough``.
    """

    message: str
    code: int | None = None
    status_text: str = ""


@attrs.frozen
class Drip:
    """Send the following bytes of the response one at a time.

    :param seconds: the wait between two bytes; 0 only lets other tasks run.
    """

    seconds: float = 0.0


@attrs.frozen
class Truncate:
    """End the body cleanly here: no terminal chunk, no ``[DONE]``, nothing added.

    :param mid_frame: ``True`` to end in the middle of an answer chunk's line.
    """

    mid_frame: bool = False


@attrs.frozen
class CutChunk:
    """Close the connection (FIN) in the middle of an HTTP chunk."""


@attrs.frozen
class Close:
    """Close the connection (FIN) between two HTTP chunks, without the last one."""


@attrs.frozen
class Reset:
    """Reset the connection (RST)."""

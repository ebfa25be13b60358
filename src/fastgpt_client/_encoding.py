"""Undo a content encoding, within a bound."""

from __future__ import annotations

import zlib
from typing import Final

from ._errors import NotAnEventStreamError, ProtocolError, ReplyTooLargeError

#: The first byte of a member of a gzip file.
_GZIP: Final = b"\x1f"


class Inflater:
    """Decompress gzip or deflate, never to more than the caller allows.

    FastGPT sends event streams as they are (recorded, 4.14.7), but a proxy may compress them. The
    HTTP library's own decoders have no bound: a few kilobytes may become gigabytes.
    """

    def __init__(self) -> None:
        self._inflate = self._new()

    @staticmethod
    def _new() -> zlib._Decompress:
        # Take a gzip or a zlib header, whichever comes.
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    @classmethod
    def for_encoding(cls, encoding: str) -> Inflater | None:
        """Return what undoes ``encoding``, or ``None`` if there is nothing to undo.

        :param encoding: the value of the ``Content-Encoding`` header.
        :raises NotAnEventStreamError: if it is an encoding that was not asked for.
        """
        encoding = encoding.strip().lower()
        if encoding in ("", "identity"):
            return None
        if encoding in ("gzip", "x-gzip", "deflate"):
            return cls()
        raise NotAnEventStreamError(
            f"the answer is encoded as {encoding!r}, though the request asked for identity: a "
            "proxy in between should leave event streams alone"
        )

    def feed(self, data: bytes, most: int) -> bytes:
        """Return what ``data`` stands for.

        :param data: the next compressed bytes.
        :param most: how many bytes the result may have.
        :raises ReplyTooLargeError: if it would have more.
        :raises ProtocolError: if the bytes are not what the header said.
        """
        try:
            result = self._inflate.decompress(data, most + 1)
            # A gzip file may have several members, one after the other; padding is none.
            while (rest := self._inflate.unused_data)[:1] == _GZIP and len(result) <= most:
                self._inflate = self._new()
                result += self._inflate.decompress(rest, most + 1 - len(result))
        except zlib.error as error:
            raise ProtocolError(f"the compressed answer cannot be read: {error}") from error
        if len(result) > most:
            raise ReplyTooLargeError(
                "the compressed reply unpacks to more than max_reply_bytes; it was given up"
            )
        return result

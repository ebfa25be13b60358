"""Give the bytes of a file that is to be uploaded: from a path, from bytes, from an open file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from ._attachments import guess_type
from ._errors import InvalidArgumentError

#: Bytes that are read at once.
CHUNK_BYTES: Final = 256 * 1024

#: What may be uploaded: a path, the bytes themselves, or a file that is open in binary mode.
Uploadable = str | os.PathLike[str] | bytes | BinaryIO


@attrs.define(eq=False)
class Source:
    """Read a file once; every method may block.

    :param name: the file's name.
    :param content_type: its media type.
    :param size: its bytes, from where it stands to its end.
    :param in_memory: whether reading it never waits.
    """

    name: str
    content_type: str
    size: int
    in_memory: bool
    _file: BinaryIO
    _owned: bool
    _left: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self.size

    @classmethod
    def open(cls, file: object, name: str | None = None, content_type: str | None = None) -> Source:
        """Open what is to be uploaded.

        :param file: a path, bytes, or a file that is open in binary mode.
        :param name: its name; needed for bytes, and for a file without one.
        :param content_type: its media type; its name tells it if it is ``None``.
        :raises InvalidArgumentError: if it is missing, cannot be read, or has no name.
        """
        if isinstance(file, str | os.PathLike):
            return cls._of_path(Path(file), name, content_type)
        if isinstance(file, bytes | bytearray | memoryview):
            data = bytes(file)
            name = _name(name, "")
            kind = content_type or guess_type(name)
            return cls(name, kind, len(data), True, io.BytesIO(data), True)
        if callable(getattr(file, "read", None)):
            return cls._of_file(file, name, content_type)
        raise InvalidArgumentError(
            f"file must be a path, bytes, or a file open in binary mode, not {file!r:.80}",
            field="file",
        )

    @classmethod
    def _of_path(cls, path: Path, name: str | None, content_type: str | None) -> Source:
        name = _name(name, path.name)
        try:
            opened = path.open("rb")
            size = os.fstat(opened.fileno()).st_size
        except OSError as error:
            raise InvalidArgumentError(
                f"file {str(path)!r} cannot be read: {error.strerror or error}", field="file"
            ) from error
        return cls(name, content_type or guess_type(name), size, False, opened, True)

    @classmethod
    def _of_file(cls, file: Any, name: str | None, content_type: str | None) -> Source:
        told = getattr(file, "name", "")
        name = _name(name, Path(told).name if isinstance(told, str) else "")
        try:
            here = file.tell()
            size = file.seek(0, os.SEEK_END) - here
            file.seek(here)
        except (OSError, AttributeError, ValueError) as error:
            raise InvalidArgumentError(
                "file must be seekable, since the file store wants its size first: read it and "
                f"pass the bytes ({error})",
                field="file",
            ) from error
        if not isinstance(file.read(0), bytes):
            raise InvalidArgumentError(
                'file must be open in binary mode: open(…, "rb")', field="file"
            )
        return cls(name, content_type or guess_type(name), size, False, file, False)

    def read(self) -> bytes:
        """Return the next bytes, ``b""`` at the end.

        :raises InvalidArgumentError: if the file has become shorter, or cannot be read.
        """
        if not self._left:
            return b""
        try:
            data = self._file.read(min(CHUNK_BYTES, self._left))
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(
                f"file {self.name!r} cannot be read: {error}", field="file"
            ) from error
        if not data:
            raise InvalidArgumentError(
                f"file {self.name!r} has become shorter while it was uploaded", field="file"
            )
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file, unless the caller opened it."""
        if self._owned:
            self._file.close()


def _name(name: str | None, found: str) -> str:
    name = found if name is None else name
    if not isinstance(name, str) or not name.strip():
        raise InvalidArgumentError(
            "name is missing: pass the file's name, whose ending tells its type", field="name"
        )
    if any(ord(letter) < 32 for letter in name):
        raise InvalidArgumentError("name must not have control characters", field="name")
    return name

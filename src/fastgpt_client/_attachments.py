"""Build messages with text, images and files."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from ._errors import InvalidArgumentError
from ._messages import Message

#: Bytes that an image may have to go into a message (FastGPT source, 4.16.0: the body of a v1
#: request may have 10 MB, and base64 takes a third more).
MAX_INLINE_BYTES: Final = 7 * 1024 * 1024

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)


@attrs.frozen(kw_only=True)
class UploadedFile:
    """Hold a file that the server's file store has.

    :param key: its key, by which the server finds it.
    :param url: where to read it, for a while.
    :param name: its name.
    :param content_type: its media type.
    :param size: its bytes.
    """

    key: str
    url: str = attrs.field(repr=False)
    name: str
    content_type: str = "application/octet-stream"
    size: int = 0

    @property
    def is_image(self) -> bool:
        """Whether it is an image."""
        return self.content_type.startswith("image/")

    def to_part(self) -> dict[str, Any]:
        """Return it as a part of a message."""
        if self.is_image:
            return {"type": "image_url", "image_url": {"url": self.url}, "key": self.key}
        part = {"type": "file_url", "name": self.name, "url": self.url, "key": self.key}
        kind = self.content_type.partition("/")[0]
        if kind in ("audio", "video"):
            part["fileType"] = kind
        return part


#: What may stand for an image: a URL (also a data URL), the file's bytes, its path, an uploaded
#: file, or a part as the server takes it.
Image = str | bytes | os.PathLike[str] | UploadedFile | Mapping[str, Any]
#: What may stand for a file: a URL, an uploaded file, or a part as the server takes it.
FileLink = str | UploadedFile | Mapping[str, Any]


def system(text: str) -> Message:
    """Build a system message, which is added to the app's own.

    :param text: what it says.
    :raises InvalidArgumentError: if it is no text.
    """
    return Message("system", _text(text))


def assistant(text: str) -> Message:
    """Build a message of the assistant, for a history of one's own.

    :param text: what it says.
    :raises InvalidArgumentError: if it is no text.
    """
    return Message("assistant", _text(text))


def user(
    text: str = "",
    *,
    images: Iterable[Image] | Image = (),
    files: Iterable[FileLink] | FileLink = (),
) -> Message:
    """Build a user's message.

    An image that is given as bytes or by its path goes into the message itself, base64-encoded;
    a path is read here and now. Upload what is large, and everything that is no image.

    :param text: what the user says.
    :param images: images: URLs, bytes, paths (:class:`pathlib.Path`) or uploaded files.
    :param files: files: URLs that the server can read, or uploaded files.
    :raises InvalidArgumentError: if the message is empty, or a file is missing, too large or no
        image.
    """
    _text(text)
    parts = [_image(image, f"images[{place}]") for place, image in enumerate(_several(images))]
    parts += [_file(file, f"files[{place}]") for place, file in enumerate(_several(files))]
    if not parts:
        if not text:
            raise InvalidArgumentError("a message needs text, images or files", field="text")
        return Message("user", text)
    return Message("user", [*([{"type": "text", "text": text}] if text else []), *parts])


def data_url(data: bytes, content_type: str | None = None) -> str:
    """Return an image as a data URL.

    :param data: the image file's bytes.
    :param content_type: its media type; it is told from the bytes if it is ``None``.
    :raises InvalidArgumentError: if the bytes are of no known image type.
    """
    content_type = content_type or _image_type(data)
    if content_type is None:
        raise InvalidArgumentError(
            "these bytes are no image of a known type: pass content_type", field="content_type"
        )
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def guess_type(name: str) -> str:
    """Return the media type that a file's name tells.

    :param name: the file's name.
    """
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _several(given: Any) -> Iterable[Any]:
    alone = isinstance(given, str | bytes | os.PathLike | UploadedFile | Mapping)
    return [given] if alone else given


def _image(image: object, field: str) -> Mapping[str, Any]:
    if isinstance(image, UploadedFile):
        return image.to_part()
    if isinstance(image, Mapping):
        return _part(image, field)
    if isinstance(image, str):
        if not image.startswith(("http://", "https://", "data:")):
            raise InvalidArgumentError(
                f"{field} must be a URL, a pathlib.Path, bytes or an uploaded file, not "
                f"{image[:80]!r} (a path? write Path({image[:80]!r}))",
                field=field,
            )
        return {"type": "image_url", "image_url": {"url": image}}
    content_type: str | None = None
    if isinstance(image, os.PathLike):
        path = Path(image)
        image = _read(path, field)
        # By its bytes first: names lie. SVG has no magic number.
        content_type = _image_type(image) or guess_type(path.name)
        if not content_type.startswith("image/"):
            raise InvalidArgumentError(f"{field}: {path.name} is no image", field=field)
    if not isinstance(image, bytes):
        raise InvalidArgumentError(
            f"{field} must be a URL, a pathlib.Path, bytes or an uploaded file, not "
            f"{type(image).__name__}",
            field=field,
        )
    if len(image) > MAX_INLINE_BYTES:
        raise InvalidArgumentError(
            f"{field} has {len(image)} bytes; an image in a message may have "
            f"{MAX_INLINE_BYTES}: upload it instead",
            field=field,
        )
    try:
        return {"type": "image_url", "image_url": {"url": data_url(image, content_type)}}
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{field}: {error}", field=field) from None


def _file(file: object, field: str) -> Mapping[str, Any]:
    if isinstance(file, UploadedFile):
        return file.to_part()
    if isinstance(file, Mapping):
        return _part(file, field)
    if isinstance(file, str) and file.startswith(("http://", "https://")):
        name = file.partition("?")[0].rstrip("/").rpartition("/")[2]
        return {"type": "file_url", "name": name or "file", "url": file}
    raise InvalidArgumentError(
        f"{field} must be a URL or an uploaded file (await client.upload(…)), not "
        f"{type(file).__name__}",
        field=field,
    )


def _part(part: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    if not isinstance(part.get("type"), str):
        raise InvalidArgumentError(f"{field} is a mapping without a type", field=field)
    return part


def _read(path: Path, field: str) -> bytes:
    try:
        if path.stat().st_size > MAX_INLINE_BYTES:
            raise InvalidArgumentError(
                f"{field}: {path.name} is larger than {MAX_INLINE_BYTES} bytes: upload it instead",
                field=field,
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(
            f"{field}: {path} cannot be read: {error.strerror or error}", field=field
        ) from error


def _image_type(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidArgumentError(f"text must be a text, not {type(text).__name__}", field="text")
    return text

"""Write a form with a file in it, as browsers do (multipart/form-data)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import attrs

from ._errors import InvalidArgumentError


@attrs.frozen
class Part:
    """Hold one field of a form.

    :param name: the field's name.
    :param data: its value, ``None`` for bytes that come from elsewhere: the last part only.
    :param filename: the file's name, ``""`` if it is no file.
    :param content_type: the file's media type.
    """

    name: str
    data: bytes | None = attrs.field(repr=False)
    filename: str = ""
    content_type: str = "application/octet-stream"


@attrs.frozen
class Form:
    """Hold a written form.

    :param head: what stands before the bytes that come from elsewhere, or all but the end.
    :param tail: what stands after them.
    :param content_type: the form's media type, with its boundary.
    """

    head: bytes = attrs.field(repr=False)
    tail: bytes = attrs.field(repr=False)
    content_type: str


def encode_form(parts: Sequence[Part]) -> Form:
    """Write a form.

    :param parts: its fields, in their order.
    :raises InvalidArgumentError: if a media type has a line end in it.
    """
    boundary = f"----fastgpt-client-{secrets.token_hex(16)}"
    pieces: list[bytes] = []
    for part in parts:
        if "\r" in part.content_type or "\n" in part.content_type:
            raise InvalidArgumentError("content_type must be one line", field="content_type")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(part.name)}"'
        if part.filename:
            head += f'; filename="{_quoted(part.filename)}"\r\nContent-Type: {part.content_type}'
        pieces.append(f"{head}\r\n\r\n".encode())
        if part.data is not None:
            pieces += [part.data, b"\r\n"]
    separate = bool(parts) and parts[-1].data is None
    tail = f"--{boundary}--\r\n".encode()
    if separate:
        tail = b"\r\n" + tail
    return Form(b"".join(pieces), tail, f"multipart/form-data; boundary={boundary}")


def _quoted(name: str) -> str:
    # As the HTML standard says.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")

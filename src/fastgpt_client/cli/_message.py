"""Make a question of a text, images and files."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from .._client import AsyncChatClient
    from .._messages import Messages


@attrs.frozen
class Question:
    """Hold what to ask.

    :param text: the text, which may be empty beside images and files.
    :param images: the images' URLs; those of this machine as data URLs.
    :param files: the files: URLs, and paths of this machine.
    """

    text: str
    images: tuple[str, ...] = ()
    files: tuple[str | Path, ...] = ()

    @classmethod
    def of(cls, text: str, images: tuple[str, ...], files: tuple[str, ...]) -> Question:
        """Take what the command line says.

        :raises click.UsageError: if a file is missing, or of a kind that cannot be used.
        """
        return cls(text, tuple(map(_image_url, images)), tuple(map(_file, files)))

    @property
    def uploads(self) -> list[Path]:
        """The files that have to be uploaded first."""
        return [file for file in self.files if isinstance(file, Path)]

    async def messages(self, client: AsyncChatClient, chat_id: str) -> Messages:
        """Upload what has to be, and return the messages to send.

        :param client: the client to upload through.
        :param chat_id: the chat that the files are for.
        :raises FastGPTError: if an upload fails.
        """
        await checkpoint()
        parts: list[dict[str, Any]] = [{"type": "text", "text": self.text}] if self.text else []
        parts += [{"type": "image_url", "image_url": {"url": image}} for image in self.images]
        for file in self.files:
            if isinstance(file, Path):
                uploaded = await client.upload(file, chat_id=chat_id)
                name, url = uploaded.name, uploaded.url
            else:
                name, url = file.rstrip("/").rpartition("/")[2], file
            parts.append({"type": "file_url", "name": name, "url": url})
        return [{"role": "user", "content": parts}] if self.images or self.files else self.text


def _image_url(image: str) -> str:
    if image.startswith(("http://", "https://", "data:")):
        return image
    kind = mimetypes.guess_type(image)[0] or ""
    if not kind.startswith("image/"):
        raise click.UsageError(f"--image {image!r}: its name does not tell what image it is.")
    try:
        data = Path(image).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--image {image!r}: {error.strerror}.") from None
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _file(file: str) -> str | Path:
    if file.startswith(("http://", "https://")):
        return file
    path = Path(file)
    if not path.is_file():
        raise click.UsageError(f"--file {file!r} is neither a URL nor a file of this machine.")
    return path

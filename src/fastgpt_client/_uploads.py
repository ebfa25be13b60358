"""Upload one file: ask where to, send it there, ask where to read it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import checkpoint

from ._attachments import UploadedFile
from ._bodies import RequestBody
from ._errors import APIError, FastGPTError, InvalidArgumentError, ReplyTimeoutError
from ._exchange import Exchange, read_whole
from ._multipart import Part, encode_form
from ._refusals import refusal_in
from ._shelter import sheltered
from ._sources import Source, Uploadable
from .endpoints import UploadTicket, file_url, upload_ticket

#: Seconds for an upload, unless the caller says otherwise.
UPLOAD_SECONDS: Final = 600.0

#: Called with the bytes that were sent and the bytes of the whole file.
Progress = Callable[[int, int], Any]


@attrs.define(eq=False)
class Upload:
    """Hold one upload.

    :param exchange: to ask FastGPT.
    :param app_id: the app's id.
    :param chat_id: the chat's id.
    :param progress: told how far it is.
    """

    exchange: Exchange
    app_id: str
    chat_id: str
    progress: Progress | None

    async def run(
        self, file: Uploadable, name: str | None, content_type: str | None, seconds: float
    ) -> UploadedFile:
        """Do it all.

        :param file: what to upload.
        :param name: its name, if it does not tell it itself.
        :param content_type: its media type, if its name does not tell.
        :param seconds: the limit for all of it.
        :raises FastGPTError: if the server or the file store refuses, cannot be reached or takes
            too long.
        :raises InvalidArgumentError: if the file is missing, unreadable or too large.
        """
        # Checked before the file is touched.
        if self.progress is not None and not callable(self.progress):
            raise InvalidArgumentError(
                f"progress must be a function of two numbers, not {self.progress!r}",
                field="progress",
            )
        upload_ticket(self.app_id, self.chat_id, "name")
        return await sheltered(partial(self._run, file, name, content_type, seconds))

    async def _run(
        self, file: Uploadable, name: str | None, content_type: str | None, seconds: float
    ) -> UploadedFile:
        source = await anyio.to_thread.run_sync(Source.open, file, name, content_type)
        try:
            with anyio.move_on_after(seconds):
                return await self._send(source, seconds)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(source.close)
        raise ReplyTimeoutError(
            f"{source.name!r} was not uploaded within {seconds:g} s (total)",
            clock="total",
            seconds=seconds,
        )

    async def _send(self, source: Source, seconds: float) -> UploadedFile:
        call = upload_ticket(
            self.app_id, self.chat_id, source.name, content_type=source.content_type
        )
        ticket = await self.exchange.call(call, seconds)
        if ticket.max_size is not None and source.size > ticket.max_size:
            raise InvalidArgumentError(
                f"file {source.name!r} has {source.size} bytes and the server takes "
                f"{ticket.max_size}; it was not sent",
                field="file",
            )
        await self._store(ticket, source)
        url = ticket.preview_url
        if not url:
            url = await self.exchange.call(file_url(self.app_id, self.chat_id, ticket.key), seconds)
        return UploadedFile(
            key=ticket.key,
            url=url,
            name=source.name,
            content_type=source.content_type,
            size=source.size,
        )

    async def _store(self, ticket: UploadTicket, source: Source) -> None:
        method, headers = "PUT", dict(ticket.headers)
        head = tail = b""
        if ticket.fields is not None:
            fields = [Part(name, value.encode()) for name, value in ticket.fields.items()]
            form = encode_form([*fields, Part("file", None, source.name, source.content_type)])
            method, headers = "POST", {"Content-Type": form.content_type}
            head, tail = form.head, form.tail
        body = _FileBody(source, head, tail, self.progress)
        size = len(head) + source.size + len(tail)
        http = self.exchange.http
        try:
            # Another server: it must not see the key.
            response = await http.send_elsewhere(
                method, ticket.url, headers, body, size, connect=self.exchange.connect
            )
        except FastGPTError:
            if body.error is not None:
                # Not the network's fault: the file's, or the caller's own callback's.
                raise body.error from None
            raise
        answer = await read_whole(http, response)
        told = (answer.status_code, answer.headers, answer.body, self.exchange.target)
        refused = refusal_in(*told)
        if refused is not None:
            raise _refused_by_store(refused)


class _FileBody(RequestBody):
    """Give the HTTP library a file, with what a form puts around it."""

    def __init__(self, source: Source, head: bytes, tail: bytes, progress: Progress | None) -> None:
        super().__init__(b"")
        self._source = source
        self._head, self._tail = head, tail
        self._progress = progress
        #: What went wrong on this side.
        self.error: Exception | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Chunks(self)

    async def chunk(self) -> bytes:
        """Return the next bytes, ``b""`` at the end of the file."""
        source = self._source
        if source.in_memory:
            await checkpoint()
            return source.read()
        return await anyio.to_thread.run_sync(source.read)


class _Chunks:
    # Not an async generator, which a cancellation would leave to the garbage collector.
    def __init__(self, body: _FileBody) -> None:
        self._body = body
        self._sent = 0
        self._place = "head"

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        body = self._body
        if self._place == "head":
            self._place = "file"
            if body._head:
                return body._head  # noqa: ASYNC910 - the library writes to the network next
        if self._place == "file":
            try:
                data = await body.chunk()
                self._sent += len(data)
                if body._progress is not None and data:
                    body._progress(self._sent, body._source.size)
            except Exception as error:
                body.error = error
                raise
            if data:
                return data
            self._place = "tail"
            if body._tail:
                return body._tail
        raise StopAsyncIteration


def _refused_by_store(refused: APIError) -> APIError:
    with contextlib.suppress(IndexError):
        refused.args = (f"the file store refused the upload: {refused.message}",)
    return refused

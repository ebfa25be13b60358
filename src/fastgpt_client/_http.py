"""Speak to the server through an asynchronous client of httpx or httpx2."""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import httpx as default_library

from ._bodies import RequestBody, ResponseBody, stream_type
from ._errors import FastGPTError
from ._library import checked_url, explain, library_of, log_request, log_retry, nothing_was_sent
from ._original import ConnectRetries
from ._refusals import may_be_event_stream, no_event_stream, without_key
from ._shelter import sheltered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._requests import Target

#: Bytes that are read of an answer that is no event stream.
_REFUSAL_BYTES: Final = 256 * 1024


@attrs.define(eq=False)
class HTTP:
    """Hold an HTTP client of the caller's or of our own.

    :param client: an ``httpx.AsyncClient`` or ``httpx2.AsyncClient``.
    :param owned: whether it is ours to close.
    :param retries: when to try a connection again.
    :param log_level: at which level requests are logged.
    """

    client: Any
    library: Any
    owned: bool
    retries: ConnectRetries = attrs.field(factory=ConnectRetries)
    log_level: int = logging.DEBUG

    @classmethod
    def wrap(cls, client: object) -> HTTP:
        """Take the caller's own client.

        :raises InvalidArgumentError: if it is no asynchronous client of httpx or httpx2.
        """
        return cls(client, library_of(client, "AsyncClient", "http_client"), owned=False)

    @classmethod
    def new(cls) -> HTTP:
        """Make a client of our own: HTTP/1.1, no cap on connections, no limits but ours."""
        library = default_library
        client = library.AsyncClient(
            timeout=library.Timeout(None),
            limits=library.Limits(max_connections=None, max_keepalive_connections=20),
            follow_redirects=False,
        )
        return cls(client, library, owned=True)

    def _request(
        self,
        method: str,
        url: Any,
        headers: Mapping[str, str],
        body: RequestBody | None,
        size: int,
        connect: float | None,
        content_type: str,
    ) -> Any:
        # A function of its own: no frame that can fail later has the key in its locals.
        limits = self.library.Timeout(None, connect=connect, pool=connect)
        if body is None:
            return self.client.build_request(method, url, headers=headers, timeout=limits)
        headers = {**headers, "Content-Type": content_type, "Content-Length": str(size)}
        # Told of the content here too: a request built without one counts as read, and then the
        # aiohttp transport sends none.
        request = self.client.build_request(
            method, url, headers=headers, timeout=limits, content=body
        )
        request.stream = stream_type(self.library)(body)
        return request

    async def send(
        self,
        method: str,
        target: Target,
        path: str,
        *,
        content: bytes | None = None,
        accept: str = "application/json",
        connect: float | None = None,
        body: RequestBody | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return the library's response, its body not read yet.

        Redirects are not followed: the key must not reach another origin.

        :param method: the HTTP method.
        :param target: where it goes, and the key.
        :param path: the endpoint.
        :param content: the body, JSON.
        :param accept: the media type that is asked for.
        :param connect: seconds for a connection, and for a place in the pool.
        :param body: the body's stream, for a caller who wants to know when it was written.
        :param content_type: the body's media type.
        :param headers: further headers.
        :raises FastGPTError: if the network fails, or a limit of the library's rings.
        """
        if content is not None and body is None:
            body = RequestBody(content)
        size = len(content or b"")
        further = {**(headers or {}), "Accept": accept}
        for wait in self.retries.waits():
            try:
                return await self._send(
                    method, target, path, further, size, connect, body, content_type
                )
            except FastGPTError as error:
                if not nothing_was_sent(error):
                    raise
                log_retry(self.log_level, error, wait)
            await anyio.sleep(wait)
        return await self._send(method, target, path, further, size, connect, body, content_type)

    async def _send(
        self,
        method: str,
        target: Target,
        path: str,
        headers: Mapping[str, str],
        size: int,
        connect: float | None,
        body: RequestBody | None,
        content_type: str,
    ) -> Any:
        request = self._request(
            method,
            checked_url(self.library, target.url(path)),
            {**target.headers(), **headers},
            body,
            size,
            connect,
            content_type,
        )
        began = time.monotonic()
        try:
            send = functools.partial(
                self.client.send, request, stream=True, auth=None, follow_redirects=False
            )
            response = await sheltered(send, undo=_aclose)
        except Exception as error:
            without_key(error, target)
            raise self.explain(error, connect=connect) from error
        # Without the query, which may hold a key to be checked.
        url = target.url(path.partition("?")[0])
        log_request(self.log_level, method, url, response.status_code, began)
        return response

    async def send_elsewhere(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: RequestBody,
        size: int,
        *,
        connect: float | None = None,
    ) -> Any:
        """Send a request to another server, which gets neither key nor cookies.

        :param method: the HTTP method.
        :param url: the whole URL.
        :param headers: all headers but those of the connection.
        :param body: the body's stream.
        :param size: bytes of the body.
        :param connect: seconds for a connection, and for a place in the pool.
        :raises FastGPTError: if the network fails.
        """
        library = self.library
        limits = library.Timeout(None, connect=connect, pool=connect)
        try:
            # Not client.build_request(), which adds the client's own headers, cookies and
            # parameters.
            request = library.Request(
                method,
                url,
                headers={**headers, "Content-Length": str(size)},
                content=body,
                extensions={"timeout": limits.as_dict()},
            )
            request.stream = stream_type(library)(body)
            send = functools.partial(
                self.client.send, request, stream=True, auth=None, follow_redirects=False
            )
            return await sheltered(send, undo=_aclose)
        except Exception as error:
            raise self.explain(error, connect=connect) from error

    def explain(self, error: Exception, *, connect: float | None = None) -> FastGPTError:
        """Return what an exception of the HTTP library means; it becomes the cause.

        :param error: what the library raised.
        :param connect: the limit for connections in seconds, for the message.
        """
        return explain(self.library, error, connect=connect)

    async def aclose(self) -> None:
        """Close the client if it is ours."""
        if self.owned:
            await self.client.aclose()
        else:
            await anyio.lowlevel.checkpoint()


async def _aclose(response: Any) -> None:  # noqa: ASYNC910 - the library's own method
    await response.aclose()


def is_event_stream(response: Any) -> bool:
    """Tell whether a response of the library may be an event stream."""
    return may_be_event_stream(response.status_code, response.headers)


async def refusal(response: Any, target: Target, seconds: float) -> FastGPTError:
    """Read a response that is no event stream and return the error that it means.

    :param response: the library's response; it is closed.
    :param target: what to redact.
    :param seconds: how long to wait for its body; what is missing by then is left out.
    """
    data = bytearray()
    with anyio.move_on_after(seconds):
        await _read_into(data, response)
    return no_event_stream(response.status_code, response.headers, bytes(data), target)


async def _read_into(data: bytearray, response: Any) -> None:
    body: ResponseBody | None = None
    try:
        body = ResponseBody(response)
        async for chunk in body:
            if body.inflater is not None:
                chunk = body.inflater.feed(chunk, _REFUSAL_BYTES)
            data += chunk
            if len(data) >= _REFUSAL_BYTES:
                break
    except Exception as error:
        # The status says already that it is an error; a body that breaks off tells no more.
        data += f" [{type(error).__name__}]".encode() if not data else b""
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 2):
            if body is not None:
                await body.unwind()
            await sheltered(response.aclose)

"""Speak to the server through a blocking client of httpx or httpx2: no thread, no event loop."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import attrs
import httpx as default_library

from ._errors import FastGPTError, UsageError
from ._library import checked_url, explain, library_of, log_request, log_retry, nothing_was_sent
from ._original import ConnectRetries
from ._refusals import without_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._requests import Target


@attrs.define(eq=False)
class BlockingHTTP:
    """Hold a blocking HTTP client of the caller's or of our own.

    :param client: an ``httpx.Client`` or ``httpx2.Client``.
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
    def wrap(cls, client: object) -> BlockingHTTP:
        """Take the caller's own client.

        :raises InvalidArgumentError: if it is no blocking client of httpx or httpx2.
        """
        return cls(client, library_of(client, "Client", "http_client"), owned=False)

    @classmethod
    def new(cls) -> BlockingHTTP:
        """Make a client of our own: HTTP/1.1, no cap on connections, no limits but ours."""
        library = default_library
        client = library.Client(
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
        content: bytes | None,
        limits: Any,
        content_type: str,
    ) -> Any:
        # A function of its own: no frame that can fail later has the key in its locals.
        if content is not None:
            headers = {**headers, "Content-Type": content_type}
        return self.client.build_request(
            method, url, headers=headers, content=content, timeout=limits
        )

    def send(
        self,
        method: str,
        target: Target,
        path: str,
        *,
        content: bytes | None,
        accept: str,
        connect: float | None,
        wait: float | None,
        content_type: str = "application/json",
    ) -> Any:
        """Send a request and return the library's response, its body not read yet.

        Redirects are not followed: the key must not reach another origin.

        :param method: the HTTP method.
        :param target: where it goes, and the key.
        :param path: the endpoint.
        :param content: the body, or ``None``.
        :param accept: the media type that is asked for.
        :param connect: seconds for a connection, and for a place in the pool.
        :param wait: seconds for the headers.
        :param content_type: the body's media type.
        :raises TimeoutError: if the headers did not come in time.
        :raises FastGPTError: if the network fails.
        :raises UsageError: if the client is closed.
        """
        if self.client.is_closed:
            raise UsageError("the client that was passed as http_client is closed: pass another")
        limits = self.library.Timeout(wait, connect=connect, pool=connect)
        for pause in self.retries.waits():
            try:
                return self._send(method, target, path, content, accept, limits, content_type)
            except FastGPTError as error:
                if not nothing_was_sent(error):
                    raise
                log_retry(self.log_level, error, pause)
            time.sleep(pause)
        return self._send(method, target, path, content, accept, limits, content_type)

    def _send(
        self,
        method: str,
        target: Target,
        path: str,
        content: bytes | None,
        accept: str,
        limits: Any,
        content_type: str,
    ) -> Any:
        where = checked_url(self.library, target.url(path))
        headers = {**target.headers(), "Accept": accept}
        request = self._request(method, where, headers, content, limits, content_type)
        del headers
        began = time.monotonic()
        try:
            response = self.client.send(request, stream=True, auth=None, follow_redirects=False)
        except (self.library.ReadTimeout, self.library.WriteTimeout) as error:
            raise TimeoutError from error
        except Exception as error:
            without_key(error, target)
            raise explain(self.library, error, connect=limits.connect) from error
        # Without the query, which may hold a key to be checked.
        url = target.url(path.partition("?")[0])
        log_request(self.log_level, method, url, response.status_code, began)
        return response

    def close(self) -> None:
        """Close the client if it is ours."""
        if self.owned:
            self.client.close()

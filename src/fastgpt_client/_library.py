"""Know what httpx and httpx2 call things, for asynchronous and blocking clients alike."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from ._errors import (
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    ReplyInterruptedError,
    ReplyTimeoutError,
)

if TYPE_CHECKING:
    from types import ModuleType

_log = logging.getLogger("fastgpt_client.http")


def library_of(client: object, name: str, field: str) -> Any:
    """Return the HTTP library that a client of the caller's is of.

    :param client: the client.
    :param name: the class that it must be of.
    :param field: the name of the argument, for the message.
    :raises InvalidArgumentError: if it is no such client of httpx or httpx2.
    """
    for base in type(client).__mro__:
        root = base.__module__.partition(".")[0]
        library: ModuleType | None = sys.modules.get(root)
        if root in ("httpx", "httpx2") and base is getattr(library, name, None):
            return library
    raise InvalidArgumentError(
        f"{field} must be an httpx.{name} or httpx2.{name}, not "
        f"{type(client).__module__}.{type(client).__qualname__}",
        field=field,
    )


def checked_url(library: Any, url: str) -> Any:
    """Return a URL as the library's own object.

    Before there is a header, so that no traceback of a URL that cannot be used shows the key.

    :param library: httpx or httpx2.
    :param url: the whole URL.
    :raises InvalidArgumentError: if the library cannot use it.
    """
    try:
        parsed = library.URL(url)
        # Reading an international name fails only when it is asked for.
        _ = parsed.host
    except Exception as error:
        raise explain(library, error) from error
    return parsed


def nothing_was_sent(error: FastGPTError) -> bool:
    """Tell whether a failure happened before any byte of the request was sent."""
    if isinstance(error, ReplyTimeoutError):
        return error.clock == "connect"
    return isinstance(error, ConnectError)


def log_request(level: int, method: str, url: str, status_code: int, began: float) -> None:
    """Write one line about a request whose headers have come; none has the key or a message.

    :param level: the level to log at.
    :param method: the HTTP method.
    :param url: the endpoint's URL.
    :param status_code: the HTTP status of the answer.
    :param began: when the request was sent, in seconds of :func:`time.monotonic`.
    """
    if _log.isEnabledFor(level):
        _log.log(
            level, "%s %s: HTTP %d in %.2f s", method, url, status_code, time.monotonic() - began
        )


def explain(library: Any, error: Exception, *, connect: float | None = None) -> FastGPTError:
    """Return what an exception of an HTTP library means; it becomes the cause.

    :param library: httpx or httpx2.
    :param error: what the library raised.
    :param connect: the limit for connections in seconds, for the message.
    """
    words = _words(error)
    if isinstance(error, FastGPTError):
        return error
    if isinstance(error, library.ConnectTimeout):
        return ReplyTimeoutError(
            f"no connection within {connect} s (connect): is the server up?",
            clock="connect",
            seconds=connect,
        )
    if isinstance(error, library.PoolTimeout):
        return ReplyTimeoutError(
            f"no free connection in the HTTP client's pool within {connect} s (pool): raise "
            "the limit of the client that was passed as http_client, or open fewer replies",
            clock="pool",
            seconds=connect,
        )
    if isinstance(error, library.ConnectError | library.ProxyError):
        return ConnectError(
            f"no connection to the server, nothing was sent: {words}; check base_url and "
            "that the server runs"
        )
    # A name that is not one of IDNA is a plain UnicodeError, from whichever layer finds it.
    not_a_name = isinstance(error, UnicodeError) and not isinstance(error, UnicodeDecodeError)
    if not_a_name or isinstance(error, library.UnsupportedProtocol | library.InvalidURL):
        return InvalidArgumentError(
            f"base_url, or what follows it, cannot be used: {words}", field="base_url"
        )
    what = "the connection to the server broke"
    if not isinstance(error, library.HTTPError | OSError):
        what = f"reading the reply failed with {type(error).__name__}"
    failed = ReplyInterruptedError(f"{what}: {words}")
    failed.__cause__ = error
    return failed


def _words(error: BaseException) -> str:
    """Return what an error or the first of its causes says.

    On trio a certificate that is refused says nothing but in its cause (seen with httpcore 1.0.9).
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        if str(link):
            return str(link)
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return type(error).__name__


def log_retry(level: int, error: FastGPTError, wait: float) -> None:
    """Write one line about a connection that is tried again.

    :param level: the level to log at.
    :param error: why it is.
    :param wait: seconds until then.
    """
    _log.log(level, "%s; the next try comes in %g s", error, wait)

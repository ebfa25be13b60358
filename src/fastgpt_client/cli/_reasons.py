"""Say in plain words why there is no connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Final

_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        socket.gaierror,
        "The host's name is not known here: mind its spelling, and is this machine online?",
    ),
    (
        ConnectionRefusedError,
        "Nothing listens at that address: does the server run, and is the port right?",
    ),
    (
        ssl.SSLCertVerificationError,
        "The server's certificate is not trusted here: SSL_CERT_FILE may name your company's own.",
    ),
    (ssl.SSLError, "The server does not speak HTTPS there: try http:// in the URL."),
)


def reason(error: BaseException) -> str:
    """Return why a connection failed and what to do, or ``""``.

    :param error: what was raised; the operating system's error is somewhere among its causes.
    """
    causes = list(_causes(error))
    for kind, words in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return words
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Go through an error's causes; trio has a group of them where a host has two addresses."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions

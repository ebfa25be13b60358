"""Send a call through a blocking client: no thread, no event loop."""

from __future__ import annotations

import math
import time
from collections.abc import MutableMapping
from typing import Any, TypeVar

import attrs

from ._blocking_http import BlockingHTTP
from ._call import MAX_ANSWER_BYTES, Call, RawAnswer, read_answer
from ._connections import Connection
from ._errors import FastGPTError
from ._exchange import check_size, in_order, too_slow
from ._requests import Target

T = TypeVar("T")


@attrs.define(eq=False)
class BlockingExchange:
    """Send calls to one server; the twin of the asynchronous exchange.

    :param http: the HTTP client.
    :param target: the server and the key.
    :param connect: seconds for a connection.
    :param homes: where endpoints were found, by their first path.
    """

    http: BlockingHTTP
    target: Target
    connect: float | None
    homes: MutableMapping[str, str]

    def call(self, call: Call[T], seconds: float) -> T:
        """Send a call and return its result.

        A blocking wait cannot be cut short, so the limit is looked at between two of them, and
        each may take what is left.

        :param call: what to ask.
        :param seconds: the limit for all of it.
        :raises FastGPTError: if the server refuses, cannot be reached or does not answer in time.
        """
        until = time.monotonic() + seconds
        answer: RawAnswer | None = None
        try:
            for path, location in in_order(call, self.homes):
                answer = self._fetch(call, location, until)
                if not answer.is_missing_page:
                    self.homes[call.paths[0]] = path
                    break
        except TimeoutError as error:
            if isinstance(error, FastGPTError):
                raise
            raise too_slow(call, seconds) from error
        assert answer is not None
        return read_answer(call, answer, self.target)

    def _fetch(self, call: Call[Any], location: str, until: float) -> RawAnswer:
        response = self.http.send(
            call.method,
            self.target,
            location,
            content=call.body,
            accept=call.accept,
            connect=self.connect,
            wait=_left(until),
            content_type=call.content_type,
        )
        connection: Connection | None = None
        data = bytearray()
        try:
            connection = Connection(self.http.library, response)
            connection.limit_reads(_left(until))
            while (chunk := connection.read(MAX_ANSWER_BYTES)) is not None:
                data += chunk
                check_size(data)
                _left(until)
        finally:
            (response if connection is None else connection).close()
        return RawAnswer(response.status_code, response.headers, bytes(data))


def _left(until: float) -> float | None:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return None if left == math.inf else left

"""Send a call, try its other homes, and read the whole answer, within one time limit."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._call import MAX_ANSWER_BYTES, Call, RawAnswer, read_answer
from ._connections import AsyncConnection
from ._errors import ReplyTimeoutError, ReplyTooLargeError
from ._http import HTTP
from ._requests import Target
from ._shelter import sheltered

T = TypeVar("T")


@attrs.define(eq=False)
class Exchange:
    """Send calls to one server.

    :param http: the HTTP client.
    :param target: the server and the key.
    :param connect: seconds for a connection.
    :param homes: where endpoints were found, by their first path; it is kept up to date, so that
        each is looked for once.
    """

    http: HTTP
    target: Target
    connect: float | None
    homes: MutableMapping[str, str]

    async def call(self, call: Call[T], seconds: float) -> T:
        """Send a call and return its result.

        :param call: what to ask.
        :param seconds: the limit for all of it.
        :raises FastGPTError: if the server refuses, cannot be reached or does not answer in time.
        """
        with anyio.move_on_after(seconds):
            answer = await sheltered(partial(self._ask, call))
            return read_answer(call, answer, self.target)
        raise too_slow(call, seconds)

    async def _ask(self, call: Call[Any]) -> RawAnswer:
        answer: RawAnswer | None = None
        await checkpoint()
        for path, location in in_order(call, self.homes):
            answer = await self._fetch(call, location)
            if not answer.is_missing_page:
                self.homes[call.paths[0]] = path
                break
        assert answer is not None
        return answer

    async def _fetch(self, call: Call[Any], location: str) -> RawAnswer:
        response = await self.http.send(
            call.method,
            self.target,
            location,
            content=call.body,
            accept=call.accept,
            connect=self.connect,
            content_type=call.content_type,
        )
        return await read_whole(self.http, response)


async def read_whole(http: HTTP, response: Any) -> RawAnswer:
    """Read a response to its end and close it.

    :param http: the HTTP client that it came from.
    :param response: the library's response, its body not read yet.
    :raises FastGPTError: if the network fails, or the body is too large.
    """
    connection: AsyncConnection | None = None
    data = bytearray()
    try:
        connection = AsyncConnection(http.library, response)
        while (chunk := await connection.read(MAX_ANSWER_BYTES, float("inf"))) is not None:
            data += chunk
            check_size(data)
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 2):
            await (response if connection is None else connection).aclose()
    return RawAnswer(response.status_code, response.headers, bytes(data))


def in_order(call: Call[Any], homes: MutableMapping[str, str]) -> list[tuple[str, str]]:
    """Return the paths and locations of a call, the one that was found before first.

    :param call: what to ask.
    :param homes: where endpoints were found.
    """
    found = homes.get(call.paths[0])
    places = zip(call.paths, call.locations(), strict=True)
    return sorted(places, key=lambda place: place[0] != found) if found else list(places)


def check_size(data: bytearray) -> None:
    """Refuse an answer that is too large.

    :raises ReplyTooLargeError: if it is.
    """
    if len(data) > MAX_ANSWER_BYTES:
        raise ReplyTooLargeError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")


def too_slow(call: Call[Any], seconds: float) -> ReplyTimeoutError:
    """Return the error of a call that took too long."""
    return ReplyTimeoutError(
        f"{call.method} {call.paths[0]} was not answered within {seconds:g} s (total)",
        clock="total",
        seconds=seconds,
    )

"""Give a caller the response of ``create_chat_completion``, as the original SDK's programs use it.

A response is a thin object over one HTTP response: no task, no scope. What holds the connection is
an object of its own, which the client keeps, so that a response that was left or forgotten is
closed all the same.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, final

import anyio
from anyio.lowlevel import checkpoint

from ._connections import AsyncConnection, Register, closed_early, rang
from ._errors import FastGPTError, ReplyInterruptedError, ReplyTooLargeError, UsageError
from ._received import Received
from ._refusals import may_be_event_stream

if TYPE_CHECKING:
    from typing import Self

    from ._answer import Answer
    from ._http import HTTP
    from ._original import CompletionCall
    from ._requests import Target

#: Seconds and bytes for the body of a refusal, which is short.
REFUSAL_SECONDS: Final = 5.0
REFUSAL_BYTES: Final = 256 * 1024
#: Lines that are handed out before the event loop gets its turn.
BURST: Final = 64


class Response:
    """Hold what the two kinds of response have in common."""

    def __init__(self, received: Received) -> None:
        self._received = received

    def __repr__(self) -> str:
        return f"<{type(self).__name__} HTTP {self.status_code}>"

    @property
    def status_code(self) -> int:
        """The HTTP status. FastGPT refuses most streams with 200 (recorded, 4.14.7, 4.16.0)."""
        return self._received.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers; names may be written in any case."""
        return self._received.headers

    @property
    def content(self) -> bytes:
        """The whole body.

        :raises UsageError: if the response is an event stream.
        """
        return self._received.body()

    @property
    def text(self) -> str:
        """The whole body as text.

        :raises UsageError: if the response is an event stream.
        """
        return self._received.body().decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the decoded body, also that of a refusal.

        :raises ProtocolError: if the body is no JSON and its status tells of no refusal.
        :raises APIError: if the body is no JSON and its status tells of a refusal.
        :raises UsageError: if the response is an event stream.
        """
        return self._received.json()

    def answer(self, *, raise_on_node_error: bool = True) -> Answer:
        """Return the whole answer of a call without ``stream``.

        :param raise_on_node_error: whether a workflow node that failed and was not caught raises.
        :raises WorkflowError: if one did; the server itself calls that a success.
        :raises APIError: if the server refused.
        :raises ProtocolError: if the body is not the answer to a completion.
        :raises UsageError: if the response is an event stream.
        """
        return self._received.answer(raise_on_node_error)

    def raise_for_status(self) -> Self:
        """Raise the error that the status means, or the error that a JSON body tells of.

        What a stream tells is not known before its lines were read; it is raised after the last.

        :returns: the response itself.
        :raises APIError: if the server refused.
        """
        self._received.raise_for_status()
        return self


@final
class AsyncChatResponse(Response):
    """Hold the response of :meth:`AsyncChatClient.create_chat_completion`."""

    def __init__(
        self,
        received: Received,
        call: CompletionCall,
        began: float,
        connection: AsyncConnection | None = None,
        register: Register[AsyncConnection] | None = None,
    ) -> None:
        super().__init__(received)
        self._limits = call.limits
        self._began = began
        self._connection = connection
        self._register = register
        if connection is not None and register is not None:
            register.add(connection, self)

    @classmethod
    async def open(
        cls, http: HTTP, target: Target, call: CompletionCall, register: Register[AsyncConnection]
    ) -> Self:
        """Send a call, and read the body unless it is the stream that was asked for.

        :param http: sends it.
        :param target: where to.
        :param call: what to send.
        :param register: keeps what is open.
        """
        for due in register.due():
            await due.aclose()
        began = anyio.current_time()
        clock, seconds = call.until_headers()
        connection: AsyncConnection | None = None
        response: Any = None
        try:
            with anyio.CancelScope(deadline=began + seconds) as scope:
                response = await http.send(
                    "POST",
                    target,
                    call.request.path,
                    content=call.request.body,
                    accept=call.accept,
                    connect=call.limits.connect,
                )
                received = received_of(response, target, call)
                connection = AsyncConnection(http.library, response)
                if call.stream and may_be_event_stream(response.status_code, response.headers):
                    return cls(received, call, began, connection, register)
                refused = is_refused(call, response.status_code)
                data = await _read_whole(connection, most_of(call, refused), refused)
                taken = anyio.current_time() - began
                received.take_whole(data, stream=call.stream, seconds=taken)
                return cls(received, call, began)
        finally:
            if connection is None or connection not in register:
                await _aclose(connection, response)  # noqa: ASYNC102 - shielded inside
        assert scope.cancelled_caught
        raise rang(clock, seconds)

    def aiter_lines(self) -> AsyncIterator[str]:
        """Iterate over the lines of the body, which end at CR, LF and CRLF only.

        :raises FastGPTError: after the last line, if the reply is not complete: the server
            refused, an error event came, a clock rang, or the connection or the text broke off;
            ``.partial`` is the text so far.
        """
        return _AsyncLines(self)

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._end(closed_early())

    async def __aenter__(self) -> Self:
        await checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _end(self, error: FastGPTError | None) -> None:
        self._received.end(error)
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._register is not None:
                self._register.discard(connection)
            await connection.aclose()
        else:
            await checkpoint()

    async def _read_more(self) -> None:
        received, limits = self._received, self._limits
        assert self._connection is not None
        now = anyio.current_time()
        # After [DONE], late events only: when they do not come, the reply is complete all the same.
        clocks = [(now + limits.seconds("close"), "silence")]
        if not received.done:
            clocks = [
                (now + limits.seconds("silence"), "silence"),
                (self._began + limits.seconds("total"), "total"),
            ]
        deadline, clock = min(clocks)
        try:
            chunk = await self._connection.read(received.max_bytes, deadline)
        except TimeoutError:
            await self._end(rang(clock, limits.seconds(clock)))
        except UsageError:
            raise
        except FastGPTError as error:
            await self._end(error)
        except BaseException:
            # Shielded and bounded inside.
            await self._end(ReplyInterruptedError("reading was cancelled"))  # noqa: ASYNC102, ASYNC120
            raise
        else:
            if chunk is None:
                await self._end(None)
            else:
                received.take(chunk)
                if received.ended:
                    await self._end(None)


@final
class _AsyncLines:
    # Not an async generator, which an early break would leave to the garbage collector.
    def __init__(self, response: AsyncChatResponse) -> None:
        self._response = response
        self._taken = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        received = self._response._received
        self._taken += 1
        if self._taken % BURST == 0:
            await checkpoint()
        while not received.lines:
            if received.ended:
                await checkpoint()
                received.raise_failure()
                raise StopAsyncIteration
            await self._response._read_more()
        return received.lines.popleft()  # noqa: ASYNC910 - a checkpoint in 64 lines


def received_of(response: Any, target: Target, call: CompletionCall) -> Received:
    return Received(
        status_code=response.status_code,
        headers=response.headers,
        target=target,
        chat_id=call.request.chat_id,
        max_bytes=call.max_bytes,
    )


def is_refused(call: CompletionCall, status_code: int) -> bool:
    # Only the beginning of such a body is read, and for a short time.
    return call.stream or status_code != 200


def most_of(call: CompletionCall, refused: bool) -> int:
    return REFUSAL_BYTES if refused else call.max_bytes


def too_large(most: int) -> ReplyTooLargeError:
    return ReplyTooLargeError(f"the reply is larger than max_reply_bytes ({most}); it was given up")


async def _read_whole(connection: AsyncConnection, most: int, refused: bool) -> bytes:
    deadline = anyio.current_time() + REFUSAL_SECONDS if refused else math.inf
    data = bytearray()
    try:
        while len(data) <= most:
            chunk = await connection.read(most, deadline)
            if chunk is None:
                return bytes(data)
            data += chunk
    except (FastGPTError, TimeoutError):
        # The status says already that it is an error; a body that breaks off tells no more.
        if not refused:
            raise
    if not refused:
        raise too_large(most)
    return bytes(data[:most])  # noqa: ASYNC910 - read() has waited, and the caller closes


async def _aclose(connection: AsyncConnection | None, response: Any) -> None:
    # The library's response, if there is no connection yet.
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 2):
        if connection is not None:
            await connection.aclose()
        elif response is not None:
            await response.aclose()
        await checkpoint()

"""Give a caller the response of :meth:`ChatClient.create_chat_completion`: no thread, no loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

from ._connections import Connection, Register, closed_early, rang
from ._errors import FastGPTError, ReplyInterruptedError, UsageError
from ._received import Received
from ._refusals import may_be_event_stream
from ._responses import REFUSAL_SECONDS, Response, is_refused, most_of, received_of, too_large

if TYPE_CHECKING:
    from typing import Self

    from ._blocking_http import BlockingHTTP
    from ._original import CompletionCall
    from ._requests import Target


@final
class ChatResponse(Response):
    """Hold the response of :meth:`ChatClient.create_chat_completion`."""

    def __init__(
        self,
        received: Received,
        call: CompletionCall,
        began: float,
        connection: Connection | None = None,
        register: Register[Connection] | None = None,
    ) -> None:
        super().__init__(received)
        self._limits = call.limits
        self._began = began
        self._connection = connection
        self._register = register
        if connection is not None and register is not None:
            register.add(connection, self)

    @classmethod
    def open(
        cls,
        http: BlockingHTTP,
        target: Target,
        call: CompletionCall,
        register: Register[Connection],
    ) -> Self:
        """Send a call, and read the body unless it is the stream that was asked for."""
        for due in register.due():
            due.close()
        began = time.monotonic()
        clock, seconds = call.until_headers()
        connection: Connection | None = None
        response: Any = None
        try:
            response = http.send(
                "POST",
                target,
                call.request.path,
                content=call.request.body,
                accept=call.accept,
                connect=call.limits.connect,
                wait=_finite(seconds),
            )
            received = received_of(response, target, call)
            connection = Connection(http.library, response)
            if call.stream and may_be_event_stream(response.status_code, response.headers):
                total = began + call.limits.seconds("total") - time.monotonic()
                connection.limit_reads(_finite(min(call.limits.seconds("silence"), total)))
                return cls(received, call, began, connection, register)
            refused = is_refused(call, response.status_code)
            until = time.monotonic() + REFUSAL_SECONDS if refused else began + seconds
            connection.limit_reads(_finite(until - time.monotonic()))
            data = _read_whole(connection, most_of(call, refused), refused, until)
            received.take_whole(data, stream=call.stream, seconds=time.monotonic() - began)
            connection.close()
            return cls(received, call, began)
        except TimeoutError as error:
            if isinstance(error, FastGPTError):
                raise
            raise rang(clock, seconds) from error
        finally:
            if connection is not None and connection not in register:
                connection.close()
            elif response is not None and connection is None:
                response.close()

    def iter_lines(self) -> Iterator[str]:
        """Iterate over the lines of the body, which end at CR, LF and CRLF only.

        :raises FastGPTError: after the last line, if the reply is not complete: the server
            refused, an error event came, a clock rang, or the connection or the text broke off;
            ``.partial`` is the text so far.
        """
        return _Lines(self)

    def close(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._end(closed_early())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self, error: FastGPTError | None) -> None:
        self._received.end(error)
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._register is not None:
                self._register.discard(connection)
            connection.close()

    def _read_more(self) -> None:
        received, connection = self._received, self._connection
        total = self._limits.seconds("total")
        if connection is None:
            return
        if not received.done and time.monotonic() - self._began >= total:
            self._end(rang("total", total))
            return
        try:
            chunk = connection.read(received.max_bytes)
        except TimeoutError:
            late = time.monotonic() - self._began >= total
            clock = "total" if late else "silence"
            self._end(rang(clock, self._limits.seconds(clock)))
        except UsageError:
            raise
        except FastGPTError as error:
            self._end(error)
        except BaseException:
            self._end(ReplyInterruptedError("reading was interrupted"))
            raise
        else:
            if chunk is None:
                self._end(None)
            else:
                received.take(chunk)
                if received.ended:
                    self._end(None)


@final
class _Lines:
    def __init__(self, response: ChatResponse) -> None:
        self._response = response

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        received = self._response._received
        while not received.lines:
            if received.ended:
                received.raise_failure()
                raise StopIteration
            self._response._read_more()
        return received.lines.popleft()


def _finite(seconds: float) -> float | None:
    return None if seconds == math.inf else max(seconds, 0.001)


def _read_whole(connection: Connection, most: int, refused: bool, until: float) -> bytes:
    data = bytearray()
    try:
        while len(data) <= most:
            if time.monotonic() >= until:
                raise TimeoutError
            chunk = connection.read(most)
            if chunk is None:
                return bytes(data)
            data += chunk
    except (FastGPTError, TimeoutError):
        if not refused:
            raise
    if not refused:
        raise too_large(most)
    return bytes(data[:most])

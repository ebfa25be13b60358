"""Say whose fault it is and what state remains.

::

    FastGPTError                     .partial (text so far), .reply
    ├─ APIError                      the server said no
    │  ├─ AuthenticationError · PermissionDeniedError · NotFoundError · ValidationError
    │  └─ RateLimitError (.retry_after) · QuotaExceededError · ChatBusyError · ServerError
    ├─ WorkflowError                 a node failed and nothing caught it: .nodes
    ├─ TransportError                the network failed
    │  └─ ConnectError · ReplyInterruptedError
    ├─ ReplyTimeoutError             a named clock ran out: .clock (also a TimeoutError)
    ├─ ProtocolError                 not what was agreed
    │  └─ NotAnEventStreamError · BadEventError · ReplyTooLargeError
    ├─ InvalidArgumentError          refused before anything was sent (also a ValueError)
    └─ UsageError                    used after its end, or from the wrong place (a RuntimeError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from ._nodes import Node

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadEventError",
    "ChatBusyError",
    "ConnectError",
    "FastGPTError",
    "InvalidArgumentError",
    "NotAnEventStreamError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "QuotaExceededError",
    "RateLimitError",
    "ReplyInterruptedError",
    "ReplyTimeoutError",
    "ReplyTooLargeError",
    "ServerError",
    "TransportError",
    "UsageError",
    "ValidationError",
    "WorkflowError",
]

#: The clocks of :class:`~fastgpt_client.Timeouts`, and ``pool``: no free connection in time.
Clock = Literal["connect", "pool", "first_token", "idle", "silence", "total", "consumer"]


class FastGPTError(Exception):
    """Stand at the root: ``except FastGPTError`` catches every failure of this package.

    :param message: what happened and what to do.
    :param partial: the text that had arrived before the failure.
    """

    #: The text that had arrived before the failure, ``""`` if there was none.
    partial: str
    #: The reply that failed, or ``None``. It does not travel through :mod:`pickle`.
    reply: Any

    def __init__(self, message: str = "", *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial
        self.reply = None

    @property
    def message(self) -> str:
        """What happened, without the class name."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name != "reply"}
        return _rebuild, (type(self), self.message, state)

    def _twin(self) -> Self:
        """Return an equal exception without a traceback, with the same cause.

        One exception object that is raised in several tasks grows its traceback and mixes up
        their contexts, so each subscription raises a twin of its own.
        """
        twin = _rebuild(type(self), self.message, self.__dict__)
        twin.__cause__ = self.__cause__
        twin.__suppress_context__ = True
        return twin  # type: ignore[return-value]


def _rebuild(cls: type[FastGPTError], message: str, state: Mapping[str, Any]) -> FastGPTError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.reply = None
    error.__dict__.update(state)
    if "__notes__" in state:
        # A note on a twin is not a note on the others.
        error.__notes__ = [*state["__notes__"]]
    return error


class APIError(FastGPTError):
    """Report that the server refused or failed the request.

    FastGPT's business code and ``statusText`` decide the class, the HTTP status alone does not:
    a wrong key is HTTP 200 on a stream and HTTP 500 elsewhere (recorded, 4.14.7 and 4.16.0).
    """

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        code: int | None = None,
        status_text: str = "",
        response_data: Any = None,
        partial: str = "",
    ) -> None:
        super().__init__(message, partial=partial)
        #: The HTTP status, ``200`` for an error event inside a stream.
        self.status_code = status_code
        #: FastGPT's business code, such as 514, or ``None`` if it sent none.
        self.code = code
        #: FastGPT's stable name of the error, such as ``unAuthApiKey``, or ``""``.
        self.status_text = status_text
        #: The decoded body or error event.
        self.response_data = response_data


class AuthenticationError(APIError):
    """Report a missing or wrong API key (``unAuthApiKey``, code 514; ``unAuthorization``, 403)."""


class PermissionDeniedError(APIError):
    """Report a key that may not use this app or chat (``unAuthApp``, ``unAuthChat``, …)."""


class NotFoundError(APIError):
    """Report an unknown app (``appUnExist``), or an endpoint that this server does not have."""


class ValidationError(APIError):
    """Report a request that the server could not accept (HTTP 400, 413, 422, no messages)."""


class RateLimitError(APIError):
    """Report too many requests (HTTP 429)."""

    def __init__(self, message: str = "", *, retry_after: float | None = None, **kw: Any) -> None:
        super().__init__(message, **kw)
        #: Seconds to wait, or ``None`` if the server did not say. FastGPT sends no
        #: ``Retry-After``: they are read from the text and from ``X-RateLimit-Reset``.
        self.retry_after = retry_after


class QuotaExceededError(APIError):
    """Report that the team's AI points are used up (``aiPointsNotEnough``, code 500004)."""


class ChatBusyError(APIError):
    """Report that this chat is being answered already (``chatIsGenerating``, code 504001)."""


class ServerError(APIError):
    """Report any other failure on the server's side."""


class WorkflowError(FastGPTError):
    """Report that a workflow node failed and nothing caught it.

    FastGPT itself ends such a stream like a good one (recorded, 4.14.7 and 4.16.0).
    """

    def __init__(self, message: str = "", *, nodes: Sequence[Node] = (), partial: str = "") -> None:
        super().__init__(message, partial=partial)
        #: The nodes that failed, in the order of their responses.
        self.nodes: tuple[Node, ...] = tuple(nodes)


class TransportError(FastGPTError):
    """Report a failure of the network; ``__cause__`` is the HTTP library's own error."""


class ConnectError(TransportError):
    """Report that no connection could be made: nothing was sent."""


class ReplyInterruptedError(TransportError):
    """Report that the reply broke off before it was complete."""


class ReplyTimeoutError(FastGPTError, TimeoutError):
    """Report that one of the named clocks of :class:`~fastgpt_client.Timeouts` ran out."""

    def __init__(
        self,
        message: str = "",
        *,
        clock: Clock = "total",
        seconds: float | None = None,
        partial: str = "",
    ) -> None:
        super().__init__(message, partial=partial)
        #: Which clock: ``connect``, ``pool``, ``first_token``, ``idle``, ``silence``, ``total``
        #: or ``consumer``.
        self.clock: Clock = clock
        #: The limit in seconds.
        self.seconds = seconds


class ProtocolError(FastGPTError):
    """Report that the other side does not speak what was agreed."""


class NotAnEventStreamError(ProtocolError):
    """Report an answer that is no event stream, such as a proxy's HTML page."""


class BadEventError(ProtocolError):
    """Report an event that should have carried text and could not be read."""


class ReplyTooLargeError(ProtocolError):
    """Report a reply, or one event of it, beyond ``max_reply_bytes`` or the event's limit."""


class InvalidArgumentError(FastGPTError, ValueError):
    """Report an argument that was refused before anything was sent."""

    def __init__(self, message: str = "", *, field: str = "", partial: str = "") -> None:
        super().__init__(message, partial=partial)
        #: The name of the argument.
        self.field = field


class UsageError(FastGPTError, RuntimeError):
    """Report a client, reply or subscription used after its end or from the wrong place."""


# A traceback names an error as programs import it.
for _name in __all__:
    globals()[_name].__module__ = __package__

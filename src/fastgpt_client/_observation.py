"""Let observers see one reply from its beginning to its end, without a say in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from types import TracebackType

    from ._reply import Reply
    from ._requests import ChatRequest
    from ._resume import ResumeRequest

_log = logging.getLogger("fastgpt_client.observation")


@attrs.define(eq=False)
class Asked:
    """Hold what an observer may know of one reply; the key is not part of it.

    :param base_url: the server's URL.
    :param request: what is asked.
    :param headers: further headers of the request, to which an observer may add.
    :param reply: the reply, once the server took the question.
    """

    base_url: str
    request: ChatRequest | ResumeRequest
    headers: dict[str, str] = attrs.field(factory=dict)
    reply: Reply | None = None


#: Is called before anything is sent. What it returns is entered then, in the caller's own task, and
#: left as the last of the block, with what the block raises.
Observer = Callable[[Asked], AbstractContextManager[Any]]


@attrs.define(eq=False)
class Observation(AbstractContextManager[None]):
    """Hold what observers see of one reply.

    An observer that fails is logged and changes nothing.

    :param observers: who wants to see it.
    :param asked: what they see.
    """

    observers: Sequence[Observer]
    asked: Asked
    _entered: list[AbstractContextManager[Any]] = attrs.field(factory=list, init=False)

    def __enter__(self) -> None:
        for observer in self.observers:
            try:
                entered = observer(self.asked)
                entered.__enter__()
            except Exception:
                _log.exception("an observer failed at the beginning of a reply")
            else:
                self._entered.append(entered)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._entered:
            try:
                self._entered.pop().__exit__(kind, error, trace)
            except Exception:
                _log.exception("an observer failed at the end of a reply")

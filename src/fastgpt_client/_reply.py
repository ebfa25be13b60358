"""Give a caller one reply: events, text so far, consumers, the whole answer, and a way to stop."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._answer import Answer, Status, Timings
from ._errors import FastGPTError, InvalidArgumentError, UsageError
from ._fanout import Fanout
from ._feed import Consumer, Feed, OnError, OnFailure
from ._limits import Policy
from ._subscription import Subscription

if TYPE_CHECKING:
    from ._transcript import Transcript

#: What :meth:`Reply.stop` can know: the reply had ended before; its connection was closed, which
#: stops a v1 run; a v2 run took the stop in time; nobody confirmed it; the server could not be
#: told, because it has no such endpoint, the app id is unknown, or the request failed.
StopOutcome = Literal["ended", "closed", "confirmed", "unconfirmed", "not_told"]


@attrs.define(eq=False)
class Control:
    """Hold what a reply needs of the block that it lives in."""

    stop: Callable[[], Awaitable[StopOutcome]]
    timings: Callable[[], Timings]


@final
class Reply:
    """Hold one reply of the server while it arrives.

    ``async for event in reply`` starts at the first event each time. Inside the block of
    :meth:`AsyncChatClient.stream` everything works; after it :attr:`text`, :attr:`reasoning`,
    :attr:`status`, :attr:`failure` and a finished :meth:`final` still do.
    """

    def __init__(self, transcript: Transcript, chat_id: str | None = None) -> None:
        self._transcript = transcript
        self._fanout = Fanout(transcript.events)
        self._chat_id = chat_id
        self._status = Status.STREAMING
        self._ended: anyio.Event | None = None
        self._at_end: list[Callable[[], None]] = []
        self._control: Control | None = None

    def __repr__(self) -> str:
        return f"<Reply {self._status}, {len(self._transcript.events)} events>"

    @property
    def text(self) -> str:
        """The text so far."""
        return self._transcript.text

    @property
    def reasoning(self) -> str:
        """The model's reasoning so far."""
        return self._transcript.reasoning

    @property
    def status(self) -> Status:
        """Where the reply stands."""
        return self._status

    @property
    def failure(self) -> FastGPTError | None:
        """Why the reply failed, or ``None``."""
        return self._fanout.failure

    @property
    def chat_id(self) -> str | None:
        """The chat's id, or ``None`` if the server chose one (it does not tell)."""
        return self._chat_id

    @property
    def timings(self) -> Timings:
        """What was counted and timed so far."""
        assert self._control is not None
        return self._control.timings()

    @property
    def open_subscriptions(self) -> int:
        """How many subscriptions are open."""
        return self._fanout.open_subscriptions

    def subscribe(self, policy: Policy | None = None, *, name: str = "") -> Subscription:
        """Open a subscription of one's own.

        :param policy: what happens when it is read slowly; :meth:`Policy.lossless` by default.
        :param name: what warnings and errors call it.
        :raises UsageError: if the reply's block was left.
        """
        if policy is None:
            policy = Policy.lossless()
        elif not isinstance(policy, Policy):
            raise InvalidArgumentError(
                f"policy must be Policy.lossless(), .paced() or .live(), not {policy!r}",
                field="policy",
            )
        return self._fanout.subscribe(policy, name or policy.kind)

    def __aiter__(self) -> Subscription:
        return self.subscribe(name="loop").__aiter__()

    async def feed(
        self,
        *consumers: Consumer,
        policy: Policy | Sequence[Policy] | None = None,
        on_failure: OnFailure = "drain",
        on_error: OnError = "cancel",
    ) -> tuple[Any, ...]:
        """Run consumers side by side, each with a subscription of its own.

        :param consumers: async callables that take a subscription; they may return a value.
        :param policy: one policy for all, or one for each.
        :param on_failure: when the reply fails, ``"drain"`` lets each consumer read what had
            arrived and then see the failure; ``"cancel"`` cancels them at once.
        :param on_error: when a consumer raises, ``"cancel"`` cancels the others, ``"isolate"``
            lets them finish and raises afterwards.
        :returns: what the consumers returned, in their order.
        :raises FastGPTError: if the reply failed and a consumer met that.
        :raises ExceptionGroup: with what the consumers raised; the reply's failure, if there is
            one, is its ``__cause__``.
        :raises InvalidArgumentError: if there is no consumer, or one is not callable.
        """
        if not consumers or not all(map(callable, consumers)):
            raise InvalidArgumentError(
                "feed() takes one or more async callables that take a subscription, such as "
                "print_text (without parentheses)",
                field="consumers",
            )
        for value, known in ((on_failure, ("drain", "cancel")), (on_error, ("cancel", "isolate"))):
            if value not in known:
                raise InvalidArgumentError(
                    f"feed() knows {known[0]!r} and {known[1]!r} there, not {value!r}",
                    field="on_failure" if known[0] == "drain" else "on_error",
                )
        policies = [policy] * len(consumers) if isinstance(policy, Policy | None) else [*policy]
        if len(policies) != len(consumers):
            raise InvalidArgumentError(
                f"feed() got {len(policies)} policies for {len(consumers)} consumers",
                field="policy",
            )
        self._fanout.check_loop()
        names = [*map(name_of, consumers)]
        feed = Feed(self, [*map(self._open, policies, names)], on_error)
        if on_failure == "cancel":
            self._at_end.append(lambda: feed.cancel() if self.failure is not None else None)
            if self.failure is not None:
                feed.cancel()
        await feed.run(consumers)
        if feed.errors:
            feed.settle()
            raise ExceptionGroup("consumers of the reply failed", feed.errors) from self.failure
        if self.failure is not None and (feed.met_failure or on_failure == "cancel"):
            feed.settle()
            self._fanout.raise_failure()
        return tuple(feed.results)

    def _open(self, policy: Policy | None, name: str) -> Subscription:
        return self.subscribe(policy, name=name)

    async def final(self) -> Answer:
        """Wait for the end and return the whole answer.

        :raises FastGPTError: if the reply failed; the text that came is in ``.partial``.
        :raises UsageError: if the block was left before the end.
        """
        if self._status is Status.STREAMING:
            self._fanout.check_loop()
            if self._ended is None:
                self._ended = anyio.Event()
            await self._ended.wait()
        else:
            await checkpoint()
        return self._settled()

    def _settled(self) -> Answer:
        """Return the answer of a reply that has ended, or raise why there is none."""
        if self.failure is not None:
            self._fanout.raise_failure()
        if self._status is Status.ABANDONED:
            raise UsageError(
                "the reply's block was left before the reply ended, so there is no whole answer; "
                "what arrived is in .text",
                partial=self.text,
            )
        return self.answer

    @property
    def answer(self) -> Answer:
        """What the reply amounts to so far, whatever its status."""
        return self._transcript.answer(self._status, self.timings, self._chat_id)

    async def stop(self) -> StopOutcome:
        """End the reply here: loops end normally, :meth:`final` returns the answer so far.

        The connection is closed, which stops a v1 run on the server (recorded, 4.14.7 and
        4.16.0). A v2 run is also asked to stop, if the app's id is known; the server answers
        success in any case and only the time that it took tells whether a run took notice.

        :returns: what is known; see :data:`StopOutcome`.
        """
        assert self._control is not None
        if self._status is Status.STREAMING:
            self._fanout.check_loop()
        return await self._control.stop()

    def _end(self, status: Status, failure: FastGPTError | None = None) -> None:
        """Bring the reply to its end, once; what comes later changes nothing."""
        if self._status is not Status.STREAMING:
            return
        self._status = status
        if failure is not None:
            failure.partial = self.text
            failure.reply = self
        self._fanout.end(failure)
        if self._ended is not None:
            self._ended.set()
        for callback in self._at_end:
            callback()


def name_of(consumer: Any) -> str:
    """Return what a warning calls a consumer: as its author does, also where options are bound."""
    while isinstance(consumer, functools.partial):
        consumer = consumer.func
    name: str = getattr(consumer, "__name__", type(consumer).__name__)
    return name

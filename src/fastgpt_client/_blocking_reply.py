"""Give a blocking caller one reply, which lives in the portal of its client."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, final

from ._answer import Answer, Status, Timings
from ._blocking_feed import BlockingConsumer, BlockingFeed
from ._blocking_subscription import BlockingSubscription, Link
from ._errors import FastGPTError, InvalidArgumentError
from ._feed import OnError, OnFailure
from ._limits import Policy
from ._portal import Ticket
from ._reply import StopOutcome
from ._subscription import Subscription


@final
class BlockingReply:
    """Hold one reply of the server while it arrives, for blocking code.

    It is what :class:`Reply` is, in an event loop of the client's own thread: ``for event in
    reply`` starts at the first event each time, and the same limits, policies and errors apply.
    Any thread may use it; each thread reads through an iterator or subscription of its own. Each
    wait for events and each look at :attr:`text` is a hop to that thread, which costs 0.1 to 0.2
    ms; events cross up to 64 at a time (``benchmarks/blocking.py`` measures it).
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def __repr__(self) -> str:
        return repr(self._link.reply).replace("<", "<Blocking", 1)

    @property
    def text(self) -> str:
        """The text so far."""
        text: str = self._link.look("text")
        return text

    @property
    def reasoning(self) -> str:
        """The model's reasoning so far."""
        reasoning: str = self._link.look("reasoning")
        return reasoning

    @property
    def status(self) -> Status:
        """Where the reply stands."""
        return self._link.reply.status

    @property
    def failure(self) -> FastGPTError | None:
        """Why the reply failed, or ``None``."""
        return self._link.reply.failure

    @property
    def chat_id(self) -> str | None:
        """The chat's id, or ``None`` if the server chose one (it does not tell)."""
        return self._link.reply.chat_id

    @property
    def timings(self) -> Timings:
        """What was counted and timed so far."""
        timings: Timings = self._link.look("timings")
        return timings

    @property
    def answer(self) -> Answer:
        """What the reply amounts to so far, whatever its status."""
        answer: Answer = self._link.look("answer")
        return answer

    def __iter__(self) -> BlockingSubscription:
        return self.subscribe(name="loop")

    def subscribe(self, policy: Policy | None = None, *, name: str = "") -> BlockingSubscription:
        """Open a subscription of one's own, for a thread of one's own.

        :param policy: what happens when it is read slowly; :meth:`Policy.lossless` by default.
        :param name: what warnings and errors call it.
        :raises UsageError: if the reply's block was left.
        """
        return BlockingSubscription(
            self._link, self._call(self._subscribe, policy, name), self._adopt
        )

    def _subscribe(self, policy: Policy | None, name: str) -> Subscription:
        return self._link.reply.subscribe(policy, name=name)

    def feed(
        self,
        *consumers: BlockingConsumer,
        policy: Policy | Sequence[Policy] | None = None,
        on_failure: OnFailure = "drain",
        on_error: OnError = "cancel",
    ) -> tuple[Any, ...]:
        """Run plain functions side by side, each in a thread with a subscription of its own.

        A thread cannot be cancelled: a consumer that is told to end unwinds when it next asks for
        an event, and this waits for that.

        :param consumers: functions that take an iterator of events; they may return a value.
        :param policy: one policy for all, or one for each.
        :param on_failure: when the reply fails, ``"drain"`` lets each consumer read what had
            arrived and then see the failure; ``"cancel"`` ends them at once.
        :param on_error: when a consumer raises, ``"cancel"`` ends the others, ``"isolate"`` lets
            them finish and raises afterwards.
        :returns: what the consumers returned, in their order.
        :raises FastGPTError: if the reply failed and a consumer met that.
        :raises ExceptionGroup: with what the consumers raised; the reply's failure, if there is
            one, is its ``__cause__``.
        :raises InvalidArgumentError: if there is no consumer, or one is no plain function.
        """
        if any(map(inspect.iscoroutinefunction, consumers)):
            raise InvalidArgumentError(
                "feed() of a blocking reply takes plain functions of an iterator, not async ones",
                field="consumers",
            )
        if not consumers or not all(map(callable, consumers)):
            raise InvalidArgumentError(
                "feed() takes one or more functions that take an iterator of events",
                field="consumers",
            )
        run = BlockingFeed(self._link, consumers)
        self._link.feeds.append(run.over)
        ticket: Ticket | None = None
        try:
            options = {"policy": policy, "on_failure": on_failure, "on_error": on_error}
            ticket = self._link.portal.submit(run.run, options)
            results: tuple[Any, ...] = ticket.result()
        except BaseException as error:  # noqa: ASYNC103 - of a thread, where nothing is cancelled
            if run.exits:
                raise run.exits[0] from None  # noqa: ASYNC104
            if ticket is None:
                run.over.set()
            elif not ticket.is_set:
                self._link.portal.cancel(ticket)
            if isinstance(error, FastGPTError):
                self._adopt(error)
            raise
        return results

    def final(self) -> Answer:
        """Wait for the end and return the whole answer.

        :raises FastGPTError: if the reply failed; the text that came is in ``.partial``.
        :raises UsageError: if the block was left before the end.
        """
        if not self._link.over:
            self._link.portal.check_process()
        if self._link.over or not self._link.portal.running:
            try:
                return self._link.reply._settled()
            except FastGPTError as error:
                raise self._adopt(error) from error.__cause__
        answer: Answer = self._call(self._link.reply.final)
        return answer

    def stop(self) -> StopOutcome:
        """End the reply here: loops end normally, :meth:`final` returns the answer so far.

        :returns: what is known of the run on the server, as :meth:`Reply.stop`.
        """
        if self._link.over:
            return "ended"
        outcome: StopOutcome = self._call(self._link.reply.stop)
        return outcome

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._link.call(function, *args)
        except FastGPTError as error:
            raise self._adopt(error) from error.__cause__

    def _adopt(self, error: FastGPTError) -> FastGPTError:
        """Let a failure of the reply name this object."""
        if error.reply is self._link.reply:
            error.reply = self
        return error

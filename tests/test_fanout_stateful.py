"""The fan-out against a model: every order of push, subscribe, read, close, fail and end."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastgpt_client import AnswerDelta, FastGPTError, Policy, ReplyInterruptedError, UsageError
from fastgpt_client._fanout import Fanout
from fastgpt_client._subscription import Subscription

policies = st.one_of(
    st.just(Policy.lossless()),
    st.builds(Policy.paced, st.integers(0, 4)),
    st.builds(Policy.live, st.integers(1, 5)),
)

#: What a read gave that is no event.
WOULD_WAIT, END, FAILED, CLOSED = "would wait", "end", "failed", "closed"


@attrs.define(eq=False)
class Reader:
    """A subscription and what it should have seen."""

    subscription: Subscription
    policy: Policy
    #: The index that it started from.
    start: int
    #: How many events there were when it subscribed: for those the producer does not wait.
    before: int
    seen: list[int] = attrs.field(factory=list)
    failures: list[FastGPTError] = attrs.field(factory=list)
    ended: bool = False
    closed: bool = False


class FanoutMachine(RuleBasedStateMachine):
    """Drive a fan-out one step at a time, inside an event loop of the given backend.

    The producer's part of the contract is played here: an event is appended, announced, and for
    each paced subscription handed over; the push that would wait is remembered as pending.
    """

    backend: str = "asyncio"
    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.portal: Any = anyio.from_thread.start_blocking_portal(self.backend)
        self.call = self.portal.__enter__().call
        self.events: list[Any] = []
        self.fanout = Fanout(self.events)
        self.all: list[Reader] = []
        self.failure: FastGPTError | None = None
        self.cause = OSError("the line broke")
        #: The permits that the newest event still has to hand over.
        self.pending: list[Any] = []

    def teardown(self) -> None:
        self.call(self._close_all)
        self.portal.__exit__(None, None, None)

    async def _close_all(self) -> None:
        self.fanout.close()
        for reader in self.all:
            assert await self._read(reader.subscription) == CLOSED
        with pytest.raises(UsageError):
            self.fanout.subscribe(Policy.lossless(), "late")
        assert self.fanout.open_subscriptions == 0
        assert self.fanout.waiting == []

    # --- the producer's side ---------------------------------------------------------------

    def _hand_over(self) -> None:
        still = []
        for permits, index in self.pending:
            if not permits.closed and not permits.offer(index):
                still.append((permits, index))
        self.pending = still

    @precondition(lambda self: not self.fanout.ended and not self.pending)
    @rule(count=st.integers(1, 90))
    def push(self, count: int) -> None:
        async def append() -> None:
            for _ in range(count):
                index = len(self.events)
                self.events.append(
                    AnswerDelta(index=index, name="answer", raw=b"{}", text=f"<{index}>")
                )
                self.fanout.wake()
                self.pending = [(permits, index) for permits in self.fanout.paced()]
                self._hand_over()
                if self.pending:
                    return

        self.call(append)

    @precondition(lambda self: not self.fanout.ended)
    @rule(fails=st.booleans())
    def end(self, fails: bool) -> None:
        async def finish() -> None:
            if fails:
                self.failure = ReplyInterruptedError("cut")
                self.failure.__cause__ = self.cause
            self.fanout.end(self.failure)
            self.pending = []

        self.call(finish)

    # --- the consumers' side ---------------------------------------------------------------

    @initialize(target=readers)
    def first(self) -> Reader:
        return self._subscribe(Policy.lossless())

    @rule(target=readers, policy=policies)
    def subscribe(self, policy: Policy) -> Reader:
        return self._subscribe(policy)

    def _subscribe(self, policy: Policy) -> Reader:
        async def subscribe() -> Subscription:
            return self.fanout.subscribe(policy, "reader")

        start = len(self.events) if policy.kind == "live" else 0
        reader = Reader(self.call(subscribe), policy, start, len(self.events))
        self.all.append(reader)
        return reader

    @rule(reader=readers, count=st.integers(1, 150), method=st.sampled_from(["one", "many"]))
    def read(self, reader: Reader, count: int, method: str) -> None:
        for _ in range(count):
            got = self.call(self._read, reader.subscription, method)
            if isinstance(got, list):
                assert not reader.closed
                assert not reader.ended
                reader.seen += got
                self.call(self._after_a_read)
                continue
            if isinstance(got, FastGPTError):
                # An exception object of its own, with the one cause.
                assert all(got is not other for one in self.all for other in one.failures)
                assert got is not self.failure
                assert got.__cause__ is self.cause
                reader.failures.append(got)
                got = FAILED
            if got == CLOSED:
                assert reader.closed
            elif got == WOULD_WAIT:
                assert not reader.closed
                assert not self.fanout.ended
                self._has_all_it_may_have(reader)
            else:
                assert self.fanout.ended
                assert (got == FAILED) == (self.failure is not None)
                reader.ended = True
                self._has_all_it_may_have(reader)
            return

    async def _after_a_read(self) -> None:
        self._hand_over()

    async def _read(self, subscription: Subscription, method: str = "one") -> Any:
        try:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tg:

                    async def give_up() -> None:
                        # A read that has something needs one turn of the loop, or two.
                        for _ in range(10):
                            await anyio.lowlevel.checkpoint()
                            self._hand_over()
                        scope.cancel()

                    tg.start_soon(give_up)
                    try:
                        if method == "one":
                            return [(await subscription.receive()).index]
                        return [event.index for event in await subscription.receive_many()]
                    except anyio.EndOfStream:
                        return END
                    except anyio.ClosedResourceError:
                        return CLOSED
                    except FastGPTError as error:
                        return error
                    finally:
                        tg.cancel_scope.cancel()
        except FastGPTError:
            raise AssertionError("a failure left in a group") from None
        return WOULD_WAIT

    @rule(reader=consumes(readers))
    def close(self, reader: Reader) -> None:
        async def close() -> None:
            reader.subscription.close()
            self._hand_over()

        self.call(close)
        reader.closed = True

    # --- what always holds -----------------------------------------------------------------

    def _has_all_it_may_have(self, reader: Reader) -> None:
        """Nothing that arrived is kept back from a reader that has to wait."""
        if reader.policy.kind == "live":
            assert reader.start + len(reader.seen) + reader.subscription.dropped == len(self.events)
        else:
            assert len(reader.seen) == len(self.events)

    @invariant()
    def every_reader_has_seen_what_its_policy_promises(self) -> None:
        for reader in self.all:
            seen = reader.seen
            if reader.policy.kind == "live":
                assert seen == sorted(set(seen))
                assert all(index >= reader.start for index in seen)
                assert reader.subscription.statistics().received == len(seen)
            else:
                assert seen == list(range(len(seen)))
                assert reader.subscription.dropped == 0

    @invariant()
    def the_producer_is_at_most_the_buffer_and_one_ahead_of_every_paced_reader(self) -> None:
        for reader in self.all:
            if reader.policy.kind != "paced" or reader.closed or self.fanout.ended:
                continue
            ahead = len(self.events) - max(len(reader.seen), reader.before)
            assert ahead <= reader.policy.buffer + 1

    @invariant()
    def closed_subscriptions_are_forgotten(self) -> None:
        still_open = sum(not reader.closed for reader in self.all)
        assert self.fanout.open_subscriptions == still_open


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_fan_out_keeps_its_promises_in_every_order(backend: str) -> None:
    if backend == "trio":
        pytest.importorskip("trio")
    machine = type("Machine", (FanoutMachine,), {"backend": backend})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )

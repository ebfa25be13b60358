"""Nothing is left behind, lost or wrapped, wherever a scenario is cancelled."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client import (
    Policy,
    QuotaExceededError,
    ReplyInterruptedError,
    ServerError,
    _stop,
)
from fastgpt_client.testing import (
    Delta,
    ErrorFrame,
    FakeFastGPT,
    Script,
    SilentModel,
    Status,
    chat_script,
)

from .scripted import asyncio_only
from .sweep import Scenario, Stage, sweep, sweep_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastgpt_client import Subscription

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive, pytest.mark.timeout(600)]

TEXT = ["Once ", "upon ", "a ", "time."]


def tell(server: FakeFastGPT) -> None:
    server.script(chat_script(TEXT))


def fall_silent(server: FakeFastGPT) -> None:
    server.script(Script(*map(Delta, TEXT), SilentModel()))


def run_out_of_points(server: FakeFastGPT) -> None:
    error = ErrorFrame("no points", 500004, "aiPointsNotEnough")
    server.script(Script(*map(Delta, TEXT), error))


def refuse(server: FakeFastGPT) -> None:
    server.script(Status(502, "<html>bad gateway</html>" * 50, "text/html"))


# --- scenarios ---------------------------------------------------------------------------------


async def stream_to_the_end(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await stage.reader(reply)(reply)


async def three_consumers_with_feed(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await reply.feed(*[stage.reader(reply) for _ in range(3)])


async def a_task_group_of_its_own(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply, anyio.create_task_group() as tg:
        stage.take(reply)
        for _ in range(3):
            tg.start_soon(stage.reader(reply), reply.subscribe())


async def a_slow_paced_consumer(stage: Stage) -> None:
    async def slow(subscription: Subscription) -> None:
        seen = stage.reader(reply)

        class Slowly:
            def __aiter__(self) -> Slowly:
                return self

            async def __anext__(self) -> object:
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                return await subscription.__anext__()

        await seen(Slowly())

    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await reply.feed(slow, stage.reader(reply), policy=Policy.paced())


async def a_live_consumer(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        live = reply.subscribe(Policy.live(1))
        count = 0
        async for _ in live:
            count += 1
            await anyio.lowlevel.checkpoint()
        assert count + live.dropped == reply.timings.events


async def an_early_break(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async for event in reply:
            if event.text:
                break


async def a_late_subscriber(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await reply.final()
        await reply.feed(stage.reader(reply), stage.reader(reply))


async def v2_with_stop(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async for event in reply:
            if event.text == TEXT[-1]:
                await reply.stop()
        assert (await reply.final()).text == reply.text


async def v2_left_early(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async for event in reply:
            if event.text == TEXT[-1]:
                break


async def ask(stage: Stage) -> None:
    answer = await stage.client.ask("Hi")
    assert answer.text == "".join(TEXT)


async def an_error_after_text(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await stage.reader(reply)(reply)


async def an_error_in_a_task_group_of_its_own(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply, anyio.create_task_group() as tg:
        stage.take(reply)
        for _ in range(3):
            tg.start_soon(stage.reader(reply), reply.subscribe())


async def an_error_with_feed_that_cancels(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await reply.feed(stage.reader(reply), stage.reader(reply), on_failure="cancel")


async def a_full_connection_pool(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async for event in reply:
            if event.text:
                break

        async def second() -> None:
            async with stage.client.stream("Hi again") as other:
                stage.take(other)
                await stage.reader(other)(other)

        async with anyio.create_task_group() as tg:
            tg.start_soon(second)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            tg.cancel_scope.cancel()


async def a_body_that_raises(stage: Stage) -> None:
    mine = ValueError("mine")
    stage.own.append(mine)
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async for event in reply:
            if event.text:
                raise mine


async def a_body_that_raises_a_group(stage: Stage) -> None:
    mine = ExceptionGroup("mine", [ValueError(1), KeyError(2)])
    stage.own.append(mine)
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async for event in reply:
            if event.text:
                raise mine


async def a_refusal(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await reply.final()


async def two_chats_at_once(stage: Stage) -> None:
    async def chat() -> None:
        async with stage.client.stream("Hi") as reply:
            stage.take(reply)
            await reply.feed(stage.reader(reply), stage.reader(reply))

    async with anyio.create_task_group() as tg:
        tg.start_soon(chat)
        tg.start_soon(chat)


async def a_client_that_is_closed(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        async with anyio.create_task_group() as tg:
            tg.start_soon(stage.reader(reply), reply.subscribe())
            while reply.text != "".join(TEXT):  # noqa: ASYNC110 - every step counts here
                await anyio.lowlevel.checkpoint()
            await stage.client.aclose()


async def a_late_exit(stage: Stage) -> None:
    async with stage.client.stream("Hi") as reply:
        stage.take(reply)
        await reply.final()
        await stage.reader(reply)(reply)


V2 = {"api": "v2", "app_id": "65f0000000000000000000aa"}
SCENARIOS = [
    Scenario(stream_to_the_end, tell),
    Scenario(three_consumers_with_feed, tell),
    Scenario(a_task_group_of_its_own, tell),
    Scenario(a_slow_paced_consumer, tell),
    Scenario(a_live_consumer, tell),
    Scenario(an_early_break, fall_silent),
    Scenario(a_late_subscriber, tell),
    Scenario(v2_with_stop, fall_silent, options=V2),
    Scenario(v2_left_early, fall_silent, options=V2),
    Scenario(ask, tell),
    Scenario(ask, tell, options=V2),
    Scenario(an_error_after_text, run_out_of_points, expected=(QuotaExceededError,)),
    Scenario(
        an_error_in_a_task_group_of_its_own, run_out_of_points, expected=(QuotaExceededError,)
    ),
    Scenario(an_error_with_feed_that_cancels, run_out_of_points, expected=(QuotaExceededError,)),
    Scenario(a_full_connection_pool, fall_silent, limits={"max_connections": 1}),
    Scenario(a_body_that_raises, fall_silent),
    Scenario(a_body_that_raises_a_group, fall_silent),
    Scenario(a_refusal, refuse, expected=(ServerError,)),
    Scenario(two_chats_at_once, tell),
    Scenario(a_client_that_is_closed, fall_silent, expected=(ReplyInterruptedError,)),
]


def name_of(scenario: Scenario) -> str:
    return scenario.name


every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
#: Those whose task groups, if they have any, are inside the block: it lets an exit out as itself.
interrupted_scenario = pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if one.play is not two_chats_at_once], ids=name_of
)
trio_only = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(
            ("trio", {}),
            id="trio",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("trio") is None, reason="trio is not installed"
            ),
        )
    ],
    indirect=True,
)
every_library = pytest.mark.parametrize(
    "library",
    [
        "httpx",
        pytest.param(
            "httpx2",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("httpx2") is None, reason="httpx2 is not installed"
            ),
        ),
    ],
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stop, "LINGER_SECONDS", 0.02)


@every_library
@every_scenario
async def test_a_cancelled_scenario_leaves_nothing_behind(
    scenario: Scenario, library: str, record_property: Record
) -> None:
    assert await sweep(scenario, library, record_property) > 3


@asyncio_only
@every_library
@every_scenario
async def test_a_natively_cancelled_scenario_leaves_nothing_behind(
    scenario: Scenario, library: str, record_property: Record
) -> None:
    assert await sweep(scenario, library, record_property, "task.cancel()") > 3


@asyncio_only
@every_scenario
async def test_a_scenario_under_an_asyncio_timeout_leaves_nothing_behind(
    scenario: Scenario, record_property: Record
) -> None:
    assert await sweep(scenario, "httpx", record_property, "asyncio.timeout") > 3


@interrupted_scenario
def test_a_scenario_that_is_interrupted_leaves_nothing_behind(
    scenario: Scenario, anyio_backend: tuple[str, dict[str, Any]], record_property: Record
) -> None:
    assert sweep_interrupts(scenario, "httpx", record_property, anyio_backend) > 3


@pytest.mark.parametrize(
    "scenario", [Scenario(stream_to_the_end, tell), Scenario(a_late_exit, tell)], ids=name_of
)
async def test_a_body_that_exits_leaves_nothing_behind(
    scenario: Scenario, record_property: Record
) -> None:
    assert await sweep(scenario, "httpx", record_property, "SystemExit") > 3


# asyncio takes such an exception of another task than the main one out of the loop, and that ends it.
@trio_only
@pytest.mark.parametrize(
    "scenario",
    [Scenario(three_consumers_with_feed, tell), Scenario(a_task_group_of_its_own, tell)],
    ids=name_of,
)
async def test_a_consumer_that_exits_leaves_nothing_behind(
    scenario: Scenario, record_property: Record
) -> None:
    assert await sweep(scenario, "httpx", record_property, "SystemExit") > 3

"""Observers see each reply from its beginning to its end, and change nothing."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fastgpt_client import (
    AsyncChatClient,
    FastGPTError,
    ServerError,
    Status,
    UsageError,
    WorkflowError,
)
from fastgpt_client.testing import Delta, FakeFastGPT, NoHeaders, Script, WaitFor
from fastgpt_client.testing import Status as HTTPStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastgpt_client._observation import Asked

pytestmark = pytest.mark.anyio


class Observer:
    """Write down what is seen."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.errors: list[BaseException | None] = []
        self.statuses: list[Status | None] = []

    @contextmanager
    def __call__(self, asked: Asked) -> Iterator[None]:
        self.asked.append(asked)
        asked.headers["x-observed"] = "yes"
        error: BaseException | None = None
        try:
            yield
        except BaseException as met:
            error = met
            raise
        finally:
            self.errors.append(error)
            self.statuses.append(None if asked.reply is None else asked.reply.status)


def observed(server: FakeFastGPT, *observers: Any) -> AsyncChatClient:
    client = AsyncChatClient(server.api_key, server.base_url)
    client._observers = observers
    return client


async def test_an_observer_is_there_before_the_request_and_until_the_reply_has_ended() -> None:
    observer = Observer()
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, observed(server, observer) as client:
            async with client.stream("Hi", chat_id="c") as reply:
                (asked,) = observer.asked
                assert asked.reply is reply
                assert observer.errors == []
                await reply.final()
            assert dict(server.requests[0].headers)["x-observed"] == "yes"
    assert asked.request.chat_id == "c"
    assert asked.base_url == server.base_url
    assert observer.errors == [None]
    assert observer.statuses == [Status.COMPLETE]
    assert server.api_key not in repr(asked)


async def test_an_observer_sees_the_very_error_that_the_block_raises() -> None:
    observer = Observer()
    mine = ValueError("mine")
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, observed(server, observer) as client:
            server.enqueue(HTTPStatus(500, {"code": 500, "message": "no"}))
            with pytest.raises(ServerError) as refused:
                await client.ask("Hi")
            server.reply("Once", error="broken")
            with pytest.raises(WorkflowError) as failed:
                await client.ask("Hi")
            server.script(Script(Delta("Once"), WaitFor("never")))
            with pytest.raises(ValueError, match="mine") as own:
                async with client.stream("Hi"):
                    raise mine
            with anyio.CancelScope() as scope:
                async with client.stream("Hi"):
                    scope.cancel()
                    await anyio.sleep_forever()
    assert observer.errors[:3] == [refused.value, failed.value, mine]
    assert own.value is mine
    assert not isinstance(observer.errors[3], Exception | None)
    assert observer.statuses == [None, Status.FAILED, Status.ABANDONED, Status.ABANDONED]


async def test_an_observer_sees_a_cancellation_while_the_server_is_silent() -> None:
    observer = Observer()
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, observed(server, observer) as client:
            server.script(Script(NoHeaders()))
            async with anyio.create_task_group() as group:
                group.start_soon(client.ask, "Hi")
                await server.wait_request()
                group.cancel_scope.cancel()
    (error,) = observer.errors
    assert not isinstance(error, Exception | None)


@pytest.mark.parametrize("when", ["called", "entered", "left"])
async def test_an_observer_that_fails_is_logged_and_changes_nothing(
    when: str, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def broken(asked: Asked) -> Iterator[None]:
        if when == "entered":
            raise RuntimeError("broken observer")
        try:
            yield
        finally:
            raise RuntimeError("broken observer")

    def broken_at_once(asked: Asked) -> Any:
        raise RuntimeError("broken observer")

    first, last = Observer(), Observer()
    middle: Any = broken_at_once if when == "called" else broken
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, observed(server, first, middle, last) as client:
            server.enqueue("Once", HTTPStatus(500, {"code": 500, "message": "no"}))
            assert (await client.ask("Hi")).text == "Once"
            with pytest.raises(FastGPTError, match="no"):
                await client.ask("Hi")
    assert len(first.errors) == len(last.errors) == 2
    logged = [record for record in caplog.records if record.name == "fastgpt_client.observation"]
    assert [record.levelno for record in logged] == [logging.ERROR] * 2
    assert all("broken observer" in str(record.exc_text) for record in logged)


async def test_a_block_that_cannot_be_entered_is_not_observed() -> None:
    observer = Observer()
    with anyio.fail_after(5):
        async with FakeFastGPT() as server, observed(server, observer) as client:
            pass
        with pytest.raises(UsageError):
            await client.ask("Hi")
    assert observer.asked == []

"""Nothing is left behind, wherever a call, an upload or a conversation is cancelled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fastgpt_client import InvalidArgumentError, _stop, endpoints
from fastgpt_client.testing import (
    Delta,
    FakeFastGPT,
    Interactive,
    RawResponse,
    Script,
    Status,
)

from .recordings import stream_response
from .scripted import asyncio_only
from .sweep import Scenario, Stage, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgpt_client.testing import RecordedRequest

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive, pytest.mark.timeout(600)]

A = "65f0000000000000000000aa"
CHAT = "/api/core/chat/"
OPTIONS = {"api": "v2", "app_id": A}


def answers(server: FakeFastGPT) -> None:
    def page(request: RecordedRequest) -> object:
        start = request.json["offset"]
        return {"total": 3, "list": [{"chatId": str(n)} for n in range(start, min(start + 2, 3))]}

    select = {"type": "userSelect", "params": {"userSelectOptions": [{"key": "a", "value": "A"}]}}
    server.script(Script(Delta("Choose."), Interactive(select)))
    server.route("POST", CHAT + "history/getHistories", page)
    ticket = {"url": f"{server.base_url}/bucket/a", "key": "k", "headers": {"X": "1"}}
    server.route("POST", CHAT + "file/presignChatFilePostUrl", ticket)
    server.route("POST", CHAT + "file/presignChatFileGetUrl", "https://read/k")
    server.route("PUT", "/bucket/a", Status(200, b""), check_key=False)
    saved = [{"obj": "AI", "value": [{"text": {"content": "all of it"}}]}]
    body = json.dumps({"records": {"list": saved}})
    frames = f"event: resumeCompleted\ndata: {body}\n\nevent: done\ndata: [DONE]\n\n"
    server.route("GET", CHAT + "resume", RawResponse(stream_response(frames.encode())))


async def all_pages(stage: Stage) -> None:
    chats = stage.client.iterate(endpoints.histories(A, page_size=2))
    assert [chat.chat_id async for chat in chats] == ["0", "1", "2"]


async def an_upload_from_bytes(stage: Stage) -> None:
    uploaded = await stage.client.upload(b"x" * 100_000, chat_id="c", name="a.txt")
    assert uploaded.url == "https://read/k"


async def an_upload_from_a_file(stage: Stage) -> None:
    await stage.client.upload(__file__, chat_id="c")


async def an_upload_whose_progress_raises(stage: Stage) -> None:
    mine = ZeroDivisionError()
    stage.own.append(mine)

    def progress(sent: int, whole: int) -> None:
        raise mine

    await stage.client.upload(b"x", chat_id="c", name="a.txt", progress=progress)


async def a_conversation(stage: Stage) -> None:
    conversation = stage.client.conversation()
    async with conversation.stream("start") as reply:
        stage.take(reply)
        await stage.reader(reply)(reply)
    assert conversation.pending is not None
    with pytest.raises(InvalidArgumentError):
        conversation.stream("no answer")
    async with conversation.stream(conversation.pending.answer("a")) as reply:
        stage.take(reply)
        await reply.final()


async def a_resumed_reply(stage: Stage) -> None:
    async with stage.client.resume("c") as reply:
        stage.take(reply)
        await stage.reader(reply)(reply)
        assert reply.text == "all of it"


SCENARIOS = [
    Scenario(play, answers, options=OPTIONS)
    for play in (
        all_pages,
        an_upload_from_bytes,
        an_upload_from_a_file,
        an_upload_whose_progress_raises,
        a_conversation,
        a_resumed_reply,
    )
]
every_scenario = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS]
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stop, "LINGER_SECONDS", 0.02)


@every_scenario
async def test_a_cancelled_scenario_leaves_nothing_behind(
    scenario: Scenario, record_property: Record
) -> None:
    assert await sweep(scenario, "httpx", record_property) > 3


@asyncio_only
@every_scenario
async def test_a_natively_cancelled_scenario_leaves_nothing_behind(
    scenario: Scenario, record_property: Record
) -> None:
    assert await sweep(scenario, "httpx", record_property, "task.cancel()") > 3

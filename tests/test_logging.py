"""Each room has a logger of its own, and none tells the key or what was said."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import fastgpt_client
from fastgpt_client import AsyncChatClient, FastGPTError, Policy, Timeouts
from fastgpt_client.asgi import ReplyResponse
from fastgpt_client.testing import (
    CutChunk,
    Delta,
    ErrorFrame,
    FakeFastGPT,
    Frame,
    NodeResponse,
    NoHeaders,
    Raw,
    Reasoning,
    Refusal,
    Reset,
    Script,
    SilentModel,
    Truncate,
    chat_node,
)
from fastgpt_client.testing import Status as HTTPStatus

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "fastgpt-Zq7kX2wVt9LmN4pRsY8uB3cD"
QUESTION = "What does the heron whisper?"
SAID: list[Any] = [Reasoning("The heron thinks."), Delta("It whispers: "), Delta("downhill.")]
#: Parts of what was asked, thought and said.
SECRETS = (KEY, KEY[:14], "heron", "whisper", "downhill")
ECHO = f"{QUESTION} Bearer {KEY}"

FAILURES: dict[str, Any] = {
    "a failed node": Script(*SAID, NodeResponse(chat_node("downhill.", error=ECHO))),
    "an error event": Script(*SAID, ErrorFrame(ECHO, 500)),
    "a reset": Script(*SAID, Reset()),
    "a cut chunk": Script(*SAID, CutChunk()),
    "a clean end too early": Script(*SAID, Truncate()),
    "an event that is not JSON": Script(*SAID, Raw("answer", ECHO)),
    "an event that does not fit": Script(
        *SAID, Frame("plan", ECHO), Raw("flowNodeStatus", ECHO), Reset()
    ),
    "a silent model": Script(*SAID, SilentModel()),
    "no headers": Script(NoHeaders()),
    "a refusal": Refusal(ECHO, 500),
    "a status": HTTPStatus(500, {"code": 500, "message": ECHO}),
    "a page": HTTPStatus(200, f"<p>{ECHO}", "text/html"),
}


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("fastgpt_client")]


def check_secrets(records: list[logging.LogRecord]) -> None:
    for record in records:
        whole = f"{record.getMessage()} {record.args!r} {record.exc_text}"
        assert [secret for secret in SECRETS if secret in whole] == [], whole


def test_each_room_has_one_logger_that_is_named_after_it() -> None:
    folder = Path(fastgpt_client.__file__).parent
    rooms: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for name in re.findall(r'getLogger\("?([^")]*)"?\)', path.read_text(encoding="utf-8")):
            rooms.setdefault(name, []).append(path.name)
    # The command line shows what all rooms say.
    assert rooms.pop("fastgpt_client") == ["_notices.py"]
    assert "block" in {name.rpartition(".")[2] for name in rooms}
    for name, files in rooms.items():
        assert re.fullmatch(r"fastgpt_client\.[a-z]+", name)
        assert len(files) == 1, f"{name} is the logger of {files}"


@pytest.mark.anyio
@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("what", [*FAILURES])
async def test_the_log_of_a_reply_that_fails_has_neither_the_key_nor_what_was_said(
    what: str, api: Any, http_client_factory: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    limits = Timeouts(first_token=0.3, idle=0.3)
    with caplog.at_level(logging.DEBUG), anyio.fail_after(5):
        async with FakeFastGPT(api_key=KEY) as server, http_client_factory() as http:
            server.script(FAILURES[what])
            client = AsyncChatClient(
                KEY, server.base_url, api=api, http_client=http, enable_logging=True
            )
            async with client:
                with pytest.raises(FastGPTError):
                    async with client.stream(QUESTION, timeouts=limits) as reply:
                        await reply.feed(*[_read] * 2, policy=Policy.paced())
    records = ours(caplog)
    assert records, "nothing was logged, so nothing was tested"
    check_secrets(records)


async def _read(events: Any) -> None:
    async for _ in events:
        pass


@pytest.mark.anyio
async def test_how_a_reply_ended_is_one_line_of_its_block(
    http_client_factory: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "fastgpt_client.block"), anyio.fail_after(5):
        async with FakeFastGPT() as server, http_client_factory() as http:
            server.enqueue(Script(*SAID), Script(*SAID, Reset()), Script(Reset()))
            client = AsyncChatClient(server.api_key, server.base_url, http_client=http)
            async with client:
                await client.ask(QUESTION)
                for _ in range(2):
                    with pytest.raises(FastGPTError):
                        await client.ask(QUESTION)
    lines = [re.sub(r"\d+", "0", record.getMessage()) for record in ours(caplog)]
    assert lines[0] == (
        "the reply is complete after 0.0 s, the first token after 0.0 s: "
        "0 events, 0 heartbeats, 0 bytes"
    )
    assert lines[1].startswith("the reply is failed (ReplyInterruptedError) after 0.0 s, ")


@pytest.mark.anyio
async def test_a_web_servers_log_of_a_failure_has_no_key(
    http_client_factory: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        await anyio.lowlevel.checkpoint()

    with caplog.at_level(logging.DEBUG), anyio.fail_after(5):
        async with FakeFastGPT(api_key=KEY) as server, http_client_factory() as http:
            server.script(FAILURES["a failed node"])
            async with AsyncChatClient(KEY, server.base_url, http_client=http) as client:
                scope = {"type": "http", "method": "GET", "headers": []}
                await ReplyResponse(client, QUESTION)(scope, receive, send)
    (record,) = [record for record in ours(caplog) if record.name == "fastgpt_client.asgi"]
    assert "WorkflowError" in record.getMessage()
    assert KEY[:14] not in record.getMessage()

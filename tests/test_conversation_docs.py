"""The blocks of the page on conversations do what the page says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

import fastgpt_client as f
from fastgpt_client.testing import CutChunk, Delta, FakeFastGPT, Interactive, Script, Status

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parent.parent / "docs" / "conversations.md"
CHAT = "/api/core/chat/"
SELECT = {
    "type": "userSelect",
    "params": {"userSelectOptions": [{"key": "option1", "value": "Outside"}]},
}
GUESTS = f.FormField(key="guests", label="Guests", type="numberInput")


async def run(source: str, names: dict[str, Any]) -> None:
    code = compile(source, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    coroutine = eval(code, names)
    if inspect.iscoroutine(coroutine):
        await coroutine


async def test_each_block_runs_in_its_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocks = re.findall(
        r"^```python[^\n]*\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    shown: list[str] = []
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    monkeypatch.chdir(tmp_path)
    with anyio.fail_after(15):
        async with FakeFastGPT() as server:
            async with f.AsyncChatClient(
                server.api_key, server.base_url, app_id=server.app_id, api="v2"
            ) as client:
                conversation = client.conversation()
                names = {name: getattr(f, name) for name in f.__all__}
                names |= {"client": client, "APP": server.app_id, "Path": Path}
                names |= {"show": shown.append, "conversation": conversation}

                def page(_: Any) -> Any:
                    text = [{"text": {"content": "saved"}}]
                    answer_id = names["conversation"].answer_id
                    return {"total": 1, "list": [{"dataId": answer_id, "obj": "AI", "value": text}]}

                ticket = {"url": f"{server.base_url}/bucket/r", "key": "k", "headers": {}}
                for method, path, data in (
                    ("POST", CHAT + "getPaginationRecords", page),
                    ("GET", CHAT + "getResData", []),
                    ("GET", CHAT + "init", {"app": {}}),
                    ("POST", CHAT + "feedback/updateUserFeedback", {}),
                    ("PUT", CHAT + "updateHistory", None),
                    ("POST", "/api/core/ai/agent/v2/createQuestionGuide", ["more?"]),
                    ("POST", CHAT + "getHistories", {"total": 1, "list": [{"title": "Rivers"}]}),
                    ("POST", CHAT + "file/presignChatFilePostUrl", ticket),
                    ("POST", CHAT + "file/presignChatFileGetUrl", "https://read/k"),
                    ("GET", "/api/core/app/detail", {"name": "app"}),
                ):
                    server.route(method, path, data)
                server.route("PUT", "/bucket/r", Status(200, b""), check_key=False)
                for block in blocks:
                    if "Book a table" in block:
                        server.enqueue(Script(Interactive(SELECT)), Script(Delta("Booked.")))
                    elif "recover" in block:
                        server.enqueue(Script(Delta("Once "), CutChunk()))
                    elif "form" in block:
                        names["question"] = f.Interactive(
                            kind="userInput",
                            fields=(f.FormField(key="name"), GUESTS),
                            index=0,
                            name="interactive",
                            raw=b"",
                        )
                    await run(block, names)
                    if "Book a table" in block:
                        assert names["answer"].text == "Booked."
                    elif "recover" in block:
                        assert shown == ["Once "]
                        assert names["answer"].text == "saved"
                assert names["detail"] == {"name": "app"}
                assert server.requests[-1].query == {"appId": server.app_id}
    printed = capsys.readouterr().out
    for words in (
        "option1 Outside",
        "guests 'guests' (Guests) must be a number, not 'three'",
        "4 4",
        "assistant saved",
        "('more?',)",
        "Rivers",
    ):
        assert words in printed
    assert len(blocks) == 8

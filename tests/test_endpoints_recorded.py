"""Every recorded call around the chat, on a real socket, means to the client what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import attrs
import pytest

import fastgpt_client as f
from fastgpt_client import AsyncChatClient
from fastgpt_client.testing import FakeFastGPT, RawResponse

from .neighbours import (
    Neighbour,
    call_of,
    count_neighbours,
    error_of,
    facts_of,
    neighbours,
    seen_facts,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def recorded(captures: Path) -> list[Neighbour]:
    return neighbours(captures)


async def outcome_of(client: AsyncChatClient, neighbour: Neighbour) -> list[str]:
    """Ask as recorded, and return what was misunderstood."""
    call, _ = call_of(neighbour)
    wanted = error_of(neighbour)
    try:
        with anyio.fail_after(5):
            if call is None:
                result = await client.request(neighbour.method, neighbour.path)
            else:
                # The function's reader, at the recorded address.
                here = attrs.evolve(call, method=neighbour.method, paths=(neighbour.path,))
                result = await client.call(here)
    except f.FastGPTError as error:
        if wanted is None or type(error) is not wanted:
            return [f"{wanted} is seen as {error!r}"]
        code = None if neighbour.is_html else neighbour.payload["code"]
        found = (getattr(error, "status_code", None), getattr(error, "code", None))
        expected = (neighbour.exchange.status, code)
        return [] if found == expected else [f"{expected} is seen as {found}"]
    if wanted is not None:
        return [f"{wanted} is seen as {result!r}"]
    facts, seen = facts_of(neighbour), seen_facts(neighbour, result)
    return [] if facts == seen else [f"{facts!r} is seen as {seen!r}"]


async def test_each_recorded_call_is_understood(recorded: list[Neighbour], captures: Path) -> None:
    wrong: list[str] = []
    understood = 0
    async with (
        FakeFastGPT() as server,
        AsyncChatClient(server.api_key, server.base_url, app_id=server.app_id) as client,
    ):
        for neighbour in recorded:
            answer = RawResponse(neighbour.raw)
            server.route(neighbour.method, neighbour.path, answer, check_key=False)
            found = await outcome_of(client, neighbour)
            wrong += [f"{neighbour.name}: {problem}" for problem in found]
            understood += not found
    assert not wrong, "\n".join(wrong)
    assert understood == count_neighbours(captures) > 200


def test_each_recorded_good_request_is_written_as_it_was_recorded(
    recorded: list[Neighbour],
) -> None:
    wrong: list[str] = []
    compared = 0
    for neighbour in recorded:
        call, is_same = call_of(neighbour)
        if call is None or not is_same:
            continue
        sent = dict(call.query)
        if call.body is not None:
            sent |= json.loads(call.body)
        asked = {name: value for name, value in neighbour.fields.items() if value is not None}
        if neighbour.path.endswith("getHistories") and "pageNum" in asked:
            # The package counts by offset.
            del asked["pageNum"]
        # Optional there, always sent here; the hint of a size is not sent.
        for name in ("offset", "pageSize", "size"):
            if name not in asked or name not in sent:
                asked.pop(name, None)
                sent.pop(name, None)
        if neighbour.path.endswith("presignChatFileGetUrl"):
            sent.pop("chatId")
            asked.pop("chatId", None)
        # Where 4.14.7 has no such page, the package may look elsewhere.
        if sent != asked or (neighbour.path not in call.paths and not neighbour.is_html):
            wrong.append(f"{neighbour.name}: {asked} is written as {sent} to {call.paths}")
        compared += 1
    assert not wrong, "\n".join(wrong)
    assert compared > 100

"""Hand-written exchanges, on a real socket, mean to the client what is written beside them."""

from __future__ import annotations

import anyio
import pytest

from fastgpt_client import AsyncChatClient
from fastgpt_client.testing import FakeFastGPT

from .standins import STANDINS
from .standins.building import Standin
from .understanding import EVENT_CLASSES, ask, misunderstood, open_connections, read

standins = pytest.mark.parametrize("standin", STANDINS, ids=lambda standin: standin.name)


@pytest.mark.anyio
@standins
@pytest.mark.parametrize("cut", [None, 1], ids=["whole", "byte by byte"])
async def test_a_handwritten_exchange_is_understood(standin: Standin, cut: int | None) -> None:
    exchange = standin.exchange
    async with (
        FakeFastGPT() as server,
        AsyncChatClient(server.api_key, server.base_url) as client,
    ):
        for way in (read, ask) if cut is None else (read,):
            server.play_raw(exchange.raw, cut=cut, close=exchange.broken)
            with anyio.fail_after(5):
                seen = await way(client, exchange)
            assert misunderstood(standin.meaning, seen) == []
            assert open_connections(client) == []


def test_every_documented_event_has_a_stand_in() -> None:
    seen = {name for standin in STANDINS for name, _, _ in standin.meaning.events}
    assert set(EVENT_CLASSES) <= seen

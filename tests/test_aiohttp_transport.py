"""With aiohttp underneath an httpx client, requests and replies are the same."""

from __future__ import annotations

import importlib.util

import anyio
import httpx
import pytest

from fastgpt_client import AsyncChatClient, ConnectError, ReplyTimeoutError, Subscription
from fastgpt_client.testing import FakeFastGPT

from .scripted import asyncio_only

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        importlib.util.find_spec("httpx_aiohttp") is None, reason="httpx-aiohttp is not installed"
    ),
    asyncio_only,
]


def http_client() -> httpx.AsyncClient:
    from httpx_aiohttp import AiohttpTransport

    return httpx.AsyncClient(transport=AiohttpTransport())


async def text_of(subscription: Subscription) -> str:
    return "".join([event.text async for event in subscription])


async def test_the_request_arrives_whole_and_three_consumers_read_the_reply() -> None:
    async with FakeFastGPT() as server, http_client() as http:
        server.reply("Once upon a time")
        client = AsyncChatClient(server.api_key, server.base_url, http_client=http)
        with anyio.fail_after(5):
            async with client.stream("Tell me a short story") as reply:
                texts = await reply.feed(text_of, text_of, text_of)
        (request,) = server.requests
        assert request.json["messages"] == [{"role": "user", "content": "Tell me a short story"}]
        assert set(texts) == {reply.text}
        assert reply.text == "Once upon a time"


async def test_leaving_early_leaves_the_client_usable() -> None:
    async with FakeFastGPT() as server, http_client() as http:
        server.reply("Once upon a time there was a long story")
        client = AsyncChatClient(server.api_key, server.base_url, http_client=http)
        with anyio.fail_after(5):
            async with client.stream("Hi") as reply:
                async for _ in reply:
                    break
            assert (await client.ask("Again")).text


async def test_a_refused_connection_is_a_failure_of_the_connection() -> None:
    async with http_client() as http:
        client = AsyncChatClient("key", "http://127.0.0.1:1", http_client=http)
        with anyio.fail_after(5), pytest.raises((ConnectError, ReplyTimeoutError)):
            await client.ask("Hi")

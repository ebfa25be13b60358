"""Read one reply in each of the ways that are compared, and say how much was seen.

A reader is opened once; then it reads replies, one for each path given to it. What it returns is
a count that the harness checks: characters of text, or bytes of the body where nothing is decoded.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import attrs
import httpx

from fastgpt_client import AsyncChatClient, Subscription
from fastgpt_client.consumers import count_tokens, print_text, print_words

if TYPE_CHECKING:
    import httpx2

Read = Callable[[str], Awaitable[int]]
Open = Callable[[str], AbstractAsyncContextManager[Read]]

KEY = "fastgpt-benchmark"
HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "text/event-stream"}
BODY = {"stream": True, "detail": True, "messages": [{"role": "user", "content": "hi"}]}
PATH = "/api/v1/chat/completions"
#: Every reply here fits.
MAX_BYTES = 1 << 30


@attrs.frozen
class Reader:
    """Name one way to read.

    :param name: what tables call it.
    :param open: opens it, given the server's URL.
    :param counts: what it returns: characters of text, or bytes.
    """

    name: str
    open: Open
    counts: Literal["text", "bytes"] = "text"


def text_of(chunk: Any) -> str:
    """Return the text of one decoded chunk, as the seed's loop takes it out."""
    if "choices" in chunk and chunk["choices"]:  # noqa: RUF019 - as it is written there
        return chunk["choices"][0].get("delta", {}).get("content", "") or ""
    return ""


def httpx_client() -> httpx.AsyncClient:
    """Return a client without limits of its own."""
    # Without limits of its own: httpx arms its default read limit at every read.
    return httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))  # noqa: S113


def _httpx2() -> httpx2.AsyncClient:
    import httpx2

    return httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(max_connections=None))


def _httpx_over_aiohttp() -> httpx.AsyncClient:
    from httpx_aiohttp import AiohttpTransport

    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(transport=AiohttpTransport(limits=limits), timeout=None)  # noqa: S113


def raw(make_client: Callable[[], Any], *, public: bool = True) -> Open:
    """Read the bytes and do nothing.

    :param make_client: makes the HTTP client.
    :param public: read through ``aiter_raw()``, not the bare ``response.stream``.
    """

    @asynccontextmanager
    async def opened(server: str) -> AsyncIterator[Read]:
        async with make_client() as client:

            async def read(path: str) -> int:
                size = 0
                url = server + path + PATH
                async with client.stream("POST", url, headers=HEADERS, json=BODY) as response:
                    async for chunk in response.aiter_raw() if public else response.stream:
                        size += len(chunk)
                return size

            yield read

    return opened


@asynccontextmanager
async def seed(server: str) -> AsyncIterator[Read]:
    """Run the loop of the seed's asynchronous example."""
    async with httpx_client() as client:

        async def read(path: str) -> int:
            size = 0
            url = server + path + PATH
            async with client.stream("POST", url, headers=HEADERS, json=BODY) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        data = line[5:].strip()
                        if data and data != "[DONE]":
                            size += len(text_of(json.loads(data)))
            return size

        yield read


@asynccontextmanager
async def httpx_sse(server: str) -> AsyncIterator[Read]:
    """Read server-sent events with httpx-sse, and decode each with the json module."""
    from httpx_sse import aconnect_sse

    async with httpx_client() as client:

        async def read(path: str) -> int:
            size = 0
            url = server + path + PATH
            async with aconnect_sse(client, "POST", url, headers=HEADERS, json=BODY) as source:
                async for event in source.aiter_sse():
                    if event.data != "[DONE]":
                        size += len(text_of(event.json()))
            return size

        yield read


@asynccontextmanager
async def aiohttp_orjson(server: str) -> AsyncIterator[Read]:
    """Read lines with aiohttp, and decode each with orjson."""
    import aiohttp
    import orjson

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def read(path: str) -> int:
            size = 0
            async with session.post(server + path + PATH, headers=HEADERS, json=BODY) as response:
                async for line in response.content:
                    if line.startswith(b"data: ") and line != b"data: [DONE]\n":
                        size += len(text_of(orjson.loads(line[6:])))
            return size

        yield read


@asynccontextmanager
async def openai_python(server: str) -> AsyncIterator[Read]:
    """Read with the OpenAI library, which builds a model of each chunk."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key=KEY, base_url=server, max_retries=0) as client:

        async def read(path: str) -> int:
            size = 0
            here = client.with_options(base_url=server + path + "/api/v1")
            stream = await here.chat.completions.create(
                model="fastgpt", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            async for chunk in stream:
                if chunk.choices:
                    size += len(chunk.choices[0].delta.content or "")
            return size

        yield read


async def measure_text(subscription: Subscription) -> int:
    """Add up the lengths of the texts: the least that looks at each of them."""
    size = 0
    async for event in subscription:
        size += len(event.text)
    return size


def ours(consumers: int, make_client: Callable[[], Any] = httpx_client) -> Open:
    """Read with fastgpt_client.

    :param consumers: how many read each reply through ``feed``; 0 stands for one plain loop.
    :param make_client: makes the HTTP client.
    """

    @asynccontextmanager
    async def opened(server: str) -> AsyncIterator[Read]:
        async with make_client() as http:

            async def read(path: str) -> int:
                async with (
                    AsyncChatClient(
                        KEY, server + path, http_client=http, max_reply_bytes=MAX_BYTES
                    ) as client,
                    client.stream("hi") as reply,
                ):
                    if consumers:
                        sizes = set(await reply.feed(*[measure_text] * consumers))
                        assert len(sizes) == 1, sizes
                        return int(sizes.pop())
                    size = 0
                    async for event in reply:
                        size += len(event.text)
                    return size

            yield read

    return opened


@asynccontextmanager
async def ours_printing(server: str) -> AsyncIterator[Read]:
    """Read with the three consumers that the library ships, printing into nothing."""
    import io

    class Nowhere(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    async def print_all(subscription: Subscription) -> None:
        await print_text(subscription, file=Nowhere())

    async def print_by_word(subscription: Subscription) -> None:
        await print_words(subscription, file=Nowhere())

    async with httpx_client() as http:

        async def read(path: str) -> int:
            async with (
                AsyncChatClient(KEY, server + path, http_client=http) as client,
                client.stream("hi") as reply,
            ):
                await reply.feed(print_all, count_tokens, print_by_word)
                return len(reply.text)

        yield read


RAW = Reader("raw httpx, bytes unread", raw(httpx_client), "bytes")
RAW_STREAM = Reader("raw httpx, response.stream", raw(httpx_client, public=False), "bytes")
RAW_HTTPX2 = Reader("raw httpx2, bytes unread", raw(_httpx2), "bytes")
SEED = Reader("the seed's loop, one consumer", seed)
HTTPX_SSE = Reader("httpx-sse and json, one consumer", httpx_sse)
AIOHTTP = Reader("aiohttp and orjson, one consumer", aiohttp_orjson)
OPENAI = Reader("openai-python, one consumer", openai_python)
OURS_LOOP = Reader("fastgpt_client, one loop", ours(0))
OURS_ONE = Reader("fastgpt_client, feed of one", ours(1))
OURS_THREE = Reader("fastgpt_client, feed of three", ours(3))
OURS_TEN = Reader("fastgpt_client, feed of ten", ours(10))
OURS_PRINTING = Reader("fastgpt_client, print_text, count_tokens, print_words", ours_printing)
OURS_HTTPX2 = Reader("fastgpt_client on httpx2, feed of three", ours(3, _httpx2))
OURS_AIOHTTP = Reader("fastgpt_client over aiohttp, feed of three", ours(3, _httpx_over_aiohttp))

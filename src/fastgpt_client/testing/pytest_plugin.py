"""Give tests a FastGPT server and a client of it as pytest fixtures.

A project that wants them says so in its root ``conftest.py``::

    pytest_plugins = ["fastgpt_client.testing.pytest_plugin"]

They are not registered by themselves: an entry point would load the embedded server in every run
of pytest in the environment. Options of the server are given by indirect parameters::

    @pytest.mark.parametrize("fastgpt_server", [{"server_version": "4.14.7"}], indirect=True)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from .._client import AsyncChatClient
from .._sync import ChatClient
from ._blocking import BlockingFakeFastGPT
from ._server import FakeFastGPT


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest.fixture
async def fastgpt_server(
    anyio_backend: object, request: pytest.FixtureRequest
) -> AsyncIterator[FakeFastGPT]:
    """Run a FastGPT server inside the test's event loop."""
    async with FakeFastGPT(**_options(request)) as server:
        yield server


@pytest.fixture
async def fastgpt_client(fastgpt_server: FakeFastGPT) -> AsyncIterator[AsyncChatClient]:
    """Open a client of that server."""
    async with AsyncChatClient(
        fastgpt_server.api_key, fastgpt_server.base_url, app_id=fastgpt_server.app_id
    ) as client:
        yield client


@pytest.fixture
def blocking_fastgpt_server(request: pytest.FixtureRequest) -> Iterator[BlockingFakeFastGPT]:
    """Run a FastGPT server in a thread of its own, for tests without an event loop."""
    with BlockingFakeFastGPT(**_options(request)) as server:
        yield server


@pytest.fixture
def blocking_fastgpt_client(blocking_fastgpt_server: BlockingFakeFastGPT) -> Iterator[ChatClient]:
    """Open a blocking client of that server."""
    with ChatClient(
        blocking_fastgpt_server.api_key,
        blocking_fastgpt_server.base_url,
        app_id=blocking_fastgpt_server.app_id,
    ) as client:
        yield client

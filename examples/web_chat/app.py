"""Ask FastGPT once and show the answer live in every open tab.

Run it, and open the page that it names in several tabs::

    python examples/web_chat/app.py

The block of a reply is held by one task of the application; each tab is one more subscription of
it, with replay for those that come late. The stop button ends the reply, which stops the model.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fastgpt_client import AsyncChatClient, FastGPTError, Reply
from fastgpt_client.asgi import SubscriptionResponse, describe, http_status

POLL_SECONDS = 25


@dataclass
class Chat:
    """One question and its reply, which stays readable until the next question."""

    number: int
    question: str
    reply: Reply
    scope: anyio.CancelScope


class Room:
    """What all tabs look at."""

    def __init__(self, client: AsyncChatClient, tasks: anyio.abc.TaskGroup) -> None:
        self.client = client
        self.tasks = tasks
        self.chat: Chat | None = None
        self.changed = anyio.Event()
        self._asking = anyio.Lock()
        self._number = 0

    async def ask(self, question: str) -> Chat:
        """Ask, in place of the question before.

        :raises FastGPTError: if the server refuses or cannot be reached.
        """
        async with self._asking:
            if self.chat is not None:
                self.chat.scope.cancel()
            chat: Chat = await self.tasks.start(self._hold, question)
            return chat

    async def _hold(self, question: str, *, task_status: anyio.abc.TaskStatus[Chat]) -> None:
        with anyio.CancelScope() as scope:
            async with self.client.stream(question) as reply:
                self._number += 1
                self.chat = Chat(self._number, question, reply, scope)
                task_status.started(self.chat)
                self.changed.set()
                self.changed = anyio.Event()
                await anyio.sleep_forever()  # tabs read it, also after its end

    def find(self, number: int) -> Chat:
        """Return the chat of that number, if it is still there."""
        if self.chat is None or self.chat.number != number:
            raise HTTPException(404)
        return self.chat


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with AsyncChatClient() as client, anyio.create_task_group() as tasks:
        app.state.room = Room(client, tasks)
        yield
        tasks.cancel_scope.cancel()


async def ask(request: Request) -> Response:
    # A page of another site can send a form, but no JSON.
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415)
    question = (await request.json())["question"]
    try:
        chat = await request.app.state.room.ask(question)
    except FastGPTError as error:
        return JSONResponse({"error": describe(error)}, http_status(error))
    return JSONResponse({"number": chat.number})


async def newest(request: Request) -> Response:
    """Wait for a question that the tab has not seen."""
    room: Room = request.app.state.room
    with anyio.move_on_after(POLL_SECONDS):
        while room.chat is None or room.chat.number == request.path_params["seen"]:
            await room.changed.wait()
        return JSONResponse({"number": room.chat.number, "question": room.chat.question})
    return Response(status_code=204)


async def events(request: Request) -> Response:
    chat: Chat = request.app.state.room.find(request.path_params["number"])
    return SubscriptionResponse(chat.reply)


async def stop(request: Request) -> Response:
    chat: Chat = request.app.state.room.find(request.path_params["number"])
    return JSONResponse({"outcome": await chat.reply.stop()})


app = Starlette(
    routes=[
        Route("/chats", ask, methods=["POST"]),
        Route("/chats/after/{seen:int}", newest),
        Route("/chats/{number:int}/events", events),
        Route("/chats/{number:int}/stop", stop, methods=["POST"]),
        Mount("/", StaticFiles(directory=Path(__file__).parent / "static", html=True)),
    ],
    lifespan=lifespan,
)


async def main() -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ.get('PORT', '8000')}"]
    config.graceful_timeout = 1  # tabs hold their connections open
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        await serve(app, config, shutdown_trigger=signals.__anext__)  # type: ignore[arg-type]


if __name__ == "__main__":
    trio.run(main)

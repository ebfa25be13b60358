"""Test a program against a FastGPT server that runs inside the test.

::

    async with FakeFastGPT() as server:
        server.reply("Once upon a time")
        ...  # a client with base_url=server.base_url and api_key=server.api_key

A :class:`Script` of steps says what a run does, event by event; faults break it at any place::

    server.enqueue(Script(Delta("Once "), WaitFor("test"), Reset()))
    ...
    await server.wait_at_gate("test")
    server.open_gate("test")

The server records what it was asked (:attr:`FakeFastGPT.requests`), what became of its runs
(:attr:`FakeFastGPT.runs`) and who left early (:attr:`FakeFastGPT.disconnects`). It needs no
test framework, and runs on asyncio, uvloop and trio.
"""

from ._answers import RawResponse, Refusal, Status
from ._blocking import BlockingFakeFastGPT
from ._faults import Close, CutChunk, Drip, ErrorFrame, Reset, Truncate
from ._http import RecordedRequest
from ._recording import Recording, RecordingError, RecordingWriter
from ._run import Run
from ._scenes import STORY, chat_node, chat_script, node
from ._script import Script, Step
from ._server import API_KEY, APP_ID, FakeFastGPT
from ._steps import (
    Delta,
    Done,
    FastAnswer,
    Finish,
    Frame,
    Headers,
    Heartbeat,
    Interactive,
    NodeResponse,
    NodeStatus,
    NoHeaders,
    Pause,
    Raw,
    RawBytes,
    Reasoning,
    Silence,
    SilentModel,
    Title,
    ToolCall,
    ToolParams,
    ToolResponse,
    Variables,
    WaitFor,
)

__all__ = [
    "API_KEY",
    "APP_ID",
    "STORY",
    "BlockingFakeFastGPT",
    "Close",
    "CutChunk",
    "Delta",
    "Done",
    "Drip",
    "ErrorFrame",
    "FakeFastGPT",
    "FastAnswer",
    "Finish",
    "Frame",
    "Headers",
    "Heartbeat",
    "Interactive",
    "NoHeaders",
    "NodeResponse",
    "NodeStatus",
    "Pause",
    "Raw",
    "RawBytes",
    "RawResponse",
    "Reasoning",
    "RecordedRequest",
    "Recording",
    "RecordingError",
    "RecordingWriter",
    "Refusal",
    "Reset",
    "Run",
    "Script",
    "Silence",
    "SilentModel",
    "Status",
    "Step",
    "Title",
    "ToolCall",
    "ToolParams",
    "ToolResponse",
    "Truncate",
    "Variables",
    "WaitFor",
    "chat_node",
    "chat_script",
    "node",
]

"""Play a script as an event stream or as a JSON answer."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._dialect import Dialect
from ._faults import Close, CutChunk, Drip, ErrorFrame, Reset, Truncate
from ._http import Exchange
from ._run import Gates, Run
from ._scenes import chat_node, question_of
from ._script import Script, Step
from ._steps import (
    Delta,
    Done,
    Finish,
    Frame,
    Headers,
    Heartbeat,
    NodeResponse,
    NoHeaders,
    Pause,
    RawBytes,
    Silence,
    SilentModel,
    WaitFor,
)
from ._wire import (
    HeaderList,
    WireFrame,
    dumps,
    error_envelope,
    error_frame,
    frame_of,
    json_headers,
    stream_headers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPICAL = Delta("a piece of text that never arrives whole")


@attrs.define(eq=False)
class _Player:
    """What playing a stream and playing a JSON answer have in common.

    :param run: the run that is played.
    :param exchange: where it answers.
    :param dialect: the version played.
    :param gates: the gates of :class:`WaitFor`.
    :param extra_headers: headers after ``x-request-id``.
    """

    run: Run
    exchange: Exchange
    dialect: Dialect
    gates: Gates
    extra_headers: HeaderList

    async def _wait(self, step: Pause | WaitFor) -> None:
        if isinstance(step, Pause):
            await self.run.pause(step.seconds)
        elif isinstance(step.gate, str):
            await self.run.wait(self.gates.arrive(step.gate))
        else:
            await self.run.wait(step.gate)

    async def _for_ever(self) -> None:
        """Wait without an end; a stop ends the run, but the line stays as dead as it was."""
        await self.run.wait()
        self.run.finish("stopped")
        await anyio.sleep_forever()


@attrs.define(eq=False)
class StreamPlayer(_Player):
    """Play a script as server-sent events.

    :param heartbeat_every: seconds between two heartbeats, ``None`` for none.
    """

    heartbeat_every: float | None
    _line: anyio.Lock = attrs.field(factory=anyio.Lock)
    _silent: bool = False
    _finished: bool = False
    _done: bool = False

    async def play(self, script: Script) -> None:
        """Send the whole answer, or as much of it as the script wants."""
        self.exchange.start(200, stream_headers(self.extra_headers))
        async with anyio.create_task_group() as tasks:
            if self.heartbeat_every is not None:
                tasks.start_soon(self._beat, self.heartbeat_every)
            if await self._play_steps(script.steps):
                await self._ordinary_end(script.duration)
            tasks.cancel_scope.cancel()

    async def _beat(self, seconds: float) -> None:
        frame = frame_of(Heartbeat(), self.dialect)
        assert frame is not None
        while True:
            await anyio.sleep(seconds)
            async with self._line:
                for piece in () if self._silent else frame.pieces(self.run.detail):
                    await self.exchange.body(piece)

    async def _play_steps(self, steps: Sequence[Step]) -> bool:
        """Play the steps; ``True`` if the ordinary end is to follow."""
        await checkpoint()
        for position, step in enumerate(steps):
            if self.run.stop_asked:
                await self._stop_early(steps[position:])
                return True
            if not await self._play_step(step):
                return False
        if self.run.stop_asked:
            await self._stop_early(())
        return True

    async def _play_step(self, step: Step) -> bool:
        """Play one step; ``False`` if the answer is over with it."""
        self.run.ledger.add(step)
        match step:
            case Pause() | WaitFor():
                await self._wait(step)
            case Headers():
                await self._write([b""])
            case RawBytes(data):
                await self._write([data])
            case Drip(seconds):
                self.exchange.drip = seconds
            case NodeResponse(data):
                await self._node(data)
            case SilentModel():
                await self.run.wait()
            case Silence() | NoHeaders():
                self._silent = True
                await self._for_ever()
            case ErrorFrame() | Truncate() | CutChunk() | Close() | Reset():
                await self._break(step)
                return False
            case _:
                frame = frame_of(step, self.dialect)
                assert frame is not None, step
                await self._send(frame)
                self._note(step)
        await checkpoint()
        return True

    def _note(self, step: Step) -> None:
        if isinstance(step, Finish):
            self._finished = True
            self.run.finish("complete")
        elif isinstance(step, Done):
            self._done = True

    async def _node(self, data: Any) -> None:
        await checkpoint()
        if self.run.api == "v2":
            await self._send(WireFrame("flowNodeResponse", dumps(data)))

    async def _stop_early(self, left: Sequence[Step]) -> None:
        """End as a stopped run does: its node says ``close``, nothing after it runs."""
        said = self.run.text
        found = next((step for step in left if isinstance(step, NodeResponse)), None)
        if found is None:
            question = question_of(self.run.request.json.get("messages"))
            data = chat_node(said, question=question)
        else:
            data = dict(found.data)
            *history, last = data.get("historyPreview") or [{}]
            if last.get("obj") == "AI":
                data["historyPreview"] = [*history, {**last, "value": said.strip()}]
        data["finishReason"] = "close"
        self.run.ledger.add(NodeResponse(data))
        await self._node(data)
        self.run.finish("stopped")

    async def _break(self, step: ErrorFrame | Truncate | CutChunk | Close | Reset) -> None:
        self.run.finish("failed")
        typical = frame_of(_TYPICAL, self.dialect)
        assert typical is not None
        half_sent = typical.pieces(self.run.detail)
        async with self._line:
            self._silent = True
            match step:
                case ErrorFrame(message, code, status_text):
                    for piece in error_frame(code, status_text, message).pieces(self.run.detail):
                        await self.exchange.body(piece)
                    await self.exchange.end()
                case Truncate(mid_frame):
                    if mid_frame:
                        for piece in half_sent[:-1]:
                            await self.exchange.body(piece)
                        await self.exchange.body(half_sent[-1][: len(half_sent[-1]) // 2])
                    await self.exchange.end()
                case CutChunk():
                    for piece in half_sent[:-1]:
                        await self.exchange.body(piece)
                    await self.exchange.half(half_sent[-1])
                case Close():
                    await self.exchange.body(b"")
                    self.exchange.close()
                case Reset():
                    self.exchange.reset()
        await checkpoint()

    async def _ordinary_end(self, duration: float | None) -> None:
        order = self.dialect.flow_responses
        if not self._finished:
            if duration is not None:
                await self._send_step(Frame("workflowDuration", {"durationSeconds": duration}))
            self.run.finish("complete")
            await self._send_step(Finish())
        if order == "array before done":
            await self._flow_responses()
        if not self._done:
            await self._send_step(Done())
        if order != "array before done":
            await self._flow_responses()
        self.exchange.finished = True
        async with self._line:
            self._silent = True
            await self.exchange.end()

    async def _flow_responses(self) -> None:
        await checkpoint()
        if self.run.api == "v1":
            await self._send_step(Frame("flowResponses", self.run.ledger.flow_responses()))

    async def _send_step(self, step: Step) -> None:
        frame = frame_of(step, self.dialect)
        assert frame is not None
        await self._send(frame)

    async def _send(self, frame: WireFrame) -> None:
        await self._write(frame.pieces(self.run.detail))

    async def _write(self, pieces: list[bytes]) -> None:
        async with self._line:
            for piece in pieces:
                await self.exchange.body(piece)


@attrs.define(eq=False)
class JsonPlayer(_Player):
    """Play a script as one JSON answer: not a byte before its end, and no stop.

    :param chat_id: what the answer tells as ``id``.
    :param keep_alive: seconds told by an error's ``Keep-Alive`` header.
    """

    chat_id: str
    keep_alive: float

    async def play(self, script: Script) -> None:
        """Wait as the script waits, then answer; faults break the answer in its middle."""
        await checkpoint()
        fault: Step | None = None
        for step in script.steps:
            self.run.ledger.add(step)
            match step:
                case Pause() | WaitFor():
                    await self._wait(step)
                case Drip(seconds):
                    self.exchange.drip = seconds
                case SilentModel() | Silence() | NoHeaders():
                    await self._for_ever()
                case ErrorFrame(message, code, status_text):
                    self.run.finish("failed")
                    envelope = error_envelope(self.dialect, code, status_text, message)
                    status = self.dialect.http_status(code)
                    await send_json(
                        self.exchange, status, envelope, self.extra_headers, self.keep_alive
                    )
                    return
                case Truncate() | CutChunk() | Close() | Reset():
                    fault = step
                    self.run.finish("failed")
        answer = self.run.ledger.answer(
            api=self.run.api, detail=self.run.detail, chat_id=self.chat_id
        )
        if fault is None:
            self.run.finish("complete")
            await send_json(self.exchange, 200, answer, self.extra_headers, None)
        elif isinstance(fault, Reset):
            self.exchange.reset()
        else:
            text = dumps(answer)
            headers = json_headers(text, self.extra_headers, keep_alive=None, gzip=False)
            self.exchange.start(200, headers)
            await self.exchange.half(text.encode())
        await checkpoint()


async def send_json(
    exchange: Exchange,
    status: int,
    value: Any,
    extra: HeaderList,
    keep_alive: float | None,
    reason: str | None = None,
) -> None:
    """Answer with JSON, compressed if the client asks for it and it is worth it.

    :param keep_alive: ``None`` for the answer of a finished run.
    """
    text = dumps(value)
    data = text.encode()
    # The web framework leaves bodies below one kilobyte alone.
    zipped = len(data) >= 1024 and "gzip" in (exchange.request.header("accept-encoding") or "")
    headers = json_headers(text, extra, keep_alive=keep_alive, gzip=zipped)
    await exchange.whole(status, headers, gzip.compress(data) if zipped else data, reason)

"""What the consumers make of a reply: complete, failed, cancelled, from any stream of events."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import json
import os
import socket
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import anyio
import anyio.lowlevel
import pytest

from fastgpt_client._errors import FastGPTError, ReplyInterruptedError
from fastgpt_client._events import (
    AnswerDelta,
    Event,
    FastAnswer,
    FlowResponses,
    NodeResponse,
    NodeStatus,
    UnknownEvent,
)
from fastgpt_client._fanout import Fanout
from fastgpt_client._limits import Policy
from fastgpt_client._nodes import Node
from fastgpt_client.consumers import (
    TokenCount,
    collect,
    collect_text,
    count_tokens,
    print_text,
    print_words,
    write_jsonl,
    write_text,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

Printer = Callable[..., Coroutine[Any, Any, None]]

posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes that can be polled")


def delta(text: str, reasoning: str = "", *, index: int = 0) -> AnswerDelta:
    payload = {"choices": [{"delta": {"content": text}}]}
    return AnswerDelta(
        index=index,
        name="answer",
        raw=json.dumps(payload, ensure_ascii=False).encode(),
        text=text,
        reasoning=reasoning,
    )


def status(name: str = "AI", *, index: int = 0) -> NodeStatus:
    raw = json.dumps({"status": "running", "name": name}).encode()
    return NodeStatus(index=index, name="flowNodeStatus", raw=raw, status="running", node_name=name)


def responses(*nodes: Node) -> FlowResponses:
    return FlowResponses(index=0, name="flowResponses", raw=b"[]", nodes=nodes)


def response(node: Node) -> NodeResponse:
    return NodeResponse(index=0, name="flowNodeResponse", raw=b"{}", node=node)


def text_file(place: int | Path) -> TextIO:
    return open(place, "w", encoding="utf-8")


def failure() -> FastGPTError:
    return ReplyInterruptedError("the connection was lost")


class Plain:
    """A stream of events that can do nothing but be iterated, and then fails if told to."""

    def __init__(self, events: Sequence[Event], error: Exception | None = None) -> None:
        self._events = iter(events)
        self._error = error

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        await anyio.lowlevel.checkpoint()
        for event in self._events:
            return event
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


class Live:
    """A reply whose events come one by one; the subscription of a real one reads it."""

    def __init__(self) -> None:
        self.fanout = Fanout(events=[])
        self.subscription = self.fanout.subscribe(Policy.lossless(), "test")

    def push(self, *events: Event) -> None:
        self.fanout.events += events
        self.fanout.wake()

    def end(self, error: FastGPTError | None = None) -> None:
        self.fanout.end(error)


@pytest.fixture
def live() -> Iterator[Live]:
    made = Live()
    yield made
    made.fanout.close()


def finished(*texts: str, error: FastGPTError | None = None) -> Live:
    made = Live()
    made.push(*[delta(text, index=place) for place, text in enumerate(texts)])
    made.end(error)
    return made


class Recorder(io.StringIO):
    """A file in memory that keeps its writes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str, /) -> int:
        self.writes.append(text)
        return super().write(text)


async def run_cancelled(consumer: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a consumer until it waits, then cancel it."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(consumer)
            await anyio.wait_all_tasks_blocked()
            tg.cancel_scope.cancel()


# -- print_text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts, written",
    [
        (["Once", " upon", " a time."], "Once upon a time.\n"),
        (["ends with one\n"], "ends with one\n"),
        (["one\n", "\n"], "one\n\n"),
        ([], ""),
        (["", ""], ""),
        (["你好", "，世界"], "你好，世界\n"),
    ],
)
async def test_print_text_writes_the_text_and_ends_the_line(texts: list[str], written: str) -> None:
    file = io.StringIO()
    with anyio.fail_after(5):
        await print_text(finished(*texts).subscription, file=file)
    assert file.getvalue() == written


async def test_print_text_ends_as_told() -> None:
    file, other = io.StringIO(), io.StringIO()
    with anyio.fail_after(5):
        await print_text(finished("text").subscription, file=file, end="")
        await print_text(finished("te", "xt-", "-").subscription, file=other, end="--")
    assert (file.getvalue(), other.getvalue()) == ("text", "text--")


async def test_print_text_finds_standard_output_when_it_starts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    with anyio.fail_after(5):
        await print_text(finished("captured").subscription)
        with contextlib.redirect_stdout(stream):
            await print_text(finished("redirected").subscription)
    assert capsys.readouterr().out == "captured\n"
    assert stream.getvalue() == "redirected\n"


async def test_print_text_without_a_console_still_reads_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with anyio.fail_after(5), pytest.raises(ReplyInterruptedError):
        await print_text(finished("text", error=failure()).subscription)


async def test_print_text_writes_what_has_arrived_in_one_go_and_what_comes_as_it_comes(
    live: Live,
) -> None:
    file = Recorder()
    live.push(delta("a"), delta("b"), status(), delta("c"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(partial(print_text, live.subscription, file=file))
            await anyio.wait_all_tasks_blocked()
            assert file.writes == ["abc"]
            live.push(status())
            await anyio.wait_all_tasks_blocked()
            live.push(delta("d"))
            await anyio.wait_all_tasks_blocked()
            assert file.writes == ["abc", "d"]
            live.end()
    assert file.writes == ["abc", "d", "\n"]


async def test_print_text_writes_reasoning_as_paragraphs_of_its_own_if_asked() -> None:
    events = [
        delta("", "Hmm"),
        delta("", "."),
        delta("Yes", "!"),
        FastAnswer(index=0, name="fastAnswer", raw=b"{}", text=", of course"),
        delta("", "Done"),
    ]
    file, plain = io.StringIO(), io.StringIO()
    with anyio.fail_after(5):
        await print_text(Plain(events), file=file, reasoning=True)
        await print_text(Plain(events), file=plain)
    assert file.getvalue() == "Hmm.!\n\nYes, of course\n\nDone\n"
    assert plain.getvalue() == "Yes, of course\n"


# -- failure, cancellation, the other end ------------------------------------------------------


@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_after_a_failure_the_text_is_all_there_and_the_line_is_ended(
    printer: Printer,
) -> None:
    file = io.StringIO()
    with anyio.fail_after(5), pytest.raises(ReplyInterruptedError) as caught:
        await printer(finished("Once up", "on a ti", error=failure()).subscription, file=file)
    assert file.getvalue() == "Once upon a ti\n"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_after_a_cancellation_what_was_read_is_written(printer: Printer, live: Live) -> None:
    file = io.StringIO()
    live.push(delta("Once up"), delta("on a ti"))
    await run_cancelled(partial(printer, live.subscription, file=file))
    assert file.getvalue() == "Once upon a ti\n"


@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_a_cancellation_before_the_first_event_writes_nothing(
    printer: Printer, live: Live
) -> None:
    file = io.StringIO()
    await run_cancelled(partial(printer, live.subscription, file=file))
    assert file.getvalue() == ""


@posix_only
@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_a_slow_reader_holds_up_neither_the_loop_nor_the_other_consumers(
    printer: Printer,
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    texts = [f"{number} words 和 汉字 " for number in range(20_000)]
    whole = "".join(texts)
    slow = finished(*texts)
    counted = 0
    data = b""
    all_counted = anyio.Event()

    async def count() -> None:
        nonlocal counted
        counted = int(await count_tokens(slow.fanout.subscribe(Policy.lossless(), "count")))
        all_counted.set()

    with anyio.fail_after(5), text_file(writer) as file:
        async with anyio.create_task_group() as tg:
            tg.start_soon(partial(printer, slow.subscription, file=file))
            tg.start_soon(count)
            await all_counted.wait()
            while len(data) < len(whole.encode()) + 1:
                await anyio.wait_readable(reader)
                data += os.read(reader, 65536)
    os.close(reader)
    slow.fanout.close()
    assert counted == 20_000
    assert data.decode() == whole + "\n"


@posix_only
@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_a_consumer_of_a_full_pipe_is_cancelled_at_once_and_leaves_no_thread(
    printer: Printer,
) -> None:
    reader, writer = os.pipe()
    stuck = finished(*["word " * 1000] * 100)
    before = threading.active_count()
    with text_file(writer) as file:
        await run_cancelled(partial(printer, stuck.subscription, file=file))
        assert threading.active_count() <= before
        data = os.read(reader, 1_000_000)
    os.close(reader)
    stuck.fanout.close()
    assert data
    assert ("word " * 100_000).encode().startswith(data)


@posix_only
@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_a_reader_that_is_gone_is_the_consumers_own_error(
    printer: Printer, live: Live
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    live.push(delta("text "))
    with text_file(writer) as file:
        with anyio.fail_after(5), pytest.raises(BrokenPipeError):
            await printer(live.subscription, file=file)
        with contextlib.suppress(BrokenPipeError):
            file.close()


@posix_only
@pytest.mark.parametrize("place", ["pipe", "file"])
@pytest.mark.parametrize("printer", [print_text, print_words])
async def test_cancelled_at_any_step_what_is_written_has_no_hole(
    printer: Printer, place: str, tmp_path: Path
) -> None:
    texts = ["Once u", "pon a", " time, ", "ther", "e was 一个", "故事 ", "of wo", "rds"]
    whole = "".join(texts)
    seen = set()

    async def tell(reply: Live) -> None:
        for text in texts:
            reply.push(delta(text))
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
        reply.end()

    for steps in range(40):
        reader, writer = os.pipe()
        file = text_file(writer if place == "pipe" else tmp_path / "text")
        reply = Live()
        with anyio.fail_after(5), file:
            async with anyio.create_task_group() as tg:
                tg.start_soon(tell, reply)
                tg.start_soon(partial(printer, reply.subscription, file=file))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tg.cancel_scope.cancel()
        reply.fanout.close()
        if place == "file":
            os.close(writer)
            data = (tmp_path / "text").read_bytes()
        else:
            data = os.read(reader, 65536)  # the writing end is closed: b"" if nothing was written
        os.close(reader)
        text = data.decode()
        seen.add(text)
        assert text == "" or (text.endswith("\n") and whole.startswith(text[:-1])), steps
    assert len(seen) > 2


@posix_only
async def test_a_slow_socket_gets_every_byte() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    texts = ["我们 don't stop. "] * 30_000
    size = len("".join(texts).encode()) + 1
    data = b""
    with ours, theirs, ours.makefile("w", encoding="utf-8") as file, anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(partial(print_text, finished(*texts).subscription, file=file))
            await anyio.wait_all_tasks_blocked()
            while len(data) < size:
                await anyio.wait_readable(theirs)
                data += theirs.recv(65536)
    assert data.decode() == "".join(texts) + "\n"


async def test_a_failure_leaves_no_reference_cycle() -> None:
    made: list[weakref.ref[BaseException]] = []

    class LostError(ReplyInterruptedError):
        def __init__(self) -> None:
            super().__init__("the connection was lost")
            made.append(weakref.ref(self))

    class Failing(Plain):
        async def __anext__(self) -> Event:
            await anyio.lowlevel.checkpoint()
            raise LostError

    gc.collect()
    gc.disable()
    try:
        with anyio.fail_after(5), contextlib.suppress(LostError):
            await print_text(Failing([]), file=io.StringIO())
        assert [reference() for reference in made] == [None]
    finally:
        gc.enable()


# -- print_words ------------------------------------------------------------------------------


async def test_print_words_writes_whole_words_only(live: Live) -> None:
    file = Recorder()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(partial(print_words, live.subscription, file=file))
            for text in (
                "Hel",
                "lo the",
                "re, don",
                "’t panic",
                "! 你",
                "好",
                "。",
                "e\u0301",
                "t",
            ):
                live.push(delta(text))
                await anyio.wait_all_tasks_blocked()
            assert file.writes == ["Hello ", "there, ", "don’t ", "panic! ", "你", "好。"]
            live.end()
    assert file.writes[6:] == ["e\u0301t\n"]


# -- count_tokens -----------------------------------------------------------------------------


async def test_without_better_knowledge_each_event_with_text_counts() -> None:
    events = [status(), delta("a"), delta("", "thinking"), delta("b"), delta("c")]
    with anyio.fail_after(5):
        count = await count_tokens(Plain(events))
    assert count == TokenCount(count=3, source="deltas", deltas=3)
    assert int(count) == 3
    assert str(count) == "3 text deltas"


@pytest.mark.parametrize("tokenizer", [len, str.split, lambda text: len(text.split()) * 1.0])
async def test_a_tokenizer_gets_the_whole_text_and_may_count_or_list(
    tokenizer: Callable[[str], int],
) -> None:
    with anyio.fail_after(5):
        count = await count_tokens(
            finished("two wo", "rds or", " four").subscription, tokenizer=tokenizer
        )
    assert count.source == "tokenizer"
    assert count.count == (17 if tokenizer is len else 4)
    assert count.deltas == 3
    assert str(count) == f"{count.count} tokens"


async def test_a_tokenizer_does_not_hold_up_the_loop() -> None:
    going = threading.Event()
    ticks = 0

    def tokenizer(text: str) -> int:
        assert going.wait(5), "the loop did not run meanwhile"
        return len(text)

    async def tick() -> None:
        nonlocal ticks
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
            ticks += 1
        going.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(partial(count_tokens, finished("x").subscription, tokenizer=tokenizer))
            tg.start_soon(tick)
    assert ticks == 100


async def test_the_servers_own_count_comes_before_the_others() -> None:
    nodes = [Node(id="1", output_tokens=40, input_tokens=7), Node(id="2", output_tokens=2)]
    v1 = [delta("a"), responses(*nodes)]
    v2 = [response(nodes[0]), delta("a"), response(nodes[1])]
    for events in (v1, v2):
        with anyio.fail_after(5):
            count = await count_tokens(Plain(events), tokenizer=len)
        assert count == TokenCount(count=42, source="server", deltas=1, input_tokens=7)


async def test_a_node_that_is_sent_again_counts_once() -> None:
    first, again = Node(id="1", output_tokens=40), Node(id="1", output_tokens=50)
    with anyio.fail_after(5):
        count = await count_tokens(Plain([response(first), delta("a"), response(again)]))
    assert int(count) == 50


async def test_nodes_without_a_count_leave_the_deltas() -> None:
    with anyio.fail_after(5):
        count = await count_tokens(Plain([delta("a"), responses(Node(id="1"))]))
    assert count == TokenCount(count=1, source="deltas", deltas=1)
    assert str(count) == "1 text delta"


async def test_the_count_so_far_is_told_and_last_the_final_one(live: Live) -> None:
    seen: list[tuple[int, str]] = []

    def note(count: TokenCount) -> None:
        seen.append((int(count), count.source))

    live.push(delta("one"), delta(" two"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(partial(count_tokens, live.subscription, tokenizer=len, on_count=note))
            await anyio.wait_all_tasks_blocked()
            live.push(status())
            await anyio.wait_all_tasks_blocked()
            live.push(delta("!"))
            await anyio.wait_all_tasks_blocked()
            live.end()
    assert seen == [(2, "deltas"), (3, "deltas"), (8, "tokenizer")]


async def test_a_failed_reply_has_no_count_but_the_last_one_told() -> None:
    seen: list[TokenCount] = []
    with anyio.fail_after(5), pytest.raises(ReplyInterruptedError):
        await count_tokens(
            finished("one", " two", error=failure()).subscription, on_count=seen.append
        )
    assert [int(count) for count in seen] == [2]


# -- collect, files ---------------------------------------------------------------------------


async def test_collect_returns_events_and_collect_text_the_text() -> None:
    events = [status(), *[delta(str(number)) for number in range(200)]]
    with anyio.fail_after(5):
        assert await collect(Plain(events)) == events
        assert await collect_text(Plain(events)) == "".join(map(str, range(200)))
        reply = finished(*map(str, range(200)))
        assert await collect_text(reply.subscription) == "".join(map(str, range(200)))


async def test_collect_text_of_a_failed_reply_raises() -> None:
    with anyio.fail_after(5), pytest.raises(ReplyInterruptedError):
        await collect_text(finished("text", error=failure()).subscription)


async def test_write_text_writes_exactly_the_text(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    texts = ["Once\r\n", "upon\n", "a 时间"]
    with anyio.fail_after(5):
        assert await write_text(finished(*texts).subscription, path) == len("".join(texts))
    assert path.read_bytes() == "".join(texts).encode()


async def test_write_text_replaces_or_appends(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    with anyio.fail_after(5):
        await write_text(finished("old").subscription, path)
        await write_text(finished("new").subscription, str(path), encoding="utf-16-le")
        await write_text(finished("er").subscription, path, append=True, encoding="utf-16-le")
    assert path.read_text(encoding="utf-16-le") == "newer"


async def test_write_text_keeps_what_had_arrived_when_the_reply_fails(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    with anyio.fail_after(5), pytest.raises(ReplyInterruptedError):
        await write_text(finished("half", error=failure()).subscription, path)
    assert path.read_text() == "half"


async def test_write_text_is_in_the_file_while_the_reply_goes_on(
    tmp_path: Path, live: Live
) -> None:
    path = tmp_path / "story.txt"
    live.push(delta("so far"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(write_text, live.subscription, path)
            while True:
                await anyio.lowlevel.checkpoint()
                if path.exists() and path.read_text() == "so far":
                    break
            tg.cancel_scope.cancel()
    assert path.read_text() == "so far"


async def test_write_text_to_a_path_that_cannot_be_opened_is_an_os_error(tmp_path: Path) -> None:
    with anyio.fail_after(5), pytest.raises(FileNotFoundError):
        await write_text(finished("x").subscription, tmp_path / "missing" / "file")


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="no /dev/full")
async def test_write_text_tells_of_a_full_disk() -> None:
    with anyio.fail_after(5), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        await write_text(finished("x").subscription, "/dev/full")


@posix_only
async def test_write_text_refuses_a_fifo_that_nobody_reads(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with anyio.fail_after(5), pytest.raises(OSError, match="fifo"):
        await write_text(finished("x").subscription, path)


@posix_only
async def test_write_text_to_a_fifo_waits_for_its_slow_reader(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    texts = ["一些 text "] * 30_000
    data = b""
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(write_text, finished(*texts).subscription, path)
            await anyio.wait_all_tasks_blocked()
            while True:
                await anyio.wait_readable(reader)
                more = os.read(reader, 65536)
                if not more:
                    break
                data += more
    os.close(reader)
    assert data.decode() == "".join(texts)


async def test_write_jsonl_writes_one_event_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    events = [
        status("AI 对话", index=0),
        delta("line\nbreak \u2028", index=1),
        UnknownEvent(index=2, name="new", raw=b"not JSON \xff", data=""),
        UnknownEvent(index=3, name="new", raw=b'{"a": [1, 2.5, null],\n"b": 1}', data=""),
    ]
    with anyio.fail_after(5):
        assert await write_jsonl(Plain(events), path) == 4
        assert await write_jsonl(Plain(events[:1]), path, append=True) == 1
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [
        {
            "index": 0,
            "name": "flowNodeStatus",
            "kind": "NodeStatus",
            "text": "",
            "data": {"status": "running", "name": "AI 对话"},
        },
        {
            "index": 1,
            "name": "answer",
            "kind": "AnswerDelta",
            "text": "line\nbreak \u2028",
            "data": {"choices": [{"delta": {"content": "line\nbreak \u2028"}}]},
        },
        {"index": 2, "name": "new", "kind": "UnknownEvent", "text": "", "data": "not JSON �"},
        {
            "index": 3,
            "name": "new",
            "kind": "UnknownEvent",
            "text": "",
            "data": {"a": [1, 2.5, None], "b": 1},
        },
        json.loads(lines[0]),
    ]


# -- any stream -------------------------------------------------------------------------------


async def test_a_plain_memory_object_stream_of_events_is_enough(tmp_path: Path) -> None:
    async def read(consumer: Callable[..., Awaitable[object]]) -> object:
        send, receive = anyio.create_memory_object_stream[Event](10)
        with send, receive:
            for text in ("one ", "two"):
                send.send_nowait(delta(text))
            send.close()
            return await consumer(receive)

    file = io.StringIO()
    with anyio.fail_after(5):
        await read(partial(print_text, file=file))
        await read(partial(print_words, file=file))
        assert int(await read(count_tokens)) == 2  # type: ignore[call-overload]
        assert await read(collect_text) == "one two"
        assert await read(partial(write_text, path=tmp_path / "text")) == 7
    assert file.getvalue() == "one two\none two\n"


async def test_an_error_of_any_other_stream_comes_out_as_it_is() -> None:
    file = io.StringIO()
    with anyio.fail_after(5), pytest.raises(KeyError):
        await print_words(Plain([delta("half")], KeyError("x")), file=file)
    assert file.getvalue() == "half\n"

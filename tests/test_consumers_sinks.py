"""What a consumer writes to: pipes, sockets, terminals, files, on really slow readers."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from fastgpt_client._sinks import sink_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes that can be polled")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="terminals that can be polled")

#: More than a pipe, a socket pair or a terminal holds.
LONG = "".join(f"{number} 我们 don't stop.\n" for number in range(20_000))


def text_file(
    place: int | str | Path,
    *,
    encoding: str = "utf-8",
    errors: str | None = None,
    newline: str | None = None,
) -> TextIO:
    return open(place, "w", encoding=encoding, errors=errors, newline=newline)


class Unseekable(io.BytesIO):
    """Bytes in memory that look like a pipe's end to a text layer."""

    def seekable(self) -> bool:
        return False


class Pipe:
    """A pipe with a text file at its writing end."""

    def __init__(self, **options: Any) -> None:
        self.reader, writer = os.pipe()
        self.file = text_file(writer, **options)
        os.set_blocking(self.reader, False)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        self.close_reader()

    def close_reader(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1

    def fill(self) -> int:
        """Fill the pipe and return the number of bytes that took."""
        descriptor = self.file.fileno()
        os.set_blocking(descriptor, False)
        filled = 0
        try:
            while True:
                filled += os.write(descriptor, b"#" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(descriptor, True)
        return filled

    def read(self) -> bytes:
        """Return what is there now."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self.reader, 65536):
                data += more
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(encoding="utf-8")
    yield made
    made.close()


async def drain(reader: int, size: int) -> bytes:
    """Read ``size`` bytes from a non-blocking descriptor."""
    data = b""
    while len(data) < size:
        await anyio.wait_readable(reader)
        more = os.read(reader, 65536)
        assert more, "the pipe ended early"
        data += more
    return data


def threads() -> set[threading.Thread]:
    """Return the threads that may be in a write."""
    return {thread for thread in threading.enumerate() if thread is not threading.main_thread()}


@posix_only
async def test_a_full_pipe_is_waited_for_while_other_tasks_run_and_nothing_is_lost(
    pipe: Pipe,
) -> None:
    sink = sink_for(pipe.file)
    written = False

    async def write() -> None:
        nonlocal written
        await sink.write(LONG)
        written = True

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(write)
            for _ in range(1000):
                await anyio.lowlevel.checkpoint()
            assert not written
            assert await drain(pipe.reader, len(LONG.encode())) == LONG.encode()
    assert written
    assert pipe.read() == b""


@posix_only
async def test_cancelling_a_write_to_a_full_pipe_returns_at_once_without_a_thread(
    pipe: Pipe,
) -> None:
    before = threads()
    filled = pipe.fill()
    sink = sink_for(pipe.file)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink.write, "never")
            await anyio.wait_all_tasks_blocked()
            assert threads() <= before
            tg.cancel_scope.cancel()
        assert len(await drain(pipe.reader, filled)) == filled
    assert pipe.read() == b""


@posix_only
async def test_what_a_cancelled_write_left_goes_out_later_without_waiting(pipe: Pipe) -> None:
    filled = pipe.fill()
    sink = sink_for(pipe.file)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink.write, "one ")
            await anyio.wait_all_tasks_blocked()
            tg.cancel_scope.cancel()
        sink.write_nowait("two ")
        assert len(await drain(pipe.reader, filled)) == filled
        assert pipe.read() == b""
        sink.write_nowait("three")
    assert pipe.read() == b"one two three"


@posix_only
async def test_one_write_is_one_piece_of_the_pipe_if_it_fits(pipe: Pipe) -> None:
    with anyio.fail_after(5):
        await sink_for(pipe.file).write("你好, world\n")
    assert os.read(pipe.reader, 65536) == "你好, world\n".encode()


@posix_only
async def test_two_writers_of_one_pipe_do_not_mix_inside_a_write(pipe: Pipe) -> None:
    second = text_file(os.dup(pipe.file.fileno()))
    texts = ["a" * 200_000, "b" * 200_000]
    data = b""
    with anyio.fail_after(5), second:
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink_for(pipe.file).write, texts[0])
            tg.start_soon(sink_for(second).write, texts[1])
            data = await drain(pipe.reader, 400_000)
    assert data.decode() in (texts[0] + texts[1], texts[1] + texts[0])


@posix_only
async def test_what_the_program_printed_before_comes_first(pipe: Pipe) -> None:
    print("Story: ", end="", file=pipe.file)
    with anyio.fail_after(5):
        await sink_for(pipe.file).write("once")
    print("!", end="", file=pipe.file, flush=True)
    assert pipe.read() == b"Story: once!"


@posix_only
@pytest.mark.parametrize(
    "options, text",
    [
        ({"encoding": "utf-8"}, "naïve 我\n" * 3000),
        ({"encoding": "utf-8", "newline": "\r\n"}, "one\ntwo\n" * 3000),
        ({"encoding": "utf-16"}, "我们\n" * 3000),
        ({"encoding": "gbk", "errors": "replace"}, "我们 😀\n" * 3000),
        ({"encoding": "ascii", "errors": "namereplace"}, "我们 ARABIC ﷺ\n" * 500),
        ({"encoding": "utf-8-sig", "newline": ""}, "a\r\nb\n"),
    ],
)
async def test_encoding_errors_and_newlines_are_those_of_the_file(
    options: dict[str, Any], text: str
) -> None:
    pipe = Pipe(**options)
    expected = Unseekable()
    layer = io.TextIOWrapper(expected, **options)
    layer.write(text)
    layer.flush()
    try:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                tg.start_soon(sink_for(pipe.file).write, text)
                assert await drain(pipe.reader, len(expected.getvalue())) == expected.getvalue()
    finally:
        pipe.close()


@posix_only
async def test_an_unbuffered_text_layer_as_of_python_u_is_written_whole() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    raw = io.FileIO(writer, "w")
    file = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    with anyio.fail_after(5), file:
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink_for(file).write, LONG)
            assert await drain(reader, len(LONG.encode())) == LONG.encode()
    os.close(reader)


@posix_only
async def test_a_non_blocking_pipe_is_written_whole(pipe: Pipe) -> None:
    os.set_blocking(pipe.file.fileno(), False)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink_for(pipe.file).write, LONG)
            assert await drain(pipe.reader, len(LONG.encode())) == LONG.encode()


@posix_only
async def test_bytes_that_a_non_blocking_pipe_refused_before_are_kept(pipe: Pipe) -> None:
    os.set_blocking(pipe.file.fileno(), False)
    filled = pipe.fill()
    data = b""
    os.set_blocking(pipe.file.fileno(), False)
    with pytest.raises(BlockingIOError):
        print("before ", end="", file=pipe.file, flush=True)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink_for(pipe.file).write, "after")
            await anyio.wait_all_tasks_blocked()
            data = await drain(pipe.reader, filled + len(b"before after"))
    assert data[filled:] == b"before after"


@posix_only
async def test_a_reader_that_is_gone_is_a_broken_pipe(pipe: Pipe) -> None:
    pipe.close_reader()
    with anyio.fail_after(5), pytest.raises(BrokenPipeError):
        await sink_for(pipe.file).write("text")


@posix_only
async def test_a_reader_that_goes_while_the_writer_waits_is_a_broken_pipe(pipe: Pipe) -> None:
    pipe.fill()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:

            async def write() -> None:
                with pytest.raises(BrokenPipeError):
                    await sink_for(pipe.file).write("text")

            tg.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            pipe.close_reader()


@posix_only
async def test_a_write_that_may_not_wait_keeps_silent_about_a_broken_pipe(pipe: Pipe) -> None:
    pipe.close_reader()
    sink = sink_for(pipe.file)
    sink.write_nowait("text")
    with anyio.fail_after(5), pytest.raises(BrokenPipeError):
        await sink.write("more")


@posix_only
async def test_a_socket_with_a_small_buffer_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    theirs.setblocking(False)
    data = b""
    with ours, theirs, text_file(os.dup(ours.fileno())) as file:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                tg.start_soon(sink_for(file).write, LONG)
                for _ in range(1000):
                    await anyio.lowlevel.checkpoint()
                data = await drain(theirs.fileno(), len(LONG.encode()))
    assert data == LONG.encode()


@linux_only
async def test_a_terminal_that_nobody_reads_is_waited_for_and_can_be_cancelled() -> None:
    leader, follower = os.openpty()
    os.set_blocking(leader, False)
    before = threads()
    with text_file(follower) as file:
        sink = sink_for(file)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                tg.start_soon(sink.write, LONG)
                for _ in range(1000):
                    await anyio.lowlevel.checkpoint()
                assert threads() <= before
                tg.cancel_scope.cancel()
        # Unread output would hold up the closing of the file's buffer, were there any.
        shown = LONG.replace("\n", "\r\n").encode()
        data = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                data += os.read(leader, 65536)
        assert data
        assert shown.startswith(data)
    os.close(leader)


@linux_only
async def test_a_terminal_stopped_by_control_s_shows_everything_after_control_q() -> None:
    import termios

    leader, follower = os.openpty()
    os.set_blocking(leader, False)
    with text_file(follower) as file:
        text = LONG[:30_000]
        shown = text.replace("\n", "\r\n").encode()
        termios.tcflow(file.fileno(), termios.TCOOFF)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                tg.start_soon(sink_for(file).write, text)
                for _ in range(1000):
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(BlockingIOError):
                    os.read(leader, 1)
                termios.tcflow(file.fileno(), termios.TCOON)
                assert await drain(leader, len(shown)) == shown
    os.close(leader)


@linux_only
async def test_a_terminal_that_cannot_be_polled_can_be_cancelled_and_keeps_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fastgpt_client._sinks._terminal_of", lambda _: None)
    leader, follower = os.openpty()
    os.set_blocking(leader, False)
    shown = (LONG + "then").replace("\n", "\r\n").encode()
    with text_file(follower) as file:
        sink = sink_for(file)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                tg.start_soon(sink.write, LONG)
                await anyio.wait_readable(leader)
                tg.cancel_scope.cancel()
            sink.write_nowait("never")
            async with anyio.create_task_group() as tg:
                tg.start_soon(sink_for(file).write, "then")
                assert await drain(leader, len(shown)) == shown
    os.close(leader)


@posix_only
async def test_a_write_that_may_not_wait_gives_way_to_one_that_waits(pipe: Pipe) -> None:
    filled = pipe.fill()
    data = b""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sink_for(pipe.file).write, "first")
            await anyio.wait_all_tasks_blocked()
            sink_for(pipe.file).write_nowait("given up")
            data = await drain(pipe.reader, filled + 5)
    assert data[filled:] == b"first"
    assert pipe.read() == b""


async def test_a_regular_file_is_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "text"
    with anyio.fail_after(5), text_file(path, newline="") as file:
        sink = sink_for(file)
        for number in range(50):
            await sink.write(f"{number}\n")
        sink.write_nowait("end")
        # Flushed: it is there before the file is closed.
        assert path.read_bytes() == "".join([f"{n}\n" for n in range(50)]).encode() + b"end"


async def test_a_regular_file_is_written_though_the_default_threads_are_all_taken(
    tmp_path: Path,
) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    owners = [object() for _ in range(int(limiter.total_tokens))]
    for owner in owners:
        limiter.acquire_on_behalf_of_nowait(owner)
    try:
        with anyio.fail_after(5), text_file(tmp_path / "text") as file:
            await sink_for(file).write("text")
    finally:
        for owner in owners:
            limiter.release_on_behalf_of(owner)
    assert (tmp_path / "text").read_text() == "text"


async def test_an_object_without_a_descriptor_is_written_directly() -> None:
    file = io.StringIO()
    with anyio.fail_after(5):
        sink = sink_for(file)
        await sink.write("one ")
        sink.write_nowait("two")
    assert file.getvalue() == "one two"


async def test_an_object_that_only_writes_is_enough() -> None:
    class Cell:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def write(self, text: str, /) -> None:
            self.seen.append(text)

        def fileno(self) -> int:
            return 1  # as a notebook's output does, whose descriptor is another place

    cell = Cell()
    with anyio.fail_after(5):
        await sink_for(cell).write("text")
    assert cell.seen == ["text"]


async def test_an_asynchronous_file_of_anyio_is_written(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with await anyio.open_file(tmp_path / "text", "w") as file:
            await sink_for(file).write("text")
    assert (tmp_path / "text").read_text() == "text"


async def test_a_program_without_a_console_writes_nowhere() -> None:
    with anyio.fail_after(5):
        sink = sink_for(None)
        await sink.write("text")
        sink.write_nowait("text")


async def test_a_closed_file_says_so(tmp_path: Path) -> None:
    with text_file(tmp_path / "text") as file:
        pass
    with anyio.fail_after(5), pytest.raises(ValueError, match="closed"):
        await sink_for(file).write("text")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
async def test_a_full_disk_is_told() -> None:
    with text_file("/dev/full") as file:
        with anyio.fail_after(5), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            await sink_for(file).write("text")
        with contextlib.suppress(OSError):
            file.close()

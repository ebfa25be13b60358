"""What the fake server does with a run: disconnects, stops, gates, and the end of its block."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from fastgpt_client.testing import (
    Close,
    Delta,
    Drip,
    FakeFastGPT,
    NodeResponse,
    NodeStatus,
    Script,
    Silence,
    SilentModel,
    WaitFor,
    chat_node,
    node,
)

from .raw_http import STOP, V1, V2, RawClient, connect, post, question, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgpt_client.testing import RecordedRequest

pytestmark = pytest.mark.anyio

WAITING = Script(Delta("so far"), WaitFor("go"), Delta(", and on"))
CHAT = {"appId": "65f0000000000000000000aa", "chatId": "c1"}


async def begin(client: RawClient, path: str, **fields: Any) -> None:
    await client.send(request_bytes(path, question(stream=True, **fields)))
    await client.until(b"so far")


# --- a client that leaves -----------------------------------------------------------------------


def _abandon(client: RawClient, how: str) -> None:
    # Through a duplicate, since uvloop's view of its socket can do neither.
    with client.stream.extra(SocketAttribute.raw_socket).dup() as twin:
        if how == "half-close":
            twin.shutdown(socket.SHUT_WR)
        elif how == "reset":
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
async def test_a_v1_stream_is_aborted_when_its_client_leaves(how: str) -> None:
    async with FakeFastGPT() as server:
        server.script(WAITING)
        async with connect(server) as client:
            await begin(client, V1)
            _abandon(client, how)
            if how == "half-close":
                await server.wait_disconnect()
        with anyio.fail_after(5):
            await server.wait_disconnect()
            run = await server.wait_run()
            await server.wait_closed()
        assert (run.status, run.text, run.client_left) == ("aborted", "so far", True)
        assert server.aborted == [run]
        assert server.saved == []
        assert server.disconnects == 1


async def test_a_v2_stream_goes_on_without_its_client_and_is_saved() -> None:
    async with FakeFastGPT() as server:
        server.script(WAITING)
        async with connect(server) as client:
            await begin(client, V2)
        with anyio.fail_after(5):
            await server.wait_disconnect()
            await server.wait_closed()
        assert server.runs[0].status == "running"
        assert server.runs[0].client_left
        server.open_gate("go")
        with anyio.fail_after(5):
            run = await server.wait_run()
        assert (run.status, run.text) == ("complete", "so far, and on")
        assert server.saved == [run]
        assert server.aborted == []


async def test_a_v1_answer_without_a_stream_is_not_aborted() -> None:
    async with FakeFastGPT() as server:
        server.script(WAITING)
        async with connect(server) as client:
            await client.send(request_bytes(V1, question()))
            await server.wait_at_gate("go")
        with anyio.fail_after(5):
            await server.wait_disconnect()
        server.open_gate("go")
        with anyio.fail_after(5):
            assert (await server.wait_run()).status == "complete"


async def test_before_4_14_4_every_run_is_aborted() -> None:
    async with FakeFastGPT(server_version="4.14.3") as server:
        server.script(WAITING)
        async with connect(server) as client:
            await begin(client, V2)
        with anyio.fail_after(5):
            assert (await server.wait_run()).status == "aborted"


async def test_a_client_that_leaves_a_flood_of_bytes_unread_is_noticed() -> None:
    async with FakeFastGPT() as server:
        server.script(Script(Delta("so far"), *[Delta("x" * 1_000_000)] * 30))
        async with connect(server) as client:
            await begin(client, V1)
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            assert (await server.wait_run()).status == "aborted"


async def test_a_client_that_leaves_after_its_answer_is_no_disconnect() -> None:
    async with FakeFastGPT() as server:
        await post(server, V1, question(stream=True))
        await post(server, V1, question())
        with anyio.fail_after(5):
            await server.wait_closed()
        assert server.disconnects == 0
        assert [run.status for run in server.runs] == ["complete", "complete"]


async def test_a_client_that_leaves_in_the_middle_of_its_request_starts_no_run() -> None:
    async with FakeFastGPT() as server:
        async with connect(server) as client:
            await client.send(request_bytes(V1, question())[:-5])
        async with connect(server):
            pass
        with anyio.fail_after(5):
            await server.wait_until(lambda: server.connections == 2)
            await server.wait_closed()
        assert not server.requests
        assert not server.runs


# --- stop ---------------------------------------------------------------------------------------


async def test_stop_ends_a_v2_run_early_with_a_node_that_was_closed() -> None:
    script = Script(
        NodeStatus("AI"),
        Delta("so far"),
        WaitFor("never"),
        Delta(" and on"),
        NodeResponse(chat_node("so far and on", question="q", model="m")),
        NodeResponse(node("Next", "answerNode")),
    )
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(script)
        await begin(client, V2, chatId="c1", detail=True)
        answer = await post(server, STOP, CHAT)
        rest = await client.until(b"0\r\n\r\n")
        assert [run.status for run in server.runs] == ["stopped"]
        assert server.stops == [server.requests[1]]
    assert answer.text == (
        '{"code":200,"statusText":"","message":"","data":'
        '{"success":true,"completed":true,"chatGenerateStatus":1}}'
    )
    events = re.findall(rb"event: (\w+)", rest)
    assert events == [b"flowNodeResponse", b"workflowDuration", b"answer", b"answer"]
    closed = json.loads(re.findall(rb"data: (\{.*\"finishReason\".*\})", rest)[0])
    assert closed["finishReason"] == "close"
    assert closed["model"] == "m"
    assert closed["historyPreview"][-1] == {"obj": "AI", "value": "so far"}
    assert b"Next" not in rest


@pytest.mark.parametrize("waiting", [WaitFor("never"), SilentModel()])
async def test_a_stopped_script_without_nodes_gets_one(waiting: WaitFor | SilentModel) -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("so far"), waiting))
        await begin(client, V2, chatId="c1", detail=True)
        await post(server, STOP, CHAT)
        rest = await client.until(b"0\r\n\r\n")
    assert rest.count(b"flowNodeResponse") == rest.count(b'"finishReason":"close"') == 1
    assert rest.count(b'"finish_reason":"stop"') == rest.count(b"[DONE]") == 1


async def test_a_stopped_stream_without_detail_looks_like_a_complete_one() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(WAITING)
        await begin(client, V2, chatId="c1")
        await post(server, STOP, CHAT)
        rest = await client.until(b"0\r\n\r\n")
    assert rest.count(b"data: ") == 2
    assert b'"finish_reason":"stop"' in rest


async def test_4_14_7_answers_a_stop_with_success_alone_even_for_an_unknown_chat() -> None:
    async with FakeFastGPT(server_version="4.14.7") as server:
        answer = await post(server, STOP, CHAT)
        assert answer.json["data"] == {"success": True}
        assert len(server.stops) == 1


async def test_stop_leaves_v1_json_and_other_chats_alone() -> None:
    async with FakeFastGPT() as server, anyio.create_task_group() as tasks:
        server.script(WAITING)
        tasks.start_soon(post, server, V1, question(stream=True, chatId="c1"))
        await server.wait_at_gate("go")
        await post(server, STOP, CHAT)
        tasks.start_soon(post, server, V2, question(stream=True, chatId="c2"))
        tasks.start_soon(post, server, V2, question(chatId="c3"))
        await server.wait_at_gate("go", 3)
        await post(server, STOP, CHAT)
        await post(server, STOP, {**CHAT, "chatId": "c3"})
        assert [run.status for run in server.runs] == ["running"] * 3
        server.open_gate("go")
        with anyio.fail_after(5):
            await server.wait_until(lambda: len(server.saved) == 3)


async def test_one_stop_ends_one_of_two_runs_in_a_chat_of_4_14_7() -> None:
    async with (
        FakeFastGPT(server_version="4.14.7") as server,
        connect(server) as first,
        connect(server) as second,
    ):
        server.script(WAITING)
        await begin(first, V2, chatId="c1")
        await begin(second, V2, chatId="c1")
        await post(server, STOP, CHAT)
        await first.until(b"0\r\n\r\n")
        assert [run.status for run in server.runs] == ["stopped", "running"]
        await post(server, STOP, CHAT)
        await second.until(b"0\r\n\r\n")


async def test_a_run_that_lost_its_client_can_still_be_stopped() -> None:
    async with FakeFastGPT() as server:
        server.script(WAITING)
        async with connect(server) as client:
            await begin(client, V2, chatId="c1")
        with anyio.fail_after(5):
            await server.wait_disconnect()
            await post(server, STOP, CHAT)
            assert (await server.wait_run()).status == "stopped"


async def test_a_stop_on_a_dead_line_ends_the_run_and_not_the_silence() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("so far"), Silence()))
        await begin(client, V2, chatId="c1")
        await post(server, STOP, CHAT)
        with anyio.fail_after(5):
            assert (await server.wait_run()).status == "stopped"
        await client.until(b"\r\n")
        with anyio.move_on_after(0.05) as limit:
            await client.stream.receive()
        assert limit.cancelled_caught


@pytest.mark.parametrize("version, status", [("4.14.7", 500), ("4.16.0", 400)])
async def test_a_stop_without_app_or_chat_is_a_schema_error(version: str, status: int) -> None:
    async with FakeFastGPT(server_version=version) as server:
        for missing in CHAT:
            body = {name: value for name, value in CHAT.items() if name != missing}
            answer = await post(server, STOP, body)
            assert f" {status} " in answer.status_line
            assert answer.text == (
                '{"code":400,"statusText":"error","message":"Data validation error","data":null,'
                f'"zodError":[{{"expected":"string","code":"invalid_type","path":["{missing}"],'
                '"message":"Invalid input: expected string, received undefined"}]}'
            )
        assert (await post(server, STOP, CHAT, key="x")).json["code"] == 514
        assert (await post(server, STOP, b"{")).text == "Invalid JSON"
        assert server.stops == []


# --- a busy chat --------------------------------------------------------------------------------


async def test_4_16_refuses_a_second_run_in_a_busy_chat_and_4_14_does_not() -> None:
    async with FakeFastGPT() as server, FakeFastGPT(server_version="4.14.7") as old:
        for one, other in ((server, "chatIsGenerating"), (old, "so far")):
            one.script(WAITING)
            async with connect(one) as first, connect(one) as second:
                await begin(first, V2, chatId="c1")
                await second.send(request_bytes(V2, question(stream=True, chatId="c1")))
                await second.until(other.encode())
        assert len(server.runs) == 1
        assert len(old.runs) == 2


# --- gates and waits ----------------------------------------------------------------------------


async def test_a_test_steps_a_script_through_gates_and_events_of_its_own() -> None:
    own = anyio.Event()
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(Delta("so far"), WaitFor("a"), Delta("then"), WaitFor(own)))
        await begin(client, V1)
        with anyio.fail_after(5):
            await server.wait_at_gate("a")
        server.open_gate("a")
        await client.until(b"then")
        assert server.runs[0].status == "running"
        own.set()
        await client.until(b"0\r\n\r\n")


async def test_a_gate_can_be_closed_again() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(WAITING)
        server.open_gate("go")
        await client.post(V1, question(stream=True))
        server.close_gate("go")
        server.close_gate("never opened")
        await begin(client, V1)
        with anyio.fail_after(5):
            await server.wait_at_gate("go", 2)
        assert server.runs[1].status == "running"


# --- connections --------------------------------------------------------------------------------


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        await client.post(V1, question(stream=True))
        await client.post(V1, question(stream=True), key="wrong")
        await client.post(V2, question())
        await client.post("/nowhere", {})
        assert server.connections == server.open_connections == 1
        assert [request.connection for request in server.requests] == [1, 1, 1, 1]


async def test_an_idle_connection_is_closed_after_the_keep_alive_time() -> None:
    async with FakeFastGPT(keep_alive=0.01) as server, connect(server) as client:
        await client.post(V1, question(stream=True))
        assert await client.rest() == b""
        assert server.open_connections == 0


async def test_many_streams_run_side_by_side() -> None:
    async with FakeFastGPT() as server:
        server.script(WAITING)
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(post, server, V2, question(stream=True))
            with anyio.fail_after(5):
                await server.wait_at_gate("go", 50)
            assert server.open_connections == 50
            server.open_gate("go")
        assert len(server.saved) == 50


async def test_a_slow_reader_gets_everything_before_a_close() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(Script(*[Delta("z" * 1_000_000)] * 30, Close()))
        await client.send(request_bytes(V1, question(stream=True)))
        await server.wait_request()
        await anyio.wait_all_tasks_blocked()
        # The kernel's buffers are full now, and the script waits for the reader.
        assert server.runs[0].status == "running"
        received = 0
        with suppress(anyio.EndOfStream):
            while True:
                received += (await client.more()).count(b"z")
        assert received == 30_000_000


# --- the block ----------------------------------------------------------------------------------


async def test_leaving_the_block_ends_runs_and_closes_connections_and_the_port() -> None:
    async with FakeFastGPT() as server:
        server.script(WAITING)
        idle, busy = await _two_connections(server)
    for client in (idle, busy):
        async with client.stream:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await _read_to_the_end(client)
    assert server.open_connections == 0
    with pytest.raises(OSError, match="All connection attempts failed"):
        await _connect(server)


async def _connect(server: FakeFastGPT) -> RawClient:
    port = int(server.base_url.rsplit(":", 1)[1])
    return RawClient(await anyio.connect_tcp("127.0.0.1", port))


async def _two_connections(server: FakeFastGPT) -> tuple[RawClient, RawClient]:
    idle, busy = await _connect(server), await _connect(server)
    await begin(busy, V2)
    return idle, busy


async def _read_to_the_end(client: RawClient) -> None:
    while True:
        await client.more()


async def _fail_inside(error: BaseException) -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(WAITING)
        await begin(client, V2)
        raise error


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
async def test_an_exception_leaves_the_block_as_itself(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        await _fail_inside(error)
    assert caught.value is error


async def test_a_cancelled_block_is_left_at_once_and_the_scope_knows() -> None:
    with anyio.move_on_after(0.02) as limit:
        async with FakeFastGPT() as server, connect(server) as client:
            server.script(Script(Delta("so far"), Drip(1), Delta("x" * 1000)))
            await begin(client, V2)
            await anyio.sleep_forever()
    assert limit.cancelled_caught
    assert server.open_connections == 0
    with anyio.fail_after(5):
        await anyio.lowlevel.checkpoint()


async def _serve_for_ever() -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.script(WAITING)
        await begin(client, V2)
        await anyio.sleep_forever()


async def test_the_cancellation_of_each_loop_passes_through(anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        import trio

        with trio.move_on_after(0.02) as limit:
            await _serve_for_ever()
        assert limit.cancelled_caught
        return
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_serve_for_ever(), 0.02)
    task = asyncio.create_task(_serve_for_ever())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def _ask_broken(*handlers: Callable[[RecordedRequest], str]) -> None:
    async with FakeFastGPT() as server:
        server.enqueue(*handlers)
        for _ in handlers:
            async with connect(server) as client:
                await client.send(request_bytes(V1, question(stream=True)))
                assert await client.rest() == b""


def _broken(_: RecordedRequest) -> str:
    raise LookupError("no such answer")


async def test_a_failing_handler_closes_its_connection_and_is_raised_by_the_block() -> None:
    with pytest.raises(LookupError, match="no such answer"):
        await _ask_broken(_broken)


async def test_several_failing_handlers_are_raised_as_a_group() -> None:
    with pytest.raises(Exception, match="handlers of the fake server") as caught:
        await _ask_broken(_broken, _broken)
    assert isinstance(caught.value, ExceptionGroup)
    assert [type(error) for error in caught.value.exceptions] == [LookupError, LookupError]


async def _ask_a_route_for(answer: Any) -> None:
    async with FakeFastGPT() as server, connect(server) as client:
        server.route("POST", "/x", answer)
        await client.send(request_bytes("/x", {}))
        await client.rest()


async def test_a_script_on_another_endpoint_is_a_clear_error() -> None:
    with pytest.raises(TypeError, match="cannot answer /x with Script"):
        await _ask_a_route_for(Script())


async def test_a_server_is_entered_once_and_has_no_address_before() -> None:
    server = FakeFastGPT()
    with pytest.raises(RuntimeError, match="enter the server's block first"):
        _ = server.base_url
    async with server:
        with pytest.raises(RuntimeError, match="can be entered once"):
            await server.__aenter__()


async def test_the_port_can_be_chosen() -> None:
    async with FakeFastGPT() as first:
        port = int(first.base_url.rsplit(":", 1)[1])
    async with FakeFastGPT(port=port) as second:
        assert second.base_url == first.base_url


def test_the_key_is_not_in_the_repr() -> None:
    assert "secret" not in repr(FakeFastGPT(api_key="secret"))

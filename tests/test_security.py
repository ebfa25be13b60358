"""The key stays where it belongs, and no server can make a client take more than it agreed to."""

from __future__ import annotations

import functools
import gzip
import json
import logging
import os
import pickle
import ssl
import traceback
import tracemalloc
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import hypothesis
import hypothesis.strategies as st
import pytest

import fastgpt_client
from fastgpt_client import (
    APIError,
    AsyncChatClient,
    AuthenticationError,
    ChatClient,
    ConnectError,
    FastGPTError,
    InvalidArgumentError,
    NotAnEventStreamError,
    ReplyInterruptedError,
    ReplyTooLargeError,
    Timeouts,
)

from .fault_server import (
    BODY,
    CHUNKED_HEAD,
    LAST_CHUNK,
    TEXT,
    Endless,
    FaultServer,
    Fin,
    Silence,
    Step,
    chunk,
    free_port,
    head,
    whole,
)
from .scripted import delta, frame, http_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Factory = Callable[..., Any]

KEY = "fastgpt-Zq7kX2wVt9LmN4pRsY8uB3cD"
PACKAGE = str(Path(fastgpt_client.__file__).parent)
WHOLE = CHUNKED_HEAD + chunk(BODY) + LAST_CHUNK

on_all_backends = pytest.mark.anyio


# --- where the key may be seen -----------------------------------------------------------------


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its causes and contexts, and the members of groups."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


def locals_of_ours(error: BaseException) -> str:
    """Return what a traceback with locals prints for the frames of this package."""
    lines: list[str] = []
    for one in chain(error):
        shown = traceback.TracebackException.from_exception(one, capture_locals=True)
        ours = [place for place in shown.stack if place.filename.startswith(PACKAGE)]
        lines += [f"{place.filename}:{place.lineno} {place.locals}" for place in ours]
    return "\n".join(lines)


def rich_locals_of_ours(error: BaseException) -> str:
    """Return what rich shows of those frames: it looks into values by itself."""
    rich_traceback = pytest.importorskip("rich.traceback")
    trace = rich_traceback.Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=None
    )
    frames = [place for stack in trace.stacks for place in stack.frames]
    return "\n".join(
        str(node)
        for place in frames
        if place.filename.startswith(PACKAGE)
        for node in (place.locals or {}).values()
    )


def check_hidden(error: BaseException) -> None:
    """Look for the key wherever an error shows something."""
    # The beginning of it too, as of a message that was cut.
    for part in (KEY, KEY[:14]):
        for one in chain(error):
            assert part not in f"{one} {one!r} {one.args!r}"
            if isinstance(one, FastGPTError):
                assert part not in repr(vars(one))
                assert part.encode() not in pickle.dumps(one)
        assert part not in locals_of_ours(error)
        assert part not in rich_locals_of_ours(error)


ECHO = f"bad credentials: Bearer {KEY}"
ERROR_EVENT = frame("error", json.dumps({"code": 500, "message": ECHO, "data": {"h": [ECHO]}}))
CHUNKED_JSON = head("500 X", "application/json", "Transfer-Encoding: chunked")

#: What a server may send, and the error that it makes.
ANSWERS: dict[str, tuple[bytes, type[FastGPTError]]] = {
    "a refusal in JSON": (
        whole("401 X", "application/json", json.dumps({"code": 401, "message": ECHO}).encode()),
        AuthenticationError,
    ),
    "a refusal in escaped JSON": (
        whole(
            "500 X",
            "application/json",
            json.dumps({"message": ECHO}).replace("fastgpt-", r"fastgpt\u002d").encode(),
        ),
        APIError,
    ),
    "a long refusal": (
        whole("500 X", "text/plain", b"x" * 275 + KEY.encode() + b"y" * 400),
        APIError,
    ),
    "an error event": (CHUNKED_HEAD + chunk(delta("Once ") + ERROR_EVENT) + LAST_CHUNK, APIError),
    "an error event that is text": (
        CHUNKED_HEAD + chunk(frame("error", ECHO)) + LAST_CHUNK,
        APIError,
    ),
    "a long error event": (
        CHUNKED_HEAD + chunk(frame("error", json.dumps({"message": "x" * 275 + KEY}))) + LAST_CHUNK,
        APIError,
    ),
    "an error without a name": (
        CHUNKED_HEAD + chunk(f'data: {{"error":{{"message":"{ECHO}"}}}}\n\n'.encode()) + LAST_CHUNK,
        APIError,
    ),
    "junk": (head("200 OK", None) + ECHO.encode(), NotAnEventStreamError),
    "junk that is cut": (
        head("200 OK", None) + b"x" * 105 + KEY.encode(),
        NotAnEventStreamError,
    ),
    "html": (whole("200 OK", "text/html", f"<p>{ECHO}".encode()), NotAnEventStreamError),
    "a media type": (whole("200 OK", f"text/{KEY}", b"x"), NotAnEventStreamError),
    "a redirect": (
        whole("302 X", None, b"", f"Location: http://127.0.0.1/?key={KEY}"),
        APIError,
    ),
    "a broken header": (f"HTTP/1.1 200 OK\r\n{ECHO}\x00: x\r\n\r\n".encode(), FastGPTError),
    "a broken chunk": (
        CHUNKED_HEAD + chunk(delta("Once ")) + f"{KEY[:19]}\r\n".encode(),
        ReplyInterruptedError,
    ),
    "a failed node": (
        CHUNKED_HEAD
        + chunk(
            frame(
                "flowNodeResponse",
                json.dumps(
                    {
                        "id": "1",
                        "nodeId": "n",
                        "moduleName": "AI",
                        "moduleType": "chatNode",
                        "errorText": ECHO,
                    }
                ),
            )
            + BODY
        )
        + LAST_CHUNK,
        FastGPTError,
    ),
}


@on_all_backends
@pytest.mark.parametrize("what", [*ANSWERS])
async def test_a_key_that_the_server_echoes_is_in_no_error_and_no_log(
    what: str, http_client_factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    sent, kind = ANSWERS[what]
    if what == "a broken chunk":
        # h11 shows at most the beginning of a line; a key may be as short as that.
        sent = sent.replace(KEY[:19].encode(), KEY.encode())
    with caplog.at_level(logging.DEBUG), FaultServer.of(sent, Fin()) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http, enable_logging=True)
            with anyio.fail_after(5), pytest.raises(kind) as caught:
                async with client:
                    await client.ask("Hi")
        assert KEY.encode() in server.requests[0]
    if what == "a failed node":
        # Its message alone: the nodes are what the workflow said, as its text is.
        assert KEY[:14] not in f"{caught.value} {caught.value.args}"
    else:
        check_hidden(caught.value)
    records = [record for record in caplog.records if not record.name.startswith("httpcore")]
    assert [record for record in records if KEY[:14] in record.getMessage()] == []


@on_all_backends
@pytest.mark.parametrize(
    "what", ["an error event", "junk", "a refusal in JSON", "a long error event"]
)
async def test_the_lines_of_a_completion_end_in_an_error_without_the_key(
    what: str, http_client_factory: Factory
) -> None:
    sent, kind = ANSWERS[what]
    with FaultServer.of(sent, Fin()) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(5), pytest.raises(kind) as caught:
                async with client:
                    response = await client.create_chat_completion("Hi", stream=True)
                    async for _ in response.aiter_lines():
                        pass
    check_hidden(caught.value)


@pytest.mark.parametrize("what", ["an error event", "a refusal in JSON", "a broken header"])
@pytest.mark.parametrize("how", ["ask", "lines"])
def test_the_blocking_client_hides_the_key_too(what: str, how: str) -> None:
    sent, kind = ANSWERS[what]
    with FaultServer.of(sent, Fin()) as server, ChatClient(KEY, server.url) as client:
        with pytest.raises(kind) as caught:
            if how == "ask":
                client.ask("Hi")
            else:
                for _ in client.create_chat_completion("Hi", stream=True).iter_lines():
                    pass
        assert KEY not in repr(client)
    check_hidden(caught.value)


@on_all_backends
async def test_a_key_is_in_no_log_of_a_good_reply(
    http_client_factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), FaultServer.of(WHOLE, Fin()) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http, enable_logging=True)
            with anyio.fail_after(5):
                async with client, client.stream("Hi") as reply:
                    await reply.final()
                    shown = [reply, reply.answer, client, client._target, reply.__dict__]
        assert KEY.encode() in server.requests[0]
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert {"fastgpt_client", "httpx"} & names, "nothing was logged, so nothing was tested"
    # Of the HTTP library's own pieces too.
    for record in caplog.records:
        assert KEY not in f"{record.getMessage()} {record.exc_text}"
    assert KEY not in f"{shown}"


@pytest.mark.parametrize("kind", [AsyncChatClient, ChatClient])
@pytest.mark.parametrize(
    "arguments",
    [
        {"base_url": "nonsense"},
        {"base_url": "http://a:b@c"},
        {"app_id": "short"},
        {"api": "v3"},
        {"timeouts": 5},
        {"max_reply_bytes": 0},
        {"timeout": -1},
        {"http_client": "no client"},
        {"max_retries": -1},
        {"api_key": KEY + "\n"},
        {"api_key": "Bearer " + KEY},
        {"api_key": KEY + "é"},
        {"api_key": [KEY]},
    ],
    ids=str,
)
def test_an_argument_that_is_refused_shows_no_key(
    kind: Callable[..., object], arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        kind(**{"api_key": KEY, "base_url": "http://127.0.0.1:1"} | arguments)
    check_hidden(caught.value)


@on_all_backends
@pytest.mark.parametrize("fault", ["refused", "silent", "first half", "bad message", "bad host"])
async def test_no_frame_of_ours_has_the_key_in_its_locals(
    fault: str, http_client_factory: Factory
) -> None:
    steps: dict[str, tuple[Step, ...]] = {
        "silent": (Silence(),),
        "first half": (WHOLE[: len(WHOLE) // 2], Fin()),
    }
    urls = {"refused": f"http://127.0.0.1:{free_port()}", "bad host": "http://a..b"}
    with FaultServer.of(*steps.get(fault, ())) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, urls.get(fault, server.url), http_client=http)
            limits = Timeouts(first_token=0.1 if fault == "silent" else 5)
            messages: Any = [{"role": "user", "content": object()}] if "message" in fault else "Hi"
            with anyio.fail_after(5), pytest.raises(FastGPTError) as caught:
                async with client:
                    await client.ask(messages, timeouts=limits)
    check_hidden(caught.value)
    if fault != "bad message":
        # Something of ours was looked at.
        assert "AsyncChatClient http" in locals_of_ours(caught.value)


# --- other origins -----------------------------------------------------------------------------


@on_all_backends
@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_a_redirect_is_refused_and_no_other_origin_is_asked(
    status: str, http_client_factory: Factory
) -> None:
    with FaultServer.of(WHOLE, Fin()) as catcher:
        away = whole(
            f"{status} Elsewhere", None, b"", f"Location: {catcher.url}/api", "Connection: close"
        )
        with FaultServer.of(away, Fin()) as server:
            # Even if the caller's own client would follow.
            async with http_client_factory(follow_redirects=True, auth=("u", "p")) as http:
                client = AsyncChatClient(KEY, server.url, http_client=http)
                with anyio.fail_after(5):
                    async with client:
                        with pytest.raises(APIError, match="redirects to"):
                            await client.ask("Hi")
                        with pytest.raises(APIError, match="redirects to"):
                            async for _ in (
                                await client.create_chat_completion("Hi", stream=True)
                            ).aiter_lines():
                                pass
                        with pytest.raises(APIError, match="redirects to"):
                            (await client.create_chat_completion("Hi")).raise_for_status()
                        with pytest.raises(APIError, match="redirects to"):
                            await client.request("GET", "/api/core/chat/init")
            assert len(server.requests) == 4
            assert all(f"Bearer {KEY}".encode() in request for request in server.requests)
        assert catcher.accepted == 0


def test_the_blocking_client_follows_no_redirect_either() -> None:
    with FaultServer.of(WHOLE, Fin()) as catcher:
        away = whole(
            "307 Elsewhere", None, b"", f"Location: {catcher.url}/api", "Connection: close"
        )
        with FaultServer.of(away, Fin()) as server, ChatClient(KEY, server.url) as client:
            with pytest.raises(APIError, match="redirects to"):
                client.ask("Hi")
            with pytest.raises(APIError, match="redirects to"):
                client.create_chat_completion("Hi").raise_for_status()
        assert catcher.accepted == 0


# --- TLS ---------------------------------------------------------------------------------------


@contextmanager
def tls_server(host: str = "127.0.0.1") -> Iterator[tuple[FaultServer, Any]]:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    with FaultServer.of(WHOLE, Fin(), tls=context) as server:
        yield server, authority


@on_all_backends
async def test_a_certificate_that_nobody_signed_is_a_connect_error(
    http_client_factory: Factory,
) -> None:
    with tls_server() as (server, _):
        async with http_client_factory() as http, AsyncChatClient(KEY, server.url) as own:
            for client in (AsyncChatClient(KEY, server.url, http_client=http), own):
                with (
                    anyio.fail_after(5),
                    pytest.raises(ConnectError, match=r"(?i)certificate") as e,
                ):
                    await client.ask("Hi")
                check_hidden(e.value)
        assert server.requests == []


@on_all_backends
async def test_a_certificate_for_another_host_is_a_connect_error(
    http_client_factory: Factory,
) -> None:
    with tls_server("fastgpt.example") as (server, authority):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with http_client_factory(verify=context) as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(5), pytest.raises(ConnectError, match=r"(?i)certificate"):
                await client.ask("Hi")
        assert server.requests == []


@on_all_backends
async def test_a_certificate_that_the_caller_trusts_works(http_client_factory: Factory) -> None:
    with tls_server() as (server, authority):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with http_client_factory(verify=context) as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(5):
                assert (await client.ask("Hi")).text == TEXT
        assert len(server.requests) == 1


@on_all_backends
async def test_our_own_client_trusts_what_the_system_is_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tls_server() as (server, authority):
        path = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(path))
        monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(path))
        with anyio.fail_after(5):
            async with AsyncChatClient(KEY, server.url) as client:
                assert (await client.ask("Hi")).text == TEXT


# --- injection ---------------------------------------------------------------------------------

_nasty = st.text(
    st.sampled_from(["\r", "\n", "\0", "\t", " ", ":", "/", "?", "#", "@", "é", "\x7f", "\x85"])
    | st.characters(codec="utf-8"),
    min_size=1,
    max_size=12,
)


@hypothesis.settings(max_examples=150)
@hypothesis.given(
    key=st.just(KEY) | _nasty,
    path=st.just("") | _nasty,
    chat_id=st.none() | _nasty,
    how=st.sampled_from(["v1", "v2", "resume", "request"]),
)
def test_what_a_caller_passes_is_refused_or_stays_in_its_place(
    key: str, path: str, chat_id: str | None, how: str
) -> None:
    requests: list[Any] = []
    library = http_library()

    def answer(request: Any) -> Any:
        requests.append(request)
        return library.Response(500, json={"code": 500, "message": "no"})

    async def ask() -> None:
        async with library.AsyncClient(transport=library.MockTransport(answer)) as http:
            client = AsyncChatClient(
                key, f"http://fastgpt.test/{path}", http_client=http, app_id="0" * 24
            )
            if how == "resume":
                async with client.resume(chat_id or "c"):
                    pass
            elif how == "request":
                await client.request("GET", "/api/x", query={"chatId": chat_id})
            else:
                api: Any = how
                await client.ask("Hi", chat_id=chat_id, api=api)

    with pytest.raises(FastGPTError) as caught:
        anyio.run(ask)
    if not requests:
        assert isinstance(caught.value, InvalidArgumentError)
        return
    (request,) = requests
    assert request.url.host == "fastgpt.test"
    assert request.headers["host"] == "fastgpt.test"
    names = [name.lower() for name, _ in request.headers.raw]
    allowed = "host accept accept-encoding connection user-agent authorization content-type"
    extra = {b"content-length", b"x-fastgpt-resume-mirror", *allowed.encode().split()}
    assert names.count(b"authorization") == 1
    assert {name for name in names if not name.startswith(b"x-")} <= extra
    for raw in (*sum(request.headers.raw, ()), request.url.raw_path):
        assert not any(byte in raw for byte in b"\r\n\0"), raw
    assert request.headers["authorization"] == f"Bearer {key}"


# --- bounds ------------------------------------------------------------------------------------

MIB = 1024 * 1024
#: Much more than a client may keep of a server that never ends, much less than it would without a
#: bound.
PEAK = 90 * MIB


@contextmanager
def bounded_memory(most: int = PEAK) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MIB:.0f} MiB"


A_CHUNK = 256 * 1024


@on_all_backends
@pytest.mark.parametrize(
    "endless",
    [b"data: " + b"x" * A_CHUNK, b": comment", (b"data: " + b"x" * 200 + b"\n") * (A_CHUNK // 207)],
    ids=["a line", "a comment", "an event of many lines"],
)
async def test_a_frame_without_an_end_is_too_large_and_costs_bounded_memory(
    endless: bytes, http_client_factory: Factory
) -> None:
    endless = endless if len(endless) > 1000 else endless * (A_CHUNK // len(endless))
    start = CHUNKED_HEAD + chunk(delta("Once "))
    with FaultServer.of(start, Endless(chunk(endless))) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(15), bounded_memory():
                with pytest.raises(ReplyTooLargeError) as caught:
                    await client.ask("Hi")
            assert http._transport._pool.connections == []
    assert caught.value.partial == "Once "


@on_all_backends
@pytest.mark.parametrize("how", ["events", "heartbeats", "comments"])
async def test_a_reply_beyond_its_limit_is_too_large(
    how: str, http_client_factory: Factory
) -> None:
    one = {"events": delta("x" * 50), "heartbeats": delta(""), "comments": b": 12345678\n\n"}[how]
    with FaultServer.of(CHUNKED_HEAD, Endless(chunk(one * 200))) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http, max_reply_bytes=MIB)
            with anyio.fail_after(15), bounded_memory(20 * MIB):
                with pytest.raises(ReplyTooLargeError, match="max_reply_bytes") as caught:
                    await client.ask("Hi")
            assert http._transport._pool.connections == []
    assert set(caught.value.partial) <= {"x"}
    assert bool(caught.value.partial) is (how == "events")


@functools.cache
def bomb(encoding: str = "gzip") -> bytes:
    """Return some kilobytes that unpack to 200 MiB of one line."""
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    return compress(bytes(200 * MIB), 1)


@on_all_backends
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_bomb_is_too_large_and_costs_bounded_memory(
    encoding: str, http_client_factory: Factory
) -> None:
    sent = head("200 OK", "text/event-stream", f"Content-Encoding: {encoding}") + bomb(encoding)
    with FaultServer.of(sent, Fin()) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http, max_reply_bytes=8 * MIB)
            with anyio.fail_after(15), bounded_memory():
                with pytest.raises(ReplyTooLargeError):
                    await client.ask("Hi")
            assert http._transport._pool.connections == []


@on_all_backends
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
async def test_a_refusal_without_an_end_costs_bounded_memory(
    packed: bool, http_client_factory: Factory
) -> None:
    if packed:
        body = bomb()
        steps: tuple[Step, ...] = (
            head("500 X", "application/json", "Content-Encoding: gzip") + body,
            Fin(),
        )
    else:
        steps = (head("500 X", "application/json"), Endless(b'{"message": "' * 10_000))
    with FaultServer.of(*steps) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(15), bounded_memory(30 * MIB):
                with pytest.raises(APIError):
                    await client.ask("Hi")
            assert http._transport._pool.connections == []


@on_all_backends
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
async def test_an_endpoints_answer_without_an_end_is_too_large(
    packed: bool, http_client_factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("_call", "_exchange"):
        monkeypatch.setattr(f"fastgpt_client.{module}.MAX_ANSWER_BYTES", 8 * MIB)
    if packed:
        steps: tuple[Step, ...] = (
            head("200 OK", "application/json", "Content-Encoding: gzip") + bomb(),
            Fin(),
        )
    else:
        steps = (head("200 OK", "application/json"), Endless(b"[" * 100_000))
    with FaultServer.of(*steps) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(15), bounded_memory():
                with pytest.raises(ReplyTooLargeError):
                    await client.request("GET", "/api/core/chat/init")
            assert http._transport._pool.connections == []


@on_all_backends
@pytest.mark.parametrize("deep", [b"[" * 200_000, b'{"a":' * 100_000], ids=["lists", "objects"])
@pytest.mark.parametrize("name", ["answer", "error", "flowResponses", "novelty"])
async def test_json_that_is_nested_too_deeply_is_an_error_and_no_crash(
    name: str, deep: bytes, http_client_factory: Factory
) -> None:
    event = f"event: {name}\ndata: ".encode() + deep + b"\n\n"
    with FaultServer.of(CHUNKED_HEAD + chunk(event + BODY) + LAST_CHUNK, Fin()) as server:
        async with http_client_factory() as http:
            client = AsyncChatClient(KEY, server.url, http_client=http)
            with anyio.fail_after(5):
                if name in ("answer", "error"):
                    with pytest.raises(FastGPTError):
                        await client.ask("Hi")
                else:
                    assert (await client.ask("Hi")).text == TEXT

"""What the caller gave is checked before anything is sent, and sent as the server takes it."""

from __future__ import annotations

import json
import math
import traceback
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgpt_client import (
    AsyncChatClient,
    AuthenticationError,
    ChatClient,
    FastGPTError,
    InvalidArgumentError,
    Message,
    NotFoundError,
    ReplyTooLargeError,
    Status,
    Timeouts,
    UsageError,
)
from fastgpt_client._messages import to_wire
from fastgpt_client._requests import MAX_BODY_BYTES, chat_request, target
from fastgpt_client.testing import BlockingFakeFastGPT, Delta, FakeFastGPT, Script, WaitFor

from .recordings import stream_response
from .standins.building import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

APP_ID = "65f0000000000000000000aa"
KEY = "fastgpt-abcDEF0123"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTGPT_API_KEY", raising=False)
    monkeypatch.delenv("FASTGPT_BASE_URL", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[FakeFastGPT]:
    async with FakeFastGPT() as server:
        server.reply("Hello.")
        yield server


def request(messages: Any = "hello", **options: Any) -> dict[str, Any]:
    """The body that would be sent."""
    made = chat_request(messages, **{"api": "v1", "stream": True, "detail": True, **options})
    body: dict[str, Any] = json.loads(made.body)
    return body


# --- the base URL -------------------------------------------------------------------------------------

URLS = {
    "http://localhost:3000": "http://localhost:3000",
    "http://localhost:3000/": "http://localhost:3000",
    "http://localhost:3000///": "http://localhost:3000",
    "http://localhost:3000/api": "http://localhost:3000",
    "http://localhost:3000/api/": "http://localhost:3000",
    "http://localhost:3000/api/v1": "http://localhost:3000",
    "http://localhost:3000/api/v1/": "http://localhost:3000",
    "http://localhost:3000/api/v2": "http://localhost:3000",
    "http://localhost:3000//api//v1//": "http://localhost:3000",
    "http://localhost:3000/v1": "http://localhost:3000",
    "http://localhost:3000/v2/": "http://localhost:3000",
    "http://localhost:3000/api/v1/chat": "http://localhost:3000",
    "http://localhost:3000/api/v1/chat/completions": "http://localhost:3000",
    "http://localhost:3000/api/v2/chat/completions/": "http://localhost:3000",
    "https://cloud.example.com/api": "https://cloud.example.com",
    "https://example.com/fastgpt": "https://example.com/fastgpt",
    "https://example.com/fastgpt/": "https://example.com/fastgpt",
    "https://example.com/fastgpt/api": "https://example.com/fastgpt",
    "https://example.com/fastgpt/api/v1/": "https://example.com/fastgpt",
    "https://example.com/a/b/api/v1": "https://example.com/a/b",
    "https://example.com/api/fastgpt": "https://example.com/api/fastgpt",
    "https://example.com/my-api": "https://example.com/my-api",
    "https://example.com/apis": "https://example.com/apis",
    "https://example.com/rapi/v1": "https://example.com/rapi",
    "https://example.com/v3": "https://example.com/v3",
    "HTTPS://Example.com/API": "https://Example.com/API",
    "  http://localhost:3000/api\n": "http://localhost:3000",
    "http://[::1]:3000/api/v1": "http://[::1]:3000",
    "http://[fe80::1]": "http://[fe80::1]",
    "http://127.0.0.1": "http://127.0.0.1",
    "http://例え.jp/api": "http://例え.jp",
}


@pytest.mark.parametrize("given_url, base", URLS.items(), ids=URLS)
def test_a_base_url_is_taken_with_or_without_the_apis_own_path(given_url: str, base: str) -> None:
    assert target(KEY, given_url).base_url == base
    assert target(KEY, given_url).url("/api/v1/chat/completions").startswith(f"{base}/api/v1/")


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_base_url_the_servers_own_port_is_asked(nothing: str | None) -> None:
    assert target(KEY, nothing).base_url == "http://localhost:3000"


@pytest.mark.parametrize(
    "url, words",
    [
        ("localhost:3000", "http:// or https://"),
        ("localhost", "http:// or https://"),
        ("127.0.0.1:3000/api", "http:// or https://"),
        ("cloud.example.com", "http:// or https://"),
        ("//example.com", "http:// or https://"),
        ("ftp://example.com", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http://", "a host"),
        ("http:///api", "a host"),
        ("http://:3000", "a host"),
        ("http://example.com:port", "no URL"),
        ("http://example.com:99999", "no URL"),
        ("http://[::1", "no URL"),
        ("http://exa mple.com", "without spaces"),
        ("http://example.com/\napi", "without spaces"),
        ("http://example.com\x00", "without spaces"),
        ("http://user:secret@example.com", "no user"),
        ("http://example.com/api?key=1", "no user, query"),
        ("http://example.com/#top", "no user, query or fragment"),
        (5, "must be a URL"),
        (b"http://example.com", "must be a URL"),
        (["http://example.com"], "must be a URL"),
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_with_a_reason(url: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        AsyncChatClient(KEY, url)
    assert caught.value.field == "base_url"
    assert "secret" not in str(caught.value)


def test_a_key_in_the_place_of_the_url_is_not_shown() -> None:
    with pytest.raises(InvalidArgumentError, match="api_key comes before it") as caught:
        AsyncChatClient("https://example.com", KEY)
    assert KEY not in str(caught.value)


@given(st.text(max_size=40) | st.text("/:api.v12[]@?#", max_size=20).map("http://x".__add__))
def test_any_base_url_is_taken_or_refused(url: str) -> None:
    try:
        base = target(KEY, url).base_url
    except InvalidArgumentError:
        return
    assert base.startswith(("http://", "https://"))
    assert not base.endswith("/")


@pytest.mark.anyio
@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("end", ["", "/", "/api", "/api/", "/api/v1", "/v1/", "/api/v2/chat"])
async def test_requests_go_to_the_same_place_for_each_form_of_the_base_url(
    server: FakeFastGPT, end: str, api: Any
) -> None:
    async with AsyncChatClient(server.api_key, server.base_url + end, api=api) as client:
        with anyio.fail_after(5):
            assert (await client.ask("hello")).text == "Hello."
    assert server.requests[0].path == f"/api/{api}/chat/completions"


@pytest.mark.anyio
async def test_key_and_base_url_come_from_the_environment(
    server: FakeFastGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTGPT_API_KEY", server.api_key)
    monkeypatch.setenv("FASTGPT_BASE_URL", f"{server.base_url}/api")
    async with AsyncChatClient() as client:
        with anyio.fail_after(5):
            assert (await client.ask("hello")).text == "Hello."
    # What is passed wins.
    with pytest.raises(InvalidArgumentError):
        AsyncChatClient(base_url="nowhere")


# --- the key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        f"{KEY}\n",
        f"{KEY}\r\n",
        f"\n{KEY}",
        f"{KEY}\nX-Header: 1",
        f" {KEY}",
        f"{KEY} ",
        f"Bearer {KEY}",
        f"{KEY}\t",
        f"{KEY}\x00",
        f"{KEY}\x7f",
        f"{KEY}é",
        f"{KEY}\u2028",
        KEY.encode(),
        5,
        [KEY],
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="bare key") as caught:
        AsyncChatClient(key)
    assert caught.value.field == "api_key"
    assert KEY not in str(caught.value)


def test_a_key_from_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGPT_API_KEY", f"{KEY}\n")
    with pytest.raises(InvalidArgumentError, match="newline"):
        AsyncChatClient()


@pytest.mark.anyio
@pytest.mark.parametrize("key", [None, ""])
async def test_a_missing_key_fails_at_the_call_and_nothing_is_sent(
    server: FakeFastGPT, key: str | None
) -> None:
    async with AsyncChatClient(key, server.base_url) as client:
        with anyio.fail_after(5):
            with pytest.raises(AuthenticationError, match="FASTGPT_API_KEY") as caught:
                async with client.stream("hello"):
                    raise AssertionError("the block was entered")
            assert "nothing was sent" in str(caught.value)
            with pytest.raises(AuthenticationError):
                await client.ask("hello")
    assert (server.connections, server.requests) == (0, [])


@pytest.mark.anyio
async def test_the_key_is_in_one_header_and_in_no_representation(server: FakeFastGPT) -> None:
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5):
            async with client.stream("hello") as reply:
                await reply.final()
        shown = repr(client) + repr(client._target) + repr(reply) + repr(reply.answer)
    assert server.api_key not in shown
    (sent,) = server.requests
    assert sent.header("authorization") == f"Bearer {server.api_key}"
    assert server.api_key.encode() not in sent.body
    assert server.api_key not in sent.target


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 401, 500])
async def test_a_key_that_a_proxy_echoes_is_not_in_the_error(
    server: FakeFastGPT, status: int
) -> None:
    body = f"bad credentials: Bearer {server.api_key}".encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    server.play_raw(head.encode() + body)
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5), pytest.raises(FastGPTError, match="bad credentials") as caught:
            await client.ask("hello")
    error = caught.value
    assert server.api_key not in f"{error} {error!r} {getattr(error, 'response_data', '')}"


# --- messages -----------------------------------------------------------------------------------------


def test_a_text_is_one_user_message() -> None:
    assert request("你好")["messages"] == [{"role": "user", "content": "你好"}]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a"}],
        ({"role": "user", "content": "a"},),
        {"role": "user", "content": "a"},
        Message("user", "a"),
        [Message("user", "a")],
        [Message(role="user", content="a")],
    ],
)
def test_messages_are_dicts_or_messages_one_or_several(messages: Any) -> None:
    assert request(messages)["messages"] == [{"role": "user", "content": "a"}]


def test_messages_keep_their_order_their_parts_and_their_further_fields() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "u"}},
    ]
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c"},
        Message("user", (*parts,)),
        {"role": "user", "content": parts, "dataId": "d1"},
    ]
    assert request(messages)["messages"] == [
        *messages[:3],
        {"role": "user", "content": parts},
        {"role": "user", "content": parts, "dataId": "d1"},
    ]


def test_the_callers_messages_are_not_changed() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    wire = to_wire(messages)
    wire[0]["content"][0]["text"] = "b"
    wire[0]["role"] = "system"
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]


@pytest.mark.parametrize(
    "messages, field, words",
    [
        ("", "messages", "empty"),
        ([], "messages", "empty"),
        ((), "messages", "empty"),
        (5, "messages", "sequence of messages, not 5"),
        (b"hello", "messages", "text or a sequence"),
        ({"user": "hello"}.items(), "messages", "sequence"),
        (iter([Message("user", "a")]), "messages", "sequence"),
        ({"hello"}, "messages", "sequence"),
        (["hello"], "messages[0]", "list of texts"),
        ([Message("user", "a"), 5], "messages[1]", "dict or a Message, not int"),
        ([None], "messages[0]", "not NoneType"),
        ([[]], "messages[0]", "not list"),
        ({"content": "a"}, "messages[0].role", "needs a role out of system"),
        ([{"role": "User", "content": "a"}], "messages[0].role", "'User'"),
        ([{"role": None, "content": "a"}], "messages[0].role", "None"),
        ([{"role": ["user"], "content": "a"}], "messages[0].role", "role"),
        ([{"role": "user"}], "messages[0].content", "NoneType"),
        ([{"role": "user", "content": None}], "messages[0].content", "text or a list of parts"),
        ([{"role": "user", "content": 5}], "messages[0].content", "not int"),
        ([{"role": "user", "content": b"a"}], "messages[0].content", "not bytes"),
        ([{"role": "user", "content": {"type": "text"}}], "messages[0].content", "not dict"),
        ([{"role": "user", "content": ["a"]}], "messages[0].content[0]", "dict with a type"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "a"}]}],
            "messages[0].content[1]",
            "dict with a type",
        ),
        (
            [{"role": "user", "content": [{"type": "text"}]}],
            "messages[0].content[0].text",
            "needs one",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": 5}]}],
            "messages[0].content[0].text",
            "of type text",
        ),
        ([Message("robot", "a")], "messages[0].role", "robot"),  # type: ignore[arg-type]
        ([Message("user", 5)], "messages[0].content", "int"),  # type: ignore[arg-type]
        ([Message("user", ["a"])], "messages[0].content[0]", "dict"),  # type: ignore[list-item]
        ("a\ud800b", "messages", "cannot be written as JSON"),
        ([{"role": "user", "content": "a", "x": object()}], "messages", "object"),
    ],
)
def test_messages_of_a_wrong_type_are_refused_at_once_and_say_where(
    messages: Any, field: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        AsyncChatClient(KEY).stream(messages)
    assert caught.value.field == field


def test_a_message_that_contains_itself_is_refused() -> None:
    message: dict[str, Any] = {"role": "user", "content": "a"}
    message["again"] = message
    with pytest.raises(InvalidArgumentError, match="JSON"):
        AsyncChatClient(KEY).stream([message])


def test_a_plugin_app_takes_variables_and_no_messages() -> None:
    body = request(None, variables={"city": "Oslo"})
    assert (body["messages"], body["variables"]) == ([], {"city": "Oslo"})
    with pytest.raises(InvalidArgumentError, match="plugin apps") as caught:
        AsyncChatClient(KEY).stream(None)
    assert caught.value.field == "messages"


# --- the other arguments ------------------------------------------------------------------------------


def test_what_is_not_given_is_not_sent() -> None:
    assert request() == {
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "detail": True,
    }


def test_what_is_given_is_sent_under_the_servers_names() -> None:
    body = request(
        detail=False,
        chat_id="c1",
        app_id=APP_ID,
        variables={},
        response_chat_item_id="r1",
        extra={"customUid": "u1"},
    )
    del body["messages"]
    assert body == {
        "stream": True,
        "detail": False,
        "chatId": "c1",
        "appId": APP_ID,
        "variables": {},
        "responseChatItemId": "r1",
        "customUid": "u1",
    }


@pytest.mark.parametrize(
    "options, field, words",
    [
        ({"chat_id": ""}, "chat_id", "not blank"),
        ({"chat_id": " \n"}, "chat_id", "not blank"),
        ({"chat_id": 5}, "chat_id", "text"),
        ({"chat_id": "x" * 1025}, "chat_id", "1024"),
        ({"chat_id": "a\nb"}, "chat_id", "control"),
        ({"chat_id": "a\x00"}, "chat_id", "control"),
        ({"app_id": ""}, "app_id", "24 hexadecimal"),
        ({"app_id": APP_ID[:-1]}, "app_id", "24 hexadecimal"),
        ({"app_id": APP_ID + "a"}, "app_id", "24 hexadecimal"),
        ({"app_id": APP_ID[:-1] + "g"}, "app_id", "24 hexadecimal"),
        ({"app_id": APP_ID + "\n"}, "app_id", "24 hexadecimal"),
        ({"app_id": 5}, "app_id", "not 5"),
        ({"api": "v3"}, "api", "v3"),
        ({"api": 1}, "api", "v1"),
        ({"variables": ["a"]}, "variables", "mapping, not list"),
        ({"variables": "a"}, "variables", "mapping, not str"),
        ({"variables": {"a": object()}}, "variables", "variables cannot be written as JSON"),
        ({"chat_id": "a\ud800"}, "chat_id", "surrogate"),
        ({"response_chat_item_id": 5}, "response_chat_item_id", "text"),
        ({"response_chat_item_id": ""}, "response_chat_item_id", "not blank"),
        ({"response_chat_item_id": "\udc00"}, "response_chat_item_id", "surrogate"),
        ({"extra": {"chatId": "c1"}}, "extra", "a place of its own: chat_id"),
        ({"extra": {"appId": APP_ID}}, "extra", "a place of its own: app_id"),
        ({"extra": {"variables": {}}}, "extra", "a place of its own: variables"),
        ({"extra": {"responseChatItemId": "r1"}}, "extra", "response_chat_item_id"),
        ({"extra": ["a"]}, "extra", "mapping, not list"),
        ({"extra": {"stream": False}}, "extra", "stream"),
        ({"extra": {"messages": []}}, "extra", "messages"),
        ({"extra": {"a": {1j}}}, "extra", "extra cannot be written as JSON"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_refused_at_once(
    options: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        AsyncChatClient(KEY).stream("hello", **options)
    assert caught.value.field == field
    client_options = options.keys() & {"app_id", "api"}
    if client_options:
        with pytest.raises(InvalidArgumentError, match=words):
            AsyncChatClient(KEY, **options)


@pytest.mark.parametrize("chat_id", ["x" * 1024, "聊天 1", "a/b?c=d", " a "])
def test_a_chat_id_may_be_any_short_text(chat_id: str) -> None:
    assert request(chat_id=chat_id)["chatId"] == chat_id


@pytest.mark.anyio
async def test_what_is_refused_is_not_sent(server: FakeFastGPT) -> None:
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5):
            for bad in ("", [], ["a"], None):
                with pytest.raises(InvalidArgumentError):
                    await client.ask(bad)  # type: ignore[arg-type]
            with pytest.raises(InvalidArgumentError):
                await client.ask("hello", chat_id="x" * 2000)
            with pytest.raises(TypeError, match="temperature"):
                await client.ask("hello", temperature=1)
    assert (server.connections, server.requests) == (0, [])


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_body_that_the_server_would_refuse_for_its_size_is_not_sent(api: Any) -> None:
    most = MAX_BODY_BYTES[api]
    frame_size = len(json.dumps(request("x")).replace(" ", "")) - 1
    chat_request("x" * (most - frame_size), api=api, stream=True, detail=True)
    with pytest.raises(InvalidArgumentError, match=f"{most + 1} bytes and {api} takes {most}"):
        chat_request("x" * (most - frame_size + 1), api=api, stream=True, detail=True)


@pytest.mark.anyio
async def test_v2_gets_a_fresh_chat_id_and_v1_none(server: FakeFastGPT) -> None:
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5):
            answers = [await client.ask("hello", api=api) for api in ("v1", "v2", "v2")]
            own = await client.ask("hello", api="v2", chat_id="mine")
    sent = [request.json.get("chatId") for request in server.requests]
    assert sent == [answer.chat_id for answer in [*answers, own]]
    assert sent[0] is None
    assert len(sent[1]) == len(sent[2]) == 24
    assert sent[1] != sent[2]
    assert sent[3] == "mine"


# --- URLs that only the HTTP library can judge --------------------------------------------------------


UNUSABLE = [
    "http://☃.example",
    "http://xn--/",
    "http://\u200dx.example",
    f"http://h/{'a' * 70_000}",
]


@pytest.mark.anyio
@pytest.mark.parametrize("url", UNUSABLE)
async def test_a_url_that_the_http_library_refuses_is_the_callers_mistake(
    url: str, http_client_factory: Callable[[], Any]
) -> None:
    async with http_client_factory() as http, AsyncChatClient(KEY, url, http_client=http) as client:
        with anyio.fail_after(5):
            for ask in (
                lambda: client.ask("hello"),
                lambda: client.create_chat_completion("hello"),
                lambda: client.request("GET", "/api/core/chat/init"),
            ):
                with pytest.raises(InvalidArgumentError, match="cannot be used") as caught:
                    await ask()
                assert caught.value.field == "base_url"
                assert_no_frame_holds(caught.value, KEY)


@pytest.mark.parametrize("url", UNUSABLE)
def test_a_blocking_client_says_the_same_of_such_a_url(url: str) -> None:
    with ChatClient(KEY, url) as client:
        for ask in (
            lambda: client.ask("hello"),
            lambda: client.create_chat_completion("hello"),
            lambda: client.request("GET", "/api/core/chat/init"),
        ):
            with pytest.raises(InvalidArgumentError, match="cannot be used") as caught:
                ask()
            assert caught.value.field == "base_url"
            assert_no_frame_holds(caught.value, KEY)


def assert_no_frame_holds(error: BaseException | None, secret: str) -> None:
    """Look where a traceback with locals would look, and in the causes of the error."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals["__name__"].startswith("fastgpt_client"):
                assert secret not in repr(frame.f_locals)
        error = error.__cause__


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_host_name_that_trio_cannot_encode_is_the_callers_mistake() -> None:
    async with AsyncChatClient(KEY, "http://a..example") as client:
        with (
            anyio.fail_after(5),
            pytest.raises(InvalidArgumentError, match="base_url, or what follows it"),
        ):
            await client.ask("hello")


def test_limits_that_never_ring_are_no_limits_for_a_blocking_client_either() -> None:
    never = Timeouts(**{field.name: math.inf for field in attrs.fields(Timeouts)})
    with BlockingFakeFastGPT() as server:
        server.reply("Hello.")
        with ChatClient(server.api_key, server.base_url, timeouts=never) as client:
            assert client.create_chat_completion("hello").answer().text == "Hello."
            lines = list(client.create_chat_completion("hello", stream=True).iter_lines())
            assert lines[-2:] == ["data: [DONE]", ""]
            with pytest.raises(NotFoundError):
                client.request("GET", "/api/unknown", timeout=math.inf)


# --- after the end ------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_closed_client_says_so_and_sends_nothing(server: FakeFastGPT) -> None:
    client = AsyncChatClient(server.api_key, server.base_url)
    async with client:
        pass
    with anyio.fail_after(5):
        await client.aclose()
        with pytest.raises(UsageError, match="closed"):
            async with client.stream("hello"):
                raise AssertionError("the block was entered")
        with pytest.raises(UsageError, match="make a new AsyncChatClient"):
            await client.ask("hello")
        with pytest.raises(UsageError, match="closed"):
            async with client:
                raise AssertionError("the client was entered")
    assert "closed" in repr(client)
    assert server.connections == 0


@pytest.mark.anyio
async def test_a_callers_own_client_that_is_closed_is_the_callers_mistake(
    server: FakeFastGPT, http_client_factory: Callable[[], Any]
) -> None:
    http = http_client_factory()
    await http.aclose()
    client = AsyncChatClient(server.api_key, server.base_url, http_client=http)
    with anyio.fail_after(5):
        with pytest.raises(UsageError, match="http_client is closed"):
            await client.ask("hello")
        with pytest.raises(UsageError, match="http_client is closed"):
            async with client:
                raise AssertionError("the client was entered")
    assert server.connections == 0


def test_a_callers_own_blocking_client_that_is_closed_is_the_callers_mistake() -> None:
    http = httpx.Client()
    http.close()
    with ChatClient(KEY, http_client=http) as client:
        with pytest.raises(UsageError, match="http_client is closed"):
            client.create_chat_completion("hello")


@pytest.mark.anyio
async def test_a_reply_after_its_block_gives_what_it_has_and_refuses_the_rest(
    server: FakeFastGPT,
) -> None:
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5):
            async with client.stream("hello") as reply:
                subscription = reply.subscribe()
                answer = await reply.final()

            assert (reply.text, reply.reasoning) == ("Hello.", "")
            assert (reply.status, reply.failure) == (Status.COMPLETE, None)
            assert await reply.final() == answer
            assert await reply.stop() == "ended"
            with pytest.raises(UsageError):
                reply.subscribe()
            with pytest.raises(UsageError):
                async for _ in reply:
                    raise AssertionError("an event after the block")
            with pytest.raises(UsageError):
                await reply.feed(lambda subscription: subscription.receive())
            with pytest.raises(anyio.ClosedResourceError):
                await subscription.receive()


@pytest.mark.anyio
async def test_a_reply_left_early_keeps_its_text_and_has_no_answer(server: FakeFastGPT) -> None:
    server.script(Script(Delta("Once "), WaitFor("never")))
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5):
            async with client.stream("hello") as reply:
                async for event in reply:
                    if event.text:
                        break
            assert (reply.text, reply.status) == ("Once ", Status.ABANDONED)
            with pytest.raises(UsageError, match="no whole answer") as caught:
                await reply.final()
            assert caught.value.partial == "Once "


@pytest.mark.anyio
@pytest.mark.parametrize("cut", [None, 100, 1])
async def test_a_reply_beyond_the_callers_bound_is_given_up_with_the_text_before_it(
    server: FakeFastGPT, cut: int | None
) -> None:
    frames = [say("Once ", ""), say("upon ", ""), say("x" * 500, "")]
    body = "".join(frame.wire for frame in frames).encode()
    bound = len((frames[0].wire + frames[1].wire).encode()) + 50
    server.play_raw(stream_response(body), cut=cut)
    async with AsyncChatClient(server.api_key, server.base_url) as client:
        with anyio.fail_after(5), pytest.raises(ReplyTooLargeError, match=str(bound)) as caught:
            await client.ask("hello", detail=False, max_reply_bytes=bound)
    assert caught.value.partial == "Once upon "


@pytest.mark.anyio
async def test_a_callers_own_http_client_stays_open(
    server: FakeFastGPT, http_client_factory: Callable[[], Any]
) -> None:
    async with http_client_factory() as http:
        for _ in range(2):
            async with AsyncChatClient(server.api_key, server.base_url, http_client=http) as client:
                with anyio.fail_after(5):
                    assert (await client.ask("hello")).text == "Hello."
            assert not http.is_closed


@pytest.mark.parametrize("client", [5, "httpx", object(), object])
def test_an_http_client_of_another_kind_is_refused(client: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"httpx\.AsyncClient") as caught:
        AsyncChatClient(KEY, http_client=client)
    assert caught.value.field == "http_client"

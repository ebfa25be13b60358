"""The endpoints around the chat and conversations, from blocking code."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import httpx
import pytest

import fastgpt_client as f
from fastgpt_client import ChatClient, InvalidArgumentError, endpoints
from fastgpt_client.testing import (
    BlockingFakeFastGPT,
    CutChunk,
    Delta,
    Interactive,
    RawResponse,
    Script,
    SilentModel,
    Status,
)

from .neighbours import (
    Neighbour,
    call_of,
    count_neighbours,
    error_of,
    facts_of,
    neighbours,
    seen_facts,
)
from .recordings import stream_response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastgpt_client.testing import RecordedRequest

A = "65f0000000000000000000aa"
CHAT = "/api/core/chat/"
SELECT = {"type": "userSelect", "params": {"userSelectOptions": [{"key": "a", "value": "Yes"}]}}


def route(server: BlockingFakeFastGPT, method: str, path: str, answer: Any) -> None:
    server.call(lambda: server.fake.route(method, path, answer, check_key=False))


@contextmanager
def talking(**options: Any) -> Iterator[tuple[BlockingFakeFastGPT, ChatClient]]:
    with BlockingFakeFastGPT() as server:
        options = {"app_id": A, **options}
        with ChatClient(server.api_key, server.base_url, **options) as client:
            yield server, client


def problems_of(client: ChatClient, neighbour: Neighbour) -> list[str]:
    call, _ = call_of(neighbour)
    wanted = error_of(neighbour)
    try:
        if call is None:
            result = client.request(neighbour.method, neighbour.path)
        else:
            here = attrs.evolve(call, method=neighbour.method, paths=(neighbour.path,))
            result = client.call(here, timeout=5)
    except f.FastGPTError as error:
        return [] if type(error) is wanted else [f"{wanted} is seen as {error!r}"]
    if wanted is not None:
        return [f"{wanted} is seen as {result!r}"]
    facts, seen = facts_of(neighbour), seen_facts(neighbour, result)
    return [] if facts == seen else [f"{facts!r} is seen as {seen!r}"]


def test_each_recorded_call_is_understood(captures: Path) -> None:
    wrong: list[str] = []
    understood = 0
    with talking() as (server, client):
        for neighbour in neighbours(captures):
            route(server, neighbour.method, neighbour.path, RawResponse(neighbour.raw))
            found = problems_of(client, neighbour)
            wrong += [f"{neighbour.name}: {problem}" for problem in found]
            understood += not found
    assert not wrong, "\n".join(wrong)
    assert understood == count_neighbours(captures)


def test_a_call_needs_no_thread_and_finds_the_other_home() -> None:
    with talking() as (server, client):
        before = threading.active_count()
        route(
            server, "POST", CHAT + "history/getHistories", {"total": 1, "list": [{"chatId": "c"}]}
        )
        for _ in range(2):
            page = client.call(endpoints.histories(A))
            assert [chat.chat_id for chat in page.items] == ["c"]
        assert threading.active_count() == before
        assert [request.path.rpartition("/")[0] for request in server.requests] == [
            CHAT[:-1],
            CHAT + "history",
            CHAT + "history",
        ]


def test_a_call_goes_through_the_callers_own_client() -> None:
    with BlockingFakeFastGPT() as server, httpx.Client(headers={"X-Proxy": "1"}) as http:
        route(server, "GET", "/api/thing", {"a": 1})
        with ChatClient(server.api_key, server.base_url, http_client=http) as client:
            assert client.request("GET", "/api/thing", query={"b": True}) == {"a": 1}
            assert server.requests[-1].header("x-proxy") == "1"
            assert server.requests[-1].query == {"b": "true"}
            with pytest.raises(f.UsageError, match="async_http_client"):
                client.upload(b"x", name="a", chat_id="c", app_id=A)


def test_pages_are_iterated() -> None:
    def page(request: RecordedRequest) -> Any:
        start = request.json["offset"]
        return {"total": 5, "list": [{"chatId": str(n)} for n in range(start, min(start + 2, 5))]}

    with talking() as (server, client):
        route(server, "POST", CHAT + "getHistories", page)
        chats = client.iterate(endpoints.histories(A, page_size=2))
        assert [chat.chat_id for chat in chats] == [*"01234"]


async def never(_: RecordedRequest) -> None:
    await anyio.sleep_forever()


def slowly(_: RecordedRequest) -> Any:
    return RawResponse(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


@pytest.mark.parametrize("answer", [never, slowly])
def test_a_call_that_takes_too_long_is_a_timeout(answer: Any) -> None:
    with talking() as (server, client):
        route(server, "GET", CHAT + "init", answer)
        with pytest.raises(f.ReplyTimeoutError, match="init was not answered") as caught:
            client.call(endpoints.chat_details(A, "c"), timeout=0.2)
        assert caught.value.clock == "total"


def test_errors_of_a_call_are_those_of_the_asynchronous_client() -> None:
    with talking() as (server, client):
        route(server, "GET", CHAT + "init", Status(200, "<html>", content_type="text/html"))
        with pytest.raises(f.ProtocolError, match="instead of JSON"):
            client.call(endpoints.chat_details(A, "c"))
        route(server, "GET", CHAT + "init", RawResponse(b"HTTP/1.1 200 OK\r\n", close=True))
        with pytest.raises(f.ReplyInterruptedError):
            client.call(endpoints.chat_details(A, "c"))
        with pytest.raises(InvalidArgumentError):
            client.call("x")  # type: ignore[arg-type]
    with pytest.raises(f.UsageError, match="closed"):
        client.call(endpoints.chat_details(A, "c"))


def test_a_conversation_is_held_with_a_question_and_a_stop() -> None:
    with talking(api="v2") as (server, client):
        server.enqueue(
            Script(Delta("Choose."), Interactive(SELECT)),
            Script(Delta("Thank you.")),
            Script(Delta("Once "), SilentModel()),
        )
        conversation = client.conversation()
        answer = conversation.ask("start")
        assert answer.interactive is not None
        assert conversation.pending == answer.interactive
        with pytest.raises(InvalidArgumentError):
            conversation.ask("What?")
        with conversation.stream(answer.interactive.answer("a")) as reply:
            assert "".join(event.text for event in reply) == "Thank you."
        assert conversation.pending is None
        with conversation.stream("a story") as reply:
            for event in reply:
                if event.text:
                    break
            assert conversation.stop() in ("confirmed", "unconfirmed")
        assert reply.status is f.Status.STOPPED
        bodies = [request.json for request in server.requests if "messages" in str(request.body)]
        assert [body["messages"][0]["content"] for body in bodies] == ["start", "Yes", "a story"]
        assert {body["chatId"] for body in bodies} == {conversation.chat_id}


def test_a_lost_answer_is_recovered_and_records_are_read() -> None:
    with talking(api="v2") as (server, client):
        server.enqueue(Script(Delta("Once "), CutChunk()))
        conversation = client.conversation()
        with pytest.raises(f.ReplyInterruptedError):
            conversation.ask("hi")
        value = [{"text": {"content": "Once upon"}}]
        saved = {"dataId": conversation.answer_id, "obj": "AI", "value": value}
        route(server, "POST", CHAT + "getPaginationRecords", {"total": 1, "list": [saved]})
        route(server, "GET", CHAT + "getResData", [])
        route(server, "GET", CHAT + "init", {"chatId": "c", "app": {}})
        assert conversation.recover(poll_every=0.01).text == "Once upon"
        assert [record.text for record in conversation.history()] == ["Once upon"]
        assert [record.text for record in conversation.records()] == ["Once upon"]
        assert conversation.refresh() is None
        assert not conversation.withdraw_question()
        assert conversation.details().chat_id == "c"
        with pytest.raises(f.NotFoundError, match=r"recover\(\)"), conversation.resume():
            pass


def test_a_reply_is_resumed() -> None:
    frames = [("resumePhase", "catchup"), ("answer", {"choices": [{"delta": {"content": "Once"}}]})]
    body = b"".join(
        f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in frames
    )
    answer = RawResponse(stream_response(body + b"event: answer\ndata: [DONE]\n\n"))
    with talking() as (server, client):
        route(server, "GET", CHAT + "resume", answer)
        with client.resume("c") as reply:
            assert [event.name for event in reply] == ["resumePhase", "answer"]
            assert reply.final().text == "Once"
        with client.conversation("c").resume() as reply:
            assert reply.final().text == "Once"


def test_a_conversation_is_renamed_judged_and_deleted() -> None:
    with talking() as (server, client):
        for method, path, data in (
            ("PUT", CHAT + "updateHistory", None),
            ("DELETE", CHAT + "delHistory", None),
            ("POST", CHAT + "feedback/updateUserFeedback", {}),
            ("POST", "/api/core/ai/agent/v2/createQuestionGuide", ["more?"]),
        ):
            route(server, method, path, data)
        conversation = client.conversation("c", app_id=A)
        conversation.rename("river")
        conversation.pin()
        conversation.feedback(good=True, data_id="d")
        assert conversation.suggested_questions() == ("more?",)
        conversation.delete()
        assert (conversation.chat_id, conversation.app_id) == ("c", A)
        assert conversation.answer_id is None
        assert repr(conversation) == "<BlockingConversation 'c' v1>"
        assert len(server.requests) == 5


def test_a_file_is_uploaded() -> None:
    with talking() as (server, client):
        ticket = {"url": f"{server.base_url}/bucket/a.txt", "key": "k", "headers": {}}
        route(
            server,
            "POST",
            CHAT + "file/presignChatFilePostUrl",
            {**ticket, "previewUrl": "http://p"},
        )
        route(server, "PUT", "/bucket/a.txt", Status(200, b""))
        seen: list[tuple[int, int]] = []
        uploaded = client.conversation("c").upload(
            b"words", name="a.txt", progress=lambda *told: seen.append(told)
        )
        assert (uploaded.key, uploaded.size) == ("k", 5)
        assert seen == [(5, 5)]
        assert server.requests[-1].body == b"words"
        assert server.requests[-1].header("authorization") is None


def test_an_error_of_a_wait_comes_out_as_itself() -> None:
    with talking() as (_, client):
        with pytest.raises(f.NotFoundError):
            client.conversation("c").details()
        with pytest.raises(InvalidArgumentError) as caught:
            client.upload(b"", chat_id="c")
        assert caught.value.field == "name"
    with pytest.raises(f.UsageError, match="closed"):
        client.conversation("c").details()

"""A conversation: one chat over several turns, with questions, losses and records."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

import fastgpt_client as f
from fastgpt_client import AsyncChatClient, Conversation, InvalidArgumentError, Message
from fastgpt_client.testing import (
    CutChunk,
    Delta,
    FakeFastGPT,
    Interactive,
    RawResponse,
    Refusal,
    Script,
    Silence,
    SilentModel,
    chat_node,
)
from fastgpt_client.testing import Status as HTTPStatus

from .scripted import FINISH, End, Scripted, frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastgpt_client.testing import RecordedRequest

pytestmark = pytest.mark.anyio

CHAT = "/api/core/chat/"
SELECT = {
    "type": "userSelect",
    "params": {
        "description": "Go on?",
        "userSelectOptions": [
            {"key": "option1", "value": "Confirm"},
            {"key": "option2", "value": "Cancel"},
        ],
    },
    "memoryEdges": [{"secret": 1}],
}
FORM = {
    "type": "userInput",
    "params": {
        "description": "Who?",
        "inputForm": [
            {
                "type": "input",
                "key": "name",
                "label": "Name",
                "valueType": "string",
                "required": True,
            }
        ],
    },
}
STREAMED_SELECT = [frame("interactive", json.dumps({"interactive": SELECT}))]
AGENT = {
    "type": "agentAsk",
    "askId": "ask1",
    "params": {
        "description": "",
        "questions": [{"question": "Where?", "options": [], "answer": ""}],
    },
}


def text(words: str) -> dict[str, Any]:
    return {"text": {"content": words}}


def pause(question: Any, answer: str | None = None) -> dict[str, Any]:
    params = (
        question["params"] if answer is None else {**question["params"], "userSelectedVal": answer}
    )
    return {"interactive": {"type": question["type"], "params": params}}


def record(data_id: str | None, *value: Any, role: str = "AI", **fields: Any) -> dict[str, Any]:
    return {"dataId": data_id, "obj": role, "value": list(value), **fields}


@attrs.define(eq=False)
class Talk:
    """A server that remembers what the test says it remembers, and a client."""

    server: FakeFastGPT
    client: AsyncChatClient
    #: The records of the chat, oldest first.
    saved: list[dict[str, Any]] = attrs.field(factory=list)
    nodes: list[dict[str, Any]] = attrs.field(factory=list)

    def asked(self) -> list[dict[str, Any]]:
        """The bodies of the completions so far."""
        return [r.json for r in self.server.requests if r.path.endswith("/chat/completions")]

    def called(self, end: str) -> list[RecordedRequest]:
        return [r for r in self.server.requests if r.path.endswith(end)]

    def page(self, request: RecordedRequest) -> Any:
        asked = request.json
        count = len(self.saved)
        end = count - asked["offset"]
        items = self.saved[max(0, end - asked["pageSize"]) : max(0, end)]
        return {"list": items, "total": count}


@asynccontextmanager
async def talk(
    http_client_factory: Callable[[], Any],
    *,
    api: Any = "v2",
    version: str = "4.16.0",
    **options: Any,
) -> AsyncIterator[Talk]:
    with anyio.fail_after(10):
        async with FakeFastGPT(server_version=version) as server, http_client_factory() as http:
            options = {"app_id": server.app_id, **options}
            async with AsyncChatClient(
                server.api_key, server.base_url, http_client=http, api=api, **options
            ) as client:
                made = Talk(server, client)
                server.route("POST", CHAT + "getPaginationRecords", made.page)
                server.route("GET", CHAT + "getResData", lambda _: made.nodes)
                server.route("GET", CHAT + "init", {"chatId": "c", "title": "t", "app": {}})
                yield made


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_each_turn_goes_to_the_same_chat_with_the_newest_message_alone(
    api: Any, http_client_factory: Callable[[], Any]
) -> None:
    async with talk(http_client_factory, api=api) as made:
        conversation = made.client.conversation()
        answer = await conversation.ask("one")
        assert answer.chat_id == conversation.chat_id
        history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "…"}]
        await conversation.ask([*history, Message("user", "two")])
        await conversation.ask(Message("user", "three"))
        await conversation.ask({"role": "user", "content": "four"})  # type: ignore[arg-type]
        bodies = made.asked()
        assert [body["messages"] for body in bodies] == [
            [{"role": "user", "content": words}] for words in ("one", "two", "three", "four")
        ]
        assert {body["chatId"] for body in bodies} == {conversation.chat_id}
        assert {body["appId"] for body in bodies} == {made.server.app_id}
        ids = [body["responseChatItemId"] for body in bodies]
        assert len(set(ids)) == 4
        assert conversation.answer_id == ids[-1]
        resumable = [r.header("x-fastgpt-stream-resume") for r in made.server.requests]
        assert set(resumable) == {"1" if api == "v2" else None}


async def test_a_conversation_without_an_id_gets_a_fresh_one(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        chats = {made.client.conversation().chat_id for _ in range(10)}
        assert len(chats) == 10
        assert made.client.conversation("mine").chat_id == "mine"
        assert made.server.requests == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"chat_id": "c" * 1025}, "chat_id"),
        ({"chat_id": ""}, "chat_id"),
        ({"app_id": "zzz"}, "app_id"),
        ({"api": "v3"}, "api"),
    ],
)
async def test_a_bad_id_is_refused_at_once(arguments: Any, field: str) -> None:
    async with AsyncChatClient("k") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            client.conversation(**arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("messages", "options", "field"),
    [
        ("x", {"chat_id": "other"}, "chat_id"),
        ("x", {"response_chat_item_id": "d"}, "response_chat_item_id"),
        ("x", {"api": "v1"}, "api"),
        ("", {}, "messages"),
        ([], {}, "messages"),
        (None, {}, "messages"),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_once(
    messages: Any, options: Any, field: str
) -> None:
    async with AsyncChatClient("k") as client:
        conversation = client.conversation()
        with pytest.raises(InvalidArgumentError) as caught:
            conversation.stream(messages, **options)
    assert caught.value.field == field


async def test_what_needs_the_app_says_so_and_sends_nothing(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory, app_id=None) as made:
        conversation = made.client.conversation()
        await conversation.ask("a key that is bound to an app does without")
        count = len(made.server.requests)
        for method in (
            conversation.history,
            conversation.details,
            conversation.delete,
            conversation.refresh,
            conversation.stop,
            conversation.recover,
            conversation.suggested_questions,
        ):
            with pytest.raises(InvalidArgumentError) as caught:
                await method()
            assert caught.value.field == "app_id"
        with pytest.raises(InvalidArgumentError):
            conversation.resume()
        assert len(made.server.requests) == count


# --- questions of the workflow --------------------------------------------------------------------


async def test_a_select_a_form_and_an_end(http_client_factory: Callable[[], Any]) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(
            Script(Delta("Please choose."), Interactive(SELECT)),
            Script(Interactive(FORM)),
            Script(Delta("Thank you.")),
        )
        conversation = made.client.conversation()
        assert conversation.pending is None
        async with conversation.stream("start") as reply:
            kinds = [type(event) async for event in reply]
        assert kinds[-1] is not f.UnknownEvent
        asked = reply.answer.interactive
        assert asked is not None
        assert conversation.pending == asked

        answer = await conversation.ask(asked.answer("option1"))
        assert answer.interactive is not None
        assert answer.interactive.kind == "userInput"
        assert conversation.pending == answer.interactive

        answer = await conversation.ask(answer.interactive.answer({"name": "Ann"}))
        assert (answer.text, answer.interactive, conversation.pending) == ("Thank you.", None, None)
        said = [body["messages"][0]["content"] for body in made.asked()]
        assert said == ["start", "Confirm", '{"name":"Ann"}']


async def test_a_text_must_be_an_answer_while_the_workflow_waits(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(Script(Interactive(SELECT)), Script(Delta("yes")))
        conversation = made.client.conversation()
        await conversation.ask("start")
        with pytest.raises(InvalidArgumentError, match="'Confirm', 'Cancel'"):
            await conversation.ask("What is the weather?")
        assert conversation.pending is not None
        assert len(made.asked()) == 1
        await conversation.ask("option1")
        assert made.asked()[-1]["messages"][0]["content"] == "Confirm"


async def test_a_message_is_sent_as_it_is_while_the_workflow_waits(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(Script(Interactive(SELECT)), Script())
        conversation = made.client.conversation()
        await conversation.ask("start")
        await conversation.ask(Message("user", "as it is"))
        assert made.asked()[-1]["messages"][0]["content"] == "as it is"


@pytest.mark.parametrize(
    "refusal",
    [
        HTTPStatus(429, {"code": 429, "message": "Rate limit exceeded."}),
        # On a stream, with HTTP 200.
        Refusal("x", 500004, "aiPointsNotEnough"),
    ],
)
async def test_a_question_stays_open_when_the_server_refused_its_answer(
    refusal: Any, http_client_factory: Callable[[], Any]
) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(Script(Interactive(SELECT)))
        conversation = made.client.conversation()
        await conversation.ask("start")
        before = conversation.answer_id
        made.server.script(refusal)
        with pytest.raises(f.APIError):
            await conversation.ask("Confirm")
        assert conversation.pending is not None
        assert conversation.answer_id == before


async def test_a_question_stays_open_when_its_answer_was_not_sent(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(Script(Interactive(SELECT)))
        conversation = made.client.conversation()
        await conversation.ask("start")
        before = conversation.answer_id
        await made.client.aclose()
        with pytest.raises(f.UsageError, match="closed"):
            await conversation.ask("Confirm")
        assert conversation.pending is not None
        assert conversation.answer_id == before


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", ["ConnectError", "ConnectTimeout", "PoolTimeout"])
async def test_a_question_stays_open_when_the_server_was_not_reached(error: str) -> None:
    server = Scripted([*STREAMED_SELECT, FINISH, End()])
    async with server.client(app_id="a" * 24) as client:
        conversation = client.conversation()
        with anyio.fail_after(100):
            await conversation.ask("start")
            before = conversation.answer_id
            server.error, server.headers_after = error, 50
            with pytest.raises(f.FastGPTError):
                await conversation.ask("Confirm")
        assert conversation.pending is not None
        assert conversation.answer_id == before


async def test_a_proxy_that_gave_up_on_the_server_leaves_an_answer_to_be_recovered(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        conversation = made.client.conversation()
        made.server.script(HTTPStatus(504, "<html>Gateway Time-out</html>"))
        with pytest.raises(f.ServerError):
            await conversation.ask("hi")
        made.saved = [record(conversation.answer_id, text("late"))]
        assert (await conversation.recover(poll_every=0.01)).text == "late"


async def test_a_question_is_known_when_the_block_was_left_right_after_it(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(Script(Interactive(SELECT), Silence()))
        conversation = made.client.conversation()
        async with conversation.stream("start") as reply:
            async for event in reply:
                if isinstance(event, f.Interactive):
                    break
        assert conversation.pending is not None
        assert conversation.pending.kind == "userSelect"


@pytest.mark.parametrize(("question", "same"), [(SELECT, True), (AGENT, False)])
async def test_an_answer_goes_on_in_the_record_of_the_question_but_for_an_agent(
    question: Any, same: bool, http_client_factory: Callable[[], Any]
) -> None:
    feedback = CHAT + "feedback/updateUserFeedback"
    async with talk(http_client_factory) as made:
        made.server.route("POST", feedback, {})
        made.server.enqueue(Script(Interactive(question)), Script(Delta("done")))
        conversation = made.client.conversation()
        await conversation.ask("start")
        first = conversation.answer_id
        assert conversation.pending is not None
        await conversation.ask("option1" if same else "here")
        assert (conversation.answer_id == first) is same
        await conversation.feedback(good=True)
        (sent,) = made.called("updateUserFeedback")
        assert sent.json["dataId"] == conversation.answer_id
        assert sent.json["userGoodFeedback"] == "yes"


async def test_an_older_chat_tells_its_question_when_it_is_asked(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.saved = [record("h", text("hi"), role="Human"), record("d", pause(SELECT))]
        conversation = made.client.conversation("older")
        assert conversation.pending is None
        asked = await conversation.refresh()
        assert asked is not None
        assert conversation.pending == asked
        assert conversation.answer_id == "d"
        made.saved = [record("d", pause(SELECT, "Confirm"), text("done"))]
        assert await conversation.refresh() is None


async def test_a_question_can_be_withdrawn(http_client_factory: Callable[[], Any]) -> None:
    async with talk(http_client_factory, version="4.14.7") as made:
        made.server.route("DELETE", CHAT + "item/delete", None)
        made.saved = [record("d", text("Choose."), pause(SELECT))]
        conversation = made.client.conversation("older")
        await conversation.refresh()
        assert await conversation.withdraw_question()
        assert conversation.pending is None
        deleted = made.called("/delete")
        assert [request.path for request in deleted] == [
            CHAT + "record/delete",
            CHAT + "item/delete",
        ]
        assert deleted[-1].json["contentId"] == "d"
        made.saved = [record("d", text("no question"))]
        assert not await conversation.withdraw_question()
        assert len(made.called("/delete")) == 2


async def test_a_question_that_could_not_be_withdrawn_stays_open(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.enqueue(Script(Interactive(SELECT)))
        conversation = made.client.conversation()
        await conversation.ask("start")
        made.saved = [record(conversation.answer_id, pause(SELECT))]
        made.server.route("DELETE", CHAT + "record/delete", HTTPStatus(500, {"code": 500}))
        with pytest.raises(f.ServerError):
            await conversation.withdraw_question()
        assert conversation.pending is not None


# --- a lost connection ----------------------------------------------------------------------------


@asynccontextmanager
async def lost(
    http_client_factory: Callable[[], Any], *before: Script
) -> AsyncIterator[tuple[Talk, Conversation]]:
    """A v2 conversation whose last connection broke after a few words."""
    async with talk(http_client_factory) as made:
        made.server.enqueue(*before, Script(Delta("Once "), CutChunk()))
        conversation = made.client.conversation()
        for _ in before:
            await conversation.ask("start")
        with pytest.raises(f.ReplyInterruptedError) as caught:
            await conversation.ask("Confirm")
        assert caught.value.partial == "Once "
        yield made, conversation


async def test_a_lost_answer_is_recovered_when_it_is_saved(
    http_client_factory: Callable[[], Any],
) -> None:
    async with lost(http_client_factory) as (made, conversation):
        pages = 0

        def page(request: RecordedRequest) -> Any:
            nonlocal pages
            pages += 1
            if pages == 3:
                made.saved = [
                    record(conversation.answer_id, text("Confirm"), role="Human"),
                    record(
                        conversation.answer_id,
                        {"reasoning": {"content": "Hm."}, **text("Once upon a time")},
                        durationSeconds=1.5,
                    ),
                ]
            return made.page(request)

        made.server.route("POST", CHAT + "getPaginationRecords", page)
        made.nodes = [chat_node("Once upon a time", question="Confirm")]
        answer = await conversation.recover(poll_every=0.01)
        assert pages == 3
        assert (answer.text, answer.reasoning) == ("Once upon a time", "Hm.")
        assert answer.status is f.Status.COMPLETE
        assert answer.duration == 1.5
        assert answer.usage == f.Usage(7, 16)
        assert answer.chat_id == conversation.chat_id


async def test_an_answer_that_is_still_written_is_waited_for(
    http_client_factory: Callable[[], Any],
) -> None:
    async with lost(http_client_factory) as (made, conversation):
        states = iter([0, 0, 1])
        made.saved = [record(conversation.answer_id, text("half"))]

        def init(_: RecordedRequest) -> Any:
            state = next(states)
            if state == 1:
                made.saved[0]["value"] = [text("whole")]
            return {"chatId": "c", "chatGenerateStatus": state, "app": {}}

        made.server.route("GET", CHAT + "init", init)
        answer = await conversation.recover(poll_every=0.01)
        assert next(states, None) is None
        assert answer.text == "whole"


async def test_only_what_came_after_the_answer_is_recovered(
    http_client_factory: Callable[[], Any],
) -> None:
    asking = Script(Delta("Choose."), Interactive(SELECT))
    async with lost(http_client_factory, asking) as (made, conversation):
        made.saved = [record(conversation.answer_id, text("Choose."), pause(SELECT))]
        with pytest.raises(f.ReplyTimeoutError):
            await conversation.recover(timeout=0.1, poll_every=0.01)
        made.saved = [
            record(
                conversation.answer_id,
                text("Choose."),
                pause(SELECT, "Confirm"),
                text("And now?"),
                pause(FORM),
            )
        ]
        answer = await conversation.recover(poll_every=0.01)
        assert answer.text == "And now?"
        assert answer.interactive is not None
        assert answer.interactive.kind == "userInput"
        assert conversation.pending == answer.interactive


async def test_failures_of_the_network_are_no_reason_to_give_up(
    http_client_factory: Callable[[], Any],
) -> None:
    async with lost(http_client_factory) as (made, conversation):
        made.saved = [record(conversation.answer_id, text("whole"))]
        tries = 0

        def page(request: RecordedRequest) -> Any:
            nonlocal tries
            tries += 1
            return RawResponse(b"HTTP/1.1 200", close=True) if tries < 3 else made.page(request)

        made.server.route("POST", CHAT + "getPaginationRecords", page)
        answer = await conversation.recover(poll_every=0.01)
        assert (answer.text, tries) == ("whole", 3)


@pytest.mark.parametrize("pause_between", [0, -1, float("nan"), float("inf"), True, "1", None])
async def test_the_pause_between_two_looks_is_a_number_of_seconds(
    pause_between: Any, http_client_factory: Callable[[], Any]
) -> None:
    async with lost(http_client_factory) as (made, conversation):
        with pytest.raises(InvalidArgumentError) as caught:
            await conversation.recover(poll_every=pause_between)
        assert caught.value.field == "poll_every"
        assert made.called("getPaginationRecords") == []


async def test_a_refusal_ends_the_wait(http_client_factory: Callable[[], Any]) -> None:
    async with lost(http_client_factory) as (made, conversation):
        refusal = Refusal("x", 514, "unAuthApiKey")
        made.server.route("POST", CHAT + "getPaginationRecords", refusal)
        with pytest.raises(f.AuthenticationError):
            await conversation.recover(poll_every=0.01)


async def test_an_answer_that_is_never_saved_is_a_timeout(
    http_client_factory: Callable[[], Any],
) -> None:
    async with lost(http_client_factory) as (made, conversation):
        made.saved = [record("another", text("not this"))]
        with pytest.raises(f.ReplyTimeoutError, match="not saved within") as caught:
            await conversation.recover(timeout=0.1, poll_every=0.01)
        assert (caught.value.clock, caught.value.seconds) == ("total", 0.1)


async def test_a_recovered_failure_is_a_workflow_error(
    http_client_factory: Callable[[], Any],
) -> None:
    async with lost(http_client_factory) as (made, conversation):
        made.saved = [record(conversation.answer_id, text("Once"))]
        made.nodes = [chat_node("Once", error="401 no such model")]
        with pytest.raises(f.WorkflowError, match="401") as caught:
            await conversation.recover(poll_every=0.01)
        assert caught.value.partial == "Once"
        assert len(caught.value.nodes) == 1


async def test_there_is_nothing_to_recover_on_v1_or_before_the_first_question(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory, api="v1") as made:
        conversation = made.client.conversation()
        with pytest.raises(f.UsageError, match="nothing was asked"):
            await conversation.recover()
        await conversation.ask("hi")
        with pytest.raises(f.UsageError, match="v1"):
            await conversation.recover()


async def test_an_answer_to_a_request_that_timed_out_before_its_headers_can_be_recovered(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.script(Script(SilentModel()))
        conversation = made.client.conversation()
        with pytest.raises(f.ReplyTimeoutError):
            await conversation.ask("hi", timeouts=f.Timeouts(first_token=0.2))
        assert conversation.answer_id == made.asked()[0]["responseChatItemId"]
        made.saved = [record(conversation.answer_id, text("late"))]
        assert (await conversation.recover(poll_every=0.01)).text == "late"


# --- stopping -------------------------------------------------------------------------------------


async def test_stop_ends_the_reply_at_hand(http_client_factory: Callable[[], Any]) -> None:
    async with talk(http_client_factory) as made:
        made.server.script(Script(Delta("Once "), SilentModel()))
        conversation = made.client.conversation()
        async with conversation.stream("hi") as reply:
            async for _ in reply:
                if reply.text:
                    break
            outcome = await conversation.stop()
        assert reply.status is f.Status.STOPPED
        assert outcome in ("confirmed", "unconfirmed")
        assert [stop.json["chatId"] for stop in made.server.stops] == [conversation.chat_id]


async def test_stop_without_a_reply_asks_the_server_on_v2_alone(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.route("POST", "/api/v2/chat/stop", {"success": True})
        assert await made.client.conversation("c").stop() == "confirmed"
        assert made.called("/stop")[0].json == {"appId": made.server.app_id, "chatId": "c"}
        assert await made.client.conversation("c", api="v1").stop() == "ended"
        assert len(made.called("/stop")) == 1


async def test_a_server_that_cannot_stop_was_not_told(
    http_client_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with talk(http_client_factory, version="4.9.6") as made:
        assert await made.client.conversation("c").stop() == "not_told"
    warnings = [r.getMessage() for r in caplog.records if r.name == "fastgpt_client.stop"]
    assert len(warnings) == 1
    assert "cannot stop a run" in warnings[0]


# --- records and the chat as a whole --------------------------------------------------------------


async def test_the_history_is_oldest_first_however_many_pages_it_takes(
    http_client_factory: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastgpt_client._conversation_around._RECORDS_AT_ONCE", 3)
    async with talk(http_client_factory) as made:
        made.saved = [record(f"d{n}", text(str(n))) for n in range(8)]
        conversation = made.client.conversation("c")
        assert [r.text for r in await conversation.history()] == [*"01234567"]
        assert [r.text for r in await conversation.history(2)] == ["6", "7"]
        assert [r.text for r in await conversation.history(4)] == ["4", "5", "6", "7"]
        assert [r.text async for r in conversation.records()] == [*"76543210"]
        made.saved = []
        assert await conversation.history() == ()
        with pytest.raises(InvalidArgumentError) as caught:
            await conversation.history(0)
        assert caught.value.field == "limit"


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3"])
async def test_a_limit_of_the_history_is_a_whole_number(
    limit: Any, http_client_factory: Callable[[], Any]
) -> None:
    async with talk(http_client_factory) as made:
        with pytest.raises(InvalidArgumentError, match="whole number, 1 or more") as caught:
            await made.client.conversation().history(limit)
        assert caught.value.field == "limit"
        assert made.server.requests == []


async def test_a_record_tells_its_tools_files_and_feedback(
    http_client_factory: Callable[[], Any],
) -> None:
    tool = {
        "id": "t",
        "toolName": "Weather",
        "functionName": "w",
        "params": "{}",
        "response": "rain",
    }
    file = {"type": "image", "name": "a.png", "url": "https://h/a", "key": "k"}
    async with talk(http_client_factory) as made:
        made.saved = [
            record("h", text("look"), {"file": file}, role="Human", hideInUI=True),
            record(
                "d",
                {"id": "t", "tools": [tool]},
                text("It rains."),
                userBadFeedback="wrong",
                customFeedbacks=["note"],
                errorText={"moduleName": "AI", "errorText": "half failed"},
                time="2026-11-22T11:42:44.659Z",
            ),
        ]
        question, answer = await made.client.conversation("c").history()
        assert (question.role, question.hidden) == ("user", True)
        assert question.files == (f.File("image", "a.png", "https://h/a", "k"),)
        assert answer.tool_calls[0].response == "rain"
        assert (answer.bad_feedback, answer.good_feedback) == ("wrong", None)
        assert answer.custom_feedbacks == ("note",)
        assert answer.error == "half failed"
        assert answer.time is not None
        assert answer.time.isoformat() == "2026-11-22T11:42:44.659000+00:00"


async def test_internal_state_of_a_question_is_in_no_repr(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.script(Script(Interactive(SELECT)))
        made.saved = [record("d", {"interactive": SELECT})]
        conversation = made.client.conversation()
        answer = await conversation.ask("hi")
        (saved,) = await conversation.history()
        for value in (conversation, answer, answer.interactive, saved, saved.interactive):
            assert "secret" not in repr(value)
        assert "waits for userSelect" in repr(conversation)


async def test_a_chat_is_renamed_pinned_and_deleted(
    http_client_factory: Callable[[], Any],
) -> None:
    async with talk(http_client_factory) as made:
        made.server.route("PUT", CHAT + "updateHistory", None)
        made.server.route("DELETE", CHAT + "delHistory", None)
        conversation = made.client.conversation("c")
        await conversation.rename("河")
        await conversation.pin()
        await conversation.pin(False)
        await conversation.delete()
        changes = [request.json for request in made.called("updateHistory")]
        ids = {"appId": made.server.app_id, "chatId": "c"}
        assert changes == [
            {**ids, "customTitle": "河"},
            {**ids, "top": True},
            {**ids, "top": False},
        ]
        assert made.called("delHistory")[0].query == ids
        assert (await conversation.details()).title == "t"


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"good": "great"}, {"userGoodFeedback": "great"}),
        ({"bad": True}, {"userBadFeedback": "yes"}),
        ({}, {}),
        ({"good": False, "bad": None}, {}),
    ],
)
async def test_feedback_is_sent_for_a_named_answer(
    options: Any, sent: Any, http_client_factory: Callable[[], Any]
) -> None:
    async with talk(http_client_factory) as made:
        made.server.route("POST", CHAT + "feedback/updateUserFeedback", {})
        conversation = made.client.conversation("c")
        with pytest.raises(InvalidArgumentError) as caught:
            await conversation.feedback(**options)
        assert caught.value.field == "data_id"
        await conversation.feedback(data_id="d", **options)
        (request,) = made.called("updateUserFeedback")
        assert request.json == {
            "appId": made.server.app_id,
            "chatId": "c",
            "dataId": "d",
            **sent,
        }


async def test_questions_are_suggested(http_client_factory: Callable[[], Any]) -> None:
    async with talk(http_client_factory) as made:
        path = "/api/core/ai/agent/v2/createQuestionGuide"
        made.server.route("POST", path, ["one?", "问题三?"])
        conversation = made.client.conversation("c")
        assert await conversation.suggested_questions(model="m") == ("one?", "问题三?")
        (request,) = made.called("createQuestionGuide")
        assert request.json["questionGuide"] == {"open": True, "model": "m"}
        assert json.loads(request.body)["chatId"] == "c"

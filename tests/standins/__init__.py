"""Exchanges written by hand, for a clone that has no recordings.

Shapes and orders follow what FastGPT sends; every value is invented. What each of them means is
written beside it.
"""

from __future__ import annotations

import gzip

import fastgpt_client as f

from ..recordings import STREAM_HEAD, Exchange, chunked, stream_response
from ..understanding import Failure, Meaning
from .building import (
    Frame,
    Standin,
    all_ran,
    done,
    error,
    event,
    heartbeat,
    ran,
    refused,
    rewritten,
    runs,
    say,
    stop,
    stream,
    think,
    took,
    tool,
)

# --- the set ------------------------------------------------------------------------------------------

START = {"id": "n0", "nodeId": "start", "moduleName": "Start", "moduleType": "workflowStart"}
CHAT = {
    "id": "n1",
    "nodeId": "chat",
    "moduleName": "AI 对话",
    "moduleType": "chatNode",
    "runningTime": 0.4,
    "model": "m-1",
    "inputTokens": 30,
    "outputTokens": 12,
    "finishReason": "stop",
}
LOOKUP = {"id": "n2", "nodeId": "http", "moduleName": "Look up", "moduleType": "httpRequest468"}
REPLY = {"id": "n3", "nodeId": "say", "moduleName": "Reply", "moduleType": "answerNode"}
BAD_LOOKUP = {**LOOKUP, "errorText": "connect ECONNREFUSED", "error": {"message": "refused"}}

SIMPLE = stream(
    "an answer with details",
    ran(START),
    runs("AI 对话"),
    say("白日依山尽，"),
    say("黄河入海流。🌊"),
    ran(CHAT),
    took(1.25),
    event("chatTitle", {"title": "登鹳雀楼"}, f.ChatTitle),
    stop(),
    done(),
    text="白日依山尽，黄河入海流。🌊",
    nodes=[START, CHAT],
    tokens=(30, 12),
    duration=1.25,
    title="登鹳雀楼",
)
PLAIN = stream(
    "an answer without details",
    heartbeat(""),
    say("Once", ""),
    heartbeat(""),
    say(" upon\na time", ""),
    stop(""),
    done(""),
    text="Once upon\na time",
    heartbeats=2,
)
SELECT = {
    "type": "userSelect",
    "params": {
        "description": "Go on?",
        "userSelectOptions": [{"key": "o1", "value": "Yes"}, {"key": "o2", "value": "No"}],
    },
    "interactiveId": "i1",
    "memoryEdges": [{"status": "waiting"}],
    "nodeOutputs": [{"nodeId": "a", "key": "secret", "value": "x"}],
}
ASK = {
    "type": "agentAsk",
    "askId": "q1",
    "params": {
        "description": "Two things first",
        "questions": [{"question": "Where?", "options": []}, {"question": "When?", "options": []}],
    },
}
UNNAMED_HEAD = b"HTTP/1.1 200 OK\r\nx-request-id: 1\r\nTransfer-Encoding: chunked\r\n\r\n"

CUT = PLAIN.exchange.body.index(b"upon") + 1
CRLF = b"\xef\xbb\xbf: ping\r\n\r\n" + PLAIN.exchange.body.replace(b"\n", b"\r\n")
WORDS = "Service starting, please wait"

STANDINS = [
    SIMPLE,
    PLAIN,
    stream(
        "reasoning before the text",
        runs("AI"),
        think("First I "),
        think("think."),
        say("Then I speak."),
        stop(),
        done(),
        reasoning="First I think.",
        text="Then I speak.",
    ),
    stream(
        "a fixed reply and variables, the nodes before the end",
        say("\nWelcome.", "fastAnswer"),
        event("updateVariables", {"city": "Oslo"}, f.VariablesUpdated),
        event("updateVariables", {"city": "Bergen", "n": 2}, f.VariablesUpdated),
        took(0),
        stop(),
        all_ran([START, REPLY]),
        done(),
        api="v1",
        text="\nWelcome.",
        variables={"city": "Bergen", "n": 2},
        nodes=[START, REPLY],
        duration=0,
    ),
    stream(
        "the nodes as an object after the end",
        say("Hi"),
        stop(),
        done(),
        all_ran({"0": START, "1": CHAT}),
        api="v1",
        text="Hi",
        nodes=[START, CHAT],
        tokens=(30, 12),
    ),
    stream(
        "the nodes of an old server, with one number for all tokens",
        say("Hi"),
        done(),
        all_ran([{"moduleName": "AI", "moduleType": "chatNode", "tokens": 77}]),
        api="v1",
        text="Hi",
        nodes=[{"moduleName": "AI", "moduleType": "chatNode", "tokens": 77}],
        tokens=(77, 0),
    ),
    stream(
        "a tool call in fragments",
        tool("toolCall", f.ToolCall, toolName="Weather", functionName="weather", params=""),
        tool("toolParams", f.ToolParams, params='{"city":'),
        tool("toolParams", f.ToolParams, params='"北京"}'),
        tool("toolResponse", f.ToolResponse, response="晴"),
        say("It is sunny."),
        stop(),
        done(),
        text="It is sunny.",
        tools=[
            {
                "id": "call_7",
                "name": "Weather",
                "function": "weather",
                "arguments": '{"city":"北京"}',
                "response": "晴",
            }
        ],
    ),
    stream(
        "a question to the user",
        event("interactive", {"interactive": SELECT}, f.Interactive),
        stop(),
        done(),
        interactive={
            "kind": "userSelect",
            "description": "Go on?",
            "options": [("o1", "Yes"), ("o2", "No")],
            "fields": [],
            "questions": [],
        },
    ),
    stream(
        "a question out of a nested workflow",
        event(
            "interactive",
            {
                "interactive": {
                    "type": "childrenInteractive",
                    "params": {
                        "childrenResponse": {
                            "type": "toolChildrenInteractive",
                            "params": {"childrenResponse": ASK, "toolParams": {"toolCallId": "c"}},
                        }
                    },
                }
            },
            f.Interactive,
        ),
        stop(),
        done(),
        interactive={
            "kind": "agentAsk",
            "description": "Two things first",
            "options": [],
            "fields": [],
            "questions": ["Where?", "When?"],
        },
    ),
    stream(
        "an agent's plan, sandbox and skill",
        event("sandboxStatus", {"sandboxId": "s", "phase": "ready"}, f.SandboxStatus),
        event("skillCall", {"skill": {"id": "k", "skillName": "Read"}}, f.SkillCall),
        event("planStatus", {"planStatus": {"status": "generating"}}, f.PlanStatus),
        event("plan", {"plan": {"planId": "p", "steps": [{"id": "1", "name": "Look"}]}}, f.Plan),
        say("Done."),
        stop(),
        done(),
        text="Done.",
    ),
    stream(
        "a plugin's output",
        ran({**REPLY, "moduleType": "pluginOutput", "pluginOutput": {"result": 5}}),
        stop(),
        done(),
        nodes=[{**REPLY, "moduleType": "pluginOutput", "pluginOutput": {"result": 5}}],
        plugin_output={"result": 5},
    ),
    stream(
        "a failed node that nothing caught",
        say("Let me look"),
        ran(START),
        ran(BAD_LOOKUP),
        stop(),
        done(),
        text="Let me look",
        nodes=[START, BAD_LOOKUP],
        failure=Failure(f.WorkflowError, words="connect ECONNREFUSED", nodes=("Look up",)),
    ),
    stream(
        "a failed node that the workflow caught, on a server that does not tell",
        ran(BAD_LOOKUP),
        say("\nNo luck.", "fastAnswer"),
        ran(REPLY),
        stop(),
        done(),
        text="\nNo luck.",
        nodes=[BAD_LOOKUP, REPLY],
    ),
    stream(
        "a failed node that is marked as caught, the last one",
        ran({**BAD_LOOKUP, "errorCaptured": True}),
        stop(),
        done(),
        nodes=[{**BAD_LOOKUP, "errorCaptured": True}],
    ),
    stream(
        "a failed node that is marked as not caught beside a branch that went on",
        ran({**BAD_LOOKUP, "errorCaptured": False}),
        say("\nOther branch.", "fastAnswer"),
        ran(REPLY),
        stop(),
        done(),
        text="\nOther branch.",
        nodes=[{**BAD_LOOKUP, "errorCaptured": False}, REPLY],
        failure=Failure(f.WorkflowError, words="connect ECONNREFUSED", nodes=("Look up",)),
    ),
    stream(
        "a failed node inside a tool whose parent went on",
        ran({**BAD_LOOKUP, "parentId": "n1", "errorCaptured": False}),
        say("I could not look."),
        ran(CHAT),
        stop(),
        done(),
        text="I could not look.",
        nodes=[{**BAD_LOOKUP, "parentId": "n1", "errorCaptured": False}, CHAT],
        tokens=(30, 12),
    ),
    stream(
        "an error after the text",
        say("The whole text.", ""),
        error(message="E11000 duplicate key error"),
        text="The whole text.",
        failure=Failure(f.ServerError, 200, None, "", words="E11000 duplicate key error"),
    ),
    stream(
        "a wrong key, as a stream without a content type",
        error(code=514, statusText="unAuthApiKey", message="common:code_error.514", data=None),
        head=UNNAMED_HEAD,
        failure=Failure(f.AuthenticationError, 200, 514, "unAuthApiKey", words="unAuthApiKey"),
    ),
    stream(
        "a chat that is busy",
        error(code=504001, statusText="chatIsGenerating", message="common:busy", data=None),
        failure=Failure(f.ChatBusyError, 200, 504001, "chatIsGenerating", words="chatIsGenerating"),
    ),
    stream(
        "points that run out",
        error(code=500004, statusText="aiPointsNotEnough", message="common:points", data=None),
        failure=Failure(f.QuotaExceededError, 200, 500004, "aiPointsNotEnough"),
    ),
    stream(
        "a proxy's own error inside the stream",
        Frame("error", "upstream timed out"),
        failure=Failure(f.ServerError, 200, None, "", words="upstream timed out"),
    ),
    stream(
        "line separators of Unicode inside a text",
        say("a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg"),
        stop(),
        done(),
        text="a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg",
    ),
    stream(
        "an event and fields of a server to come",
        event("holograph", {"rays": 3}, f.UnknownEvent),
        event("workflowDuration", {"durationSeconds": 2, "points": 9}, f.WorkflowDuration),
        say("Hi"),
        stop(),
        done(),
        text="Hi",
        duration=2,
    ),
    stream(
        "a resumed reply",
        Frame("resumePhase", "catchup", f.ResumePhase),
        say("first, "),
        Frame("resumePhase", "live", f.ResumePhase),
        say("then"),
        stop(),
        done(),
        text="first, then",
    ),
    stream(
        "a resumed chat that is over, and whose stream is lost",
        event("resumeUnavailable", {"reason": "memoryPressure"}, f.ResumeUnavailable),
        event("resumeCompleted", {"chatGenerateStatus": 1}, f.ResumeCompleted),
        done("done"),
    ),
    stream("an end without a finish reason", say("Hi"), done(), text="Hi"),
    stream("an end without [DONE]", say("Hi"), stop(), text="Hi"),
    stream(
        "a clean end of the body in mid-reply",
        say("And so"),
        heartbeat(),
        text="And so",
        heartbeats=1,
        failure=Failure(f.ReplyInterruptedError, words="without a finish_reason or [DONE]"),
    ),
    rewritten(
        PLAIN,
        "a connection that breaks inside a chunk",
        PLAIN.exchange.raw[: PLAIN.exchange.raw.index(b"upon") + 1],
        broken=True,
        text="Once",
        events=PLAIN.meaning.events[:1],
        body_bytes=CUT,
        failure=Failure(f.ReplyInterruptedError, words="broke"),
    ),
    rewritten(
        PLAIN,
        "line ends that a proxy rewrote, a byte order mark and comments",
        stream_response(CRLF),
        body_bytes=len(CRLF),
    ),
    rewritten(
        SIMPLE,
        "a stream that a proxy compressed",
        STREAM_HEAD.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")
        + chunked([gzip.compress(SIMPLE.exchange.body)])
        + b"0\r\n\r\n",
    ),
    rewritten(
        SIMPLE,
        "a body that ends with the connection",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + SIMPLE.exchange.body,
        broken=True,
    ),
    rewritten(
        SIMPLE,
        "a content type without a parameter after its semicolon",
        SIMPLE.exchange.raw.replace(b"text/event-stream;charset=utf-8", b"Text/Event-Stream;"),
    ),
    Standin(
        "an encoding that nobody asked for",
        Exchange(
            "encoded",
            "v1",
            True,
            SIMPLE.exchange.raw.replace(b"Connection", b"Content-Encoding: br\r\nConnection", 1),
        ),
        Meaning(failure=Failure(f.NotAnEventStreamError, words="'br'")),
    ),
    refused(
        "a stream under another content type",
        "200 OK",
        SIMPLE.exchange.body.decode(),
        Failure(f.NotAnEventStreamError, words="text/x-bogus"),
        "Content-Type: text/x-bogus",
    ),
    refused(
        "no content",
        "204 No Content",
        "",
        Failure(f.NotAnEventStreamError, words="HTTP 204"),
    ),
    refused(
        "a request that does not fit, as JSON in spite of the stream",
        "400 Bad Request",
        {"code": 400, "statusText": "error", "message": "Data validation error", "zodError": []},
        Failure(f.ValidationError, 400, 400, "error", words="Data validation error"),
    ),
    refused(
        "no key, HTTP 403",
        "403 Forbidden",
        {"code": 403, "statusText": "unAuthorization", "message": "common:403", "data": None},
        Failure(f.AuthenticationError, 403, 403, "unAuthorization", words="api_key"),
    ),
    refused(
        "a wrong key, HTTP 500",
        "500 Internal Server Error",
        {"code": 514, "statusText": "unAuthApiKey", "message": "common:514", "data": None},
        Failure(f.AuthenticationError, 500, 514, "unAuthApiKey", words="code 514"),
    ),
    refused(
        "a known error with HTTP 200, as old servers send it",
        "200 OK",
        {"code": 502000, "statusText": "appUnExist", "message": "common:app", "data": None},
        Failure(f.NotFoundError, 200, 502000, "appUnExist", words="app_id"),
    ),
    refused(
        "too many requests",
        "429 Too Many Requests",
        {"code": 429, "statusText": "error", "message": "Slow down. Try again in 31 seconds."},
        Failure(f.RateLimitError, 429, 429, "error", retry_after=31, words="Slow down."),
    ),
    refused(
        "a body that is too large",
        "413 Body exceeded 10mb limit",
        "Body exceeded 10mb limit",
        Failure(f.ValidationError, 413, None, "", words="Body exceeded 10mb limit"),
    ),
    refused(
        "a page that is not found",
        "404 Not Found",
        "<!DOCTYPE html><title>404: This page could not be found</title>",
        Failure(f.NotFoundError, 404, None, "", words="404"),
        "Content-Type: text/html; charset=utf-8",
    ),
    refused(
        "a page of a proxy whose server is down",
        "502 Bad Gateway",
        "<html><h1>502 Bad Gateway</h1></html>",
        Failure(f.ServerError, 502, None, "", words="502"),
        "Content-Type: text/html",
    ),
    refused(
        "a page of something that is no FastGPT",
        "200 OK",
        "<html><h1>Welcome to nginx!</h1></html>",
        Failure(f.NotAnEventStreamError, words="text/html (HTTP 200)"),
        "Content-Type: text/html",
    ),
    refused(
        "a redirect, which would take the key elsewhere",
        "308 Permanent Redirect",
        "/api/v1/chat/completions",
        Failure(f.APIError, 308, None, "", words="/api/v1/chat/completions"),
        "Location: /api/v1/chat/completions",
    ),
    refused(
        "the whole answer at once",
        "200 OK",
        {"id": "", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]},
        Failure(f.NotAnEventStreamError, words="application/json (HTTP 200)"),
    ),
    Standin(
        "plain words where a stream was promised",
        Exchange("words", "v1", True, stream_response(WORDS.encode())),
        Meaning(
            body_bytes=len(WORDS),
            failure=Failure(f.NotAnEventStreamError, words="begins with 'Service starting"),
        ),
    ),
]

"""Say what an exchange means, and read it with the client, to compare the two.

What it means is worked out here from the body with the standard library alone, and with tables
of its own for the classes of events and errors: nothing is asked of the package under test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

import fastgpt_client as f

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .recordings import Exchange

#: Every event that FastGPT is known to send; ``""`` is an answer without details.
EVENT_CLASSES: Mapping[str, type[f.Event]] = {
    "": f.AnswerDelta,
    "answer": f.AnswerDelta,
    "fastAnswer": f.FastAnswer,
    "flowNodeStatus": f.NodeStatus,
    "flowNodeResponse": f.NodeResponse,
    "flowResponses": f.FlowResponses,
    "toolCall": f.ToolCall,
    "toolParams": f.ToolParams,
    "toolResponse": f.ToolResponse,
    "updateVariables": f.VariablesUpdated,
    "interactive": f.Interactive,
    "workflowDuration": f.WorkflowDuration,
    "chatTitle": f.ChatTitle,
    "plan": f.Plan,
    "planStatus": f.PlanStatus,
    "sandboxStatus": f.SandboxStatus,
    "skillCall": f.SkillCall,
    "resumePhase": f.ResumePhase,
    "resumeCompleted": f.ResumeCompleted,
    "resumeUnavailable": f.ResumeUnavailable,
}

#: By the server's stable name of the error, or by its words where it has no name.
ERROR_CLASSES: Mapping[str, type[f.APIError]] = {
    "unAuthApiKey": f.AuthenticationError,
    "unAuthorization": f.AuthenticationError,
    "Key is expired": f.AuthenticationError,
    "unAuthApp": f.PermissionDeniedError,
    "appUnExist": f.NotFoundError,
    "app is empty": f.NotFoundError,
    "appId is empty": f.ValidationError,
    "messages is empty": f.ValidationError,
    "Data validation error": f.ValidationError,
    "Invalid JSON": f.ValidationError,
    "Body exceeded 10mb limit": f.ValidationError,
    "Body exceeded 20mb limit": f.ValidationError,
    "Rate limit exceeded.": f.RateLimitError,
    "aiPointsNotEnough": f.QuotaExceededError,
    "chatIsGenerating": f.ChatBusyError,
    "E11000 duplicate key error": f.ServerError,
}


@attrs.frozen
class Failure:
    """How an exchange fails."""

    kind: type[Exception]
    status_code: int | None = None
    code: int | None = None
    status_text: str | None = None
    retry_after: float | None = None
    #: What the message must say.
    words: str = ""
    #: The names of the nodes that failed, for a failure of the workflow.
    nodes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Meaning:
    """What an exchange means."""

    text: str = ""
    reasoning: str = ""
    #: Name, class and payload of each event.
    events: list[tuple[str, type[f.Event], bytes]] = attrs.field(factory=list)
    heartbeats: int = 0
    nodes: list[Any] = attrs.field(factory=list)
    tools: list[dict[str, Any]] = attrs.field(factory=list)
    variables: Any = None
    title: str | None = None
    duration: float | None = None
    interactive: dict[str, Any] | None = None
    tokens: tuple[int, int] | None = None
    plugin_output: Any = None
    failure: Failure | None = None
    body_bytes: int | None = None


# --- worked out from the body ---------------------------------------------------------------------


def meaning_of(exchange: Exchange) -> Meaning:
    """Work out what a recorded exchange means."""
    if not exchange.is_stream:
        return Meaning(failure=_refusal(exchange))
    text = reasoning = ""
    found: dict[str, Any] = {}
    events: list[tuple[str, type[f.Event], bytes]] = []
    nodes: dict[Any, Any] = {}
    tools: dict[str, dict[str, Any]] = {}
    heartbeats = 0
    complete = False
    failure: Failure | None = None
    for name, data in frames(exchange.body):
        if data == "[DONE]":
            complete = True
            continue
        # The only payload that is no JSON is a bare word.
        payload: Any = data if name == "resumePhase" else json.loads(data)
        if name == "error":
            failure = _api_failure(200, payload)
            break
        if name in ("", "answer", "fastAnswer"):
            (choice,) = payload["choices"]
            said = choice["delta"].get("content") or ""
            thought = choice["delta"].get("reasoning_content") or ""
            text += said
            reasoning += thought
            if choice["finish_reason"]:
                assert not said
                complete = True
                continue
            if not said and not thought:
                heartbeats += 1
                continue
        elif name == "flowNodeResponse":
            _collect(nodes, [payload])
        elif name == "flowResponses":
            _collect(nodes, list(payload.values()) if isinstance(payload, dict) else payload)
        elif name.startswith("tool"):
            _collect_tool(tools, name, payload["tool"])
        else:
            found[name] = payload
        events.append((name, EVENT_CLASSES[name], data.encode()))
        if name == "resumeCompleted":
            # What the saved answer has beyond the text so far follows as an event of its own.
            (saved,) = [item for item in payload["records"]["list"] if item["obj"] == "AI"]
            rest = "".join(part["text"]["content"] for part in saved["value"])[len(text) :]
            if rest:
                text += rest
                events.append((name, f.AnswerDelta, data.encode()))
    all_nodes = list(nodes.values())
    if failure is None and not complete:
        failure = Failure(f.ReplyInterruptedError)
    if failure is None:
        failure = workflow_failure(all_nodes)
    return Meaning(
        text=text,
        reasoning=reasoning,
        events=events,
        heartbeats=heartbeats,
        nodes=all_nodes,
        tools=list(tools.values()),
        variables=found.get("updateVariables"),
        title=found["chatTitle"]["title"] if "chatTitle" in found else None,
        duration=found["workflowDuration"]["durationSeconds"]
        if "workflowDuration" in found
        else None,
        interactive=question_in(found["interactive"]) if "interactive" in found else None,
        tokens=tokens_of(all_nodes),
        plugin_output=next((n["pluginOutput"] for n in all_nodes if "pluginOutput" in n), None),
        failure=failure,
        body_bytes=len(exchange.body),
    )


def frames(body: bytes) -> Iterator[tuple[str, str]]:
    """Name and data of each event; what is not ended by a blank line is none."""
    for block in body.decode().split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if "data" in fields:
            yield fields.get("event", ""), fields["data"]


def _refusal(exchange: Exchange) -> Failure:
    body = exchange.body.decode()
    try:
        payload = json.loads(body)
    except ValueError:
        payload = {"message": body}
    if exchange.status == 200 and "choices" in payload:
        # The whole answer at once, where a stream was asked for.
        words = "application/json (HTTP 200) instead of an event stream"
        return Failure(f.NotAnEventStreamError, words=words)
    return _api_failure(exchange.status, payload)


def _api_failure(status: int, payload: Mapping[str, Any]) -> Failure:
    status_text, words = payload.get("statusText", ""), payload["message"]
    retry_after = None
    if words.startswith("Rate limit exceeded."):
        retry_after = float(words.rpartition(" in ")[2].removesuffix(" seconds."))
        words = "Rate limit exceeded."
    name = status_text if status_text in ERROR_CLASSES else words
    # Words that are a key of the server's translations tell nobody anything.
    return Failure(
        ERROR_CLASSES[name],
        status,
        payload.get("code"),
        status_text,
        retry_after,
        status_text if words.startswith("common:") else words,
    )


def _collect(nodes: dict[Any, Any], items: list[Any]) -> None:
    for node in items:
        key = (node["id"], node.get("parentId")) if "id" in node else len(nodes)
        nodes.pop(key, None)
        nodes[key] = node


def _collect_tool(tools: dict[str, dict[str, Any]], name: str, tool: Mapping[str, str]) -> None:
    blank = {"id": tool["id"], "name": "", "function": "", "arguments": "", "response": None}
    use = tools.setdefault(tool["id"], blank)
    use["name"] = tool.get("toolName") or use["name"]
    use["function"] = tool.get("functionName") or use["function"]
    if name == "toolResponse":
        use["response"] = tool["response"]
    else:
        use["arguments"] += tool.get("params", "")


def workflow_failure(nodes: list[Any]) -> Failure | None:
    top = [node for node in nodes if not node.get("parentId")]
    failed = []
    for node in top:
        wrong = node.get("errorText") or node.get("error") or node.get("finishReason") == "error"
        # Servers that do not tell stop at a failure that nothing caught.
        uncaught = not node["errorCaptured"] if "errorCaptured" in node else node is top[-1]
        if wrong and uncaught:
            failed.append(node)
    if not failed:
        return None
    names = tuple(node["moduleName"] for node in failed)
    return Failure(f.WorkflowError, words=failed[-1]["errorText"], nodes=names)


def question_in(payload: Any) -> dict[str, Any]:
    level = payload["interactive"]
    while "childrenResponse" in level["params"]:
        level = level["params"]["childrenResponse"]
    params = level["params"]
    return {
        "kind": level["type"],
        "description": params["description"],
        "options": [(item["key"], item["value"]) for item in params.get("userSelectOptions", [])],
        "fields": [(item["key"], item["label"]) for item in params.get("inputForm", [])],
        "questions": [item["question"] for item in params.get("questions", [])],
    }


def tokens_of(nodes: list[Any]) -> tuple[int, int] | None:
    counted: dict[Any, tuple[int, int]] = {}

    def walk(node: Mapping[str, Any]) -> None:
        used = sum(node.get(key, 0) for key in ("inputTokens", "toolCallInputTokens"))
        made = sum(node.get(key, 0) for key in ("outputTokens", "toolCallOutputTokens"))
        counted[node.get("id", len(counted))] = (used or node.get("tokens", 0), made)
        for value in node.values():
            for item in value if isinstance(value, list) else []:
                if isinstance(item, dict) and "moduleType" in item:
                    walk(item)

    for node in nodes:
        walk(node)
    totals = [sum(column) for column in zip(*counted.values(), strict=True)]
    return (totals[0], totals[1]) if any(totals) else None


# --- read with the client -------------------------------------------------------------------------


@attrs.define
class Seen:
    """What a program that uses the client sees."""

    events: list[f.Event] = attrs.field(factory=list)
    reply: f.Reply | None = None
    answer: f.Answer | None = None
    failure: f.FastGPTError | None = None


async def read(client: f.AsyncChatClient, exchange: Exchange) -> Seen:
    """Read the next reply event by event, then as a whole answer."""
    seen = Seen()
    try:
        async with client.stream("hello", api=exchange.api, detail=exchange.detail) as reply:
            seen.reply = reply
            async for event in reply:
                seen.events.append(event)
            seen.answer = await reply.final()
    except f.FastGPTError as error:
        seen.failure = error
    return seen


async def ask(client: f.AsyncChatClient, exchange: Exchange) -> Seen:
    """Read the next reply as a whole answer only."""
    try:
        answer = await client.ask("hello", api=exchange.api, detail=exchange.detail)
    except f.FastGPTError as error:
        return Seen(failure=error, answer=error.reply and error.reply.answer)
    return Seen(answer=answer)


def open_connections(client: f.AsyncChatClient) -> list[Any]:
    """The connections of the pool that are neither free for the next request nor closed."""
    assert client._http is not None
    pool = client._http.client._transport._pool
    return [one for one in pool.connections if not one.is_idle() and not one.is_closed()]


# --- compared ---------------------------------------------------------------------------------------


def misunderstood(meaning: Meaning, seen: Seen) -> list[str]:
    """Every difference between what an exchange means and what was seen of it."""
    pairs = [*_failure_pairs(meaning, seen)]
    answer = seen.answer
    if seen.reply is not None:
        events = [(event.name, type(event), event.raw) for event in seen.events]
        numbers = [event.index for event in seen.events]
        pairs += [
            ("events", meaning.events, events),
            ("index", list(range(len(meaning.events))), numbers),
            ("text of the events", meaning.text, "".join(event.text for event in seen.events)),
            ("status", "failed" if meaning.failure else "complete", seen.reply.status),
        ]
        answer = seen.reply.answer
        if seen.failure is not None:
            pairs.append(("reply of the failure", True, seen.failure.reply is seen.reply))
    # Nothing but a refusal may come without an answer, however incomplete.
    pairs.append(("an answer", meaning.body_bytes is not None, answer is not None))
    if answer is not None:
        pairs += _answer_pairs(meaning, answer)
    return [
        f"{what}: {expected!r} is seen as {got!r}"
        for what, expected, got in pairs
        if expected != got
    ]


def _failure_pairs(meaning: Meaning, seen: Seen) -> Iterator[tuple[str, Any, Any]]:
    expected, got = meaning.failure, seen.failure
    yield "failure", expected and expected.kind, got and type(got)
    if expected is None or got is None:
        return
    yield "partial", meaning.text, got.partial
    yield "words of the failure", True, expected.words.lower() in str(got).lower() or str(got)
    if isinstance(got, f.APIError):
        for name in ("status_code", "code", "status_text"):
            yield name, getattr(expected, name), getattr(got, name)
        yield "a key instead of words", False, "common:" in str(got)
    if isinstance(got, f.RateLimitError):
        yield "retry_after", expected.retry_after, got.retry_after
    if isinstance(got, f.WorkflowError):
        yield "failed nodes", expected.nodes, tuple(node.name for node in got.nodes)


def _answer_pairs(meaning: Meaning, answer: f.Answer) -> Iterator[tuple[str, Any, Any]]:
    yield "text", meaning.text, answer.text
    yield "reasoning", meaning.reasoning, answer.reasoning
    yield "nodes", meaning.nodes, [node.raw for node in answer.nodes]
    yield "tools", meaning.tools, [_tool(use) for use in answer.tool_calls]
    yield "variables", meaning.variables, answer.variables
    yield "title", meaning.title, answer.title
    yield "duration", meaning.duration, answer.duration
    yield "interactive", meaning.interactive, _asked(answer.interactive)
    usage = answer.usage
    yield "tokens", meaning.tokens, usage and (usage.input_tokens, usage.output_tokens)
    yield "plugin output", meaning.plugin_output, answer.plugin_output
    yield "heartbeats", meaning.heartbeats, answer.timings.heartbeats
    yield "number of events", len(meaning.events), answer.timings.events
    if meaning.body_bytes is not None:
        yield "bytes", meaning.body_bytes, answer.timings.bytes


def _tool(use: f.ToolUse) -> dict[str, Any]:
    return {
        "id": use.id,
        "name": use.name,
        "function": use.function_name,
        "arguments": use.arguments,
        "response": use.response,
    }


def _asked(question: f.Interactive | None) -> dict[str, Any] | None:
    if question is None:
        return None
    return {
        "kind": question.kind,
        "description": question.description,
        "options": [(option.key, option.value) for option in question.options],
        "fields": [(field.key, field.label) for field in question.fields],
        "questions": [item.question for item in question.questions],
    }

"""Where the fuzzer begins: an input for each kind of event, and the words that it may put together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = '{"id":"","object":"","created":0,"model":"","choices":[%s]}'
_DELTA = '{"delta":{"role":"assistant","content":"你好\u2028"},"index":0,"finish_reason":null}'
_NODE = {
    "id": "r1",
    "nodeId": "n1",
    "moduleName": "AI",
    "moduleType": "chatNode",
    "runningTime": 0.5,
    "totalPoints": 1,
    "query": "q",
    "errorText": "it broke",
    "error": {"message": "m"},
    "errorCaptured": False,
    "finishReason": "error",
    "inputTokens": 3,
    "pluginOutput": {"a": 1},
    "childrenResponses": [{"id": "r2", "nodeId": "n2", "parentId": "r1"}],
}
_TOOL = {"id": "t", "toolName": "Time", "functionName": "time", "params": "{", "response": "r"}
_FORM = {"key": "k", "label": "l", "type": "select", "list": [{"label": "a", "value": "b"}]}
_INTERACTIVE = {
    "type": "userSelect",
    "params": {
        "description": "d",
        "userSelectOptions": [{"key": "o", "value": "v"}],
        "inputForm": [_FORM],
        "options": [{"id": "1", "label": "x"}],
        "questions": [{"id": "1", "question": "q", "options": [{"label": "x"}]}],
    },
}
_CONTENT = [
    {"type": "text", "text": {"content": "hello"}},
    {"type": "reasoning", "reasoning": {"content": "hm"}},
    {"type": "tool", "tools": [_TOOL]},
    {"type": "interactive", "interactive": _INTERACTIVE},
]
_RECORD = {"obj": "AI", "value": _CONTENT, "dataId": "d"}

_EVENTS: list[tuple[str, object]] = [
    ("flowNodeStatus", {"status": "running", "name": "AI"}),
    ("flowNodeResponse", _NODE),
    ("flowResponses", [_NODE]),
    ("toolCall", {"tool": _TOOL}),
    ("toolParams", {"tool": _TOOL}),
    ("toolResponse", {"tool": _TOOL}),
    ("updateVariables", {"a": 1}),
    ("interactive", {"interactive": _INTERACTIVE}),
    ("interactive", _INTERACTIVE),
    ("workflowDuration", {"durationSeconds": 1.5}),
    ("chatTitle", {"title": "t"}),
    ("plan", {"planId": "p", "planName": "n", "steps": [{"id": "1", "name": "s"}]}),
    ("planStatus", {"status": "generating"}),
    ("sandboxStatus", {"sandboxId": "s", "phase": "ready"}),
    ("skillCall", {"skillId": "s"}),
    ("resumeCompleted", {"chatGenerateStatus": 1, "records": {"list": [_RECORD], "total": 1}}),
    ("resumeUnavailable", {"reason": "memoryPressure"}),
    ("error", {"code": 514, "statusText": "unAuthApiKey", "message": "m", "data": None}),
    ("novelty", {"x": 1}),
]


def streams() -> Iterator[bytes]:
    """Yield streams of events."""
    whole = _CHUNK % _DELTA
    end = _CHUNK % '{"delta":{},"index":0,"finish_reason":"stop"}'
    yield f"event: answer\ndata: {whole}\n\nevent: answer\ndata: {end}\n\n".encode()
    yield f"data: {whole}\r\n\r\ndata: [DONE]\r\rdata: {whole}\n\n".encode()
    yield b"\xef\xbb\xbf: a comment\nid: 7\nretry: 10\nevent: fastAnswer\ndata: {\ndata: }\n\n"
    yield b'data: {"error":{"message":"m","code":500}}\n\n'
    yield b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\nevent: resumePhase\ndata: live\n\n'
    for name, payload in _EVENTS:
        text = json.dumps(payload, ensure_ascii=False)
        yield f"event: {name}\ndata: {text}\n\n".encode()


def inputs() -> Iterator[bytes]:
    """Yield inputs of the target: two bytes that say how, and the body."""
    for number, stream in enumerate(streams()):
        yield bytes([5, number]) + stream
        yield bytes([0, number]) + stream
        yield bytes([2, number]) + stream
    message: dict[str, Any] = {"role": "assistant", "content": _CONTENT}
    completion: dict[str, Any] = {"choices": [{"message": message, "finish_reason": "stop"}]}
    completion |= {"responseData": [_NODE], "newVariables": {"a": 1}, "error": "e", "usage": {}}
    yield bytes([3, 0]) + json.dumps(completion).encode()
    message["content"] = "hello"
    yield bytes([3, 0]) + json.dumps(completion).encode()


def write(folder: Path) -> Path:
    """Write the inputs as files, and return the dictionary beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    words: set[str] = {"[DONE]", "null", "data: ", "event: ", "\\x0a\\x0a", "answer"}
    for number, data in enumerate(inputs()):
        (folder / f"{number:03}").write_bytes(data)
    for name, payload in _EVENTS:
        words |= {name, *_names(payload)}
    dictionary = folder.with_suffix(".dict")
    dictionary.write_text("".join(f'"{word}"\n' for word in sorted(words)), encoding="utf-8")
    return dictionary


def _names(payload: object) -> Iterator[str]:
    if isinstance(payload, dict):
        for key, value in payload.items():
            yield str(key)
            yield from _names(value)
    elif isinstance(payload, list):
        for item in payload:
            yield from _names(item)

"""Build scripts and node objects like those of a simple chat app."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from ._dialect import Dialect
from ._script import Script, Step
from ._steps import Delta, NodeResponse, NodeStatus, Pause, Reasoning

#: What the server answers until it is told something else.
STORY = (
    "Once upon a time a small river wanted to know where it was going. "
    "It asked the mill, the bridge and the heron, and each of them said: downhill. "
    "小河没有生气，它继续往前流。 "
    "On the third evening it met the sea, and all at once it had nothing left to ask. 🌊"
)

_PIECE = 4


def node(
    name: str, kind: str, *, version: str = "4.16.0", seconds: float = 0.01, **fields: Any
) -> dict[str, Any]:
    """Build a node response object with the keys that every node has.

    :param name: ``moduleName``, the display name.
    :param kind: ``moduleType``, for example ``chatNode``.
    :param version: the server version played; 4.14 has an empty ``moduleLogo``.
    :param seconds: ``runningTime``.
    :param fields: further keys in wire spelling; ``id`` and ``nodeId`` are made up if missing.
    """
    logo = {} if Dialect.of(version).modern_content else {"moduleLogo": ""}
    identity = {
        "id": fields.pop("id", None) or secrets.token_hex(8),
        "nodeId": fields.pop("nodeId", kind),
        "runningTime": seconds,
    }
    return {"moduleName": name, "moduleType": kind, **logo, **fields, **identity}


def chat_node(
    text: str,
    *,
    question: str = "",
    reasoning: str = "",
    finish: str = "stop",
    error: str = "",
    version: str = "4.16.0",
    **fields: Any,
) -> dict[str, Any]:
    """Build the node response of an AI chat node.

    :param text: what the model said.
    :param question: what it was asked.
    :param reasoning: what it thought.
    :param finish: ``finishReason``: ``stop``, ``close`` (stopped by the user) or ``error``.
    :param error: ``errorText`` of a failed model call, which also sets ``finish``.
    :param version: the server version played.
    :param fields: further keys in wire spelling, replacing those made here.
    """
    history = [{"obj": "Human", "value": question}]
    if text:
        history.append({"obj": "AI", "value": text.strip()})
    failed: dict[str, Any] = {}
    if error:
        finish = "error"
        failed = {"errorText": error}
    content = {
        **failed,
        "totalPoints": 0,
        "model": "fake-model",
        "inputTokens": len(question),
        "outputTokens": len(text) + len(reasoning),
        "query": question,
        "maxToken": 2000,
        "reasoningText": reasoning,
        "historyPreview": history,
        "contextTotalLen": 2,
        "finishReason": finish,
        "llmRequestIds": [secrets.token_hex(8)],
    }
    # 4.16 tells the same failure once more as "error" (recorded).
    if error and Dialect.of(version).modern_content:
        content["error"] = error
    return node("AI Chat", "chatNode", version=version, seconds=0.24, **content | fields)


def pieces(text: str, size: int = _PIECE) -> list[str]:
    """Cut a text into deltas: the first three joined, as a real server sends them.

    FastGPT holds the start of a model's answer back while it looks for a ``<think>`` tag
    (recorded from 4.14.7).

    :param text: the whole text.
    :param size: characters in a delta.
    """
    first, rest = text[: 3 * size], text[3 * size :]
    return [first, *(rest[at : at + size] for at in range(0, len(rest), size))] if text else []


def chat_script(
    answer: str | Iterable[str],
    *,
    question: str = "",
    reasoning: str | Iterable[str] = "",
    error: str = "",
    pause: float = 0.0,
    version: str = "4.16.0",
) -> Script:
    """Build the run of a simple chat app: start node, status, deltas, chat node.

    :param answer: the text, which is cut into deltas, or the deltas themselves.
    :param question: what the user asked; shown in the chat node.
    :param reasoning: the model's reasoning, text or pieces.
    :param error: fail the chat node with this text after the deltas.
    :param pause: seconds between two deltas.
    :param version: the server version played.
    """
    deltas = pieces(answer) if isinstance(answer, str) else list(answer)
    thoughts = pieces(reasoning) if isinstance(reasoning, str) else list(reasoning)
    spoken: list[Step] = []
    said: list[Step] = [*map(Reasoning, thoughts), *map(Delta, deltas)]
    for step in said:
        if pause and spoken:
            spoken.append(Pause(pause))
        spoken.append(step)
    chat = chat_node(
        "".join(deltas),
        question=question,
        reasoning="".join(thoughts),
        error=error,
        version=version,
    )
    start = node("Start", "workflowStart", version=version, seconds=0, nodeId="start")
    return Script(NodeResponse(start), NodeStatus("AI Chat"), *spoken, NodeResponse(chat))


def question_of(messages: Any) -> str:
    """The text of the last message, of a request that may be anything."""
    last = messages[-1] if isinstance(messages, Sequence) and messages else None
    content = last.get("content") if isinstance(last, dict) else None
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )

"""Say what a JSON answer means, and read it with the client, to compare the two."""

from __future__ import annotations

import json
from typing import Any

import fastgpt_client as f

from .recordings import Exchange
from .understanding import (
    Failure,
    Meaning,
    Seen,
    meaning_of,
    question_in,
    tokens_of,
    workflow_failure,
)


def whole_meaning_of(exchange: Exchange) -> Meaning:
    """Work out from the body alone what a recorded answer without a stream means."""
    payload = json.loads(exchange.body) if exchange.body.startswith(b"{") else {}
    if exchange.status != 200 or "choices" not in payload:
        return meaning_of(exchange)
    (choice,) = payload["choices"]
    message = choice["message"]
    content = message.get("content", [])
    parts: list[Any] = [{"text": {"content": content}}] if isinstance(content, str) else content
    nodes = payload.get("responseData", [])
    asked = [part for part in parts if "interactive" in part]
    failure = workflow_failure(nodes)
    if failure is None and "error" in payload:
        # Without details there is no node to name.
        failure = Failure(f.WorkflowError, words=payload["error"])
    return Meaning(
        text="".join(part["text"]["content"] for part in parts if "text" in part),
        reasoning="".join(part["reasoning"]["content"] for part in parts if "reasoning" in part)
        or message.get("reasoning_content", ""),
        nodes=nodes,
        tools=[
            {
                "id": tool["id"],
                "name": tool["toolName"],
                "function": tool["functionName"],
                "arguments": tool["params"],
                "response": tool["response"],
            }
            for part in parts
            for tool in part.get("tools", [])
        ],
        variables=payload.get("newVariables"),
        title=payload.get("title"),
        interactive=question_in(asked[-1]) if asked else None,
        tokens=tokens_of(nodes),
        plugin_output=next((n["pluginOutput"] for n in nodes if "pluginOutput" in n), None),
        failure=failure,
        body_bytes=len(exchange.body),
    )


async def read_whole(client: f.AsyncChatClient, exchange: Exchange) -> Seen:
    """Read the next answer without a stream."""
    response = await client.create_chat_completion(
        messages="hello", stream=False, api=exchange.api, detail=exchange.detail
    )
    try:
        return Seen(answer=response.answer())
    except f.WorkflowError as error:
        return Seen(failure=error, answer=response.answer(raise_on_node_error=False))
    except f.FastGPTError as error:
        return Seen(failure=error)

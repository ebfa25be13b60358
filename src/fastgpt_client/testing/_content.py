"""Collect what a run has said, and make its JSON answer and its list of nodes. No I/O."""

from __future__ import annotations

from typing import Any

import attrs

from ._dialect import Dialect
from ._script import Step
from ._steps import (
    Delta,
    FastAnswer,
    Interactive,
    NodeResponse,
    Reasoning,
    Title,
    ToolCall,
    ToolParams,
    ToolResponse,
    Variables,
)


@attrs.define(eq=False)
class Ledger:
    """Everything a run has said so far.

    :param dialect: the version played; it decides how the parts are grouped.
    """

    dialect: Dialect
    items: list[dict[str, Any]] = attrs.field(factory=list)
    nodes: list[dict[str, Any]] = attrs.field(factory=list)
    variables: dict[str, Any] = attrs.field(factory=dict)
    title: str = ""

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(item["text"]["content"] for item in self.items if "text" in item)

    def add(self, step: Step) -> None:
        """Take a step in; steps that say nothing are ignored."""
        match step:
            case Delta(text):
                self._say("text", text)
            case FastAnswer(text):
                self._say("text", f"\n{text}")
            case Reasoning(text):
                self._say("reasoning", text)
            case ToolCall():
                self._open_tool(step)
            case ToolParams(id, params):
                self._tool(id)["params"] += params
            case ToolResponse(id, response):
                self._tool(id)["response"] = response
            case Interactive(payload):
                shown = {key: payload[key] for key in ("type", "params") if key in payload}
                self.items.append({"interactive": shown})
            case NodeResponse(data):
                self.nodes.append(dict(data))
            case Variables(values):
                self.variables = dict(values)
            case Title(text):
                self.title = text

    def _say(self, kind: str, text: str) -> None:
        last = self.items[-1] if self.items else {}
        if kind in last:
            last[kind]["content"] += text
        elif self.dialect.modern_content and kind == "text" and "reasoning" in last:
            last["text"] = {"content": text}
        else:
            self.items.append({kind: {"content": text}})

    def _open_tool(self, call: ToolCall) -> None:
        tool = {
            "id": call.id,
            "toolName": call.name,
            "toolAvatar": call.avatar,
            "functionName": call.function_name,
            "params": call.params,
            "response": "",
        }
        item: dict[str, Any] = {"id": call.id} if self.dialect.modern_content else {}
        self.items.append({**item, "tools": [tool]})

    def _tool(self, tool_id: str) -> dict[str, Any]:
        for item in reversed(self.items):
            for tool in item.get("tools", ()):
                if tool["id"] == tool_id:
                    found: dict[str, Any] = tool
                    return found
        return {"params": "", "response": ""}

    def node_tree(self) -> list[dict[str, Any]]:
        """The finished nodes as v1 and JSON answers list them: children inside their parents."""
        if not self.dialect.modern_content:
            return self.nodes
        nodes = [dict(node) for node in self.nodes]
        by_id = {node.get("id"): node for node in nodes}
        roots = []
        for node in nodes:
            parent = by_id.get(node.get("parentId")) if "parentId" in node else None
            if parent is None or parent is node:
                roots.append(node)
            else:
                parent.setdefault("childrenResponses", []).append(node)
        return roots

    def flow_responses(self) -> Any:
        """The payload of v1's ``flowResponses``."""
        nodes = self.node_tree()
        if self.dialect.flow_responses == "object after done":
            return {str(index): node for index, node in enumerate(nodes)}
        return nodes

    def error(self) -> Any:
        """What the failed node said, or ``None``; a JSON answer has it at the top level."""
        for node in self.nodes:
            found = node.get("errorText") or node.get("error")
            if found:
                return found
        return None

    def answer(self, *, api: str, detail: bool, chat_id: str) -> dict[str, Any]:
        """The whole answer without a stream.

        :param api: ``v1`` marks the items of a content list with ``type``.
        :param detail: ``True`` adds nodes and variables and allows a content list.
        :param chat_id: becomes ``id``.
        """
        answer: dict[str, Any] = {}
        if detail:
            answer["responseData"] = self.node_tree()
            answer["newVariables"] = self.variables
            if self.title:
                answer["title"] = self.title
        error = self.error()
        if error is not None:
            answer["error"] = error
        message = {"role": "assistant", **self._message(api, detail)}
        return answer | {
            "id": chat_id,
            "model": "",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1},
            "choices": [{"message": message, "finish_reason": "stop", "index": 0}],
        }

    def _message(self, api: str, detail: bool) -> dict[str, Any]:
        if not self.items:
            return {"content": ""}
        only_interactive = len(self.items) == 1 and "interactive" in self.items[0]
        if only_interactive and not (detail and self.dialect.modern_content):
            return {}
        simple = len(self.items) == 1 and {"text", "reasoning"} >= self.items[0].keys()
        if detail and not simple:
            return {"content": [self._item(item, api) for item in self.items]}
        texts = [item["text"]["content"] for item in self.items if "text" in item]
        message = {"content": "\n".join(texts)}
        thoughts = [item["reasoning"]["content"] for item in self.items if "reasoning" in item]
        if thoughts:
            message["reasoning_content"] = "\n".join(thoughts)
        return message

    def _item(self, item: dict[str, Any], api: str) -> dict[str, Any]:
        if api != "v1":
            return item
        kinds = {"text": "text", "tools": "tool", "interactive": "interactive"}
        kind = next((kinds[key] for key in kinds if key in item), "reasoning")
        return {**item, "type": kind}

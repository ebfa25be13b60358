"""Read the responses of a workflow's nodes, and sum the tokens that they used.

A node's counts are its own model calls and never contain its children's: the recorded tool-calling
nodes (4.14.7 and 4.16.0) tell the sum of their own two model rounds, and FastGPT itself sums a
reply by adding parents and children, each id once, because one response may come both inside its
parent and alone (FastGPT source, 4.16). Only ``childTotalPoints`` is about children.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

__all__ = ["Node", "Usage", "is_node_response", "read_node", "read_nodes", "sum_usage"]

#: Deeper children stay in their parent's ``raw``. A bound for hostile input: workflows call each
#: other to a depth of about 20 (FastGPT source, 4.16.0).
_MAX_DEPTH: Final = 50

_NODE_KEYS: Final = ("moduleType", "moduleName", "nodeId")


@attrs.frozen(kw_only=True)
class Node:
    """Hold the response of one workflow node.

    :param id: the id of this run of the node, ``""`` from servers that send none.
    :param node_id: the id of the node in the workflow.
    :param parent_id: the ``id`` of the node that ran this one, or ``None`` at the top. Nested
        responses of 4.14 carry none.
    :param name: the node's name for people.
    :param type: the node's type, such as ``chatNode``.
    :param running_time: seconds that the node ran.
    :param model: the model that it called.
    :param input_tokens: tokens of its own model calls, tool-calling rounds included. Before 4.8.17
        the server told one number, all tokens, which is then here.
    :param output_tokens: likewise.
    :param error: what went wrong, or ``None``.
    :param error_captured: whether the workflow handled the error, or ``None`` from servers that do
        not tell (4.14.7).
    :param finish_reason: ``stop``, ``close`` for a stopped model call, ``error`` for a failed one.
    :param text_output: the text that the node produced.
    :param plugin_output: the outputs of a plugin app.
    :param children: the nodes that ran inside this one.
    :param raw: the whole response as it came; its fields differ by type and by version.
    """

    id: str = ""
    node_id: str = ""
    parent_id: str | None = None
    name: str = ""
    type: str = ""
    running_time: float | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None
    error_captured: bool | None = None
    finish_reason: str | None = None
    text_output: str | None = attrs.field(default=None, repr=False)
    plugin_output: Mapping[str, Any] | None = attrs.field(default=None, repr=False, hash=False)
    children: tuple[Node, ...] = ()
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def failed(self) -> bool:
        """Whether the node went wrong, also if the workflow handled it."""
        return self.error is not None or self.finish_reason == "error"


@attrs.frozen
class Usage:
    """Count tokens.

    :param input_tokens: tokens that went into models.
    :param output_tokens: tokens that came out of them.
    """

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens


def sum_usage(nodes: Iterable[Node]) -> Usage:
    """Sum the tokens of nodes and of everything that ran inside them.

    A response that comes twice, inside its parent and alone, counts once; the later one counts.

    :param nodes: node responses, nested or flat.
    """
    by_id: dict[str, tuple[int, int]] = {}
    input_tokens = output_tokens = 0
    waiting = list(nodes)
    waiting.reverse()
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(node.children))
        if node.input_tokens is None and node.output_tokens is None:
            continue
        counts = (node.input_tokens or 0, node.output_tokens or 0)
        if node.id:
            by_id[node.id] = counts
        else:
            input_tokens += counts[0]
            output_tokens += counts[1]
    for counted_in, counted_out in by_id.values():
        input_tokens += counted_in
        output_tokens += counted_out
    return Usage(input_tokens, output_tokens)


def is_node_response(value: object) -> bool:
    """Tell whether a decoded JSON value looks like a node response.

    :param value: any decoded JSON value.
    """
    return isinstance(value, dict) and any(isinstance(value.get(key), str) for key in _NODE_KEYS)


def read_nodes(payload: object) -> tuple[Node, ...] | None:
    """Read a list of node responses, or return ``None`` if it is none.

    :param payload: an array, or an object keyed ``"0"``, ``"1"``, … (recorded from 4.14.7).
    """
    if isinstance(payload, dict):
        # Shorter keys first and then by their digits is the numeric order.
        keys = sorted(payload, key=lambda key: (len(key), key))
        payload = [payload[key] for key in keys]
    if not isinstance(payload, list) or not all(map(is_node_response, payload)):
        return None
    return tuple(read_node(item) for item in payload)


def read_node(payload: Mapping[str, Any], _depth: int = 0) -> Node:
    """Read one node response; a field of an unexpected type counts as absent.

    :param payload: the decoded object.
    """
    get = payload.get
    plugin_output = get("pluginOutput")
    captured = get("errorCaptured")
    total = _count(get("tokens"))
    input_tokens = _sum(_count(get("inputTokens")), _count(get("toolCallInputTokens")))
    output_tokens = _sum(_count(get("outputTokens")), _count(get("toolCallOutputTokens")))
    if input_tokens is None and output_tokens is None:
        input_tokens = total
    return Node(
        id=_text(get("id")) or "",
        node_id=_text(get("nodeId")) or "",
        parent_id=_text(get("parentId")) or None,
        name=_text(get("moduleName")) or "",
        type=_text(get("moduleType")) or "",
        running_time=_seconds(get("runningTime")),
        model=_text(get("model")),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        error=_error_text(get("errorText")) or _error_text(get("error")),
        error_captured=captured if isinstance(captured, bool) else None,
        finish_reason=_text(get("finishReason")) or None,
        text_output=_text(get("textOutput")),
        plugin_output=plugin_output if isinstance(plugin_output, dict) else None,
        children=_children(payload, _depth + 1) if _depth < _MAX_DEPTH else (),
        raw=payload,
    )


def _children(payload: Mapping[str, Any], depth: int) -> tuple[Node, ...]:
    # 4.16.0 has childrenResponses; older servers have toolDetail, pluginDetail, loopDetail, …,
    # and one child may be in two of them.
    found: list[Node] = []
    ids: set[str] = set()
    for value in payload.values():
        if not isinstance(value, list) or not all(map(_is_child, value)):
            continue
        for item in value:
            child = read_node(item, depth)
            if child.id in ids:
                continue
            if child.id:
                ids.add(child.id)
            found.append(child)
    return tuple(found)


def _is_child(value: object) -> bool:
    # Stricter than at the top: a list of a node's own data must not be taken for its children.
    return isinstance(value, dict) and isinstance(value.get("moduleType"), str)


def _error_text(value: object) -> str | None:
    if not value:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for key in ("message", "errorText", "error", "statusText"):
            inner = value.get(key)
            if isinstance(inner, dict):
                inner = inner.get("message")
            if isinstance(inner, str) and inner:
                return inner
    return json.dumps(value, ensure_ascii=False)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    if isinstance(value, float):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _sum(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return first if second is None else second
    return first + second

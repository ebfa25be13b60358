"""Read the answer that comes whole, as one JSON object, in every shape that servers give it.

With ``detail`` the content is a text, a list of parts, or absent beside a lone question; without,
always a text (recorded, 4.14.7 and 4.16.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ._answer import Answer, Status, Timings, uncaught
from ._content import read_content
from ._errors import WorkflowError
from ._nodes import Node, read_nodes, sum_usage


@attrs.frozen
class JSONAnswer:
    """Hold a whole answer and what failed in it.

    :param answer: what the reply amounts to.
    :param failure: the error that an uncaught failed node means, or ``None``. The server itself
        calls such an answer a success (recorded, 4.14.7 and 4.16.0).
    """

    answer: Answer
    failure: WorkflowError | None


def is_completion(payload: object) -> bool:
    """Tell whether a decoded JSON body is the answer to a completion.

    :param payload: the decoded body.
    """
    return isinstance(payload, Mapping) and isinstance(payload.get("choices"), list)


def read_json_answer(
    payload: Mapping[str, Any], *, timings: Timings | None = None, chat_id: str | None = None
) -> JSONAnswer:
    """Read the answer to a completion that was asked for without ``stream``.

    A field of an unexpected type counts as absent.

    :param payload: the decoded body.
    :param timings: what the client measured.
    :param chat_id: the chat's id, if the client sent one; else the body's own is taken.
    """
    message = _message(payload)
    content = read_content(message.get("content"))
    nodes = read_nodes(payload.get("responseData")) or ()
    usage = sum_usage(nodes)
    outputs = [node.plugin_output for node in nodes if node.plugin_output is not None]
    variables = payload.get("newVariables")
    answer = Answer(
        text=content.text,
        # 4.16.0 says it beside the content when that is a text, and inside when it is a list.
        reasoning=content.reasoning or _text(message.get("reasoning_content")),
        nodes=nodes,
        tool_calls=content.tool_calls,
        variables=variables if isinstance(variables, dict) else None,
        title=_text(payload.get("title")) or None,
        interactive=content.interactive,
        usage=usage if usage.total_tokens else None,
        timings=Timings() if timings is None else timings,
        chat_id=chat_id or _text(payload.get("id")) or None,
        plugin_output=outputs[-1] if outputs else None,
    )
    failure = _failure(payload.get("error"), answer)
    if failure is not None:
        answer = attrs.evolve(answer, status=Status.FAILED)
    return JSONAnswer(answer, failure)


def _message(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = payload.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, dict) else {}


def _failure(error: object, answer: Answer) -> WorkflowError | None:
    failed = uncaught(answer.nodes)
    if failed:
        return _workflow_error(failed[-1].error, failed[-1], failed, answer)
    if not error or any(node.error_captured for node in answer.failed_nodes):
        return None
    # Without detail, the server tells the text of the last node's failure and no node.
    words = error.get("message") if isinstance(error, dict) else error
    return _workflow_error(_text(words) or str(error), None, (), answer)


def _workflow_error(
    words: str | None, node: Node | None, nodes: tuple[Node, ...], answer: Answer
) -> WorkflowError:
    which = f"node {node.name!r}" if node is not None else "last node"
    return WorkflowError(
        f"the workflow's {which} failed: {words or 'it said no more'}",
        nodes=nodes,
        partial=answer.text,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

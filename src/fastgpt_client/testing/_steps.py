"""Hold the steps that send one event of a stream each, and those that wait between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import attrs

# --- what is sent ------------------------------------------------------------------------------


@attrs.frozen
class Delta:
    """Send a piece of the answer's text, as one ``answer`` chunk.

    :param text: the piece.
    """

    text: str


@attrs.frozen
class Reasoning:
    """Send a piece of the model's reasoning, as one ``answer`` chunk without ``content``.

    :param text: the piece.
    """

    text: str


@attrs.frozen
class FastAnswer:
    """Send the whole text of a fixed-reply node as one ``fastAnswer`` chunk.

    :param text: the text as the workflow's author wrote it. The server puts a newline before
        it (recorded from FastGPT 4.14.7 and 4.16.0).
    """

    text: str


@attrs.frozen
class Heartbeat:
    """Send one heartbeat now: an ordinary ``answer`` chunk with empty text."""


@attrs.frozen
class NodeStatus:
    """Send a ``flowNodeStatus`` event: a node has started.

    :param name: the node's display name.
    :param status: the state told; a real server only says ``running``.
    """

    name: str
    status: str = "running"


@attrs.frozen
class NodeResponse:
    """Report a finished node.

    v2 sends it at once as ``flowNodeResponse``; v1 collects it for ``flowResponses`` at the end,
    and a JSON answer for ``responseData``.

    :param data: the node response object (see :func:`node`).
    """

    data: Mapping[str, Any]


@attrs.frozen
class ToolCall:
    """Open a tool call with a ``toolCall`` event.

    :param id: the call's id, repeated by :class:`ToolParams` and :class:`ToolResponse`.
    :param name: display name of the tool.
    :param function_name: the name the model calls it by.
    :param avatar: the tool's picture.
    :param params: the start of the arguments; a real server sends an empty string.
    """

    id: str
    name: str
    function_name: str = ""
    avatar: str = ""
    params: str = ""


@attrs.frozen
class ToolParams:
    """Send a fragment of a tool call's arguments with a ``toolParams`` event.

    :param id: the call's id.
    :param params: the fragment of JSON text; fragments are joined by the reader.
    """

    id: str
    params: str


@attrs.frozen
class ToolResponse:
    """Send what a tool returned with a ``toolResponse`` event.

    :param id: the call's id.
    :param response: the tool's answer as text.
    """

    id: str
    response: str


@attrs.frozen
class Variables:
    """Send ``updateVariables``: all the chat's variables, as they are now.

    :param values: every variable, not only the changed ones.
    """

    values: Mapping[str, Any]


@attrs.frozen
class Interactive:
    """Pause the workflow with a question to the user.

    :param payload: ``type``, ``params`` and, as a real stream leaks them, internal fields such
        as ``entryNodeIds``; JSON answers show only ``type`` and ``params``.
    """

    payload: Mapping[str, Any]


@attrs.frozen
class Title:
    """Send ``chatTitle`` (FastGPT 4.15 and later).

    :param text: the title made for the chat.
    """

    text: str


@attrs.frozen
class Frame:
    """Send any other event that needs ``detail``, for example ``plan`` or ``sandboxStatus``.

    :param event: the event's name.
    :param payload: any value that can be JSON.
    """

    event: str
    payload: Any


@attrs.frozen
class Raw:
    """Send one event exactly as given, whatever ``detail`` says.

    :param event: the name, or ``None`` for no ``event:`` line.
    :param data: the text of the data line; it need not be JSON.
    """

    event: str | None
    data: str


@attrs.frozen
class RawBytes:
    """Write arbitrary bytes into the body, as one HTTP chunk. JSON answers leave it out.

    :param data: the bytes.
    """

    data: bytes


@attrs.frozen
class Headers:
    """Send the response headers now; without it they go out with the first event."""


@attrs.frozen
class Finish:
    """Send the terminal chunk (``finish_reason: stop``) here instead of at the ordinary place."""


@attrs.frozen
class Done:
    """Send ``[DONE]`` here instead of at the ordinary place."""


# --- waits -------------------------------------------------------------------------------------


@attrs.frozen
class Pause:
    """Wait while heartbeats go on. A stop ends the wait.

    :param seconds: how long.
    """

    seconds: float


@attrs.frozen
class WaitFor:
    """Wait until a test opens a gate, while heartbeats go on. A stop ends the wait.

    :param gate: a name for :meth:`FakeFastGPT.open_gate`, or an event of the test's own.
    """

    gate: str | anyio.Event


@attrs.frozen
class SilentModel:
    """Send nothing but heartbeats until the client leaves or the run is stopped."""


@attrs.frozen
class Silence:
    """Send nothing at all from here on, no heartbeats either: the line is dead."""


@attrs.frozen
class NoHeaders:
    """Accept the request and never answer, not even with headers."""

"""Say what one run of the fake server does, step by step."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ._faults import Close, CutChunk, Drip, ErrorFrame, Reset, Truncate
from ._steps import (
    Delta,
    Done,
    FastAnswer,
    Finish,
    Frame,
    Headers,
    Heartbeat,
    Interactive,
    NodeResponse,
    NodeStatus,
    NoHeaders,
    Pause,
    Raw,
    RawBytes,
    Reasoning,
    Silence,
    SilentModel,
    Title,
    ToolCall,
    ToolParams,
    ToolResponse,
    Variables,
    WaitFor,
)

Step: TypeAlias = (
    Delta
    | Reasoning
    | FastAnswer
    | Heartbeat
    | NodeStatus
    | NodeResponse
    | ToolCall
    | ToolParams
    | ToolResponse
    | Variables
    | Interactive
    | Title
    | Frame
    | Raw
    | RawBytes
    | Headers
    | Finish
    | Done
    | Pause
    | WaitFor
    | SilentModel
    | Silence
    | NoHeaders
    | ErrorFrame
    | Drip
    | Truncate
    | CutChunk
    | Close
    | Reset
)

#: Nothing can follow these, and the ordinary end is not added after them.
LAST_STEPS = (
    SilentModel,
    Silence,
    NoHeaders,
    ErrorFrame,
    Truncate,
    CutChunk,
    Close,
    Reset,
)


@attrs.frozen(init=False)
class Script:
    """Say what one run does, step by step.

    Unless the last step is a fault or an endless wait, the ordinary end is added: duration,
    terminal chunk, ``flowResponses`` and ``[DONE]`` in the order of the played version.

    :param steps: the steps in order.
    :param duration: seconds told by ``workflowDuration``; ``None`` leaves that event out.
    :raises ValueError: if a step follows one that never ends or ends the answer, or if
        :class:`NoHeaders` is not the first step.
    """

    steps: tuple[Step, ...]
    duration: float | None = 0.25

    def __init__(self, *steps: Step, duration: float | None = 0.25) -> None:
        for step in steps[:-1]:
            if isinstance(step, LAST_STEPS):
                raise ValueError(f"nothing can follow {step!r}")
        if any(isinstance(step, NoHeaders) for step in steps[1:]):
            raise ValueError("NoHeaders can only be the first step")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "duration", duration)

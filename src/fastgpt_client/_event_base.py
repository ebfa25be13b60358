"""Hold what all events have in common."""

from __future__ import annotations

import attrs


@attrs.frozen
class Event:
    """Stand for one thing that the server sent.

    :param index: the event's place in its reply, counted from 0. Heartbeats, the terminal chunk
        and ``[DONE]`` are no events and have none.
    :param name: the event's name on the wire, ``""`` if the server sent none, as it does for the
        text of a reply without ``detail``.
    :param raw: the payload as it came. It may carry more than the fields do, also internal state
        of the workflow, so it is not part of the representation.
    """

    index: int = attrs.field(kw_only=True)
    name: str = attrs.field(kw_only=True)
    raw: bytes = attrs.field(kw_only=True, repr=False)

    @property
    def text(self) -> str:
        """The part of the answer's text that the event carries, ``""`` if it carries none."""
        return ""

"""Read the content of a message: of a JSON reply, or of a chat's record.

It is a text, a list of parts, or absent beside a lone question. One part may hold reasoning and
text together; parts of 4.14.7's records also name their ``type``, those of 4.16.0 do not
(recorded).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import msgspec

from ._answer import ToolUse
from ._interactive import Interactive, read_interactive

_PART_KEYS: Final = ("text", "reasoning", "tool", "tools", "interactive", "file")
#: What a question holds once it was answered.
_ANSWERED: Final = ("userSelectedVal", "submitted", "answer", "continue")


@attrs.frozen
class File:
    """Hold a file that came with a message.

    :param type: ``file``, ``image``, ``audio`` or ``video``.
    :param name: its name.
    :param url: where to read it, for a while.
    :param key: by what a message names it, or ``""``.
    """

    type: str = ""
    name: str = ""
    url: str = attrs.field(default="", repr=False)
    key: str = ""


@attrs.frozen(kw_only=True)
class Content:
    """Hold the content of a message, put together.

    :param text: the text, its pieces joined as a stream would join them.
    :param reasoning: what the model thought.
    :param tool_calls: the tools that ran.
    :param files: the files that came with it.
    :param questions: what the workflow asked, in order.
    :param answered: whether each of the questions was answered.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    files: tuple[File, ...] = ()
    questions: tuple[Interactive, ...] = ()
    answered: tuple[bool, ...] = ()

    @property
    def interactive(self) -> Interactive | None:
        """The last question, or ``None``; what was asked before it has been answered."""
        return self.questions[-1] if self.questions else None

    @property
    def pending(self) -> Interactive | None:
        """The last question if it was not answered, or ``None``."""
        return None if not self.questions or self.answered[-1] else self.questions[-1]


def read_content(content: object) -> Content:
    """Read the content of a message; what is of an unexpected type counts as absent.

    :param content: the decoded value.
    """
    parts = list(_parts(content))
    asked = list(_questions(parts))
    return Content(
        text="".join(_text_in(part.get("text")) for part in parts),
        reasoning="".join(_text_in(part.get("reasoning")) for part in parts),
        tool_calls=tuple(_tools(parts)),
        files=tuple(_files(parts)),
        questions=tuple(question for question, _ in asked),
        answered=tuple(is_answered for _, is_answered in asked),
    )


def _parts(content: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, str):
        yield {"text": content}
    elif isinstance(content, dict) and any(key in content for key in _PART_KEYS):
        # A single part that stands without its list (FastGPT source, 4.14.0).
        yield content
    elif isinstance(content, list):
        for item in content:
            if isinstance(item, dict):
                yield item


def _text_in(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return _text(value)


def _tools(parts: list[Mapping[str, Any]]) -> Iterator[ToolUse]:
    for part in parts:
        tools = part.get("tools")
        if not isinstance(tools, list):
            # Older answers hold one under another key (FastGPT source, 4.16.0).
            tools = [part.get("tool")]
        for tool in tools:
            if isinstance(tool, dict):
                response = tool.get("response")
                yield ToolUse(
                    id=_text(tool.get("id")),
                    name=_text(tool.get("toolName")),
                    function_name=_text(tool.get("functionName")),
                    arguments=_text(tool.get("params")),
                    response=response if isinstance(response, str) else None,
                )


def _files(parts: list[Mapping[str, Any]]) -> Iterator[File]:
    for part in parts:
        file = part.get("file")
        if isinstance(file, dict):
            yield File(*(_text(file.get(key)) for key in ("type", "name", "url", "key")))


def _questions(parts: list[Mapping[str, Any]]) -> Iterator[tuple[Interactive, bool]]:
    for place, part in enumerate(parts):
        payload = part.get("interactive")
        if isinstance(payload, dict):
            raw = msgspec.json.encode(payload)
            asked = read_interactive(payload, index=place, name="interactive", raw=raw)
            if asked is not None:
                yield asked, _is_answered(asked)


def _is_answered(asked: Interactive) -> bool:
    params = asked.params
    if any(params.get(key) not in (None, "", False) for key in _ANSWERED):
        return True
    return bool(asked.questions) and all(question.answer for question in asked.questions)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

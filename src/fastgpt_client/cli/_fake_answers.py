"""Give the fake server something to say: a scene for each thing that a terminal can show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from ..testing import (
    Close,
    Delta,
    Interactive,
    NodeResponse,
    NodeStatus,
    Pause,
    Reasoning,
    RecordedRequest,
    Refusal,
    Script,
    SilentModel,
    Step,
    ToolCall,
    ToolParams,
    ToolResponse,
    chat_node,
    node,
)

_STORY: Final = (
    "A lamp at the end of a pier had one question a night: is anyone out there? "
    "Most nights only the gulls answered. 今晚，一条小船回答了。 "
    "It blinked twice, which in boats means: yes, and on the way home."
)
_MARKDOWN: Final = """\
# A small tour

Text may be **bold**, *slanted* or `code`, and a list

1. counts by itself,
2. goes on over
   two lines,
3. and ends.

```python
async with client.stream("Tell me a short story") as reply:
    async for event in reply:
        print(event.text, end="", flush=True)
```

| clock | what it bounds |
|---|---|
| first_token | until the first text |
| idle | from event to event |

> A quotation, and <b>HTML that stays visible</b>.
"""
_THOUGHTS: Final = "The user wants to see reasoning.\nSo: show two lines of it, then answer."
_OPTIONS: Final = ("The mountains", "The sea")
_FORM: Final = (
    {"key": "name", "label": "Your name", "type": "input", "valueType": "string", "required": True},
    {
        "key": "days",
        "label": "Days",
        "type": "numberInput",
        "valueType": "number",
        "min": 1,
        "max": 30,
        "defaultValue": 3,
    },
    {
        "key": "season",
        "label": "Season",
        "type": "select",
        "valueType": "string",
        "list": [{"label": "Spring", "value": "spring"}, {"label": "Autumn", "value": "autumn"}],
    },
)

#: What a question may contain, and what it is answered with.
SCENES: Final = {
    "markdown": "headings, lists, code, a table",
    "think": "reasoning before the answer",
    "tool": "a tool call",
    "choose": "a menu: the workflow asks back",
    "form": "a form: the workflow asks back",
    "long": "an answer of several screens",
    "fail": "a model that fails in the middle",
    "refuse": "a refusal: no AI points left",
    "break": "a connection that breaks off",
    "silence": "a model that never says anything (heartbeats only)",
}


@attrs.define(eq=False)
class FakeAnswers:
    """Answer questions by the words in them; anything else gets a story.

    :param text: a text to answer everything with, ``None`` for the scenes.
    :param pause: seconds between two pieces.
    :param version: the server version played.
    """

    text: str | None
    pause: float
    version: str
    #: The chats that wait for the answer to a question of the workflow's.
    _asked: dict[str, str] = attrs.field(factory=dict, init=False)

    def __call__(self, request: RecordedRequest) -> Script | Refusal:
        """Return what to answer to ``request``."""
        question = _question(request.json)
        chat_id = str(request.json.get("chatId") or "")
        if self.text is not None:
            return self._says(self.text, question)
        asked = self._asked.pop(chat_id, None)
        if asked == "choose":
            if question in _OPTIONS:
                return self._says(f"{question}! A good choice.", question)
            # A real server takes any other text, and then runs no branch (recorded, 4.14.7).
            return Script()
        if asked == "form":
            return self._says(_form_answer(question), question)
        for word in SCENES:
            if word in question.lower():
                if word in ("choose", "form"):
                    self._asked[chat_id] = word
                scene: Callable[[str], Script | Refusal] = getattr(self, f"_{word}")
                return scene(question)
        return self._says(_STORY, question)

    # --- scenes --------------------------------------------------------------------------------

    def _markdown(self, question: str) -> Script:
        return self._says(_MARKDOWN, question)

    def _think(self, question: str) -> Script:
        return self._says("Thought about, and answered.", question, thoughts=_THOUGHTS)

    def _tool(self, question: str) -> Script:
        params = json.dumps({"city": "Hamburg", "days": 2})
        return self._script(
            self._spoken("I look that up. "),
            [
                ToolCall("call_1", "Weather", "get_weather"),
                *(ToolParams("call_1", piece) for piece in _pieces(params)),
                Pause(self.pause * 20),
                ToolResponse("call_1", '{"sky": "clear", "celsius": 17}'),
            ],
            self._spoken("Clear, 17 °C: take a jacket."),
            [NodeResponse(self._node("I look that up. Clear, 17 °C: take a jacket.", question))],
        )

    def _choose(self, question: str) -> Script:
        options = [{"key": f"option{n}", "value": text} for n, text in enumerate(_OPTIONS, 1)]
        params = {"description": "Where to?", "userSelectOptions": options}
        return self._asks({"type": "userSelect", "params": params}, question)

    def _form(self, question: str) -> Script:
        params = {"description": "Some details, please.", "inputForm": list(_FORM)}
        return self._asks({"type": "userInput", "params": params}, question)

    def _long(self, question: str) -> Script:
        verses = [f"**Verse {number}.** {_STORY}" for number in range(1, 41)]
        return self._says("\n\n".join(verses), question, size=40)

    def _fail(self, question: str) -> Script:
        said = "It had begun so well, "
        failed = chat_node(
            said, question=question, error="503 the model is overloaded", version=self.version
        )
        return self._script(self._spoken(said), [NodeResponse(failed)])

    def _refuse(self, _: str) -> Refusal:
        return Refusal(
            "common:code_error.team_error.ai_points_not_enough", 500004, "aiPointsNotEnough"
        )

    def _break(self, _: str) -> Script:
        return self._script(self._spoken("It had begun so well, "), [Close()])

    def _silence(self, _: str) -> Script:
        return self._script([SilentModel()])

    # --- parts ---------------------------------------------------------------------------------

    def _says(self, text: str, question: str, *, thoughts: str = "", size: int = 4) -> Script:
        return self._script(
            self._spoken(thoughts, size, Reasoning) if thoughts else [],
            self._spoken(text, size),
            [NodeResponse(self._node(text, question))],
        )

    def _asks(self, interactive: dict[str, Any], question: str) -> Script:
        asking = node("Ask back", str(interactive["type"]), version=self.version)
        return self._script(
            self._spoken("One question first. "),
            [NodeResponse(self._node("One question first. ", question))],
            [Interactive(interactive), NodeResponse(asking)],
        )

    def _script(self, *steps: Iterable[Step]) -> Script:
        return Script(NodeStatus("AI Chat"), *(step for part in steps for step in part))

    def _spoken(
        self, text: str, size: int = 4, kind: type[Delta | Reasoning] = Delta
    ) -> list[Step]:
        steps: list[Step] = []
        for piece in _pieces(text, size):
            steps += [Pause(self.pause), kind(piece)] if self.pause else [kind(piece)]
        return steps

    def _node(self, text: str, question: str) -> dict[str, Any]:
        return chat_node(
            text, question=question, version=self.version, outputTokens=len(_pieces(text))
        )


def _pieces(text: str, size: int = 4) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _question(body: dict[str, Any]) -> str:
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else {}
    content = last.get("content") if isinstance(last, dict) else ""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return " ".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _form_answer(text: str) -> str:
    try:
        values = json.loads(text)
    except ValueError:
        values = {}  # as a real server does, silently (recorded, 4.14.7)
    lines = [f"- {key}: {value}" for key, value in values.items()]
    return "\n".join(["Noted:", "", *lines]) if lines else "The form came back empty."

"""Show an answer in a terminal: finished blocks scroll away, only the unfinished one is live."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import anyio
import attrs
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from .._answer import Status
from .._events import (
    AnswerDelta,
    Event,
    FastAnswer,
    NodeStatus,
    Plan,
    SandboxStatus,
    SkillCall,
    ToolCall,
    ToolParams,
    ToolResponse,
)
from ._markdown import GrowingMarkdown, tokens_of
from ._safe import visible
from ._summary import closing_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .._subscription import Subscription
    from ._turn import Turn

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES: Final = "|/-\\"
#: Seconds between two drawings, and how many times its own duration a drawing may be away from
#: the next: a large block takes long to draw, and the answer must not wait for that.
_TICK: Final = 0.06
_REST: Final = 4
#: Characters of an unfinished block beyond which it is shown as it came until it is finished.
_LARGE: Final = 20_000
_TOOL_WIDTH: Final = 200


@attrs.define(eq=False)
class _Block:
    """Render one block of Markdown without blank lines around it."""

    _text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        markdown = Markdown(self._text)
        markdown.parsed = tokens_of(self._text)
        lines = console.render_lines(markdown, options, pad=False)
        while lines and _blank(lines[0]):
            del lines[0]
        while lines and _blank(lines[-1]):
            del lines[-1]
        for line in lines:
            yield from _trimmed(line)
            yield Segment.line()


def _trimmed(line: list[Segment]) -> list[Segment]:
    """Return a line without the blanks at its end, which would be copied and wrap when narrower."""
    end = len(line)
    while end and _blank(line[end - 1 : end]):
        end -= 1
    kept = line[:end]
    if kept and not (kept[-1].style and kept[-1].style.bgcolor):
        kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
    return kept


def _blank(line: list[Segment]) -> bool:
    return not any(
        segment.text.strip() or (segment.style and segment.style.bgcolor) for segment in line
    )


@attrs.define(eq=False)
class _Tail:
    """Show the last lines of what is too high for the screen."""

    _content: RenderableType
    _height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.update(height=None)
        for line in console.render_lines(self._content, options, pad=False)[-self._height :]:
            yield from line
            yield Segment.line()


@attrs.define(eq=False)
class TerminalView:
    """Show one answer.

    :param console: the terminal.
    :param reasoning: whether to show the model's reasoning.
    :param hint: what the status line says about stopping.
    """

    console: Console
    reasoning: bool = True
    hint: str = "Ctrl-C stops"
    _markdown: GrowingMarkdown = attrs.field(factory=GrowingMarkdown, init=False)
    #: The unfinished line of the model's reasoning.
    _thought: str = attrs.field(default="", init=False)
    _thinking: bool = attrs.field(default=False, init=False)
    _thoughts: int = attrs.field(default=0, init=False)
    #: What is finished and not printed yet.
    _ready: list[RenderableType] = attrs.field(factory=list, init=False)
    _printed: bool = attrs.field(default=False, init=False)
    _node: str = attrs.field(default="", init=False)
    _activity: str = attrs.field(default="", init=False)
    _tools: dict[str, tuple[str, str]] = attrs.field(factory=dict, init=False)
    _deltas: int = attrs.field(default=0, init=False)
    _waiting: bool = attrs.field(default=True, init=False)
    _began: float = attrs.field(factory=time.monotonic, init=False)
    _live: Live | None = attrs.field(default=None, init=False)
    _over: bool = attrs.field(default=False, init=False)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the answer while the block runs."""
        self._began = time.monotonic()
        with Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self._draw,
        ) as self._live:
            try:
                yield
            finally:
                self._finish_text()
                self._over = True
                self._print_ready()
        self._live = None

    async def animate(self) -> None:
        """Draw what has changed, again and again."""
        while True:
            before = time.monotonic()
            self.refresh()
            await anyio.sleep(max(_TICK, _REST * (time.monotonic() - before)))

    def refresh(self) -> None:
        """Print what is finished and draw what is not."""
        self._ready += [_Block(block) for block in self._markdown.finished()]
        self._print_ready()
        if self._live is not None:
            self._live.refresh()

    async def consume(self, subscription: Subscription) -> None:
        """Take the events as they come."""
        async for event in subscription:
            self.take(event)

    def take(self, event: Event) -> None:
        """Take one event; it is drawn later."""
        if isinstance(event, AnswerDelta | FastAnswer):
            if event.reasoning:
                self._think(visible(event.reasoning))
            if event.text:
                self._finish_thought()
                self._deltas += 1
                self._waiting = False
                self._markdown.push(visible(event.text))
        elif isinstance(event, NodeStatus):
            self._node, self._activity = visible(event.node_name), ""
        elif isinstance(event, ToolCall | ToolParams | ToolResponse):
            self._tool(event)
        elif isinstance(event, Plan):
            done = sum(step.status == "done" for step in event.steps)
            name = visible(event.plan_name) or "plan"
            self._activity = f"{name}: {done} of {len(event.steps)} steps done"
        elif isinstance(event, SandboxStatus):
            self._activity = f"sandbox {visible(event.phase)}"
        elif isinstance(event, SkillCall):
            self._activity = f"skill {visible(event.skill_name)}"

    def stopping(self) -> None:
        """Show that the server is being asked to stop."""
        self._activity, self.hint = "asking the server to stop", "Ctrl-C leaves"

    def finish(self, turn: Turn) -> None:
        """Print the closing line."""
        answer = turn.answer
        mark, style = {
            Status.COMPLETE: ("✓", "green"),
            Status.STOPPED: ("■", "yellow"),
        }.get(answer.status, ("✗", "red"))
        if turn.failure is not None:
            mark, style = "✗", "red"
        note = {
            "confirmed": ", on the server too",
            "closed": ", on the server too",
            "unconfirmed": ", but the server did not confirm that its run ended",
            "not_told": ", but the server could not be told: its run goes on",
        }.get(turn.stopped or "", "")
        words = closing_line(answer, deltas=self._deltas, note=note)
        if self._printed:
            self.console.print()
        self.console.print(Text.assemble((f"{mark} ", style), (words, "dim")), highlight=False)

    # --- text ----------------------------------------------------------------------------------

    def _think(self, text: str) -> None:
        if not self.reasoning:
            self._activity = "thinking"
            return
        if not self._thinking:
            self._finish_text()
            self._thinking, self._waiting = True, False
            self._thoughts = 0
        *lines, self._thought = (self._thought + text).split("\n")
        for line in lines:
            self._add_thought(line)

    def _add_thought(self, line: str) -> None:
        self._ready.append(_Thought(line, goes_on=self._thoughts > 0))
        self._thoughts += 1

    def _finish_thought(self) -> None:
        if self._thinking:
            if self._thought.strip():
                self._add_thought(self._thought)
            self._thought, self._thinking = "", False
        if self._activity == "thinking":
            self._activity = ""

    def _finish_text(self) -> None:
        self._finish_thought()
        self._ready += [_Block(block) for block in self._markdown.flush()]

    def _print_ready(self) -> None:
        ready, self._ready = self._ready, []
        if not ready:
            return
        parts: list[RenderableType] = []
        for item in ready:
            if self._printed and not (isinstance(item, _Thought) and item.goes_on):
                parts.append(Text())  # an empty line between blocks
            self._printed = True
            parts.append(item)
        self.console.print(Group(*parts), highlight=False, soft_wrap=False)

    # --- tools ---------------------------------------------------------------------------------

    def _tool(self, event: ToolCall | ToolParams | ToolResponse) -> None:
        name, params = self._tools.get(event.tool_id, ("", ""))
        name = event.tool_name or event.function_name or name
        if isinstance(event, ToolResponse):
            self._tools.pop(event.tool_id, None)
            self._finish_text()
            self._waiting = True
            call = f"{name or 'tool'}({_clip(params)})"
            self._ready.append(
                Text.assemble(
                    ("⚙ ", "cyan"), (call, "cyan"), (" → ", "dim"), (_clip(event.response), "dim")
                )
            )
        else:
            self._tools[event.tool_id] = (name, params + event.params)

    # --- drawing -------------------------------------------------------------------------------

    def _draw(self) -> RenderableType:
        if self._over:
            return Text()
        height = max(self.console.height - 3, 3)
        parts: list[RenderableType] = []
        if self._thought:
            parts.append(_Thought(self._thought))
        rest = self._markdown.rest
        if rest.strip():
            large = len(rest) > _LARGE
            parts.append(Text(rest[-_LARGE:]) if large else _Block(rest))
        shown: list[RenderableType] = [Text()] if self._printed else []
        if parts:
            shown += [_Tail(Group(*parts), height), Text()]
        return Group(*shown, self._status_line())

    def _status_line(self) -> Text:
        seconds = time.monotonic() - self._began
        frames = _FRAMES if self.console.encoding.startswith("utf") else _ASCII_FRAMES
        doing = [self._node] if self._node else []
        doing += [f"tool {visible(name)}" for name, _ in self._tools.values()]
        if self._activity:
            doing.append(self._activity)
        elif self._waiting and not self._tools:
            doing.append("waiting for the first token" if not self._deltas else "waiting")
        doing += [f"{seconds:.1f} s", self.hint]
        line = Text(f"{frames[int(seconds * 10) % len(frames)]} ", style="cyan")
        line.append(" · ".join(doing), style="dim")
        line.truncate(max(self.console.width - 1, 1), overflow="ellipsis")
        return line


@attrs.define(eq=False)
class _Thought:
    """Render a line of reasoning."""

    _line: str
    goes_on: bool = True

    def __rich__(self) -> RenderableType:
        return Text(self._line, style="dim italic")


def _clip(text: str) -> str:
    line = " ".join(visible(text).split())
    return line if len(line) <= _TOOL_WIDTH else f"{line[: _TOOL_WIDTH - 1]}…"

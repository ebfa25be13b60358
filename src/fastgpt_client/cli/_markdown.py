"""Cut a growing Markdown text into blocks that are finished and the one that still grows."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import attrs
from markdown_it import MarkdownIt


@cache
def parser() -> MarkdownIt:
    """Return the parser: what rich knows, without what would make text vanish.

    HTML stays visible as text, and so do definitions of links, which are often in another block
    than their use.
    """
    parser = MarkdownIt("commonmark", {"html": False})
    return parser.enable(["strikethrough", "table"]).disable("reference")


def tokens_of(text: str) -> list[Any]:
    """Return the tokens of ``text``, each line end of it kept: poems and addresses have them."""
    tokens: list[Any] = parser().parse(text)
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type, child.tag = "hardbreak", "br"
    return tokens


@attrs.define(eq=False)
class GrowingMarkdown:
    """Hold the part of a Markdown text that may still change its look."""

    #: What was not handed out yet.
    rest: str = attrs.field(default="", init=False)
    _looked_at: int = attrs.field(default=0, init=False)

    def push(self, text: str) -> None:
        """Take the next piece of the text."""
        self.rest += text

    def finished(self) -> list[str]:
        """Return the blocks that no further text can change, and forget them.

        Text that follows changes the last block only, and an unfinished line tells too little of
        what block it will be in: a hyphen may begin a list or underline a heading.
        """
        end = self.rest.rfind("\n") + 1
        if end == self._looked_at:
            return []
        self._looked_at = end
        starts = _block_starts(self.rest[:end])
        if len(starts) < 2:
            return []
        lines = self.rest.split("\n")
        blocks = ["\n".join(lines[a:b]).rstrip("\n") for a, b in pairwise(starts)]
        self.rest = "\n".join(lines[starts[-1] :])
        self._looked_at = self.rest.rfind("\n") + 1
        return blocks

    def flush(self) -> list[str]:
        """Return everything that is left, in blocks."""
        if self.rest and not self.rest.endswith("\n"):
            self.rest += "\n"
        blocks = self.finished()
        rest, self.rest, self._looked_at = self.rest.rstrip("\n"), "", 0
        return [*blocks, rest] if rest.strip() else blocks


def _block_starts(text: str) -> list[int]:
    """Return the first lines of the top-level blocks."""
    tokens: list[Any] = parser().parse(text)
    outermost = [token for token in tokens if token.level == 0 and token.nesting >= 0]
    return [token.map[0] for token in outermost if token.map]

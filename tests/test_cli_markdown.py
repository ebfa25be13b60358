"""Markdown that grows: what is finished is printed once, and nothing gets lost."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgpt_client.cli._markdown import GrowingMarkdown

DOCUMENT = """\
# A title

A paragraph
of two lines
- one

  with a second paragraph
- two

```python
x = 1

# not a title
```

| a | b |
|---|---|
| 1 | 2 |

> a quotation
lazily continued

An underlined title
---
1. first
2. second

[link]: https://example.org/
The end.
"""
BLOCKS = [
    "# A title",
    "A paragraph\nof two lines",
    "- one\n\n  with a second paragraph\n- two",
    "```python\nx = 1\n\n# not a title\n```",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "> a quotation\nlazily continued",
    "An underlined title\n---",
    "1. first\n2. second",
    "[link]: https://example.org/\nThe end.",
]

LINES = st.lists(
    st.sampled_from(
        (
            *("", "text", "- item", "  more", "1. one", "```", "    code", "# title", "---"),
            *("> q", "| a | b |", "|---|---|", "===", "***", "<div>", "[a]: b", "小河", "- "),
        )
    ),
    max_size=14,
)


def blocks_of(pieces: list[str]) -> list[str]:
    growing = GrowingMarkdown()
    blocks: list[str] = []
    for piece in pieces:
        growing.push(piece)
        blocks += growing.finished()
    return blocks + growing.flush()


def words(text: str) -> list[str]:
    return re.findall(r"\S+", text)


def test_blocks_end_where_markdown_ends_them() -> None:
    assert blocks_of([DOCUMENT]) == BLOCKS


def test_a_text_that_comes_character_by_character_has_the_same_blocks() -> None:
    assert blocks_of(list(DOCUMENT)) == BLOCKS


def test_a_block_is_handed_out_when_the_next_one_has_begun() -> None:
    growing = GrowingMarkdown()
    growing.push("One.\n\nTw")
    assert growing.finished() == []
    growing.push("o.\n")
    assert growing.finished() == ["One."]
    assert growing.rest == "Two.\n"


def test_a_line_that_may_still_underline_a_heading_finishes_nothing() -> None:
    growing = GrowingMarkdown()
    growing.push("Title\n-")
    assert growing.finished() == []
    growing.push("--\n\nText\n")
    assert growing.finished() == ["Title\n---"]


def test_an_unfinished_code_block_is_one_block_whatever_is_in_it() -> None:
    growing = GrowingMarkdown()
    growing.push("```\n# a\n\n- b\n\n# c\n\n")
    assert growing.finished() == []
    assert growing.flush() == ["```\n# a\n\n- b\n\n# c"]


@pytest.mark.parametrize("text", ["", "\n\n", "   \n"])
def test_a_text_of_nothing_has_no_blocks(text: str) -> None:
    assert blocks_of([text]) == []


@given(LINES, st.lists(st.integers(0, 200), max_size=20))
def test_every_cut_gives_the_same_blocks_and_no_word_is_lost(
    lines: list[str], cuts: list[int]
) -> None:
    text = "\n".join(lines)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(places)]
    blocks = blocks_of(pieces)
    assert blocks == blocks_of([text])
    assert words("\n".join(blocks)) == words(text)

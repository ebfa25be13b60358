"""Read a reply to its end and do one thing with it: print, count, save.

A consumer is an async callable that takes a subscription; what it returns, ``feed`` returns::

    _, tokens, _ = await reply.feed(print_text, count_tokens, print_words)

Options are given with :func:`functools.partial`::

    await reply.feed(partial(print_text, file=sys.stderr), partial(write_jsonl, path="log.jsonl"))

Each consumer here takes any asynchronous iterable of events, raises what that raises when the
reply fails, and leaves closing it to whoever opened it. None of them holds up the event loop
when what it writes to is slow: the others go on reading, and what arrives in the meantime is
written together. What a cancelled consumer has read, it writes as far as that needs no waiting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterable, Callable, Sequence, Sized
from contextlib import suppress
from typing import Literal, TextIO, TypeAlias

import anyio
import anyio.to_thread
import attrs
import msgspec

from ._events import Event, FlowResponses, NodeResponse
from ._nodes import Node, sum_usage
from ._output import Batches, Paragraphs, write_out
from ._payloads import as_text, decode_any, load
from ._sinks import Sink, Target, sink_for
from ._words import WordBuffer

__all__ = [
    "TokenCount",
    "Tokenizer",
    "collect",
    "collect_text",
    "count_tokens",
    "print_text",
    "print_words",
    "write_jsonl",
    "write_text",
]

#: Tells how many tokens a text has, or lists them.
Tokenizer: TypeAlias = Callable[[str], int | Sized]

_StrPath: TypeAlias = str | os.PathLike[str]


async def print_text(
    subscription: AsyncIterable[Event],
    *,
    file: Target | None = None,
    reasoning: bool = False,
    end: str = "\n",
) -> None:
    """Write the text as it comes and flush each write.

    :param subscription: the events to read.
    :param file: a text file; standard output, as it is when the consumer starts, if ``None``.
    :param reasoning: whether to write the model's reasoning too, as paragraphs of its own.
    :param end: written once after the text, unless the text ends with it or there was none; also
        after a failed reply, so that an error message starts on a line of its own.
    :raises FastGPTError: if the reply fails, after everything that had arrived was written.
    :raises OSError: if the file cannot be written (``BrokenPipeError`` if its reader is gone).
    """
    paragraphs = Paragraphs(reasoning)
    await write_out(subscription, _open(file), paragraphs.render, end=end)


async def print_words(
    subscription: AsyncIterable[Event], *, file: Target | None = None, end: str = "\n"
) -> None:
    """Write the text as it comes, whole words only, in any script.

    The last word is held until a space or the next word shows that it is whole. Chinese and
    Japanese come character by character, Thai, Lao, Khmer and Burmese phrase by phrase (to find
    a word in them takes a dictionary). When the reply ends or fails, what is held is written;
    when the consumer is cancelled, it is written if that needs no waiting.

    :param subscription: the events to read.
    :param file: a text file; standard output, as it is when the consumer starts, if ``None``.
    :param end: as in :func:`print_text`.
    :raises FastGPTError: if the reply fails, after everything that had arrived was written.
    :raises OSError: if the file cannot be written (``BrokenPipeError`` if its reader is gone).
    """
    words = WordBuffer()

    def render(events: Sequence[Event]) -> str:
        return words.push("".join([event.text for event in events]))

    await write_out(subscription, _open(file), render, rest=words.flush, end=end)


@attrs.frozen(kw_only=True)
class TokenCount:
    """Tell how many tokens an answer has, and what was counted to know it.

    :param count: the number; ``int()`` of this object.
    :param source: ``"server"``: output tokens that the workflow's nodes told, so all that models
        produced, reasoning and tool calls included. ``"tokenizer"``: tokens of the text by the
        caller's tokenizer. ``"deltas"``: pieces in which the text came, which is near the number
        of tokens with most models, and 1 for a text that a workflow sends at once.
    :param deltas: pieces in which the text came, in any case.
    :param input_tokens: input tokens that the nodes told, or ``None``.
    """

    count: int
    source: Literal["deltas", "tokenizer", "server"] = "deltas"
    deltas: int
    input_tokens: int | None = None

    def __int__(self) -> int:
        return self.count

    def __str__(self) -> str:
        noun = "text delta" if self.source == "deltas" else "token"
        return f"{self.count} {noun}{'' if self.count == 1 else 's'}"


async def count_tokens(
    subscription: AsyncIterable[Event],
    *,
    tokenizer: Tokenizer | None = None,
    on_count: Callable[[TokenCount], object] | None = None,
) -> TokenCount:
    """Count the answer's tokens: by the server, else by a tokenizer, else by its deltas.

    FastGPT's stream has no token count of its own. With ``detail`` its node responses mostly
    have one; without, each event with text counts as one.

    :param subscription: the events to read.
    :param tokenizer: called once, with the whole text, in a worker thread, when the server told
        no count; returns the number of tokens or the sequence of them.
    :param on_count: called with the count so far whenever it has grown, then with the final one.
        It must not block.
    :raises FastGPTError: if the reply fails; ``on_count`` has then seen the last count.
    """
    texts: list[str] = []
    nodes: list[Node] = []
    counted = 0
    batches = Batches(subscription)
    while (events := await batches.receive()) is not None:
        for event in events:
            if event.text:
                texts.append(event.text)
            elif isinstance(event, NodeResponse):
                nodes.append(event.node)
            elif isinstance(event, FlowResponses):
                nodes.extend(event.nodes)
        if on_count is not None and len(texts) > counted:
            counted = len(texts)
            on_count(TokenCount(count=counted, deltas=counted))
    result = TokenCount(count=len(texts), deltas=len(texts))
    usage = sum_usage(nodes)
    if usage.output_tokens:
        result = attrs.evolve(
            result,
            count=usage.output_tokens,
            source="server",
            input_tokens=usage.input_tokens,
        )
    elif tokenizer is not None:
        tokens = await anyio.to_thread.run_sync(tokenizer, "".join(texts))
        count = len(tokens) if isinstance(tokens, Sized) else int(tokens)
        result = attrs.evolve(result, count=count, source="tokenizer")
    if on_count is not None:
        on_count(result)
    return result


async def collect_text(subscription: AsyncIterable[Event]) -> str:
    """Return the whole text.

    :param subscription: the events to read.
    :raises FastGPTError: if the reply fails; the text so far is its ``partial``.
    """
    return "".join([event.text for event in await collect(subscription)])


async def collect(subscription: AsyncIterable[Event]) -> list[Event]:
    """Return all events.

    :param subscription: the events to read.
    :raises FastGPTError: if the reply fails.
    """
    collected: list[Event] = []
    batches = Batches(subscription)
    while (events := await batches.receive()) is not None:
        collected += events
    return collected


async def write_text(
    subscription: AsyncIterable[Event],
    path: _StrPath,
    *,
    append: bool = False,
    encoding: str = "utf-8",
) -> int:
    """Write exactly the text to a file, as it comes, and return its number of characters.

    Nothing is added, not even a newline. When the reply fails, what had arrived is in the file.

    :param subscription: the events to read.
    :param path: the file; a FIFO must have its reader already.
    :param append: whether to add to the file instead of replacing it.
    :param encoding: the file's encoding.
    :raises FastGPTError: if the reply fails, after everything that had arrived was written.
    :raises OSError: if the file cannot be opened or written.
    """
    written = 0

    def render(events: Sequence[Event]) -> str:
        nonlocal written
        text = "".join([event.text for event in events])
        written += len(text)
        return text

    await _write_file(subscription, path, render, append=append, encoding=encoding)
    return written


async def write_jsonl(
    subscription: AsyncIterable[Event], path: _StrPath, *, append: bool = False
) -> int:
    """Write each event as one line of JSON, as it comes, and return the number of events.

    A line is an object with ``index``, ``name`` (of the event on the wire), ``kind`` (of the
    event's class), ``text`` and ``data``: the payload, parsed, or as a string if it is no JSON.

    :param subscription: the events to read.
    :param path: the file, in UTF-8; a FIFO must have its reader already.
    :param append: whether to add to the file instead of replacing it.
    :raises FastGPTError: if the reply fails, after everything that had arrived was written.
    :raises OSError: if the file cannot be opened or written.
    """
    written = 0

    def render(events: Sequence[Event]) -> str:
        nonlocal written
        written += len(events)
        return "".join([_json_line(event) for event in events])

    await _write_file(subscription, path, render, append=append)
    return written


def _json_line(event: Event) -> str:
    try:
        data = load(decode_any, event.raw)
    except (ValueError, RecursionError):
        data = as_text(event.raw)
    line = {
        "index": event.index,
        "name": event.name,
        "kind": type(event).__name__,
        "text": event.text,
        "data": data,
    }
    return msgspec.json.encode(line).decode() + "\n"


def _open(file: Target | None) -> Sink:
    return sink_for(sys.stdout if file is None else file)


async def _write_file(
    subscription: AsyncIterable[Event],
    path: _StrPath,
    render: Callable[[Sequence[Event]], str],
    *,
    append: bool,
    encoding: str = "utf-8",
) -> None:
    file = _opened(path, append=append, encoding=encoding)
    try:
        await write_out(subscription, sink_for(file), render)
    except BaseException:
        # What closing may find wrong by now says less than what is on its way already.
        with suppress(OSError):
            file.close()
        raise
    file.close()


def _opened(path: _StrPath, *, append: bool, encoding: str) -> TextIO:
    # Not in a thread: from there a native asyncio cancellation would lose the open file.
    return open(path, "a" if append else "w", encoding=encoding, newline="", opener=_opener)


def _opener(path: str, flags: int) -> int:
    # A FIFO that nobody reads is then refused, where it would hold up the loop.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)

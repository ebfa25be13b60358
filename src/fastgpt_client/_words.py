"""Cut a growing text at word boundaries only, in any script.

A boundary depends on the text alone, never on how the text was cut into deltas. The rules are
Unicode's word boundaries (UAX #29) made coarser where writing as it comes allows it:

* letters, digits, marks and apostrophes stay together, and so do such runs joined by one of
  ``. - / @ & _`` or, between digits, ``,`` or ``:`` (``don't``, ``3.14``, ``well-known``,
  ``example.org``, ``1,000``, ``12:30``);
* punctuation stays with what it belongs to: ``word,`` and ``(word)``;
* Han, Kana, Bopomofo, Yi and their kin have no spaces: each character is a word;
* Thai, Lao, Khmer, Myanmar and their kin put spaces between phrases only, and to find a word in
  them takes a dictionary: they come a phrase at a time, which never cuts a word;
* an accent, a variation selector, an emoji's modifier or joined part, and the second letter of a
  flag stay with the character before them.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from enum import IntEnum, auto
from functools import lru_cache

import attrs

# First and one past the last code point of the scripts whose every character is a word.
_IDEOGRAPHIC = (
    (0x2E80, 0x2FE0),  # radicals
    (0x3005, 0x3008),  # iteration mark, closing mark, zero
    (0x3021, 0x302A),
    (0x3031, 0x3036),
    (0x3038, 0x303D),
    (0x3040, 0x3100),  # Hiragana, Katakana
    (0x3105, 0x3130),  # Bopomofo
    (0x31A0, 0x31C0),
    (0x31F0, 0x3200),
    (0x3400, 0x4DC0),
    (0x4E00, 0xA4D0),  # Han, Yi
    (0xF900, 0xFB00),
    (0xFF66, 0xFF9E),  # halfwidth Katakana
    (0x16FE0, 0x18E00),  # Tangut, Khitan
    (0x1AFF0, 0x1B300),  # Kana supplements, Nushu
    (0x20000, 0x3FFFE),
)
_STARTS = tuple(start for start, _ in _IDEOGRAPHIC)

_JOINERS = frozenset("\u00a0\u2007\u202f\u200d\u2060\ufeff")
_IN_WORD = frozenset("'\u2019\uff07_\u00b0\u05f3\u05f4")
_BETWEEN_WORDS = frozenset(".-/@&\u00b7\u2010\u2011\u2027")
_BETWEEN_DIGITS = frozenset(",:")
_ZERO_WIDTH_SPACE = "\u200b"


class _Kind(IntEnum):
    """What a character is, as far as boundaries go."""

    SPACE = 0
    CARRIAGE_RETURN = auto()
    LINE_FEED = auto()
    EXTEND = auto()
    JOINER = auto()
    LETTER = auto()
    DIGIT = auto()
    IDEOGRAPH = auto()
    MIDDLE = auto()
    MIDDLE_OF_NUMBER = auto()
    OPENING = auto()
    PUNCTUATION = auto()
    FLAG = auto()
    OTHER = auto()


class _State(IntEnum):
    """What the unfinished word ends with."""

    NOTHING = 0  # there is no unfinished word
    CARRIAGE_RETURN = auto()
    LEADING = auto()
    WORD = auto()
    NUMBER = auto()
    MIDDLE = auto()
    MIDDLE_OF_NUMBER = auto()
    TRAILING = auto()
    IDEOGRAPH = auto()
    HALF_FLAG = auto()
    JOINER = auto()
    OTHER = auto()


@lru_cache(maxsize=4096)
def _kind(character: str) -> _Kind:
    code = ord(character)
    if character == "\r":
        return _Kind.CARRIAGE_RETURN
    if character == "\n":
        return _Kind.LINE_FEED
    if character in _JOINERS or 0xD800 <= code < 0xDC00:
        return _Kind.JOINER
    if character.isspace() or character == _ZERO_WIDTH_SPACE:
        return _Kind.SPACE
    if character in _IN_WORD:
        return _Kind.LETTER
    if character in _BETWEEN_WORDS:
        return _Kind.MIDDLE
    if character in _BETWEEN_DIGITS:
        return _Kind.MIDDLE_OF_NUMBER
    category = unicodedata.category(character)
    if (
        category in ("Mn", "Mc", "Me", "Cf", "Cs")  # Cs: the second half of a surrogate pair
        or 0x1F3FB <= code <= 0x1F3FF  # skin tones
        or 0xFF9E <= code <= 0xFF9F  # halfwidth voicing marks
    ):
        return _Kind.EXTEND
    if 0x1F1E6 <= code <= 0x1F1FF:
        return _Kind.FLAG
    place = bisect_right(_STARTS, code) - 1
    if place >= 0 and code < _IDEOGRAPHIC[place][1]:
        return _Kind.IDEOGRAPH
    match category[0]:
        case "P" if category in ("Ps", "Pi"):
            return _Kind.OPENING
        case "P":
            return _Kind.PUNCTUATION
        case "N":
            return _Kind.DIGIT
        case "S" if category == "Sc":
            return _Kind.LETTER
        case "S" if category == "Sm" or code < 0x80:
            return _Kind.PUNCTUATION
        case "S":
            return _Kind.OTHER
    # An unassigned code point is in a script or an emoji that this Python does not know yet.
    return _Kind.OTHER if category == "Cc" else _Kind.LETTER


_FIRST = {
    _Kind.SPACE: _State.NOTHING,
    _Kind.CARRIAGE_RETURN: _State.CARRIAGE_RETURN,
    _Kind.LINE_FEED: _State.NOTHING,
    _Kind.EXTEND: _State.WORD,
    _Kind.JOINER: _State.JOINER,
    _Kind.LETTER: _State.WORD,
    _Kind.DIGIT: _State.NUMBER,
    _Kind.IDEOGRAPH: _State.IDEOGRAPH,
    _Kind.MIDDLE: _State.LEADING,
    _Kind.MIDDLE_OF_NUMBER: _State.LEADING,
    _Kind.OPENING: _State.LEADING,
    _Kind.PUNCTUATION: _State.LEADING,
    _Kind.FLAG: _State.HALF_FLAG,
    _Kind.OTHER: _State.OTHER,
}
_WORD = (_State.WORD, _State.NUMBER)


def _joined(state: _State, kind: _Kind) -> _State | None:
    """Return the state after ``kind``, or ``None`` if a word ends before it."""
    if state is _State.NOTHING:
        return None
    if state is _State.CARRIAGE_RETURN:
        return _State.NOTHING if kind is _Kind.LINE_FEED else None
    match kind:
        case _Kind.SPACE | _Kind.CARRIAGE_RETURN | _Kind.LINE_FEED | _Kind.JOINER:
            return _FIRST[kind]
        case _Kind.EXTEND:
            return _State.WORD if state is _State.JOINER else state
        case _ if state is _State.JOINER:
            return _FIRST[kind]
        case _Kind.LETTER if state in (*_WORD, _State.LEADING, _State.MIDDLE):
            return _State.WORD
        case _Kind.DIGIT if state in (*_WORD, _State.LEADING, _State.MIDDLE):
            return _State.NUMBER
        case _Kind.DIGIT if state is _State.MIDDLE_OF_NUMBER:
            return _State.NUMBER
        case _Kind.IDEOGRAPH if state is _State.LEADING:
            return _State.IDEOGRAPH
        case _Kind.MIDDLE if state in _WORD:
            return _State.MIDDLE
        case _Kind.MIDDLE_OF_NUMBER if state is _State.NUMBER:
            return _State.MIDDLE_OF_NUMBER
        case _Kind.MIDDLE | _Kind.MIDDLE_OF_NUMBER | _Kind.PUNCTUATION:
            return _State.LEADING if state is _State.LEADING else _State.TRAILING
        case _Kind.OPENING if state is _State.LEADING:
            return _State.LEADING
        case _Kind.FLAG if state is _State.HALF_FLAG:
            return _State.OTHER
    return None


def _step(state: _State, kind: _Kind) -> tuple[bool, _State]:
    joined = _joined(state, kind)
    return joined is None, _FIRST[kind] if joined is None else joined


#: By state and kind: whether a word ends before the character, and the next state.
_STEPS = [[_step(state, kind) for kind in _Kind] for state in _State]


@attrs.define(eq=False)
class WordBuffer:
    """Hold back the unfinished last word of a text that comes in pieces.

    What :meth:`push` and :meth:`flush` return, put together, is the text that went in.
    """

    _held: list[str] = attrs.field(factory=list, init=False)
    _state: _State = attrs.field(default=_State.NOTHING, init=False)

    def push(self, text: str) -> str:
        """Take the next piece of the text and return the words that it completed.

        The last character of a text without spaces is held until the next one comes, since that
        may be an accent or a variation selector; white space completes a word at once, but for a
        carriage return, which may have a line feed behind it.

        :param text: any piece, also an empty one or half of a word.
        """
        cut = -1
        state = self._state
        for place, kind in enumerate(map(_kind, text)):
            ends, state = _STEPS[state][kind]
            if ends:
                cut = place
            if not state:
                cut = place + 1
        self._state = state
        if cut < 0:
            if text:
                self._held.append(text)
            return ""
        complete = "".join((*self._held, text[:cut]))
        self._held = [text[cut:]] if cut < len(text) else []
        return complete

    def flush(self) -> str:
        """Return what is held, whole or not, and start afresh."""
        rest = "".join(self._held)
        self._held = []
        self._state = _State.NOTHING
        return rest

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgpt_client._words import WordBuffer

LATIN_RUN = frozenset("abcXYZéßøABC0123456789'\u2019")

ALPHABET = st.one_of(
    st.sampled_from("abé'\u2019019 .,:;-–—/@&_$€%+=<>()[]{}\"«»“”!?*#\n\r\t\u00a0\u200b"),
    st.sampled_from("我用写你好。，、「」（）はカーがｶﾞ々㐀葛ㄅ"),
    st.sampled_from("한국어สวัสดีខ្មែរမြန်မာລາວपक्षбукваαβשלוםمرحبا"),
    st.sampled_from("\u0301\u0308\u3099\ufe0f\ufe0e\u20e3\u200d\u200c\U000e0100\U0001f3fd"),
    st.sampled_from("👩💻❤🏳🌈🇩🇪🇫🇷☀©°\U000e0067\U000e007f\x00\x1b\ud83d\ude00"),
    st.characters(),
)
TEXTS = st.text(ALPHABET, max_size=40)


def pieces_of(chunks: list[str]) -> list[str]:
    words = WordBuffer()
    pieces = [words.push(chunk) for chunk in chunks]
    pieces.append(words.flush())
    return [piece for piece in pieces if piece]


def words_of(text: str) -> list[str]:
    """Cut a text at each boundary there is, by handing it over in single characters."""
    return pieces_of(list(text))


def boundaries(pieces: list[str]) -> set[int]:
    ends: set[int] = set()
    place = 0
    for piece in pieces:
        place += len(piece)
        ends.add(place)
    return ends


@st.composite
def chunked(draw: st.DrawFn) -> list[str]:
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(chunked())
def test_the_pieces_put_together_are_the_text(chunks: list[str]) -> None:
    assert "".join(pieces_of(chunks)) == "".join(chunks)


@given(chunked())
def test_boundaries_depend_on_the_text_and_not_on_its_chunks(chunks: list[str]) -> None:
    assert boundaries(pieces_of(chunks)) <= boundaries(words_of("".join(chunks)))


@given(chunked())
def test_nothing_that_is_complete_is_held(chunks: list[str]) -> None:
    words = WordBuffer()
    given_out = ""
    for place, chunk in enumerate(chunks):
        given_out += words.push(chunk)
        so_far = "".join(chunks[: place + 1])
        assert len(given_out) == max(boundaries(words_of(so_far)[:-1]) | {0}) or (
            given_out == so_far
        )


@given(
    st.lists(st.text(st.sampled_from("abcé'\u20190123 ,.-好用\u0301\n"), max_size=6), max_size=12)
)
@example(["do", "n", "'", "t st", "op"])
@example(["a'", "'b"])
def test_a_run_of_letters_digits_and_apostrophes_is_never_cut(chunks: list[str]) -> None:
    text = "".join(chunks)
    for end in boundaries(pieces_of(chunks)) - {0, len(text)}:
        assert not (text[end - 1] in LATIN_RUN and text[end] in LATIN_RUN), (text, end)


@given(chunked())
def test_a_mark_a_selector_or_a_joiner_is_never_cut_off(chunks: list[str]) -> None:
    text = "".join(chunks)
    for end in boundaries(pieces_of(chunks)) - {0, len(text)}:
        before, after = text[end - 1], text[end]
        if before.isspace() and before != "\u00a0":
            continue  # a mark has nothing to belong to after a space
        if before == "\u200b":
            continue
        assert unicodedata.category(after) not in ("Mn", "Mc", "Me"), (text, end)
        assert after not in "\u200d\u200c\ufe0f\U0001f3fd\U000e007f", (text, end)
        assert before != "\u200d", (text, end)
        assert not ("\ud800" <= before < "\udc00" and "\udc00" <= after < "\ue000"), (text, end)


@given(st.text(st.sampled_from("ab나다ดีखबאъ "), max_size=30))
def test_alphabetic_scripts_are_cut_at_spaces_only(text: str) -> None:
    for end in boundaries(words_of(text)) - {len(text)}:
        assert text[end - 1] == " "


@pytest.mark.parametrize(
    "words",
    [
        ["What ", "is ", "3.14, ", "roughly? "],
        ["don't ", "can’t ", "rock'n'roll ", "x"],
        ["well-known ", "and/or ", "AT&T ", "me@example.org ", "v1.2.3 ", "1,000,000 ", "12:30 "],
        ["one,", "two;", "three:", "four"],
        ["say", "(x)"],
        ["(word) ", "“quoted” ", "¿qué? ", "-5 ", "#tag ", "**bold** ", "`code` ", "$5 ", "5€ "],
        ["word—", "word ", "a", "(b)"],
        ["two\n", "lines\r\n", "three\r", "four"],
        ["A\t", " ", " ", "b"],
        ["10\u00a0000\u202f€ ", "x"],
        ["我", "用", "Python", "写", "代", "码。", "你", "好，", "world"],
        ["「は", "い」", "カ", "タ", "カ", "ナ"],
        ["圆", "周", "率", "是", "3.14", "吗？"],
        ["か\u3099", "き", "葛\U000e0100", "城", "ｶﾞ", "ｷ"],
        ["안녕하세요 ", "세계"],
        ["สวัสดีครับ ", "ผมชื่อ"],
        ["e\u0301te\u0301 ", "क्षत्रिय ", "क्\u200dष "],
        ["👩\u200d💻", "👍\U0001f3fd", "❤\ufe0f", "😀"],
        ["🇩🇪", "🇫🇷", "🇯"],
        ["🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3 ", "20°C "],
        ["🏴\U000e0067\U000e0062\U000e007f", "x"],
        ["ខ្មែរ\u200b", "ភាសា"],
        ["C++ ", "a=", "b "],
    ],
    ids=lambda words: ascii("".join(words))[:40],
)
def test_words_are_what_a_reader_takes_them_for(words: list[str]) -> None:
    text = "".join(words)
    expected = boundaries(words)
    found = boundaries(words_of(text))
    assert found == expected, words_of(text)


def test_a_word_split_over_deltas_comes_out_whole() -> None:
    words = WordBuffer()
    assert words.push("Hel") == ""
    assert words.push("lo wor") == "Hello "
    assert words.push("ld") == ""
    assert words.push("!\n") == "world!\n"
    assert words.flush() == ""


def test_a_number_split_at_its_point_comes_out_whole() -> None:
    words = WordBuffer()
    assert [words.push(piece) for piece in ("pi 3", ".", "1", "4 x")] == ["pi ", "", "", "3.14 "]
    assert words.flush() == "x"


def test_chinese_comes_one_character_behind() -> None:
    words = WordBuffer()
    assert [words.push(character) for character in "你好。我"] == ["", "你", "", "好。"]
    assert words.flush() == "我"


def test_a_space_completes_the_text_at_once() -> None:
    words = WordBuffer()
    assert words.push("你好 ") == "你好 "
    assert words.push("\n") == "\n"


def test_a_flush_starts_afresh() -> None:
    words = WordBuffer()
    words.push("half")
    assert words.flush() == "half"
    assert words.flush() == ""
    assert words.push("\u0301 x") == "\u0301 "
    assert words.flush() == "x"


def test_a_word_of_a_megabyte_in_small_pieces_is_held_and_given_out_once() -> None:
    words = WordBuffer()
    for _ in range(100_000):
        assert words.push("abcdefghij") == ""
    assert len(words.push(" ")) == 1_000_001

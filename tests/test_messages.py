"""Messages: what the builders make, and what goes on the wire."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from fastgpt_client import (
    InvalidArgumentError,
    Message,
    UploadedFile,
    assistant,
    data_url,
    system,
    user,
)
from fastgpt_client._attachments import MAX_INLINE_BYTES
from fastgpt_client._messages import to_wire

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
DOCUMENT = UploadedFile(key="chat/k.pdf", url="https://s/k.pdf", name="k.pdf")
PICTURE = UploadedFile(key="chat/k.png", url="https://s/k.png", name="k", content_type="image/png")


def parts(message: Message) -> Any:
    (wire,) = to_wire([message])
    assert wire["role"] == "user"
    return wire["content"]


def test_a_text_alone_stays_a_text() -> None:
    assert user("hi") == Message("user", "hi")
    assert system("be brief") == Message("system", "be brief")
    assert assistant("yes") == Message("assistant", "yes")


def test_a_message_goes_on_the_wire_with_parts_of_its_own() -> None:
    part = {"type": "text", "text": "hi"}
    wire = Message("user", [part]).to_wire()
    assert wire == {"role": "user", "content": [part]}
    assert wire["content"][0] is not part
    assert Message("system", "hi").to_wire() == {"role": "system", "content": "hi"}


def test_text_images_and_files_become_parts_in_that_order() -> None:
    message = user("look", images=["https://h/a.png"], files=["https://h/x/report.pdf?sig=1"])
    assert parts(message) == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
        {"type": "file_url", "name": "report.pdf", "url": "https://h/x/report.pdf?sig=1"},
    ]


def test_a_message_may_have_an_image_and_no_text() -> None:
    assert [part["type"] for part in parts(user(images=PNG))] == ["image_url"]


def test_uploaded_files_go_by_url_and_key() -> None:
    assert parts(user("x", images=[PICTURE], files=[DOCUMENT]))[1:] == [
        {"type": "image_url", "image_url": {"url": "https://s/k.png"}, "key": "chat/k.png"},
        {"type": "file_url", "name": "k.pdf", "url": "https://s/k.pdf", "key": "chat/k.pdf"},
    ]


def test_an_uploaded_sound_says_that_it_is_one() -> None:
    sound = UploadedFile(key="k", url="https://s/k", name="a.mp3", content_type="audio/mpeg")
    assert sound.to_part()["fileType"] == "audio"


def test_an_image_is_inlined_from_bytes_and_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "no-ending"
    path.write_bytes(PNG)
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    for image in (PNG, path):
        assert parts(user("x", images=[image]))[1]["image_url"] == {"url": url}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"BM....", "image/bmp"),
    ],
)
def test_the_type_of_an_image_is_told_from_its_bytes(data: bytes, kind: str) -> None:
    assert data_url(data).startswith(f"data:{kind};base64,")


def test_an_image_of_a_kind_without_a_magic_number_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    path.write_text("<svg/>")
    (_, image) = parts(user("x", images=[path]))
    assert image["image_url"]["url"].startswith("data:image/svg+xml;base64,")


def test_parts_of_the_callers_own_are_taken_as_they_are() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "…", "format": "mp3"}}
    assert parts(user("x", files=[part]))[1] == part


@pytest.mark.parametrize(
    ("images", "field", "words"),
    [
        (["photo.png"], "images[0]", "Path('photo.png')"),
        ([PNG, b"not an image"], "images[1]", "no image of a known type"),
        ([3], "images[0]", "int"),
        ([{"image": 1}], "images[0]", "without a type"),
        ([b"\x89PNG\r\n\x1a\n" + bytes(MAX_INLINE_BYTES)], "images[0]", "upload it"),
    ],
)
def test_a_bad_image_is_refused_with_its_place(images: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r".") as caught:
        user("x", images=images)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_missing_a_large_and_a_wrong_file_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("text")
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(MAX_INLINE_BYTES + 1)
    for path, words in (
        (tmp_path / "none.png", "No such file"),
        (tmp_path, "directory"),
        (text, "no image"),
        (large, "upload it instead"),
    ):
        with pytest.raises(InvalidArgumentError, match=words) as caught:
            user("x", images=[path])
        assert caught.value.field == "images[0]"


@pytest.mark.parametrize("file", ["notes.txt", b"bytes", 3, {"url": "https://h"}])
def test_a_file_must_be_a_url_or_uploaded(file: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        user("x", files=[file])
    assert caught.value.field == "files[0]"


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        user()
    assert caught.value.field == "text"
    with pytest.raises(InvalidArgumentError):
        system(None)  # type: ignore[arg-type]


def test_bytes_of_no_known_type_need_one() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        data_url(b"?")
    assert caught.value.field == "content_type"
    assert data_url(b"?", "image/x-new") == "data:image/x-new;base64,Pw=="

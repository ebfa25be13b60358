"""Speech: read an answer aloud, and write down what was said."""

from __future__ import annotations

import math

from .._call import Call
from .._errors import InvalidArgumentError
from .._multipart import Part, encode_form
from .._requests import encode
from .._shapes import need_text
from . import _check


def speech(app_id: str, text: str, *, model: str, voice: str, speed: float = 1.0) -> Call[bytes]:
    """Ask for a text as sound; the result is the audio file's bytes.

    Keep what you get: 4.14.7 answers the same text a second time with a corrupt file (recorded).

    :param app_id: the app's id.
    :param text: what to say.
    :param model: the speech model, as in the app's ``ttsConfig``
        (:attr:`App.config <fastgpt_client.endpoints.App.config>`).
    :param voice: the voice.
    :param speed: how fast, 1.0 as usual.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    if not _is_number(speed) or not speed > 0:
        raise InvalidArgumentError(f"speed must be a positive number, not {speed!r}", field="speed")
    return Call(
        method="POST",
        # Moved after 4.14.7.
        paths=("/api/core/chat/record/getSpeech", "/api/core/chat/item/getSpeech"),
        body=_check.body(
            {
                "appId": _check.app(app_id),
                "ttsConfig": {
                    "model": _check.name(model, "model"),
                    "voice": _check.name(voice, "voice"),
                    "speed": speed,
                },
                "input": _check.name(text, "text"),
            }
        ),
        binary=True,
        read=lambda data: data,
    )


def transcription(
    app_id: str,
    audio: bytes,
    *,
    duration: float,
    filename: str = "audio.mp3",
    content_type: str = "audio/mpeg",
    chat_id: str | None = None,
) -> Call[str]:
    """Ask for the words of a recording.

    It carries the app's id under its 4.14.7 name, which is recorded, and under its 4.16.0 names
    (FastGPT source, 4.16.0), so that either server finds it.

    :param app_id: the app's id.
    :param audio: the audio file's bytes.
    :param duration: how long it is, in seconds; the server refuses a call without.
    :param filename: the file's name; its ending tells the format.
    :param content_type: the file's media type.
    :param chat_id: the chat that it belongs to, if any.
    :raises InvalidArgumentError: if an argument could not be sent.
    """
    if not isinstance(audio, bytes | bytearray | memoryview) or not len(audio):
        raise InvalidArgumentError("audio must be the bytes of an audio file", field="audio")
    if not _is_number(duration) or not duration > 0:
        raise InvalidArgumentError(
            f"duration must be a positive number of seconds, not {duration!r}", field="duration"
        )
    app_id = _check.app(app_id)
    data = {"appId": app_id, "sourceType": "app", "sourceId": app_id, "duration": duration}
    if chat_id is not None:
        data["chatId"] = _check.chat(chat_id)
    form = encode_form(
        [
            Part("data", encode(data)),
            Part("file", bytes(audio), _check.name(filename, "filename"), content_type),
        ]
    )
    return Call(
        method="POST",
        paths=("/api/v1/audio/transcriptions",),
        body=form.head + form.tail,
        content_type=form.content_type,
        read=need_text,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

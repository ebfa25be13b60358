"""Ask to be attached to a run of a chat again."""

from __future__ import annotations

from typing import ClassVar, Final
from urllib.parse import quote, urlencode

import attrs

from ._errors import FastGPTError, InvalidArgumentError, NotFoundError
from ._requests import API, check_app_id, check_chat_id

#: Asks a v2 run to keep what it sends, so that it can be resumed (FastGPT source, 4.16.0; 4.14.7
#: ignores it, recorded).
RESUMABLE: Final = {"x-fastgpt-stream-resume": "1"}

_PATH: Final = "/api/core/chat/resume"


@attrs.frozen(kw_only=True)
class ResumeRequest:
    """Hold one request to be attached to a run, ready to be sent.

    :param chat_id: the chat's id.
    :param app_id: the app's id.
    """

    chat_id: str
    app_id: str
    api: ClassVar[API] = "v2"
    method: ClassVar[str] = "GET"
    body: ClassVar[None] = None
    headers: ClassVar[dict[str, str]] = {}
    #: Another request started the run, so leaving this reply leaves it alone.
    owns_run: ClassVar[bool] = False

    @property
    def path(self) -> str:
        """The path of the endpoint, with its query."""
        query = {"appId": self.app_id, "chatId": self.chat_id}
        return f"{_PATH}?{urlencode(query, quote_via=quote)}"

    def refused(self, error: FastGPTError) -> FastGPTError:
        """Return the error that a refusal is for this request."""
        if isinstance(error, NotFoundError) and error.code is None and error.status_code == 404:
            return NotFoundError(
                f"this server cannot resume a reply (it has no {_PATH}, which came with 4.14.11): "
                "conversation.recover() waits until the answer is saved instead",
                status_code=404,
            )
        return error


def resume_request(app_id: str | None, chat_id: str | None) -> ResumeRequest:
    """Check the arguments of a resume and build its request.

    :raises InvalidArgumentError: if one is missing or could not be sent; ``.field`` names it.
    """
    check_app_id(app_id)
    check_chat_id(chat_id)
    for value, field in ((app_id, "app_id"), (chat_id, "chat_id")):
        if value is None:
            raise InvalidArgumentError(f"resuming a reply needs {field}", field=field)
    assert app_id is not None
    assert chat_id is not None
    return ResumeRequest(chat_id=chat_id, app_id=app_id)

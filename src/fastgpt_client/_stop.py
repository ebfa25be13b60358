"""Ask the server to stop a v2 run, and say what is known of it."""

from __future__ import annotations

import logging
from typing import Final, Literal

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._bodies import RequestBody
from ._errors import FastGPTError
from ._http import HTTP, refusal
from ._requests import Target, encode
from ._shelter import sheltered

_log = logging.getLogger("fastgpt_client.stop")

_PATH: Final = "/api/v2/chat/stop"
#: The server waits so long for a run to take notice and answers success then as well (recorded,
#: 4.14.7).
_SERVER_WAITS: Final = 5.0
#: Seconds for which :meth:`Reply.stop` waits for the server's answer.
ANSWER_SECONDS: Final = 8.0
#: Seconds for which leaving a block lingers after the request was written: a reverse proxy drops
#: a request whose client has gone before it was passed on.
LINGER_SECONDS: Final = 0.5

StopReport = Literal["confirmed", "unconfirmed", "not_told"]


@attrs.define(eq=False)
class RunStopper:
    """Know which v2 run to stop.

    :param http: the client to ask through.
    :param target: the server and the key.
    :param app_id: the app's id, ``None`` if the caller did not tell.
    :param chat_id: the chat's id.
    :param connect: seconds for a connection.
    """

    http: HTTP
    target: Target
    app_id: str | None
    chat_id: str | None
    connect: float | None

    async def stop(self) -> StopReport:
        """Ask the server and wait for its answer.

        It answers success in any case; that it took less than five seconds means that a run took
        notice, which acts on it at its next model token.
        """
        began = anyio.current_time()
        report: StopReport = "unconfirmed"
        with anyio.move_on_after(ANSWER_SECONDS):
            told = await self._post(RequestBody(self._payload()))
            if not told:
                report = "not_told"
            elif anyio.current_time() - began < _SERVER_WAITS:
                report = "confirmed"
        return report

    async def tell(self) -> None:
        """Ask the server and do not wait for its answer."""
        with anyio.CancelScope() as scope:
            await self._post(_Lingering(self._payload(), scope))

    def _payload(self) -> bytes:
        return encode({"appId": self.app_id, "chatId": self.chat_id})

    async def _post(self, body: RequestBody) -> bool:
        if self.app_id is None or self.chat_id is None:
            _log.warning(
                "the server was not told to stop the run, which goes on: a v2 run can be stopped "
                "only if app_id is known (pass it to the client or to stream())"
            )
            await checkpoint()
            return False
        try:
            response = await self.http.send(
                "POST",
                self.target,
                _PATH,
                content=self._payload(),
                body=body,
                connect=self.connect,
            )
        except FastGPTError as error:
            _log.warning("the server could not be told to stop the run, which goes on: %s", error)
            return False  # noqa: ASYNC910 - send() has waited
        if response.status_code == 200:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 1):
                await sheltered(response.aclose)
            return True
        refused = await refusal(response, self.target, seconds=1)
        if response.status_code == 404:
            _log.warning("this server cannot stop a run (it has no %s); the run goes on", _PATH)
        else:
            _log.warning("the server refused to stop the run, which goes on: %s", refused)
        return False


class _Lingering(RequestBody):
    """A body that ends the wait for an answer soon after it was written."""

    def __init__(self, data: bytes, scope: anyio.CancelScope) -> None:
        super().__init__(data)
        self._scope = scope

    def taken(self) -> None:
        super().taken()
        self._scope.deadline = anyio.current_time() + LINGER_SECONDS

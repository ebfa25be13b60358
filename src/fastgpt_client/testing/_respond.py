"""Send every answer that is not a run: refusals, errors, pages, envelopes, raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._answers import RawResponse, Refusal, Status
from ._dialect import Dialect
from ._play import send_json
from ._script import Script
from ._wire import (
    HeaderList,
    bare_headers,
    error_envelope,
    error_frame,
    html_headers,
    refused_stream_headers,
)

if TYPE_CHECKING:
    from ._http import Exchange

_PAGE_SIZE = 24_000


@attrs.define(eq=False)
class Responder:
    """Send answers in the form of the version played.

    :param dialect: the version.
    :param keep_alive: seconds told by the ``Keep-Alive`` header.
    """

    dialect: Dialect
    keep_alive: float

    async def give(
        self,
        exchange: Exchange,
        answer: Status | RawResponse | Refusal | Script | str,
        *,
        stream: bool = False,
        extra: HeaderList | None = None,
    ) -> None:
        """Send a scripted answer that is not a run.

        :raises TypeError: if it is anything else.
        """
        match answer:
            case Refusal():
                await self.refuse(exchange, answer, stream=stream, extra=extra)
            case RawResponse(raw, cut, close):
                await exchange.raw(raw, cut)
                if close:
                    exchange.close()
            case Status():
                await self._status(exchange, answer, extra or [])
            case _:
                raise TypeError(f"cannot answer {exchange.request.path} with {answer!r}")

    async def refuse(
        self,
        exchange: Exchange,
        refusal: Refusal,
        *,
        stream: bool = False,
        extra: HeaderList | None = None,
    ) -> None:
        """Send a refusal as FastGPT does: a stream is refused with HTTP 200."""
        headers = list(extra or [])
        code, status_text, message = refusal.code, refusal.status_text, refusal.message
        if code == 403:
            headers.insert(0, ("Set-Cookie", self.dialect.cleared_cookie))
        if not stream:
            envelope = error_envelope(
                self.dialect, code, status_text, message, user_error=refusal.user_error
            )
            await self.json(exchange, self.dialect.http_status(code), envelope, headers)
            return
        exchange.start(200, refused_stream_headers(headers, self.keep_alive))
        for piece in error_frame(code, status_text, message).pieces(detail=False):
            await exchange.body(piece)
        await exchange.end()

    async def invalid(self, exchange: Exchange, problems: list[dict[str, Any]]) -> None:
        """Send what the request schema found, as JSON even if a stream was wanted."""
        message = "Data validation error"
        envelope = error_envelope(self.dialect, 400, "error", message, zod_error=problems)
        await self.json(exchange, self.dialect.http_status(400), envelope)

    async def succeed(self, exchange: Exchange, data: Any) -> None:
        """Send data in the success envelope of every endpoint but completions."""
        envelope = {"code": 200, "statusText": "", "message": "", "data": data}
        await self.json(exchange, 200, envelope)

    async def json(
        self,
        exchange: Exchange,
        status: int,
        value: Any,
        extra: HeaderList | None = None,
        reason: str | None = None,
    ) -> None:
        """Send a JSON answer."""
        await send_json(exchange, status, value, extra or [], self.keep_alive, reason)

    async def not_found(self, exchange: Exchange) -> None:
        """Send the large HTML page that an unknown path gets (recorded, 4.14.7)."""
        page = _not_found_page()
        await exchange.whole(404, html_headers(page, self.keep_alive), page.encode())

    async def bare(self, exchange: Exchange, status: int, message: str) -> None:
        """Send what the web framework says before any handler: the text is also the reason."""
        exchange.start(status, bare_headers(self.keep_alive), message)
        await exchange.body(message.encode())
        await exchange.end()

    async def redirect(self, exchange: Exchange) -> None:
        """Send the 308 that a stray slash at the end of a path gets (recorded, 4.14.7)."""
        path = exchange.request.path.rstrip("/")
        exchange.start(308, [*bare_headers(self.keep_alive), ("Location", path)])
        await exchange.body(path.encode())
        await exchange.end()

    async def _status(self, exchange: Exchange, answer: Status, extra: HeaderList) -> None:
        given = [*extra, *answer.headers.items()]
        if not isinstance(answer.body, (bytes, str)):
            await self.json(exchange, answer.code, answer.body, given, answer.reason)
            return
        data = answer.body.encode() if isinstance(answer.body, str) else answer.body
        if answer.content_type is not None:
            given.append(("Content-Type", answer.content_type))
        given.append(("Content-Length", str(len(data))))
        names = {name.lower() for name, _ in given}
        own = [one for one in bare_headers(self.keep_alive) if one[0].lower() not in names]
        headers = [*own, *given]
        await exchange.whole(answer.code, headers, data, answer.reason)


def _not_found_page() -> str:
    top = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/><title>404</title>'
    end = "</head><body><h1>404</h1><p>There is no such page.</p></body></html>"
    script = '<script src="/_next/static/chunks/fake.js" defer=""></script>'
    return top + script * ((_PAGE_SIZE - len(top + end)) // len(script)) + end

"""Answer the requests of a chat: the checks before a run, the run, and its stop."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import anyio
import attrs

from ._answers import RawResponse, Refusal, Status
from ._content import Ledger
from ._http import Exchange, RecordedRequest
from ._play import JsonPlayer, StreamPlayer
from ._respond import Responder
from ._run import Gates, Run
from ._script import Script
from ._wire import HeaderList, error_envelope

Api: TypeAlias = Literal["v1", "v2"]
Answer: TypeAlias = Script | Status | RawResponse | Refusal | str

NO_KEY = Refusal("common:code_error.error_message.403", 403, "unAuthorization")
BAD_KEY = Refusal("common:code_error.error_message.514", 514, "unAuthApiKey")
NO_MESSAGES = Refusal("messages is empty", user_error=True)
CHAT_BUSY = Refusal("common:code_error.chat_error.chat_generating", 504001, "chatIsGenerating")

_APP_ID = re.compile("[0-9a-fA-F]{24}")


@attrs.define(eq=False)
class RateLimit:
    """Count a team's requests within a window of one minute.

    :param limit: requests allowed in a window; ``None`` for no limit and no headers.
    """

    limit: int | None
    _used: int = 0
    _ends: float = 0.0

    def take(self) -> tuple[HeaderList, str | None]:
        """Count one request; returns its headers and, if it is one too many, what to say."""
        if self.limit is None:
            return [], None
        now = anyio.current_time()
        if now >= self._ends:
            self._used, self._ends = 0, now + 60
        self._used += 1
        left = self._ends - now
        if self._used > self.limit:
            return [], (
                f"Rate limit exceeded. Maximum {self.limit} requests per 60 seconds for this "
                f"team. Please try again in {max(1, round(left))} seconds."
            )
        return [
            ("X-RateLimit-Limit", str(self.limit)),
            ("X-RateLimit-Remaining", str(self.limit - self._used)),
            ("X-RateLimit-Reset", str(round((time.time() + left) * 1000))),
        ], None


@attrs.define(eq=False)
class Chat:
    """The chat endpoints of one server.

    :param respond: sends what is not a run.
    :param api_key: the only key that is accepted.
    :param heartbeat_every: seconds between heartbeats, or ``None``.
    :param plugin_app: ``True`` to play a plugin app: no messages, details always.
    :param rate_limit: counts the requests.
    :param next_answer: gives the answer to a request.
    :param changed: is called when a run's state changes.
    :param gates: the gates of the scripts.
    """

    respond: Responder
    api_key: str
    heartbeat_every: float | None
    plugin_app: bool
    rate_limit: RateLimit
    next_answer: Callable[[RecordedRequest], Awaitable[Answer]]
    changed: Callable[[], None]
    gates: Gates
    runs: list[Run] = attrs.field(factory=list)
    stops: list[RecordedRequest] = attrs.field(factory=list)

    async def complete(self, exchange: Exchange, api: Api) -> None:
        """Answer a completions request."""
        request, dialect = exchange.request, self.respond.dialect
        limit = dialect.body_limit_mb(api)
        if len(request.body) > limit * 1024 * 1024:
            await self.respond.bare(exchange, 413, f"Body exceeded {limit}mb limit")
            return
        body = _body(request)
        if body is None:
            await self.respond.bare(exchange, 400, "Invalid JSON")
            return
        problems = _schema_problems(body) if dialect.checks_schema else []
        if problems:
            await self.respond.invalid(exchange, problems)
            return
        stream = bool(body.get("stream"))
        if refusal := self.key_refusal(request):
            await self.respond.refuse(exchange, refusal, stream=stream)
            return
        limits, too_many = self.rate_limit.take()
        if too_many is not None:
            envelope = error_envelope(dialect, 429, "error", too_many, user_error=True)
            await self.respond.json(exchange, 429, envelope)
            return
        if refusal := self._run_refusal(body):
            await self.respond.refuse(exchange, refusal, stream=stream, extra=limits)
            return
        answer = await self.next_answer(request)
        if isinstance(answer, Script):
            await self._play(exchange, api, body, answer, limits)
        else:
            await self.respond.give(exchange, answer, stream=stream, extra=limits)

    async def stop(self, exchange: Exchange) -> None:
        """Answer a stop request and end the oldest running v2 stream of its chat.

        A real server takes up to five seconds and says success in any case (recorded, 4.14.7).
        """
        body = _body(exchange.request)
        if body is None:
            await self.respond.bare(exchange, 400, "Invalid JSON")
            return
        missing = [name for name in ("appId", "chatId") if not isinstance(body.get(name), str)]
        if body.get("outLinkAuthData") and "appId" in missing:
            missing.remove("appId")
        if missing:
            problems = [_wrong_type(name, "string", "undefined") for name in missing]
            await self.respond.invalid(exchange, problems)
            return
        if refusal := self.key_refusal(exchange.request):
            await self.respond.refuse(exchange, refusal)
            return
        self.stops.append(exchange.request)
        for run in self.runs:
            stoppable = run.api == "v2" and run.stream and run.status == "running"
            if stoppable and run.chat_id == body["chatId"] and not run.stop_asked:
                run.stop()
                break
        self.changed()
        state = {"completed": True, "chatGenerateStatus": 1}
        told = state if self.respond.dialect.stop_tells_state else {}
        await self.respond.succeed(exchange, {"success": True, **told})

    def key_refusal(self, request: RecordedRequest) -> Refusal | None:
        """Why the request's key is not accepted, or ``None``.

        Any scheme word will do, and an app id may hang on the key (recorded, 4.14.7).
        """
        words = (request.header("authorization") or "").split(" ")
        key = words[1] if len(words) > 1 else ""
        if not key:
            return NO_KEY
        known = re.fullmatch(rf"{re.escape(self.api_key)}(-{_APP_ID.pattern})?", key)
        return None if known else BAD_KEY

    def _run_refusal(self, body: dict[str, Any]) -> Refusal | None:
        messages, chat_id = body.get("messages"), _chat_id(body)
        if not self.plugin_app and not (isinstance(messages, list) and messages):
            return NO_MESSAGES
        busy = any(run.chat_id == chat_id and run.status == "running" for run in self.runs)
        return CHAT_BUSY if busy and self.respond.dialect.one_run_a_chat else None

    async def _play(
        self, exchange: Exchange, api: Api, body: dict[str, Any], script: Script, extra: HeaderList
    ) -> None:
        chat_id, dialect = _chat_id(body), self.respond.dialect
        run = Run(
            exchange.request,
            api,
            chat_id or secrets.token_hex(12),
            stream=bool(body.get("stream")),
            detail=self.plugin_app or bool(body.get("detail")),
            ledger=Ledger(dialect),
            on_change=self.changed,
        )
        self.runs.append(run)
        self.changed()
        exchange.on_leave = lambda: self._left(run)
        player: StreamPlayer | JsonPlayer
        if run.stream:
            beat = self.heartbeat_every
            player = StreamPlayer(run, exchange, dialect, self.gates, extra, beat)
        else:
            told = run.chat_id if dialect.generates_chat_id else chat_id
            keep_alive = self.respond.keep_alive
            player = JsonPlayer(run, exchange, dialect, self.gates, extra, told, keep_alive)
        with run.scope:
            await player.play(script)

    def _left(self, run: Run) -> None:
        """Note that a run's client has gone, which only a v1 stream minds (recorded, 4.14.7)."""
        run.client_left = True
        if not self.respond.dialect.has_stop or (run.api == "v1" and run.stream):
            run.abort()


def _body(request: RecordedRequest) -> dict[str, Any] | None:
    """The parsed body, empty if it is not declared as JSON; ``None`` if it is broken."""
    kind = request.header("content-type") or ""
    if not kind.startswith("application/json") or not request.body:
        return {}
    try:
        body = request.json
    except ValueError:
        return None
    return body if isinstance(body, dict) else {}


def _chat_id(body: dict[str, Any]) -> str:
    chat_id = body.get("chatId")
    return chat_id if isinstance(chat_id, str) and chat_id.strip() else ""


def _schema_problems(body: dict[str, Any]) -> list[dict[str, Any]]:
    problems: list[dict[str, Any]] = []
    messages, app_id = body.get("messages"), body.get("appId")
    if app_id is not None and not (isinstance(app_id, str) and _APP_ID.fullmatch(app_id)):
        pattern = f"/^{_APP_ID.pattern}$/"
        problems.append(
            {
                "origin": "string",
                "code": "invalid_format",
                "format": "regex",
                "pattern": pattern,
                "path": ["appId"],
                "message": f"Invalid string: must match pattern {pattern}",
            }
        )
    if messages is not None and not isinstance(messages, list):
        problems.append(_wrong_type("messages", "array", _js_type(messages)))
    return problems


def _wrong_type(name: str, expected: str, received: str) -> dict[str, Any]:
    return {
        "expected": expected,
        "code": "invalid_type",
        "path": [name],
        "message": f"Invalid input: expected {expected}, received {received}",
    }


def _js_type(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "object")

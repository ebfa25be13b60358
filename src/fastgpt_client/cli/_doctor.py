"""Find out what is wrong between this machine and a FastGPT server, and say it in plain words."""

from __future__ import annotations

import email.utils
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import click
import httpx
from anyio.lowlevel import checkpoint

from .._api_errors import api_error
from .._errors import AuthenticationError, FastGPTError, InvalidArgumentError, NotFoundError
from .._http import HTTP
from .._requests import Target, check_app_id, target
from . import _outcome
from ._options import Server, server_options
from ._reasons import reason
from ._run import Interrupts, run
from ._safe import visible
from ._settings import SettingsError, config_path

Mark = Literal["ok", "note", "bad"]

_LABELS: Final = {"base_url": "base URL", "api_key": "API key", "app_id": "app id"}
_MARKS: Final = {"ok": ("✓", "green"), "note": ("!", "yellow"), "bad": ("✗", "red")}
#: Seconds for each request.
_PATIENCE: Final = 10.0
#: Seconds that the clocks may differ before it is worth a word.
_CLOCK: Final = 60.0

#: Endpoints and the versions that first had them (FastGPT source, and live servers).
_LANDMARKS: Final = (
    ("/api/v2/chat/completions", "4.9.4"),
    ("/api/v2/chat/stop", "4.14.4"),
    ("/api/core/chat/record/getPaginationRecords", "4.14.5"),
    ("/api/core/chat/resume", "4.14.11"),
)


@click.command(short_help="Check URL, key, app, clock and the server's version.")
@click.option("--api", type=click.Choice(["v1", "v2"]), help="The completions endpoint to use.")
@server_options
def doctor(**options: Any) -> int:
    """Check the settings and the server, and say what is wrong and what to do.

    It asks the server a few things that run no model and cost nothing. The key is never shown.
    Exit codes: 0 all is well, 1 the server or the key is the problem, 2 the settings are, 3 the
    network is.
    """
    server = Server.of(options)
    examination = _Examination(server)

    async def examined(_: Interrupts) -> int:
        return await examination.run()

    return run(examined, server.backend)


@attrs.define(eq=False)
class _Examination:
    """Check one thing after the other, and stop where going on makes no sense."""

    server: Server
    _code: int = attrs.field(default=0, init=False)
    _http: httpx.AsyncClient = attrs.field(init=False)
    _target: Target = attrs.field(init=False)

    async def run(self) -> int:
        """Check everything and return the exit code."""
        await checkpoint()
        if not self._settings():
            return _outcome.USAGE
        async with httpx.AsyncClient(timeout=_PATIENCE) as self._http:
            response = await self._get("/api/common/system/getInitData")
            if response is None:
                return self._code
            self._clock(response)
            if not await self._key():
                return self._code
            await self._version(response)
            await self._app()
        return self._code

    # --- the checks ----------------------------------------------------------------------------

    def _settings(self) -> bool:
        settings = self.server.settings
        config = config_path()
        self._say("ok", "Python", f"{sys.version.split()[0]}, backend {self.server.backend}")
        found = "" if config.is_file() else " (not there)"
        self._say("ok", "config file", f"{config}{found}")
        if config.is_file() and settings.source("api_key") == str(config) and _is_open(config):
            self._say("note", "config file", f"others can read the key in it: chmod 600 {config}")
        try:
            key = settings.get("api_key")
            self._target = target(key, settings.base_url)
            check_app_id(settings.get("app_id"))
        except InvalidArgumentError as error:
            self._say("bad", _LABELS.get(error.field, error.field), error.message)
            return False
        source = settings.source("base_url")
        self._say("ok", "base URL", f"{self._target.base_url} ({source})")
        if key is None:
            try:
                _ = settings.api_key
            except SettingsError as error:
                self._say("bad", "API key", error.message)
            return False
        self._say("ok", "API key", f"{len(key)} characters ({settings.source('api_key')})")
        proxies = [n for n in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if _variable(n)]
        if proxies:
            self._say("note", "proxy", f"{', '.join(proxies)} is set: requests go through it")
        return True

    def _clock(self, response: httpx.Response) -> None:
        try:
            date = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
        except ValueError:
            return
        apart = time.time() - date.timestamp()
        if abs(apart) <= _CLOCK:
            self._say("ok", "clock", "agrees with the server's")
        else:
            ahead = "ahead of" if apart > 0 else "behind"
            self._say("note", "clock", f"{abs(apart):.0f} s {ahead} the server's: set this one")

    async def _key(self) -> bool:
        # Without messages it runs no model, and the answer tells a good key from a bad one
        # (recorded, 4.14.7).
        response = await self._get("/api/v1/chat/completions")
        if response is None:
            return False
        error = self._refusal(response)
        if response.is_redirect:
            elsewhere = visible(response.headers["location"]).removesuffix(
                response.url.raw_path.decode()
            )
            self._say(
                "bad",
                "server",
                f"it sends everybody to {elsewhere}, and a key does not follow.\n"
                "Set FASTGPT_BASE_URL to the address that the server really has.",
            )
            self._code = _outcome.API_ERROR
            return False
        if isinstance(error, NotFoundError) or error is None:
            self._say(
                "bad",
                "server",
                f"{self._target.base_url} answers, but not as FastGPT does (HTTP "
                f"{response.status_code}, {_media_type(response) or 'no content type'}): is it "
                "the server's own address?",
            )
            self._code = _outcome.API_ERROR
            return False
        if isinstance(error, AuthenticationError):
            self._say(
                "bad",
                "API key",
                f"the server does not know it ({error.status_text or error.code}): make a new one "
                "in FastGPT (the app's publish channels), and mind spaces and missing letters",
            )
            self._code = _outcome.API_ERROR
            return False
        if "messages" in str(error).lower():
            self._say("ok", "API key", "the server accepts it")
        else:
            self._say("note", "server", f"says: {visible(self._target.redact(str(error)))}")
        return True

    async def _version(self, init: httpx.Response) -> None:
        await checkpoint()
        version = _told_version(init)
        if version:
            self._say("ok", "server", f"FastGPT {visible(version)}, as it says itself")
        newest = ""
        for path, since in _LANDMARKS:
            response = await self._get(path)
            if response is None:
                return
            if response.status_code == 404 and _media_type(response) != "application/json":
                if not version:
                    older = f"before {since}"
                    known = f"{newest} or later, {older}" if newest else older
                    self._say("ok", "server", f"FastGPT {known}, by its endpoints")
                break
            newest = since
        else:
            if not version:
                self._say("ok", "server", f"FastGPT {newest} or later, by its endpoints")
        if self.server.api == "v2" and not newest:
            self._say("bad", "API v2", "this server has none: use --api v1")
            self._code = _outcome.API_ERROR

    async def _app(self) -> None:
        await checkpoint()
        app_id = self.server.settings.get("app_id")
        if app_id is None:
            if self.server.api == "v2":
                self._say("note", "app id", "unknown: without it a v2 run cannot be stopped")
            return
        response = await self._get(f"/api/core/chat/init?appId={app_id}&chatId=fastgpt-doctor")
        if response is None or response.status_code == 404:
            return
        error = self._refusal(response)
        if error is None:
            self._say("ok", "app", f"{visible(_app_name(response))!r} ({app_id})")
        else:
            self._say("bad", "app", f"{app_id}: {visible(str(error))}")
            self._code = _outcome.API_ERROR

    # --- tools ---------------------------------------------------------------------------------

    async def _get(self, path: str) -> httpx.Response | None:
        try:
            return await self._http.get(self._target.url(path), headers=self._target.headers())
        except Exception as error:
            failure = HTTP.wrap(self._http).explain(error, connect=_PATIENCE)
            await checkpoint()
            words = self._target.redact(failure.message)
            if why := reason(error):
                words = f"no connection to {self._target.base_url}.\n{why}"
            if isinstance(error, httpx.ReadTimeout):
                words = f"no answer within {_PATIENCE:g} s: it accepts connections, but is it well?"
            self._say("bad", "server", words)
            self._code = _outcome.exit_code(failure)
            return None

    def _refusal(self, response: httpx.Response) -> FastGPTError | None:
        """Return the error that a response is, or ``None`` for success and for strange pages."""
        try:
            payload = response.json()
        except ValueError:
            payload = None
        if isinstance(payload, dict) and payload.get("code") == 200:
            return None
        if payload is None and response.status_code < 400:
            return None
        return api_error(response.status_code, payload if payload is not None else "")

    def _say(self, mark: Mark, what: str, words: str) -> None:
        sign, colour = _MARKS[mark]
        first, *rest = words.split("\n")
        click.echo(f"{click.style(sign, fg=colour)} {what:<12} {first}")
        for line in rest:
            click.echo(f"{'':<15}{line}")


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0]


def _variable(name: str) -> str | None:
    return os.environ.get(name) or os.environ.get(name.lower())


def _is_open(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _told_version(response: httpx.Response) -> str:
    """Return the version that the login page is given (FastGPT source), or ``""``."""
    try:
        version = response.json()["data"]["systemVersion"]
    except (ValueError, LookupError, TypeError):
        return ""
    return version if isinstance(version, str) and version != "0.0.0" else ""


def _app_name(response: httpx.Response) -> str:
    try:
        return str(response.json()["data"]["app"]["name"])
    except (ValueError, LookupError, TypeError):
        return "?"

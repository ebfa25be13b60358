"""Hold the options that several commands share, and what they amount to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast

import attrs
import click

from .._client import AsyncChatClient
from .._limits import Timeouts
from .._requests import API, target
from ._run import Backend
from ._settings import Settings, SettingsError, read_settings

F = TypeVar("F", bound=Callable[..., Any])

_BACKENDS = ("asyncio", "trio")
_APIS = ("v1", "v2")

backend_option = click.option(
    "--backend", type=click.Choice(_BACKENDS), help="The event loop to run on (default: asyncio)."
)

#: ``--debug`` behind the command too; the program itself looks for it.
debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")


def seconds(value: str) -> float:
    """Return a number of seconds; 0 is for no limit."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise click.BadParameter(f"{value!r} is no number of seconds (0: no limit).")
    return number


def variable(value: str) -> tuple[str, Any]:
    """Return the name and the value of ``name=text`` or ``name:=JSON``."""
    name, separator, text = value.partition("=")
    if not separator or name in ("", ":"):
        raise click.BadParameter(f"{value!r} is neither name=text nor name:=JSON.")
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"what follows := in {value!r} is no JSON: {error}.") from None


def server_options(function: F) -> F:
    """Add the options that say which server to ask, and with which key."""
    for option in (
        debug_option,
        backend_option,
        click.option("--app-id", metavar="ID", help="The app's id [FASTGPT_APP_ID]."),
        click.option("--api-key", metavar="KEY", help="Better set FASTGPT_API_KEY."),
        click.option("--base-url", metavar="URL", help="The server's URL [FASTGPT_BASE_URL]."),
    ):
        function = option(function)
    return function


def request_options(function: F) -> F:
    """Add the options that say how to ask, and how long to wait."""
    for option in (
        server_options,
        click.option(
            "--timeout-total",
            type=seconds,
            metavar="SECONDS",
            help="The most that a whole answer may take.",
        ),
        click.option(
            "--timeout-idle",
            type=seconds,
            metavar="SECONDS",
            help="From one event to the next (default: 120).",
        ),
        click.option(
            "--timeout-first",
            type=seconds,
            metavar="SECONDS",
            help="Until the first token (default: 120).",
        ),
        click.option(
            "--var",
            "variables",
            type=variable,
            metavar="NAME=VALUE",
            multiple=True,
            help="A variable of the workflow, as name=text or name:=JSON; may be repeated.",
        ),
        click.option("--chat-id", metavar="ID", help="The chat to go on with."),
        click.option(
            "--api",
            type=click.Choice(_APIS),
            help="The completions endpoint (default: v1). A v2 run outlives its connection; "
            "to stop it takes --app-id.",
        ),
        click.option(
            "--detail/--no-detail",
            default=True,
            show_default=True,
            help="Whether the server tells of nodes, tools, questions and failures.",
        ),
    ):
        function = option(function)
    return function


@attrs.frozen
class Server:
    """Say which server to ask, with which key, on which event loop."""

    settings: Settings
    backend: Backend

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Server:
        """Read the settings and say what is doubtful about them."""
        settings = read_settings(**{name: options.get(name) for name in _SERVER})
        for words in settings.warnings():
            click.echo(f"warning: {words}", err=True)
        return cls(settings, cast(Backend, _choice(settings, "backend", _BACKENDS)))

    @property
    def api(self) -> API:
        """Which of the completions endpoints."""
        return cast(Literal["v1", "v2"], _choice(self.settings, "api", _APIS))

    def check(self) -> None:
        """Find what is wrong with the settings before anything runs.

        :raises SettingsError: if there is no key.
        :raises InvalidArgumentError: if the key or the URL cannot be used.
        """
        target(self.settings.api_key, self.settings.base_url)

    def client(self, **options: Any) -> AsyncChatClient:
        """Return a client of the server.

        :param options: as for :class:`AsyncChatClient`.
        """
        return AsyncChatClient(
            self.settings.api_key,
            self.settings.base_url,
            app_id=self.settings.get("app_id"),
            api=self.api,
            **options,
        )


_SERVER = ("api_key", "base_url", "app_id", "api", "backend")


def _choice(settings: Settings, name: str, choices: tuple[str, ...]) -> str:
    value = settings.get(name, choices[0])
    if value not in choices:
        source = settings.source(name)
        raise SettingsError(f"{name} is {value!r} ({source}), and must be {' or '.join(choices)}")
    return value


def timeouts(options: Mapping[str, Any]) -> Timeouts:
    """Return the limits that the options amount to."""
    given = {
        "first_token": options.get("timeout_first"),
        "idle": options.get("timeout_idle"),
        "total": options.get("timeout_total"),
    }
    return Timeouts(**{name: value or None for name, value in given.items() if value is not None})

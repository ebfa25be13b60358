"""Find the settings: options, then the environment, then ``.env``, then the config file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import click
import dotenv
import platformdirs

from .._requests import DEFAULT_BASE_URL

NAMES: Final = ("api_key", "base_url", "app_id", "api", "backend")


class SettingsError(click.ClickException):
    """Report settings that cannot be used."""

    exit_code = 2


@attrs.frozen
class Setting:
    """Hold one value and where it came from.

    :param value: the value.
    :param source: for people: ``--api-key``, ``environment``, ``.env``, or the config file's path.
    """

    value: str = attrs.field(repr=False)
    source: str


@attrs.frozen
class Settings:
    """Hold every setting that was found, by name."""

    found: Mapping[str, Setting]

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a value, or ``default``."""
        setting = self.found.get(name)
        return default if setting is None else setting.value

    def source(self, name: str) -> str:
        """Return where a value came from."""
        setting = self.found.get(name)
        return "default" if setting is None else setting.source

    @property
    def base_url(self) -> str:
        """The server's URL."""
        return self.get("base_url") or DEFAULT_BASE_URL

    @property
    def api_key(self) -> str:
        """The key.

        :raises SettingsError: if there is none.
        """
        key = self.get("api_key")
        if key is None:
            raise SettingsError(
                "there is no API key, so nothing was sent (`fastgpt demo` needs none).\n"
                "Set it with `export FASTGPT_API_KEY=fastgpt-…`, in a .env file, or in "
                f"{config_path()}."
            )
        return key

    def warnings(self) -> list[str]:
        """Return what a careful user should know."""
        warnings = []
        key_source, url_source = self.source("api_key"), self.source("base_url")
        if key_source == "--api-key":
            warnings.append(
                "a key given as an option shows up in the process list and in the shell's "
                "history: use FASTGPT_API_KEY, a .env file or the config file"
            )
        if url_source == ".env" and key_source not in (".env", "default"):
            warnings.append(
                f"the key ({key_source}) goes to {self.base_url}, which this folder's .env names"
            )
        return warnings


def config_path() -> Path:
    """Return where the config file is: ``FASTGPT_CONFIG``, or the platform's place."""
    given = os.environ.get("FASTGPT_CONFIG")
    if given:
        return Path(given)
    return platformdirs.user_config_path("fastgpt", appauthor=False) / "config.toml"


def read_settings(**options: str | None) -> Settings:
    """Return the settings that this run of the program has.

    :param options: what the command line said, by name; ``None`` for what it did not say.
    :raises SettingsError: if a file cannot be read.
    """
    found: dict[str, Setting] = {}
    config = config_path()
    sources: tuple[tuple[str | None, Mapping[str, Any]], ...] = (
        (None, options),
        ("environment", _by_name(os.environ)),
        (".env", _by_name(_dotenv(Path(".env")))),
        (str(config), _config(config)),
    )
    for source, values in sources:
        for name in NAMES:
            value = values.get(name)
            if name not in found and isinstance(value, str) and value.strip():
                found[name] = Setting(value.strip(), source or f"--{name.replace('_', '-')}")
    return Settings(found)


def _by_name(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: variables.get(f"FASTGPT_{name.upper()}") for name in NAMES}


def _dotenv(path: Path) -> Mapping[str, str | None]:
    if not path.is_file():
        return {}
    try:
        return dotenv.dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def _config(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    for name, value in values.items():
        if name not in NAMES or not isinstance(value, str):
            raise SettingsError(
                f"{path}: {name} is not a setting; it takes {', '.join(NAMES)}, each a string"
            )
    return values

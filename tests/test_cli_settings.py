"""Settings come from options, the environment, .env and the config file, in this order."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from fastgpt_client.cli._options import seconds, variable
from fastgpt_client.cli._settings import SettingsError, config_path, read_settings

NAMES = ("API_KEY", "BASE_URL", "APP_ID", "API", "BACKEND")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTGPT_CONFIG", str(tmp_path / "config.toml"))
    for name in NAMES:
        monkeypatch.delenv(f"FASTGPT_{name}", raising=False)


def config(text: str) -> Path:
    path = config_path()
    path.write_text(text, "utf-8")
    return path


def dotenv(text: str) -> None:
    Path(".env").write_text(text, "utf-8")


def test_the_first_source_that_has_a_value_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    path = config('api_key = "from-config"\n')
    settings = read_settings()
    assert (settings.api_key, settings.source("api_key")) == ("from-config", str(path))

    dotenv("FASTGPT_API_KEY=from-dotenv\n")
    assert read_settings().api_key == "from-dotenv"

    monkeypatch.setenv("FASTGPT_API_KEY", "from-environment")
    assert read_settings().api_key == "from-environment"

    settings = read_settings(api_key="from-option")
    assert (settings.api_key, settings.source("api_key")) == ("from-option", "--api-key")


def test_each_setting_has_a_source_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv("FASTGPT_BASE_URL=http://localhost:1\n")
    config('app_id = "65f0000000000000000000aa"\n')
    monkeypatch.setenv("FASTGPT_API_KEY", "k")
    settings = read_settings()
    assert settings.base_url == "http://localhost:1"
    assert settings.get("app_id") == "65f0000000000000000000aa"
    assert settings.get("backend") is None


def test_an_empty_value_is_none_and_blanks_around_a_value_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FASTGPT_API_KEY", "  ")
    dotenv("FASTGPT_API_KEY=' k '\n")
    assert read_settings().api_key == "k"


def test_dotenv_takes_dollar_signs_as_they_are() -> None:
    dotenv("FASTGPT_API_KEY=a${HOME}b\n")
    assert read_settings().api_key == "a${HOME}b"


def test_no_key_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match="FASTGPT_API_KEY") as caught:
        _ = read_settings().api_key
    assert "fastgpt demo" in caught.value.message
    assert str(config_path()) in caught.value.message


def test_a_key_is_in_no_repr() -> None:
    assert "sesame" not in repr(read_settings(api_key="sesame"))


def test_a_key_given_as_an_option_is_warned_of() -> None:
    assert "process list" in read_settings(api_key="k").warnings()[0]
    assert read_settings().warnings() == []


def test_a_folder_that_names_the_server_for_a_key_from_elsewhere_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dotenv("FASTGPT_BASE_URL=http://elsewhere\n")
    monkeypatch.setenv("FASTGPT_API_KEY", "k")
    assert "http://elsewhere" in read_settings().warnings()[0]
    dotenv("FASTGPT_BASE_URL=http://elsewhere\nFASTGPT_API_KEY=k\n")
    monkeypatch.delenv("FASTGPT_API_KEY")
    assert read_settings().warnings() == []


@pytest.mark.parametrize("text", ["api_key = ", 'api-key = "k"', "api_key = 3", "\xff"])
def test_a_config_file_that_cannot_be_used_is_named(text: str) -> None:
    path = config_path()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(path) in caught.value.message


def test_a_dotenv_file_that_is_no_text_is_named() -> None:
    Path(".env").write_bytes(b"FASTGPT_API_KEY=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env"):
        read_settings()


def test_the_config_file_is_in_the_platforms_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTGPT_CONFIG")
    place = platformdirs.user_config_path("fastgpt", appauthor=False)
    assert config_path() == place / "config.toml"


@pytest.mark.parametrize(
    "text, pair",
    [
        ("city=Berlin", ("city", "Berlin")),
        ("days=3", ("days", "3")),
        ("days:=3", ("days", 3)),
        ("list:=[1, 2]", ("list", [1, 2])),
        ("formula=a=b", ("formula", "a=b")),
        ("empty=", ("empty", "")),
    ],
)
def test_a_variable_is_text_or_json(text: str, pair: tuple[str, object]) -> None:
    assert variable(text) == pair


@pytest.mark.parametrize("text", ["city", "=x", ":=1", "days:=three"])
def test_a_variable_that_is_neither_is_refused(text: str) -> None:
    import click

    with pytest.raises(click.BadParameter):
        variable(text)


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf"])
def test_a_time_limit_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    import click

    with pytest.raises(click.BadParameter):
        seconds(text)

"""The names of the package: imported when they are asked for, and as type checkers see them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastgpt_client


def loaded_after(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after this statement."""
    program = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    return set(done.stdout.split())


def test_each_name_is_found_where_a_type_checker_finds_it() -> None:
    source = Path(fastgpt_client.__file__).read_text(encoding="utf-8")
    seen = {
        alias.name: statement.module
        for statement in ast.walk(ast.parse(source))
        if isinstance(statement, ast.ImportFrom) and statement.level == 1
        for alias in statement.names
    }
    homes = vars(fastgpt_client)["_HOMES"]
    assert homes == {name: module for name, module in seen.items() if module is not None}
    assert sorted(fastgpt_client.__all__) == sorted(seen)


def test_every_public_name_is_there_and_listed() -> None:
    for name in fastgpt_client.__all__:
        assert getattr(fastgpt_client, name).__name__.rpartition(".")[2] in (name, "Union")
    assert set(fastgpt_client.__all__) <= set(dir(fastgpt_client))
    namespace: dict[str, object] = {}
    exec("from fastgpt_client import *", namespace)
    assert set(fastgpt_client.__all__) <= set(namespace)


def test_the_package_alone_imports_no_http_library_and_no_event_loop() -> None:
    loaded = loaded_after("import fastgpt_client")
    assert not loaded & {"anyio", "asyncio", "attrs", "httpx", "msgspec", "trio"}


def test_an_error_or_an_event_is_imported_without_an_http_library() -> None:
    loaded = loaded_after("from fastgpt_client import AnswerDelta, FastGPTError, Timeouts")
    assert not loaded & {"anyio", "httpx", "trio"}


def test_the_asynchronous_client_is_imported_without_the_blocking_one() -> None:
    loaded = loaded_after("from fastgpt_client import AsyncChatClient")
    assert not {name for name in loaded if name.startswith("fastgpt_client._blocking")}
    assert "fastgpt_client._sync" not in loaded


def test_a_misspelled_name_is_told_as_any_modules_would_be() -> None:
    with pytest.raises(AttributeError, match="module 'fastgpt_client' has no attribute 'Stream'"):
        fastgpt_client.Stream  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="Stream"):
        exec("from fastgpt_client import Stream")

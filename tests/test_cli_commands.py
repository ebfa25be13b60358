"""The commands, in pipes: what they print, what they ask for, and their exit codes."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import sys
import threading
from typing import Any

import pytest

from fastgpt_client import RateLimitError, ReplyTimeoutError
from fastgpt_client.testing import (
    APP_ID,
    Close,
    Delta,
    Interactive,
    NodeStatus,
    Reasoning,
    Refusal,
    Script,
    SilentModel,
    Status,
    WaitFor,
    chat_node,
    chat_script,
)
from fastgpt_client.testing import NodeResponse as Node

from .cli_tools import (
    PATIENCE,
    Command,
    ThreadedServer,
    asking,
    command,
    needs_trio,
    on_each_backend,
    server,
)

__all__ = ["asking", "command", "server"]

STORY = "Once upon a time\nthere was a **stream**. 小河"


def body_of(server: ThreadedServer, number: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = server.fake.requests[number].json
    return body


# --- asking ------------------------------------------------------------------------------------


@on_each_backend
def test_in_a_pipe_chat_prints_the_text_alone(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(STORY)
    done = asking.run_alone("chat", "--backend", backend, "Tell me a story")
    assert (done.returncode, done.stdout, done.stderr) == (0, STORY + "\n", "")
    body = body_of(server)
    assert body["messages"] == [{"role": "user", "content": "Tell me a story"}]
    assert (body["stream"], body["detail"]) == (True, True)
    assert server.fake.requests[-1].path == "/api/v1/chat/completions"


def test_control_characters_reach_a_pipe_as_they_are(
    asking: Command, server: ThreadedServer
) -> None:
    server.script("a\x1b[31mb")
    assert asking.run("chat", "hello").stdout == "a\x1b[31mb\n"


@pytest.mark.parametrize("arguments", [["chat", "-"], ["chat"]])
def test_the_text_is_read_from_standard_input(
    asking: Command, server: ThreadedServer, arguments: list[str]
) -> None:
    assert asking.run(*arguments, stdin="Frage?\nMit 小河\n".encode()).returncode == 0
    assert body_of(server)["messages"][0]["content"] == "Frage?\nMit 小河"


@pytest.mark.parametrize("stdin, words", [(b"", "is empty"), (b"\xff", "not UTF-8")])
def test_standard_input_that_is_no_question_is_wrong_usage(
    asking: Command, server: ThreadedServer, stdin: bytes, words: str
) -> None:
    done = asking.run("chat", "-", stdin=stdin)
    assert done.returncode == 2
    assert words in done.stderr
    assert not server.fake.requests


def test_options_become_the_request(asking: Command, server: ThreadedServer) -> None:
    done = asking.run(
        *("chat", "--api", "v2", "--chat-id", "my-chat", "--app-id", APP_ID, "--no-detail"),
        *("--var", "city=Berlin", "--var", "days:=3", "--image", "https://example.org/i.png"),
        *("--file", "https://example.org/a%20b.pdf", "Plan a trip"),
    )
    assert done.returncode == 0, done.stderr
    body = body_of(server)
    assert server.fake.requests[-1].path == "/api/v2/chat/completions"
    assert (body["chatId"], body["appId"], body["detail"]) == ("my-chat", APP_ID, False)
    assert body["variables"] == {"city": "Berlin", "days": 3}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Plan a trip"},
        {"type": "image_url", "image_url": {"url": "https://example.org/i.png"}},
        {"type": "file_url", "name": "a%20b.pdf", "url": "https://example.org/a%20b.pdf"},
    ]


def test_an_image_of_this_machine_goes_into_the_request(
    asking: Command, server: ThreadedServer
) -> None:
    (asking.folder / "dot.png").write_bytes(b"\x89PNG")
    assert asking.run("chat", "--image", "dot.png", "What is it?").returncode == 0
    url = body_of(server)["messages"][0]["content"][1]["image_url"]["url"]
    assert url == "data:image/png;base64,iVBORw=="


@on_each_backend
def test_a_file_of_this_machine_is_uploaded_first(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    store = f"{server.fake.base_url}/store"
    ticket = {"url": store, "key": "k", "headers": {}, "maxSize": 100, "previewUrl": f"{store}/k"}
    server.call(server.fake.route, "POST", "/api/core/chat/file/presignChatFilePostUrl", ticket)
    kept = Status(200, b"")
    server.call(lambda: server.fake.route("PUT", "/store", kept, check_key=False))
    (asking.folder / "report.txt").write_text("Deep rivers.")
    asked = ("chat", "--backend", backend, "--file", "report.txt", "Sum it up")
    done = asking.run(*asked)
    assert done.returncode == 2
    assert "--app-id" in done.stderr
    assert not server.fake.requests

    done = asking.run(*asked, "--app-id", APP_ID, "--chat-id", "c")
    assert (done.returncode, done.stderr) == (0, "")
    assert server.fake.requests[1].body == b"Deep rivers."
    assert body_of(server)["messages"][0]["content"][1] == {
        "type": "file_url",
        "name": "report.txt",
        "url": f"{store}/k",
    }


def test_an_upload_that_fails_asks_nothing(asking: Command, server: ThreadedServer) -> None:
    (asking.folder / "report.txt").write_text("Deep rivers.")
    done = asking.run("chat", "--file", "report.txt", "--app-id", APP_ID, "Sum it up")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert not server.fake.runs


def test_json_is_one_object(asking: Command, server: ThreadedServer) -> None:
    server.script(chat_script(STORY, reasoning="Hm.", question="Tell"))
    done = asking.run("chat", "--json", "Tell")
    told = json.loads(done.stdout)
    assert (told["text"], told["reasoning"], told["status"]) == (STORY, "Hm.", "complete")
    assert told["error"] is None
    assert [node["moduleName"] for node in told["nodes"]] == ["Start", "AI Chat"]
    assert told["usage"]["output_tokens"] == len(STORY) + len("Hm.")
    assert told["chat_id"] == body_of(server)["chatId"]


def test_jsonl_is_one_event_a_line(asking: Command, server: ThreadedServer) -> None:
    server.script(Script(NodeStatus("A"), Reasoning("Hm."), Delta("小"), Delta("河")))
    lines = [json.loads(line) for line in asking.run("chat", "--jsonl", "x").stdout.splitlines()]
    assert [line["kind"] for line in lines][:4] == ["NodeStatus", *["AnswerDelta"] * 3]
    assert "".join(line["text"] for line in lines) == "小河"
    assert [line["index"] for line in lines] == list(range(len(lines)))


def test_an_answer_that_waits_for_the_user_says_how_to_go_on(
    asking: Command, server: ThreadedServer
) -> None:
    options = [{"key": "a", "value": "Yes"}, {"key": "b", "value": "No"}]
    params = {"description": "Go on?", "userSelectOptions": options}
    server.script(Script(Delta("Hm."), Interactive({"type": "userSelect", "params": params})))
    done = asking.run("chat", "x")
    chat_id = body_of(server)["chatId"]
    assert (done.returncode, done.stdout) == (0, "Hm.\n")
    assert "Go on?" in done.stderr
    assert "'Yes', 'No'" in done.stderr
    assert f"--chat-id {chat_id}" in done.stderr


# --- what goes wrong ---------------------------------------------------------------------------


@on_each_backend
def test_a_refusal_is_exit_code_1_and_says_what_to_do(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Refusal("common:code_error.x", 500004, "aiPointsNotEnough"))
    done = asking.run("chat", "--backend", backend, "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "aiPointsNotEnough" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_wrong_key_is_exit_code_1_and_the_key_is_not_shown(asking: Command) -> None:
    asking.settings["FASTGPT_API_KEY"] = "sesame-open"
    done = asking.run("chat", "hello")
    assert done.returncode == 1
    assert "FASTGPT_API_KEY" in done.stderr
    assert "sesame-open" not in done.stderr


def test_a_node_that_failed_is_exit_code_1_and_keeps_the_text(
    asking: Command, server: ThreadedServer
) -> None:
    failed = chat_node("It began", question="x", error="503 overloaded")
    server.script(Script(Delta("It began"), Node(failed)))
    done = asking.run("chat", "x")
    assert (done.returncode, done.stdout) == (1, "It began\n")
    assert "503 overloaded" in done.stderr


def test_no_key_is_exit_code_2_and_teaches(command: Command) -> None:
    done = command.run("chat", "hello")
    assert done.returncode == 2
    assert "export FASTGPT_API_KEY=" in done.stderr
    assert "fastgpt demo" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "--api", "v3", "x"],
        ["chat", "--timeout-idle", "soon", "x"],
        ["chat", "--var", "x", "y"],
        ["chat", "--image", "letter.txt", "x"],
        ["chat", "--image", "missing.png", "x"],
        ["chat", "--file", "missing.pdf", "x"],
        ["record", "no/such/folder.jsonl", "x"],
        ["chat", "--app-id", "short", "x"],
        ["chat", "--base-url", "localhost:3000", "x"],
        ["chat", ""],
        ["replay", "nothing.jsonl"],
        ["nonsense"],
        ["demo", "--backend", "curio"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_sends_nothing(
    asking: Command, server: ThreadedServer, arguments: list[str]
) -> None:
    done = asking.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 2
    assert not server.fake.requests


@on_each_backend
def test_a_connection_that_breaks_is_exit_code_3_and_keeps_the_text(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("It began"), Close()))
    done = asking.run("chat", "--backend", backend, "x")
    assert (done.returncode, done.stdout) == (3, "It began\n")


@on_each_backend
@pytest.mark.parametrize(
    "url, words",
    [
        ("http://127.0.0.1:9", "Nothing listens at that address"),
        ("http://no-such-host.invalid", "The host's name is not known"),
        ("https://127.0.0.1:{port}", "does not speak HTTPS"),
    ],
)
def test_no_connection_is_exit_code_3_and_says_why_in_plain_words(
    asking: Command, server: ThreadedServer, url: str, words: str, backend: str
) -> None:
    port = server.fake.base_url.rpartition(":")[2]
    asking.settings["FASTGPT_BASE_URL"] = url.format(port=port)
    done = asking.run("chat", "--backend", backend, "x")
    assert done.returncode == 3
    assert words in done.stderr
    assert "FASTGPT_BASE_URL" in done.stderr
    done = asking.run("doctor", "--backend", backend)
    assert done.returncode == 3
    assert words in done.stdout


@on_each_backend
def test_a_certificate_that_is_not_trusted_is_told(command: Command, backend: str) -> None:
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        command.settings |= {"FASTGPT_API_KEY": "k", "FASTGPT_BASE_URL": url}
        done = command.run("doctor", "--backend", backend)
        thread.join(PATIENCE)
    assert done.returncode == 3
    assert "certificate is not trusted" in done.stdout


def test_a_server_that_redirects_is_told_with_its_address(
    asking: Command, server: ThreadedServer
) -> None:
    path = "/api/v1/chat/completions"
    moved = Status(308, b"", headers={"location": f"https://elsewhere.example{path}"})
    for method in ("GET", "POST"):
        server.call(server.fake.route, method, path, moved)
    done = asking.run("doctor")
    assert done.returncode == 1
    assert "https://elsewhere.example, " in done.stdout
    done = asking.run("chat", "x")
    assert done.returncode == 1
    assert "https://elsewhere.example" in done.stderr
    assert "Set FASTGPT_BASE_URL" in done.stderr


def test_a_page_instead_of_a_stream_is_exit_code_3(asking: Command, server: ThreadedServer) -> None:
    server.script(Status(200, "<html>Sign in</html>", "text/html"))
    done = asking.run("chat", "x")
    assert done.returncode == 3
    assert "FASTGPT_BASE_URL" in done.stderr


@on_each_backend
@pytest.mark.parametrize("option", ["first", "idle", "total"])
def test_a_time_limit_is_exit_code_4_and_names_its_option(
    asking: Command, server: ThreadedServer, option: str, backend: str
) -> None:
    server.script(Script(*([Delta("It began")] if option == "idle" else []), SilentModel()))
    done = asking.run("chat", f"--timeout-{option}", "0.2", "--backend", backend, "x")
    assert done.returncode == 4
    assert f"--timeout-{option}" in done.stderr
    assert done.stdout == ("It began\n" if option == "idle" else "")


def test_json_tells_failures_too(asking: Command, server: ThreadedServer) -> None:
    server.script(Script(Delta("It began"), SilentModel()))
    done = asking.run("chat", "--json", "--timeout-idle", "0.2", "x")
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["text"]) == (4, "failed", "It began")
    assert (told["error"]["type"], told["error"]["clock"]) == ("ReplyTimeoutError", "idle")

    server.script(Refusal("no", 514, "unAuthApiKey"))
    told = json.loads(asking.run("chat", "--json", "x").stdout)
    assert (told["error"]["type"], told["error"]["code"]) == ("AuthenticationError", 514)


@on_each_backend
def test_a_reader_that_goes_away_ends_the_command_quietly_and_the_run_too(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(Script(Delta("line\n"), WaitFor("gone"), Delta("more"), SilentModel()))
    with asking.started("chat", "--backend", backend, "x") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        server.call(server.fake.open_gate, "gone")
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == ""
    assert server.call(server.fake.wait_run).status == "aborted"


def test_a_traceback_is_shown_on_demand_only(asking: Command) -> None:
    arguments = ("chat", "--base-url", "nonsense", "x")
    assert "Traceback" not in asking.run_alone(*arguments).stderr
    with asking.started("--debug", *arguments) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" in err
    assert "InvalidArgumentError" in err


# --- settings ----------------------------------------------------------------------------------


def test_dotenv_and_config_file_are_enough(command: Command, server: ThreadedServer) -> None:
    config = command.folder / "settings.toml"
    command.settings["FASTGPT_CONFIG"] = str(config)
    config.write_text(f'base_url = "{server.fake.base_url}/api/v1"\nbackend = "asyncio"\n')
    (command.folder / ".env").write_text(f"FASTGPT_API_KEY={server.fake.api_key}\n")
    done = command.run("chat", "hello")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_as_an_option_works_and_warns(asking: Command, server: ThreadedServer) -> None:
    asking.settings.pop("FASTGPT_API_KEY")
    done = asking.run("chat", "--api-key", server.fake.api_key, "hello")
    assert done.returncode == 0
    assert "process list" in done.stderr


@pytest.mark.parametrize("variable", ["FASTGPT_BACKEND", "FASTGPT_API"])
def test_a_setting_with_an_impossible_value_is_named(asking: Command, variable: str) -> None:
    asking.settings[variable] = "other"
    done = asking.run("chat", "hello")
    assert done.returncode == 2
    assert "'other' (environment)" in done.stderr


@needs_trio
def test_the_backend_is_a_setting_too(asking: Command) -> None:
    asking.settings["FASTGPT_BACKEND"] = "trio"
    assert "backend trio" in asking.run("doctor").stdout


# --- the other commands ------------------------------------------------------------------------


@on_each_backend
def test_what_is_recorded_is_replayed(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    server.script(chat_script(STORY, reasoning="Hm."))
    file = asking.folder / "answer.jsonl"
    done = asking.run("record", "--backend", backend, file, "Tell")
    assert (done.returncode, done.stdout) == (0, STORY + "\n")
    assert server.fake.api_key not in file.read_text("utf-8")
    assert server.fake.runs[-1].status == "complete"

    done = asking.run("replay", "--backend", backend, file)
    assert (done.returncode, done.stdout) == (0, STORY + "\n")
    told = json.loads(asking.run("replay", "--speed", "inf", "--json", file).stdout)
    assert (told["reasoning"], told["status"]) == ("Hm.", "complete")
    assert len(server.fake.requests) == 1


def test_a_failure_is_recorded_and_replayed_as_the_same_failure(
    asking: Command, server: ThreadedServer
) -> None:
    server.script(Script(Delta("It began"), Close()))
    file = asking.folder / "answer.jsonl"
    assert asking.run("record", file, "x").returncode == 3
    assert json.loads(file.read_text("utf-8").splitlines()[-1])["end"] == "broken"
    done = asking.run("replay", file)
    assert (done.returncode, done.stdout) == (3, "It began\n")

    server.script(Refusal("no", 514, "unAuthApiKey"))
    assert asking.run("record", "--force", file, "x").returncode == 1
    assert asking.run("replay", file).returncode == 1


def test_a_recording_is_not_replaced_by_accident(asking: Command, server: ThreadedServer) -> None:
    (asking.folder / "kept").write_text("kept")
    done = asking.run("record", "kept", "x")
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (asking.folder / "kept").read_text() == "kept"
    assert not server.fake.requests


def test_an_answer_that_never_came_replaces_no_recording(asking: Command) -> None:
    (asking.folder / "kept").write_text("kept")
    done = asking.run("record", "--force", "--base-url", "http://127.0.0.1:9", "kept", "x")
    assert done.returncode == 3
    assert "nothing was recorded" in done.stderr
    assert [path.name for path in asking.folder.iterdir()] == ["kept"]
    assert (asking.folder / "kept").read_text() == "kept"


def test_a_file_that_is_no_recording_is_wrong_usage(command: Command) -> None:
    (command.folder / "notes.txt").write_text("hello\n")
    done = command.run("replay", "notes.txt")
    assert done.returncode == 2
    assert "no JSON" in done.stderr


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (RateLimitError("slow down", retry_after=3), "Too many requests: wait 3 s.", 1),
        (RateLimitError("slow down"), "Too many requests: wait a little.", 1),
        (ReplyTimeoutError("dead", clock="silence", seconds=35), "`fastgpt doctor` probes it", 4),
        (ReplyTimeoutError("slow", clock="idle", seconds=25), "--timeout-idle SECONDS", 4),
        (OSError(28, "No space left on device", "a.txt"), "No space left on device: a.txt", 1),
        (OSError("odd"), "error: odd", 1),
        (ZeroDivisionError("oops"), "unexpected ZeroDivisionError: oops", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_failure_has_its_words_and_its_exit_code(
    error: Exception, words: str, code: int
) -> None:
    from fastgpt_client.cli import _outcome

    assert words in _outcome.explain(error)
    assert len(_outcome.explain(error).splitlines()) <= 2
    assert _outcome.exit_code(error) == code


@on_each_backend
def test_the_doctor_finds_a_healthy_server(
    asking: Command, server: ThreadedServer, backend: str
) -> None:
    version = {"systemVersion": "4.16.0"}
    server.call(server.fake.route, "GET", "/api/common/system/getInitData", version)
    app = {"app": {"name": "Storyteller"}}
    server.call(server.fake.route, "GET", "/api/core/chat/init", app)
    done = asking.run("doctor", "--backend", backend, "--app-id", APP_ID)
    assert (done.returncode, done.stderr) == (0, "")
    assert "✗" not in done.stdout
    assert "FastGPT 4.16.0" in done.stdout
    assert "'Storyteller'" in done.stdout
    assert "the server accepts it" in done.stdout
    assert server.fake.api_key not in done.stdout
    assert not server.fake.runs, "it must not run a model"


def test_the_doctor_tells_a_version_by_its_endpoints(asking: Command) -> None:
    assert re.search(r"FastGPT 4\.14\.4 or later, .*by its endpoints", asking.run("doctor").stdout)


def test_the_doctor_tells_a_wrong_key(asking: Command) -> None:
    asking.settings["FASTGPT_API_KEY"] = "sesame-open"
    done = asking.run("doctor")
    assert done.returncode == 1
    assert "the server does not know it" in done.stdout
    assert "sesame-open" not in done.stdout + done.stderr


def test_the_doctor_tells_a_server_that_is_not_there(command: Command) -> None:
    command.settings |= {"FASTGPT_API_KEY": "k", "FASTGPT_BASE_URL": "http://127.0.0.1:9"}
    done = command.run("doctor")
    assert done.returncode == 3
    assert "no connection" in done.stdout


def test_the_doctor_tells_another_server(asking: Command, server: ThreadedServer) -> None:
    page = Status(404, "<html></html>", "text/html")
    server.call(server.fake.route, "GET", "/api/v1/chat/completions", page)
    done = asking.run("doctor")
    assert done.returncode == 1
    assert "not as FastGPT does" in done.stdout


@pytest.mark.parametrize(
    ("method", "path", "answer", "arguments", "words", "code"),
    [
        pytest.param(
            *("GET", "/api/common/system/getInitData"),
            Status(404, "<html>", "text/html", headers={"date": "Mon, 02 Jan 2006 15:04:05 GMT"}),
            *((), "s ahead of the server's: set this one", 0),
            id="a clock that is ahead",
        ),
        pytest.param(
            *("GET", "/api/common/system/getInitData"),
            Status(404, "<html>", "text/html", headers={"date": "Fri, 01 Jan 2100 00:00:00 GMT"}),
            *((), "s behind the server's: set this one", 0),
            id="a clock that is behind",
        ),
        pytest.param(
            *("GET", "/api/common/system/getInitData"),
            Status(404, "<html>", "text/html", headers={"date": "yesterday"}),
            *((), "the server accepts it", 0),
            id="a date that is none",
        ),
        pytest.param(
            *("GET", "/api/v1/chat/completions"),
            Refusal("The system is asleep", 500, "asleep"),
            *((), "says: The system is asleep", 0),
            id="a refusal of another kind",
        ),
        pytest.param(
            *("GET", "/api/core/chat/init"),
            Refusal("app not found", 502000, "appUnExist"),
            *(("--app-id", APP_ID), f"{APP_ID}: ", 1),
            id="an app that is not there",
        ),
        pytest.param(
            *("GET", "/api/core/chat/init"),
            {"app": None},
            *(("--app-id", APP_ID), f"'?' ({APP_ID})", 0),
            id="an app without a name",
        ),
        pytest.param(
            *("GET", "/api/v2/chat/completions"),
            Status(404, "<html>", "text/html"),
            *(("--api", "v2"), "this server has none: use --api v1", 1),
            id="a server without v2",
        ),
        pytest.param(
            *("GET", "/api/core/chat/resume"),
            Refusal("chatId is empty", 500),
            *(("--api", "v2"), "without it a v2 run cannot be stopped", 0),
            id="v2 without an app id",
        ),
    ],
)
def test_the_doctor_says_what_it_finds(
    asking: Command,
    server: ThreadedServer,
    method: str,
    path: str,
    answer: Any,
    arguments: tuple[str, ...],
    words: str,
    code: int,
) -> None:
    server.call(server.fake.route, method, path, answer)
    done = asking.run("doctor", *arguments)
    assert words in done.stdout
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.skipif(sys.platform == "win32", reason="files have other permissions there")
def test_the_doctor_tells_a_key_that_others_can_read(
    command: Command, server: ThreadedServer
) -> None:
    config = command.folder / "config.toml"
    config.write_text(f'api_key = "{server.fake.api_key}"\n')
    config.chmod(0o644)
    command.settings |= {
        "FASTGPT_CONFIG": str(config),
        "FASTGPT_BASE_URL": server.fake.base_url,
    }
    assert f"chmod 600 {config}" in command.run("doctor").stdout
    config.chmod(0o600)
    assert "chmod" not in command.run("doctor").stdout


def test_the_doctor_tells_of_a_proxy(asking: Command) -> None:
    asking.settings |= {"HTTPS_PROXY": "http://127.0.0.1:9"}
    assert "HTTPS_PROXY is set" in asking.run("doctor").stdout


def test_the_doctor_tells_settings_that_cannot_be_used(asking: Command) -> None:
    asking.settings["FASTGPT_BASE_URL"] = "localhost"
    done = asking.run("doctor")
    assert done.returncode == 2
    assert "base URL" in done.stdout


def test_the_doctor_tells_missing_settings(command: Command) -> None:
    done = command.run("doctor")
    assert done.returncode == 2
    assert "FASTGPT_API_KEY" in done.stdout


def test_the_fake_server_serves_and_tells_of_it(command: Command) -> None:
    with command.started("serve-fake", "--port", "0", "--pause", "0", "--answer", "42") as fake:
        assert fake.stdout is not None
        lines = [fake.stdout.readline() for _ in range(4)]
        found = re.search(r"FASTGPT_BASE_URL=(\S+) FASTGPT_API_KEY=(\S+)", "".join(lines))
        assert found is not None
        command.settings |= {"FASTGPT_BASE_URL": found[1], "FASTGPT_API_KEY": found[2]}
        assert command.run("chat", "6 times 7?").stdout == "42\n"
        assert "POST /api/v1/chat/completions" in fake.stdout.readline()
        assert "run 1 (v1): complete" in fake.stdout.readline()


def test_a_port_that_is_taken_is_told(command: Command, server: ThreadedServer) -> None:
    port = server.fake.base_url.rpartition(":")[2]
    done = command.run("serve-fake", "--port", port)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize("word", ["markdown", "think", "tool", "choose", "form", "long", "story"])
def test_each_scene_of_the_fake_server_is_a_complete_answer(word: str) -> None:
    from fastgpt_client.cli._fake_answers import FakeAnswers
    from fastgpt_client.testing import RecordedRequest

    body = json.dumps({"messages": [{"role": "user", "content": word}], "chatId": "c"}).encode()
    request = RecordedRequest("POST", "/", (), body, 1)
    script = FakeAnswers(None, 0.0, "4.16.0")(request)
    assert isinstance(script, Script)
    assert any(isinstance(step, Delta) for step in script.steps)


@pytest.mark.parametrize(
    "arguments", [[], *([name] for name in ("chat", "demo", "doctor", "record", "replay"))]
)
def test_help_teaches_by_example(command: Command, arguments: list[str]) -> None:
    done = command.run(*arguments, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\b" not in done.stdout
    assert "Usage: fastgpt" in done.stdout


def test_the_bare_command_helps(command: Command) -> None:
    done = command.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "fastgpt serve-fake" in done.stdout


def test_chat_help_documents_the_exit_codes(command: Command) -> None:
    out = command.run("chat", "--help").stdout
    assert re.search(r"^ +3 +the network failed", out, re.MULTILINE)
    assert re.search(r"^ +130 +Ctrl-C", out, re.MULTILINE)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion_script(command: Command, shell: str) -> None:
    assert "_FASTGPT_COMPLETE" in command.run("completion", shell).stdout


def test_commands_complete(command: Command) -> None:
    command.settings |= {
        "_FASTGPT_COMPLETE": "bash_complete",
        "COMP_WORDS": "fastgpt re",
        "COMP_CWORD": "1",
    }
    out = command.run_alone().stdout
    assert {line.partition(",")[2] for line in out.splitlines()} == {"record", "replay"}


def test_without_its_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import fastgpt_client.cli as cli

    monkeypatch.setattr(cli, "_NEEDED", ("click", "no_such_module"))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert "no_such_module" in str(caught.value.code)
    assert "pip install 'fastgpt-client[cli]'" in str(caught.value.code)

"""The page of examples/web_chat in a real browser: several tabs on one reply."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

pytest.importorskip("hypercorn", reason="hypercorn is not installed")
pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("trio", reason="trio is not installed")
pytest.importorskip("selenium", reason="selenium is not installed: no browser test")

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from fastgpt_client.testing import (
    BlockingFakeFastGPT,
    Delta,
    NodeResponse,
    NodeStatus,
    Reasoning,
    Script,
    Silence,
    Truncate,
    WaitFor,
    chat_node,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = Path(__file__).parent.parent / "examples" / "web_chat" / "app.py"
CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=820,560",
]

pytestmark = [
    pytest.mark.timeout(90),  # a browser takes its time to start
    pytest.mark.skipif(
        not (CHROMIUM and CHROMEDRIVER),
        reason="no browser test: chromium and chromedriver are not installed "
        "(Debian: apt-get install chromium chromium-driver)",
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    for argument in [*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@attrs.define(eq=False)
class Tab:
    """One tab of the browser."""

    browser: Any
    handle: str

    @classmethod
    def open(cls, browser: Any, url: str) -> Tab:
        browser.switch_to.new_window("tab")
        browser.get(url)
        return cls(browser, browser.current_window_handle)

    def text(self, part: str) -> str:
        self.browser.switch_to.window(self.handle)
        return str(self.browser.find_element(By.ID, part).get_property("textContent"))

    def wait(self, part: str, text: str) -> None:
        WebDriverWait(self.browser, 10, 0.02).until(
            lambda _: self.text(part) == text, f"{part}: {self.text(part)!r} is not {text!r}"
        )

    def ask(self, question: str) -> None:
        self.browser.switch_to.window(self.handle)
        self.browser.find_element(By.ID, "input").send_keys(question)
        self.browser.find_element(By.ID, "ask").click()

    def stop(self) -> None:
        self.browser.switch_to.window(self.handle)
        self.browser.find_element(By.ID, "stop").click()


@attrs.define(eq=False)
class Web:
    """The example's program, and tabs on its page."""

    process: subprocess.Popen[str]
    url: str
    browser: Any
    tabs: list[Tab] = attrs.field(factory=list)

    def tab(self) -> Tab:
        self.tabs.append(Tab.open(self.browser, self.url))
        return self.tabs[-1]


@pytest.fixture
def server() -> Iterator[BlockingFakeFastGPT]:
    with BlockingFakeFastGPT() as fake:
        yield fake


@pytest.fixture
def web(server: BlockingFakeFastGPT, browser: webdriver.Chrome) -> Iterator[Web]:
    environment = {
        **os.environ,
        "FASTGPT_BASE_URL": server.base_url,
        "FASTGPT_API_KEY": server.api_key,
        "PORT": "0",
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(APP)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert found, first + process.stderr.read()
        page = Web(process, found[0], browser)
        home = browser.current_window_handle
        try:
            yield page
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=10)
            assert process.returncode == 0, log
            # What a tab was told of a failure is there, but nothing unforeseen.
            assert "Traceback" not in log
        finally:
            process.kill()
            for tab in page.tabs:
                browser.switch_to.window(tab.handle)
                browser.close()
            browser.switch_to.window(home)


TOLD = "Once upon a time a <b>small</b> river wanted to know where it was going. "


def story() -> Script:
    return Script(
        NodeStatus("AI Chat"),
        Reasoning("The user wants a story, and a short one."),
        Delta("Once "),
        WaitFor("more"),
        Delta("upon a time a <b>small</b> river wanted to know where it was going. "),
        WaitFor("end"),
        Delta("Downhill."),
        NodeResponse(chat_node("Once …", question="Tell me")),
    )


def test_every_tab_shows_the_one_reply_and_a_late_one_catches_up(
    server: BlockingFakeFastGPT, web: Web
) -> None:
    server.script(story())
    first, second = web.tab(), web.tab()
    first.ask("Tell me a short story")
    for tab in (first, second):
        tab.wait("answer", "Once ")
        tab.wait("question", "Tell me a short story")
        tab.wait("reasoning", "The user wants a story, and a short one.")
    server.open_gate("more")
    for tab in (first, second):
        tab.wait("answer", TOLD)
    late = web.tab()
    late.wait("answer", TOLD)
    late.wait("tokens", "about 3 tokens")
    if path := os.environ.get("FASTGPT_SCREENSHOT"):
        late.browser.save_screenshot(path)
    server.open_gate("end")
    for tab in (first, second, late):
        tab.wait("answer", TOLD + "Downhill.")
        tab.wait("tokens", "7 + 6 tokens")
        assert re.fullmatch(r"Complete after \d+\.\d s\.", tab.text("status"))
    after = web.tab()
    after.wait("answer", TOLD + "Downhill.")
    assert len(server.requests) == 1


def test_stop_in_one_tab_stops_the_model_and_every_tab(
    server: BlockingFakeFastGPT, web: Web
) -> None:
    server.script(Script(NodeStatus("AI Chat"), Delta("Once "), Silence()))
    first, second = web.tab(), web.tab()
    first.ask("Tell me a short story")
    first.wait("answer", "Once ")
    second.wait("answer", "Once ")
    second.stop()
    for tab in (first, second):
        tab.wait("status", "Stopped.")
        assert tab.text("answer") == "Once "
    server.wait_run()
    assert [run.text for run in server.aborted] == ["Once "]


def test_a_closed_tab_does_not_stop_the_model_and_a_new_question_does(
    server: BlockingFakeFastGPT, web: Web
) -> None:
    server.enqueue(Script(Delta("Once "), Silence()), Script(Delta("Twice")))
    first, second = web.tab(), web.tab()
    first.ask("Tell me a short story")
    second.wait("answer", "Once ")
    web.browser.switch_to.window(first.handle)
    web.browser.close()
    web.tabs.remove(first)
    assert second.text("answer") == "Once "
    assert server.aborted == []
    second.ask("Again")
    second.wait("answer", "Twice")
    assert [run.text for run in server.aborted] == ["Once "]


def test_failures_are_shown_before_and_after_the_first_word(
    server: BlockingFakeFastGPT, web: Web
) -> None:
    server.script(Script(Delta("Once "), Truncate()))
    tab = web.tab()
    tab.ask("Tell me a short story")
    tab.wait("status", "The answer broke off.")
    assert tab.text("answer") == "Once "


def test_only_a_page_of_ones_own_may_ask(server: BlockingFakeFastGPT, web: Web) -> None:
    form = urllib.request.Request(f"{web.url}/chats", data=b'{"question":"Hi"}')
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(form, timeout=5)
    with caught.value:
        assert caught.value.code == 415
    assert server.requests == []

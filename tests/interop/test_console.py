"""The console in a browser, beside a node with a call on it: what its users click, type and see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.interop.chromium import DARK, LIGHT, chromium, complaints, prefer, resize
from tests.interop.node import RINGFENCE, Node, environment, password_of
from tests.interop.processes import HOST, Program, eventually, free_port

pytestmark = pytest.mark.interop("chromium", "chromedriver")

ADMIN = "correct horse battery staple"
PAGES = ("/", "/calls", "/accounts", "/bans", "/ledger", "/billing", "/certificates", "/audit")
PHONE = (390, 844)
SCREEN = (1200, 900)

SLOW = 45.0
"""Seconds for what needs a phone or a page: each phone is a Python that starts, beside a browser, on a busy machine."""


@dataclass
class Desk:
    """A browser that is signed in, the console it shows, and the node behind that."""

    browser: webdriver.Chrome
    base: str
    node: Node

    def go(self, path: str) -> None:
        """Load a page."""
        self.browser.get(self.base + path)

    def find(self, selector: str, text: str = "") -> WebElement:
        """The first element that fits, once it is there."""

        def look() -> WebElement | None:
            found = self.browser.find_elements(By.CSS_SELECTOR, selector)
            try:
                return next((each for each in found if text in each.text), None)
            except StaleElementReferenceException:
                return None  # of the page before

        return eventually(look, f"{selector} with {text!r} on {self.browser.current_url}", SLOW)

    def click(self, selector: str, text: str = "") -> None:
        """Click on it, again when the page was just being replaced: those that are live ask for themselves anew."""

        def act() -> bool:
            try:
                self.find(selector, text).click()
            except (StaleElementReferenceException, ElementClickInterceptedException):
                return False
            return True

        eventually(act, f"a click on {selector} with {text!r}")

    def press(self, *keys: str) -> None:
        """Type wherever the focus is."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def tab_to(self, name: str) -> None:
        """Press Tab until the element of that name has the focus, as who has no mouse does."""
        for _ in range(60):
            self.press(Keys.TAB)
            try:
                focused = self.browser.switch_to.active_element
                names = focused.text, focused.get_attribute("name"), focused.get_attribute("placeholder")
            except StaleElementReferenceException:
                continue  # the live part was replaced below the focus
            if name in names:
                return
        pytest.fail(f"{name} is not reached by Tab")

    def color(self, selector: str) -> tuple[int, ...]:
        """The colour of its background."""
        value = self.find(selector).value_of_css_property("background-color")
        return tuple(map(int, re.findall(r"\d+", value)[:3]))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, str]]:
    """A node over TLS with alice and bob, and its console."""
    node = Node.create(tmp_path_factory.mktemp("console") / "node", transports=("tls",), old_phones=False)
    for user in ("alice", "bob"):
        node.add_user(user)
    node.command("admin", "passwd", "admin", "--password=-", typed=f"{ADMIN}\n")
    node.serve()
    port = free_port()
    words: list[str | Path] = [RINGFENCE, "console", "--config", node.config, "--listen", f"{HOST}:{port}"]
    console = Program(words, node.directory / "console", environment())
    eventually(lambda: "The console is at" in console.tail(), "the console serves", 30)
    yield node, f"https://{HOST}:{port}"
    console.end()
    node.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium(*SCREEN) as browser:
        yield browser


@pytest.fixture
def desk(browser: webdriver.Chrome, served: tuple[Node, str]) -> Desk:
    """Signed in, if the test before was not."""
    node, base = served
    desk = Desk(browser, base, node)
    resize(browser, *SCREEN)
    prefer(browser, LIGHT)
    desk.go("/")
    if "/sign-in" in browser.current_url:
        desk.find("[name=name]").send_keys("admin")
        desk.find("[name=password]").send_keys(ADMIN, Keys.ENTER)
        desk.find("h1", "Overview")
    return desk


@pytest.fixture
def phones(desk: Desk, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts our own phones; ``phones("answer", "bob")``."""
    started: list[Program] = []

    def start(command: str, user: str, *words: str) -> Program:
        secret = tmp_path / user
        secret.write_text(password_of(user))
        node = desk.node
        line: list[str | Path] = [
            RINGFENCE,
            command,
            *words,
            "--trust",
            node.authority,
            "--password-file",
            secret,
        ]
        line += ["--proxy", f"sips:{HOST}:{node.listen['tls']}"]
        started.append(Program(line, tmp_path / command, environment()))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_a_call_appears_while_it_goes_on_and_is_drawn(desk: Desk, phones: Callable[..., Program]) -> None:
    bob = phones("answer", "bob", "sips:bob@example.org")
    eventually(lambda: "Registered" in bob.tail(), "bob is registered", SLOW)
    desk.find("main", "None yet.")
    phones("call", "alice", "sips:bob@example.org", "--from", "sips:alice@example.org")
    desk.find(".state.talking", "talking")  # the page shows it by itself
    desk.click("tbody a")
    desk.find("h1", "Call from sips:alice@example.org to sips:bob@example.org")
    labels = [each.text for each in desk.browser.find_elements(By.CSS_SELECTOR, "svg .label")]
    for expected in ("407 Proxy Authentication Required", "180 Ringing", "200 OK"):
        assert expected in labels
    assert len(desk.browser.find_elements(By.CSS_SELECTOR, "svg text.lane")) == 3
    assert not desk.browser.find_elements(By.CSS_SELECTOR, "svg .open"), "nothing went in plain text"
    desk.find("li", "We assert <sip:alice@example.org> to the next hop.")
    opened = desk.find("#message-1")
    assert not opened.is_displayed()
    desk.click("svg a")
    eventually(opened.is_displayed, "the message opens")
    assert opened.text.startswith("INVITE sips:bob@example.org SIP/2.0")
    assert "response=" not in desk.find("main").get_attribute("textContent")  # type: ignore[operator]
    desk.go("/ledger")
    desk.find("td", "goes on")
    desk.click("button", "Verify every event")
    desk.find("#verified .state.good", "as it was written")


def test_a_network_is_banned_and_let_in_by_keyboard_alone(desk: Desk) -> None:
    desk.tab_to("To the content")
    desk.tab_to("Bans")
    desk.press(Keys.ENTER)
    desk.find("h1", "Bans")
    desk.tab_to("network")
    desk.press("192.0.2.0/24")
    desk.tab_to("reason")
    desk.press("guesses <b>passwords</b>", Keys.ENTER)
    desk.find("td", "guesses <b>passwords</b>")
    assert "192.0.2.0/24" in desk.node.command("ban", "list")
    desk.tab_to("Let in")
    desk.press(Keys.ENTER)
    desk.find("td", "Nobody is banned.")


def test_an_account_is_added_used_and_removed(desk: Desk) -> None:
    desk.go("/accounts")
    desk.find("[name=address]").send_keys("carol", Keys.ENTER)
    secret = desk.find(".secret").text
    assert re.fullmatch(r"(\w{5}-){3}\w{5}", secret)
    assert "sip:carol@example.org" in desk.node.command("user", "list")
    desk.go("/accounts/sip:carol@example.org")
    desk.click("summary", "Remove")
    desk.click("button.danger")
    desk.find("h1", "Accounts")
    assert "sip:carol@example.org" not in desk.node.command("user", "list")


def test_nothing_is_wider_than_a_phone_and_dark_is_dark(desk: Desk) -> None:
    desk.go("/calls")
    call = desk.find("tbody a").get_attribute("href") or ""
    for path in (*PAGES, "/accounts/sip:alice@example.org", call.removeprefix(desk.base)):
        for size, scheme in ((SCREEN, LIGHT), (PHONE, DARK)):
            resize(desk.browser, *size)
            prefer(desk.browser, scheme)
            desk.go(path)
            wide = desk.browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= size[0], path
            assert (sum(desk.color("body")) < 3 * 128) == (scheme == DARK)
    assert complaints(desk.browser) == []


def test_the_live_part_keeps_the_focus_and_what_is_open(desk: Desk) -> None:
    desk.click("summary", "Counts")
    link = desk.find("#live a")
    desk.browser.execute_script("arguments[0].focus(); window.mark = arguments[0]", link)
    figures = "return document.querySelector('#live .figures').textContent"
    before = desk.browser.execute_script(figures)
    eventually(lambda: desk.browser.execute_script(figures) != before, "the page asks for itself again")
    assert desk.browser.switch_to.active_element.text == link.text
    assert desk.find("details").get_attribute("open") is not None


def test_signing_out_ends_it(desk: Desk) -> None:
    desk.click("button", "Sign out")
    desk.find("h1", "Sign in")
    desk.go("/accounts")
    desk.find("h1", "Sign in")

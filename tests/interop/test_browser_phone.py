"""Two phones in a browser (JsSIP over WSS, audio by WebRTC) register and call each other through a node."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.interop.chromium import chromium
from tests.interop.node import Node, password_of
from tests.interop.processes import HOST, eventually

pytestmark = pytest.mark.interop("chromium", "chromedriver")

FILES = Path(__file__).with_name("browser")
REACHES_BOB = "sip:bob@example.org"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the page of the phone, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The URL of a phone. Loopback is a secure origin, so that it may have a microphone."""
    serve = functools.partial(Quiet, directory=str(FILES))
    with http.server.ThreadingHTTPServer((HOST, 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{HOST}:{server.server_port}/phone.html"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """example.org on WSS, for phones that know only MD5: JsSIP does."""
    node = Node.create(tmp_path_factory.mktemp("browser") / "node", transports=("wss", "tls"))
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    yield node
    node.end()


class Phone:
    """One phone, in a tab of its own."""

    def __init__(self, browser: webdriver.Chrome, page: str) -> None:
        self.browser = browser
        browser.switch_to.new_window("tab")
        browser.get(page)
        self.tab = browser.current_window_handle

    def run(self, script: str, *arguments: object) -> object:
        """What the script gives in this tab."""
        self.browser.switch_to.window(self.tab)
        return self.browser.execute_script(script, *arguments)

    def start(self, node: Node, user: str, password: str | None = None) -> None:
        """Connect and register."""
        server = f"wss://{HOST}:{node.listen['wss']}"
        self.run("start(...arguments)", server, f"sip:{user}@{node.domain}", password or password_of(user))

    def told(self) -> list[str]:
        """What has happened to it."""
        found = self.run("return told")
        assert isinstance(found, list)
        return found

    def waits_for(self, event: str) -> None:
        """Until something has happened."""
        eventually(lambda: any(each.startswith(event) for each in self.told()), f"{event} in {self.told()}")

    def hears(self) -> bool:
        """Whether audio arrives."""
        octets = self.run("return heard()")
        return isinstance(octets, int) and octets > 1000


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    with chromium() as browser:
        yield browser


@pytest.mark.rfc("7118", "5")
def test_two_browsers_register_and_call(browser: webdriver.Chrome, page: str, home: Node) -> None:
    alice, bob = Phone(browser, page), Phone(browser, page)
    for phone, user in ((alice, "alice"), (bob, "bob")):
        phone.start(home, user)
        phone.waits_for("registered")
    assert home.status()["registrations"] == 2
    alice.run("call(arguments[0])", REACHES_BOB)
    bob.waits_for("rings sip:alice@example.org")
    for phone in (alice, bob):
        phone.waits_for("confirmed")
        eventually(phone.hears, "audio arrives")
    bob.run("session.terminate()")
    alice.waits_for("ended remote Terminated")
    for phone in (alice, bob):
        phone.run("phone.stop()")
        phone.waits_for("disconnected")
    eventually(lambda: home.status()["registrations"] == 0, "nobody is registered")
    calls = home.command("ledger", "list")
    assert "sip:alice@example.org" in calls
    assert "the callee hung up" in calls


def test_a_wrong_password_is_refused(browser: webdriver.Chrome, page: str, home: Node) -> None:
    phone = Phone(browser, page)
    phone.start(home, "alice", "wrong")
    phone.waits_for("registrationFailed Authentication Error")

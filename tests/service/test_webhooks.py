"""Web servers are told of calls: in order, signed, again until they take it, and of nobody who is private."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ringfence.ledger import webhooks
from ringfence.ledger.events import Event, Fact, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.webhooks import NotTaken, WebhookFollower, key_of
from ringfence.service.config import Config
from ringfence.service.ledger import open_ledger
from ringfence.service.problems import ConfigError
from ringfence.service.process import running
from ringfence.service.webhooks import make_webhooks
from ringfence.store.memory import MemoryStore
from tests.service.test_checks import Domain

SECRET = "a secret of more than 24 octets"


class Taker:
    """A web server that gives these answers, then 204 to everything."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.taken: list[dict[str, Any]] = []
        self.asked: list[str] = []
        taker = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name, when = self.headers["Webhook-Id"], self.headers["Webhook-Timestamp"]
                digest = hmac.digest(SECRET.encode(), f"{name}.{when}.".encode() + body, hashlib.sha256)
                assert self.headers["Webhook-Signature"] == f"v1,{b64encode(digest).decode()}"
                taker.asked.append(name)
                status = taker.answers.pop(0) if taker.answers else 204
                if status < 300:
                    taker.taken.append(json.loads(body) | {"id": name})
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}/calls?from=ringfence"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def end(self) -> None:
        if not self.thread.is_alive():
            return
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def taker() -> Iterator[Taker]:
    taker = Taker()
    yield taker
    taker.end()


@pytest.fixture
def domain(tmp_path: Path) -> Domain:
    domain = Domain(tmp_path)
    domain.write("webhook.secret", f"{SECRET}\n".encode())
    return domain


def configured(domain: Domain, url: str, more: str = "") -> Config:
    text = f'[metrics]\nlisten = ""\n[[webhook]]\nurl = "{url}"\nsecret = "webhook.secret"\n{more}'
    return domain.config(text).model_copy(update={"listen": ()})


async def write(config: Config, call: str, *, private: bool = False) -> None:
    """One call, from its start to its end."""
    book = await open_ledger(config)
    assert book is not None
    facts: dict[str, Fact] = {
        "account": "sip:alice@example.org",
        "callee": "sip:bob@example.org",
        "private": private,
    }
    if private:
        facts = Privacy(b"k" * 32).seal(facts)
    await book.append(Event(Kind.START, time.time(), call, facts))
    await book.append(Event(Kind.ANSWER, time.time(), call, {}))
    await book.append(Event(Kind.STOP, time.time(), call, {"status": 200, "reason": "the caller hung up"}))
    await book.close()


def follower(config: Config) -> WebhookFollower:
    (made,) = make_webhooks(config)
    return made


async def test_what_happens_is_told_in_order_and_once(domain: Domain, taker: Taker) -> None:
    config = configured(domain, taker.url)
    await write(config, "before")
    telling = follower(config)
    await asyncio.to_thread(telling.advance)
    assert taker.taken == [], "a new webhook is told of what comes"
    await write(config, "one")
    await asyncio.to_thread(telling.advance)
    assert [(each["event"], each["call"]) for each in taker.taken] == [
        ("start", "one"),
        ("answer", "one"),
        ("stop", "one"),
    ]
    assert taker.taken[0]["facts"]["account"] == "sip:alice@example.org"
    await asyncio.to_thread(follower(config).advance)  # as after a restart
    assert len(taker.taken) == 3


async def test_what_was_not_taken_is_told_again_with_the_same_id(domain: Domain, taker: Taker) -> None:
    config = configured(domain, taker.url)
    await write(config, "before")
    telling = follower(config)
    await asyncio.to_thread(telling.advance)
    await write(config, "one")
    for status in (500, 302, 404):
        taker.answers = [status]
        with pytest.raises(NotTaken, match=str(status)):
            await asyncio.to_thread(telling.advance)
    assert taker.taken == []
    taker.answers = [204, 503]
    with pytest.raises(NotTaken):
        await asyncio.to_thread(telling.advance)
    await asyncio.to_thread(follower(config).advance)  # another process goes on from there
    assert [each["event"] for each in taker.taken] == ["start", "answer", "stop"]
    assert len(set(taker.asked[:4])) == 1
    assert len({each["id"] for each in taker.taken}) == 3


async def test_a_private_caller_is_named_to_no_server(domain: Domain, taker: Taker) -> None:
    config = configured(domain, taker.url)
    await write(config, "before")
    telling = follower(config)
    await asyncio.to_thread(telling.advance)
    await write(config, "one", private=True)
    await asyncio.to_thread(telling.advance)
    assert taker.taken[0]["facts"] == {"callee": "sip:bob@example.org", "private": True}


async def test_a_node_tells_only_what_was_asked_for(
    domain: Domain, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "FIRST_RETRY", 0.01)
    config = configured(domain, taker.url, 'events = ["stop"]\n')
    taker.answers = [500]
    async with running(config, MemoryStore()) as node:
        ledger = node.parts.ledger
        assert ledger is not None
        place = next(iter(_places(config)), None)
        while place is None:
            await asyncio.sleep(0.02)
            place = next(iter(_places(config)), None)
        await ledger.append(Event(Kind.START, time.time(), "one", {"callee": "sip:bob@example.org"}))
        await ledger.append(Event(Kind.STOP, time.time(), "one", {"status": 486, "reason": "busy"}))
        async with asyncio.timeout(10):
            while not taker.taken:
                await asyncio.sleep(0.02)
    assert [(each["event"], each["facts"]["status"]) for each in taker.taken] == [("stop", 486)]
    assert len(taker.asked) == 2


def _places(config: Config) -> list[Path]:
    return list(config.node.data_dir.glob("webhook.*.place"))


def test_nobody_listens_is_no_answer(domain: Domain, taker: Taker) -> None:
    taker.end()
    config = configured(domain, taker.url)
    asyncio.run(write(config, "before"))
    telling = follower(config)
    telling.advance()
    asyncio.run(write(config, "one"))
    with pytest.raises(NotTaken, match="refused"):
        telling.advance()


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:word@hooks.example.org/",
        "https://hooks.example.org:x/",
        "http://127.0.0.1.example.org/",
        "//hooks.example.org",
    ],
)
def test_a_url_that_would_give_calls_away_is_refused(domain: Domain, url: str) -> None:
    with pytest.raises(ConfigError, match="webhook"):
        configured(domain, url)


@pytest.mark.parametrize("url", ["https://hooks.example.org/x?y", "http://[::1]:8080/", "http://localhost/"])
def test_urls_that_are_taken(domain: Domain, url: str) -> None:
    assert len(make_webhooks(configured(domain, url))) == 1


def test_secrets(domain: Domain) -> None:
    assert key_of("whsec_AAEC\n") == b64decode("AAEC")
    assert key_of("  plain\n") == b"plain"
    url = "https://hooks.example.org/"
    text = f'[[webhook]]\nurl = "{url}"\nsecret = "webhook.secret"\n'
    assert domain.findings(text) == []
    domain.write("webhook.secret", b"short")
    assert any("try secrets of this length" in each for each in domain.findings(text))
    domain.write("webhook.secret", b"whsec_!")
    assert any("no secret that can be read" in each for each in domain.findings(text))
    assert any("none is kept" in each for each in domain.findings("[ledger]\nenabled = false\n" + text))

"""Accounting to a real FreeRADIUS: what it writes down is what happened, also after it was away."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.radius import NoServer, RadiusAccounting, RadiusServer
from ringfence.store.connect import sqlite_url
from ringfence.store.migrate import upgrade
from tests.interop.freeradius import FREERADIUS, free_port
from tests.interop.freeradius import freeradius as serve

pytestmark = [
    pytest.mark.interop("freeradius"),
    pytest.mark.skipif(FREERADIUS is None, reason="FreeRADIUS is not installed"),
]

SECTIONS = """
modules {{ detail {{ filename = "{dir}/detail"
    permissions = 0600 }} }}
server default {{
    listen {{ type = acct
        ipaddr = 127.0.0.1
        port = {port} }}
    accounting {{
        detail
    }}
}}
"""

PRIVACY = Privacy(b"p" * 32)


def freeradius(directory: Path, port: int) -> AbstractContextManager[None]:
    return serve(directory, SECTIONS.format(dir=directory, port=port))


def written(directory: Path) -> list[dict[str, str]]:
    """The requests that FreeRADIUS has written down."""
    text = (directory / "detail").read_text() if (directory / "detail").exists() else ""
    return [
        {name: value.strip('"') for name, value in re.findall(r"^\t([\w-]+) = (.*)$", entry, re.MULTILINE)}
        for entry in text.strip().split("\n\n")
        if entry
    ]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path / "ledger.db")
    upgrade(url)
    return url


def call(key: str, start: float, *, private: bool = False) -> list[Event]:
    facts = {
        "account": "sip:alice@example.org",
        "caller": "sip:alice@example.org",
        "callee": "sip:bob@example.net",
    }
    return [
        Event(Kind.START, start, key, PRIVACY.seal(facts) if private else facts),
        Event(Kind.ANSWER, start + 4, key, {"tag": "b"}),
        Event(Kind.STOP, start + 64, key, {"reason": "the callee hung up", "status": 200}),
    ]


def record(url: str, directory: Path, events: list[Event]) -> None:
    async def write() -> None:
        ledger = await SqlLedger.open(url, "node1", Sealing(KEY, directory / "witness"))
        for event in events:
            ledger.note(event)
        await ledger.close()

    asyncio.run(write())


KEY = Ed25519PrivateKey.generate()


def accounting(url: str, directory: Path, *ports: int) -> RadiusAccounting:
    servers = [RadiusServer("127.0.0.1", port, b"testing123", timeout=0.3, tries=1) for port in ports]
    return RadiusAccounting(url, "node1", servers, directory / "radius.place", PRIVACY)


def everything(radius: RadiusAccounting) -> None:
    while radius.advance():
        pass


@pytest.mark.rfc("2866", "4.1")
def test_a_server_is_told_of_calls(url: str, tmp_path: Path) -> None:
    now = time.time() - 100
    refused = [Event(Kind.START, now, "r", {}), Event(Kind.STOP, now, "r", {"reason": "busy", "status": 486})]
    record(url, tmp_path, [*call("c1", now), *call("c2", now, private=True), *refused])
    port = free_port()
    with freeradius(tmp_path / "radius", port):
        everything(accounting(url, tmp_path, port))
        everything(accounting(url, tmp_path, port))  # the place is kept: nothing is sent twice
    requests = written(tmp_path / "radius")
    assert [(each["Acct-Status-Type"], each["Acct-Session-Id"]) for each in requests] == [
        ("Start", "c1"), ("Stop", "c1"), ("Start", "c2"), ("Stop", "c2"),
    ]  # fmt: skip
    stop = requests[1]
    assert stop["User-Name"] == "alice@example.org"
    assert stop["Called-Station-Id"] == "sip:bob@example.net"
    assert stop["Calling-Station-Id"] == "sip:alice@example.org"
    assert (stop["Acct-Session-Time"], stop["Acct-Terminate-Cause"]) == ("60", "User-Request")
    assert 30 <= int(stop["Acct-Delay-Time"]) <= 60
    assert requests[3]["User-Name"] == "alice@example.org", "who does not want to be named pays all the same"
    assert "Calling-Station-Id" not in requests[3]


@pytest.mark.rfc("2866", "5.10")
def test_it_is_told_why_a_call_ended(url: str, tmp_path: Path) -> None:
    causes = {
        "the caller hung up": "User-Request",
        "the node crashed": "NAS-Reboot",
        "it lasted as long as a call may": "Session-Timeout",
        "its credit is used up": "Session-Timeout",
        "its session was not refreshed": "NAS-Error",
        "it was not refreshed": "NAS-Error",
        "its account has called too much": "Admin-Reset",
        "the account has too many calls": "Admin-Reset",
        "its credit server has ended it": "Admin-Reset",
    }
    events = []
    for number, reason in enumerate(causes):
        *begin, stop = call(f"c{number}", time.time() - 100)
        events += [*begin, stop._replace(facts={"reason": reason, "status": 200})]
    record(url, tmp_path, events)
    port = free_port()
    with freeradius(tmp_path / "radius", port):
        everything(accounting(url, tmp_path, port))
    stops = [each for each in written(tmp_path / "radius") if each["Acct-Status-Type"] == "Stop"]
    assert [each["Acct-Terminate-Cause"] for each in stops] == list(causes.values())


def test_what_happened_while_the_server_was_away_is_told_when_it_is_back(url: str, tmp_path: Path) -> None:
    now = time.time() - 100
    first, second, port = call("c1", now), call("c2", now + 1), free_port()
    record(url, tmp_path, first[:2])
    with freeradius(tmp_path / "radius", port):
        everything(accounting(url, tmp_path, port))
    record(url, tmp_path, [*second])  # this closes the first: its end is a crash's
    away = accounting(url, tmp_path, port)
    for _ in range(2):
        with pytest.raises(NoServer):
            away.advance()
    with freeradius(tmp_path / "radius", port):
        everything(away)
    told = [(each["Acct-Status-Type"], each["Acct-Session-Id"]) for each in written(tmp_path / "radius")]
    assert told == [("Start", "c1"), ("Stop", "c1"), ("Start", "c2"), ("Stop", "c2")]


def test_the_next_server_takes_over(url: str, tmp_path: Path) -> None:
    record(url, tmp_path, call("c1", time.time()))
    dead, port = free_port(), free_port()
    with freeradius(tmp_path / "radius", port):
        radius = accounting(url, tmp_path, dead, port)
        started = time.monotonic()
        everything(radius)
        assert time.monotonic() - started < 2, "the dead one is asked first no more"
    assert len(written(tmp_path / "radius")) == 2


def test_a_wrong_secret_is_no_answer(url: str, tmp_path: Path) -> None:
    record(url, tmp_path, call("c1", time.time()))
    port = free_port()
    with freeradius(tmp_path / "radius", port):
        server = RadiusServer("127.0.0.1", port, b"another", timeout=0.3, tries=1)
        with pytest.raises(NoServer):
            RadiusAccounting(url, "node1", [server], tmp_path / "radius.place").advance()
    assert written(tmp_path / "radius") == []


async def test_the_follower_keeps_up_while_calls_are_made(url: str, tmp_path: Path) -> None:
    port = free_port()
    ledger = await SqlLedger.open(url, "node1", Sealing(KEY, tmp_path / "witness"))
    with freeradius(tmp_path / "radius", port):
        follower = asyncio.create_task(accounting(url, tmp_path, port).run())
        for number in range(20):
            for event in call(f"c{number}", time.time() - 70):
                ledger.note(event)
            await asyncio.sleep(0.01)
        for _ in range(100):
            if len(written(tmp_path / "radius")) == 40:
                break
            await asyncio.sleep(0.1)
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower
    await ledger.close()
    assert len({each["Acct-Session-Id"] for each in written(tmp_path / "radius")}) == 20
    assert len(written(tmp_path / "radius")) == 40

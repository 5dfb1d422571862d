"""Each page: what it shows to whom, and what may be changed on it by whom."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest

from ringfence.console.ladder import draw
from ringfence.console.office import Office
from ringfence.console.pages import ledger as ledger_page
from ringfence.console.pages.calls import evidence
from ringfence.console.recent import MAX_CALLS, MAX_MESSAGES, RecentCalls
from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import Privacy
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.ledger import open_ledger
from ringfence.service.logs import PRIVATE
from ringfence.service.process import serving
from ringfence.service.secrets import read_secret
from ringfence.service.wiring import derive
from tests.console.conftest import Browser, Visit

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


def seen(**facts: Any) -> dict[str, Any]:
    """A message as a trace shows it."""
    return {
        "time": time.time(),
        "direction": "in",
        "transport": "TLS",
        "secure": True,
        "local": "127.0.0.1:5061",
        "remote": "192.0.2.1:40000",
        "method": "INVITE",
        "cseq": "1 INVITE",
        "call_id": "a@b",
        "from": "sip:alice@example.org",
        "to": "sip:bob@example.org",
        "status": None,
        "start": "INVITE sip:bob@example.org",
        "exposure": "nobody could read it",
        "text": "INVITE sip:bob@example.org SIP/2.0\n",
    } | facts


@pytest.fixture
async def node(office: Office) -> AsyncIterator[None]:
    """The node that the console stands beside."""
    config = office.config.model_copy(update={"listen": ()})
    async with serving(config):
        yield


# -- calls ---------------------------------------------------------------------------------------------


async def test_what_a_caller_writes_stays_text(office: Office, visit: Visit) -> None:
    names = {
        "call_id": EVIL,
        "from": EVIL,
        "to": EVIL,
        "start": EVIL,
        "remote": EVIL,
        "exposure": EVIL,
        "text": EVIL,
    }
    office.recent.add(seen(**names))
    browser = await visit("auditor")
    found = re.search(r'href="(/calls/[^"]+)"', (await browser.get("/calls")).text)
    assert found is not None
    for path in (
        "/",
        "/calls",
        f"/calls?q={EVIL}",
        found[1],
    ):
        text = (await browser.get(path)).text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text


async def test_a_name_turns_nothing_around_and_foreign_letters_stay(office: Office, visit: Visit) -> None:
    office.recent.add(
        seen(**{"from": "sip:\u202egnp.exe@example.org", "to": "sip:مرحبا\u200dzoë@example.org"})
    )
    text = (await (await visit("auditor")).get("/calls")).text
    assert "\u202e" not in text
    assert "sip:\\u202egnp.exe@example.org" in text
    assert "sip:مرحبا\u200dzoë@example.org" in text


async def test_octets_that_are_no_text_are_shown_of_a_recorded_call(office: Office, visit: Visit) -> None:
    await record(office, callee="sip:b\udcff@example.org")
    browser = await visit("billing")
    assert "sip:b\\udcff@example.org" in (await browser.get("/ledger")).text
    assert "sip:b\\udcff@example.org" in (await browser.get("/billing/calls.csv")).text


@pytest.mark.parametrize("call_id", ["a/b?c#d@[2001:db8::1]", "%2e%2e/%2F", "..", "x" * 200, "ä€ "])
async def test_a_call_is_found_whatever_its_call_id_is(office: Office, visit: Visit, call_id: str) -> None:
    office.recent.add(seen(call_id=call_id))
    browser = await visit("auditor")
    found = re.search(r'href="(/calls/[^"]+)"', (await browser.get("/calls")).text)
    assert found is not None
    answer = await browser.get(found[1])
    assert answer.status_code == 200
    assert "Ladder diagram of the call" in answer.text


async def test_the_list_can_be_searched(office: Office, visit: Visit) -> None:
    office.recent.add(seen(call_id="one"))
    office.recent.add(seen(call_id="two", to="sip:carol@example.org"))
    text = (await (await visit("auditor")).get("/calls?q=CAROL")).text
    assert "/calls/one?id=two" in text
    assert "/calls/one?id=one" not in text


def test_what_is_remembered_is_bounded_and_registrations_push_nothing_out(office: Office) -> None:
    recent = RecentCalls(office.config.control_socket)
    recent.add(seen())
    for number in range(MAX_CALLS * 2):
        recent.add(seen(call_id=str(number), method="REGISTER"))
    assert len(recent) == 1
    for _ in range(MAX_MESSAGES + 5):
        recent.add(seen())
    found = recent.find("a@b")
    assert found is not None
    assert (len(found.messages), found.more) == (MAX_MESSAGES, 6)
    for number in range(MAX_CALLS):
        recent.add(seen(call_id=str(number)))
    assert len(recent) == MAX_CALLS
    assert recent.find("a@b") is None


def test_private_calls_are_counted_and_not_mixed(office: Office) -> None:
    recent = RecentCalls(office.config.control_socket)
    recent.add(seen(call_id=PRIVATE))
    recent.add(seen(call_id=PRIVATE))
    assert (len(recent), recent.private) == (0, 2)


@pytest.mark.parametrize(
    ("then", "state"),
    [
        ([], "trying"),
        ([("INVITE", 407)], "trying"),
        ([("INVITE", 180)], "ringing"),
        ([("INVITE", 183), ("INVITE", 200)], "talking"),
        ([("INVITE", 486)], "refused 486"),
        ([("INVITE", 200), ("INVITE", 491)], "talking"),
        ([("INVITE", 200), ("BYE", None)], "talking"),
        ([("INVITE", 200), ("BYE", None), ("BYE", 200)], "over"),
    ],
)
def test_where_a_call_stands(office: Office, then: list[tuple[str, int | None]], state: str) -> None:
    recent = RecentCalls(office.config.control_socket)
    recent.add(seen())
    for method, status in then:
        recent.add(seen(method=method, status=status, direction="out"))
    found = recent.find("a@b")
    assert found is not None
    assert found.state == state


def test_a_ladder_has_the_caller_on_the_left_of_the_node() -> None:
    messages = [
        seen(time=10.0),
        seen(time=10.5, direction="out", remote="192.0.2.2:5061", secure=False),
        seen(time=11.0, remote="192.0.2.2:5061", status=200, start="200 OK"),
    ]
    drawing = draw(messages, "example.org")
    assert [name for _, name in drawing.lanes] == ["192.0.2.1:40000", "example.org", "192.0.2.2:5061"]
    assert [(each.right, each.secure, each.kind, each.seconds) for each in drawing.arrows] == [
        (True, True, "request", "0.000"),
        (True, False, "request", "0.500"),
        (False, True, "good", "1.000"),
    ]


def test_what_the_caller_is_known_by() -> None:
    arrived = seen(text="INVITE sip:b SIP/2.0\nProxy-Authorization: [credentials]\n\nIdentity: in the body\n")
    left = seen(
        direction="out",
        text="INVITE sip:b SIP/2.0\nP-Asserted-Identity: <sip:alice@example.org>\nIdentity: x\n",
    )
    assert evidence([arrived, left]) == [
        "It brought credentials (digest).",
        "We assert <sip:alice@example.org> to the next hop.",
        "It left signed (RFC 8224).",
    ]


# -- accounts ------------------------------------------------------------------------------------------


async def test_an_account_is_added_with_a_password_that_is_shown_once(office: Office, visit: Visit) -> None:
    browser = await visit("operator")
    answer = await browser.submit("/accounts", address="bob", name=EVIL)
    assert answer.status_code == 201
    found = re.search(r'class="secret">([^<]+)<', answer.text)
    assert found is not None
    account = office.database.accounts.by_aor("sip:bob@example.org")
    assert account is not None
    assert account.credentials["SHA-256"] == make_ha1("bob", "example.org", found[1], Algorithm.SHA_256)
    assert "<script>alert" not in answer.text
    page = await browser.get("/accounts/sip:bob@example.org")
    assert found[1] not in page.text
    assert (await browser.submit("/accounts", address="bob")).status_code == 409


@pytest.mark.parametrize(
    "address", ["", "bob@elsewhere.example", "sip:bob@example.org:5060", "b ob", "sip:b;x@example.org;y", "@"]
)
async def test_what_is_no_address_of_ours_is_refused(office: Office, visit: Visit, address: str) -> None:
    answer = await (await visit("operator")).submit("/accounts", address=address)
    assert answer.status_code == 400
    assert office.database.accounts.count() == 1


async def test_an_account_is_disabled_enabled_given_a_password_and_removed(
    office: Office, visit: Visit
) -> None:
    browser, path = await visit("owner"), "/accounts/sip:alice@example.org"
    accounts = office.database.accounts

    def alice() -> Any:
        return accounts.by_aor("sip:alice@example.org")

    before = alice().credentials
    await browser.submit(path, what="disable")
    assert alice().disabled
    await browser.submit(path, what="enable")
    assert not alice().disabled
    await browser.submit(path, what="password")
    assert alice().credentials["SHA-256"] != before["SHA-256"]
    assert (await browser.submit(path, what="explode")).status_code == 400
    await browser.submit(path, what="remove")
    assert alice() is None


@pytest.mark.parametrize("role", ["auditor", "billing"])
async def test_who_may_only_read_changes_nothing_and_sees_no_buttons(
    office: Office, visit: Visit, role: str
) -> None:
    browser = await visit(role)
    for path in ("/accounts", "/bans", "/audit", "/accounts/sip:alice@example.org"):
        page = await browser.get(path)
        assert page.text.count('<form method="post"') == 1, "to sign out"
        assert (
            await browser.submit(path, what="remove", address="bob", network="192.0.2.1")
        ).status_code == 403
    assert office.database.accounts.count() == 1


async def test_accounts_are_searched(visit: Visit) -> None:
    browser = await visit("auditor")
    assert "sip:alice@example.org" in (await browser.get("/accounts?q=ALI")).text
    assert "sip:alice@example.org" not in (await browser.get("/accounts?q=zoe")).text


# -- bans ----------------------------------------------------------------------------------------------


async def test_a_network_is_banned_and_let_in(node: None, visit: Visit) -> None:
    browser = await visit("operator")
    answer = await browser.submit("/bans", network="192.0.2.0/24", reason=EVIL, length="6 hours", what="add")
    assert answer.status_code == 303
    text = (await browser.get("/bans")).text
    assert "192.0.2.0/24" in text
    assert "<script>alert" not in text
    await browser.submit("/bans", network="192.0.2.0/24", what="remove")
    assert "Nobody is banned" in (await browser.get("/bans")).text
    assert (
        await browser.submit("/bans", network="nonsense", length="6 hours", what="add")
    ).status_code == 409
    assert (
        await browser.submit("/bans", network="192.0.2.1", length="a while", what="add")
    ).status_code == 400


async def test_pages_say_when_the_node_is_away(visit: Visit) -> None:
    browser = await visit("owner")
    assert "The node does not answer" in (await browser.get("/")).text
    assert (await browser.get("/bans")).status_code == 200
    assert (
        await browser.submit("/bans", network="192.0.2.1", length="6 hours", what="add")
    ).status_code == 503


async def test_the_overview_shows_a_node_that_serves(node: None, visit: Visit) -> None:
    text = (await (await visit("auditor")).get("/")).text
    assert "serving" in text
    assert "The node does not answer" not in text


# -- certificates, audit -------------------------------------------------------------------------------


async def test_certificates_are_shown_with_their_end(office: Office, visit: Visit) -> None:
    browser = await visit("auditor")
    assert "example.org" in (await browser.get("/certificates")).text
    office.config.tls.certificate.write_text("no certificate")
    assert "Certificates that end soon" in (await browser.get("/")).text


async def test_the_report_of_an_audit_runs_no_script(office: Office, visit: Visit) -> None:
    browser = await visit("auditor")
    assert (await browser.get("/audit/report")).status_code == 404
    (office.config.node.data_dir / "audit.html").write_text("<p>ok</p>")
    answer = await browser.get("/audit/report")
    assert answer.text == "<p>ok</p>"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


# -- ledger --------------------------------------------------------------------------------------------


async def record(office: Office, callee: str = "sip:bob@example.org") -> None:
    """Two calls, the second by somebody who is not to be named."""
    book = await open_ledger(office.config)
    assert book is not None
    secret = derive(read_secret(office.config.secret_file), "ledger")
    for call, private in (("one", False), ("two", True)):
        facts: dict[str, Any] = {
            "account": f"sip:{call}@example.org",
            "callee": callee,
            "private": private,
        }
        facts = Privacy(secret).seal(facts) if private else facts
        facts["evidence"] = "digest SHA-256"
        await book.append(Event(Kind.START, time.time(), call, facts))
        await book.append(
            Event(Kind.STOP, time.time(), call, {"status": 200, "reason": "the caller hung up"})
        )
    await book.close()


async def test_private_callers_are_named_to_those_only_who_may_know(office: Office, visit: Visit) -> None:
    await record(office)
    for role in ("auditor", "operator", "billing"):
        text = (await (await visit(role)).get("/ledger?reveal")).text
        assert "sip:one@example.org" in text
        assert "sip:two@example.org" not in text
        assert "Name private callers" not in text
    browser = await visit("owner")
    assert "sip:two@example.org" not in (await browser.get("/ledger")).text
    assert "sip:two@example.org" in (await browser.get("/ledger?reveal")).text


async def verified(browser: Browser) -> str:
    """Press the button, and wait for what is found."""
    answer = await browser.submit("/ledger/verify")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ledger")
    async with asyncio.timeout(10):
        while 'hx-trigger="every 1s"' in (text := (await browser.get("/ledger/verified")).text):
            await asyncio.sleep(0.01)
    assert "Verified 20" in text or "Not verified" in text
    return text


async def test_a_change_in_the_ledger_is_found(office: Office, visit: Visit) -> None:
    await record(office)
    browser = await visit("auditor")
    assert "Not verified since" in (await browser.get("/ledger")).text
    assert "as it was written" in await verified(browser)
    assert "as it was written" in (await browser.get("/ledger")).text, "it is remembered"
    with sqlite3.connect(office.config.node.data_dir / "ledger.db") as ledger:
        ledger.execute("UPDATE ledger_events SET body = replace(body, 'bob', 'eve')")
    ledger.close()
    text = await verified(browser)
    assert "as it was written" not in text
    assert "changed" in text


async def test_a_ledger_that_cannot_be_verified_is_said(office: Office, visit: Visit) -> None:
    assert "Not verified: " in await verified(await visit("auditor"))


async def test_the_ledger_is_shown_a_part_at_a_time(
    office: Office, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_page, "SHOWN", 1)
    await record(office)
    browser = await visit("owner")
    text = (await browser.get("/ledger?reveal")).text
    assert ("sip:two@" in text, "sip:one@" in text) == (True, False)
    older = re.search(r'href="([^"]+)" rel="next"', text)
    assert older is not None
    text = (await browser.get(unescape(older[1]))).text
    assert ("sip:two@" in text, "sip:one@" in text) == (False, True)
    assert 'rel="next"' not in text
    assert 'href="/ledger?reveal">The latest' in text
    assert (await browser.get("/ledger?before=x")).status_code == 400
    assert "No calls before that." in (await browser.get("/ledger?before=1.0 x")).text


async def test_a_ledger_that_is_not_there_is_said(office: Office, visit: Visit) -> None:
    answer = await (await visit("auditor")).get("/ledger")
    assert (answer.status_code, "no such table" in answer.text) == (503, False), answer.text

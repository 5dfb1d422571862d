"""What who looks after money sees and may change: prices, balances, files of calls."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import httpx
import pytest

from ringfence.console.app import make_app
from ringfence.console.office import Office
from ringfence.service.charging_sections import RateSection
from tests.console.conftest import BASE, HOSTS, Visit
from tests.console.test_api import is_problem, token
from tests.console.test_pages import EVIL, record

ALICE = "sip:alice@example.org"


def rights(office: Office) -> bool:
    account = office.database.accounts.by_aor(ALICE)
    assert account is not None
    return account.rights.prepaid


async def test_an_account_is_made_prepaid_topped_up_and_charged(office: Office, visit: Visit) -> None:
    browser = await visit("billing")
    assert "No account is prepaid." in (await browser.get("/billing")).text
    assert (await browser.submit("/billing", account="alice", what="prepaid")).status_code == 303
    assert rights(office)
    await browser.submit("/billing", account=ALICE, what="add", amount="12,50")
    await browser.submit("/billing", account=ALICE, what="take", amount="2.25")
    assert await office.database.balances.get(ALICE) == 10_250_000
    text = (await browser.get("/billing?q=ALI")).text
    assert "10.25" in text
    assert "None fits." in (await browser.get("/billing?q=zoe")).text
    await browser.submit("/billing", account=ALICE, what="postpaid")
    assert not rights(office)


@pytest.mark.parametrize("amount", ["", "x", "-1", "0", "1e99", "NaN", "inf", "0.0000001", "1.2.3"])
async def test_what_is_no_amount_is_refused(office: Office, visit: Visit, amount: str) -> None:
    browser = await visit("billing")
    for what in ("add", "take"):
        answer = await browser.submit("/billing", account=ALICE, what=what, amount=amount)
        assert answer.status_code == 400
    assert await office.database.balances.get(ALICE) is None
    assert (await browser.submit("/billing", account=ALICE, what="burn", amount="1")).status_code == 400
    assert (await browser.submit("/billing", account=EVIL, what="add", amount="1")).status_code == 404


@pytest.mark.parametrize("role", ["auditor", "operator"])
async def test_others_see_and_change_nothing(office: Office, visit: Visit, role: str) -> None:
    browser = await visit(role)
    page = await browser.get("/billing")
    assert page.text.count('<form method="post"') == 1, "to sign out"
    assert "calls.csv" not in page.text
    for what in ("add", "prepaid"):
        answer = await browser.submit("/billing", account=ALICE, what=what, amount="1")
        assert answer.status_code == 403
    assert (await browser.get("/billing/calls.csv")).status_code == 403
    assert await office.database.balances.get(ALICE) is None
    assert not rights(office)


async def test_a_form_of_another_page_changes_nothing(office: Office, visit: Visit) -> None:
    browser = await visit("billing")
    forged = {"account": ALICE, "what": "add", "amount": "1", "csrf": "x"}
    assert (await browser.post("/billing", data=forged)).status_code == 403
    assert await office.database.balances.get(ALICE) is None


async def test_prices_are_shown(office: Office, visit: Visit) -> None:
    office.config = office.config.model_copy(
        update={"rate": (RateSection(prefix="tel:+358", per_minute="0.05", setup="0.10", step_seconds=60),)}
    )
    text = (await (await visit("auditor")).get("/billing")).text
    for word in ("tel:+358", "0.05", "0.10", "60 s", "EUR"):
        assert word in text


async def test_calls_come_as_a_file_that_no_spreadsheet_computes(office: Office, visit: Visit) -> None:
    await record(office, callee='=HYPERLINK("http://evil.example","x")')
    browser = await visit("billing")
    answer = await browser.get("/billing/calls.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [each["account"] for each in rows] == ["sip:one@example.org", ""]
    assert rows[0]["callee"].startswith("'=HYPERLINK")
    assert len((await browser.get("/billing/calls.csv?until=2020-01-01")).text.splitlines()) == 1
    assert len((await browser.get("/billing/calls.csv?since=2020-01-01")).text.splitlines()) == 3
    assert (await browser.get("/billing/calls.csv?since=yesterday")).status_code == 400


async def test_programs_read_prices_and_change_balances(office: Office) -> None:
    transport = httpx.ASGITransport(app=make_app(office, HOSTS))
    async with httpx.AsyncClient(transport=transport, base_url=f"{BASE}/api/v1") as client:
        billing, auditor = await token(office, "billing"), await token(office, "auditor")
        assert (await client.get("/prices", headers=auditor)).json() == {"currency": "EUR", "items": []}
        path = f"/accounts/{ALICE}/balance"
        changed = {"change": "10.5", "prepaid": True}
        assert is_problem(await client.post(path, headers=auditor, json=changed), 403)
        told = (await client.post(path, headers=billing, json=changed)).json()
        assert told == {"aor": ALICE, "prepaid": True, "balance": "10.50", "currency": "EUR"}
        assert (await client.post(path, headers=billing, json={"change": "-0.5"})).json()[
            "balance"
        ] == "10.00"
        assert (await client.get(path, headers=auditor)).json()["balance"] == "10.00"
        assert rights(office)
        for wrong in ({"change": "x"}, {"change": 1}, {"change": "1e3"}, {"more": "1"}, {"change": "9" * 29}):
            assert is_problem(await client.post(path, headers=billing, json=wrong), 400)
        assert is_problem(await client.get("/accounts/sip:zoe@example.org/balance", headers=auditor), 404)


async def test_many_prepaid_accounts_come_a_page_at_a_time(office: Office, visit: Visit) -> None:
    alice = office.database.accounts.by_aor(ALICE)
    assert alice is not None
    paid = replace(alice.rights, prepaid=True)
    await office.database.accounts.add_all(
        [
            replace(alice, aor=f"sip:u{number:03}@example.org", user=f"u{number:03}", rights=paid)
            for number in range(60)
        ]
    )
    browser = await visit("billing")
    first = (await browser.get("/billing")).text
    assert ("u049@" in first, "u050@" in first) == (True, False)
    assert "u059@" in (await browser.get("/billing?after=sip:u049@example.org")).text

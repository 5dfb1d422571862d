"""The interface for programs: tokens, rights, resources, errors; and what a fuzzer makes of its description."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from ringfence.console.app import make_app
from ringfence.console.guesses import FREE_TRIES
from ringfence.console.office import Office
from ringfence.console.tokens import new_token
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.process import serving
from tests.console.conftest import BASE, HOSTS
from tests.console.test_pages import record

PROGRAM = "application/problem+json"
Ask = Callable[..., Any]


@pytest.fixture
async def client(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_app(office, HOSTS))
    async with httpx.AsyncClient(transport=transport, base_url=f"{BASE}/api/v1") as client:
        yield client


async def token(office: Office, role: str = "owner", seconds: float = 60.0) -> dict[str, str]:
    """The header of a program with that role."""
    made, text = new_token(f"{role} {seconds}", role, time.time(), seconds)
    await office.database.tokens.add(made)
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
async def node(office: Office) -> AsyncIterator[None]:
    async with serving(office.config.model_copy(update={"listen": ()})):
        yield


def is_problem(answer: httpx.Response, status: int) -> bool:
    """Whether it is an error as RFC 9457 has it."""
    body = answer.json()
    return (answer.status_code, answer.headers["content-type"], body["status"]) == (status, PROGRAM, status)


async def test_nobody_asks_without_a_good_token(office: Office, client: httpx.AsyncClient) -> None:
    good = await token(office)
    expired = await token(office, seconds=-1.0)
    for headers in (
        {},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        expired,
    ):
        answer = await client.get("/accounts", headers=headers)
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await client.get("/accounts", headers=good)).status_code == 200
    await office.database.tokens.remove("owner 60.0")
    assert is_problem(await client.get("/accounts", headers=good), 401)


async def test_a_token_goes_with_its_administrator_and_has_its_rights(
    office: Office, client: httpx.AsyncClient
) -> None:
    headers = await token(office, "auditor")
    assert (await client.get("/accounts", headers=headers)).status_code == 200
    for method, path in (
        ("POST", "/accounts"),
        ("PATCH", "/accounts/sip:alice@example.org"),
        ("DELETE", "/accounts/sip:alice@example.org"),
        ("POST", "/accounts/sip:alice@example.org/password"),
        ("POST", "/bans"),
        ("DELETE", "/bans/192.0.2.1"),
    ):
        assert is_problem(await client.request(method, path, headers=headers, json={}), 403)
    await office.database.administrators.remove("auditor")
    assert is_problem(await client.get("/accounts", headers=headers), 401)
    assert await office.database.tokens.list() == ()


async def test_the_cookie_of_a_browser_is_no_token(office: Office, client: httpx.AsyncClient) -> None:
    answer = await client.post(
        f"{BASE}/sign-in", data={"name": "owner", "password": "correct horse battery staple"}
    )
    assert answer.status_code == 303
    assert is_problem(await client.get("/accounts"), 401)


async def test_who_guesses_tokens_waits(office: Office, client: httpx.AsyncClient) -> None:
    office.sessions.guesses.clock = lambda: 0.0  # it stands: a slow machine is not to wait the time out
    for _ in range(FREE_TRIES):
        await client.get("/status", headers={"Authorization": "Bearer guess"})
    answer = await client.get("/status", headers=await token(office))
    assert is_problem(answer, 429)
    assert int(answer.headers["retry-after"]) <= 2


async def test_accounts_from_beginning_to_end(office: Office, client: httpx.AsyncClient) -> None:
    headers = await token(office, "operator")
    made = await client.post(
        "/accounts", headers=headers, json={"address": "bob", "display_name": "Bob", "max_calls": 2}
    )
    assert made.status_code == 201
    password = made.json()["password"]
    stored = office.database.accounts.by_aor("sip:bob@example.org")
    assert stored is not None
    assert stored.credentials["SHA-256"] == make_ha1("bob", "example.org", password, Algorithm.SHA_256)
    assert "credentials" not in made.text
    path = "/accounts/sip:bob@example.org"
    assert (await client.get(path, headers=headers)).json()["rights"]["max_calls"] == 2
    changed = await client.patch(
        path, headers=headers, json={"disabled": True, "deny": ["tel:"], "display_name": "Robert"}
    )
    assert (changed.json()["disabled"], changed.json()["rights"]["deny"]) == (True, ["tel:"])
    fresh = (await client.post(f"{path}/password", headers=headers)).json()["password"]
    assert fresh != password
    assert is_problem(await client.post("/accounts", headers=headers, json={"address": "bob"}), 409)
    assert (await client.delete(path, headers=headers)).status_code == 204
    assert is_problem(await client.get(path, headers=headers), 404)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"address": 1}',
        '{"address": "bob", "more": 1}',
        '{"address": "bob@elsewhere.example"}',
        '{"address": "b", "password": "short"}',
    ],
)
async def test_a_wrong_body_is_told_field_by_field_and_never_repeated(
    office: Office, client: httpx.AsyncClient, body: str
) -> None:
    answer = await client.post("/accounts", headers=await token(office), content=body)
    assert is_problem(answer, 400)
    assert "short" not in answer.text.replace("shorter", "")


async def test_lists_come_in_parts(office: Office, client: httpx.AsyncClient) -> None:
    headers = await token(office)
    for user in ("bob", "carol", "dave"):
        await client.post("/accounts", headers=headers, json={"address": user})
    found, after = [], ""
    while True:
        part = (await client.get("/accounts", headers=headers, params={"limit": 2, "after": after})).json()
        found += [each["user"] for each in part["items"]]
        if not (after := part["next"]):
            break
    assert found == ["alice", "bob", "carol", "dave"]
    for wrong in ({"limit": 0}, {"limit": "x"}, {"limit": 1001}, {"page": 2}):
        assert is_problem(await client.get("/accounts", headers=headers, params=wrong), 400)


async def test_calls_of_the_ledger_without_the_private_names(
    office: Office, client: httpx.AsyncClient
) -> None:
    headers = await token(office)
    assert is_problem(await client.get("/calls", headers=headers), 503)
    await record(office)
    first = (await client.get("/calls", headers=headers, params={"limit": 1})).json()
    assert first["items"][0]["account"] == "sip:one@example.org"
    assert is_problem(await client.get("/calls", headers=headers, params={"after": "one"}), 400)
    second = (await client.get("/calls", headers=headers, params={"after": first["next"]})).json()
    assert [each["account"] for each in second["items"]] == [""]
    assert second["next"] == ""
    assert (await client.get("/calls", headers=headers, params={"state": "open"})).json()["items"] == []
    checked = (await client.get("/ledger/verification", headers=headers)).json()
    assert checked["good"] is True
    assert checked["chains"][0]["events"] >= 4


async def test_octets_of_a_call_that_are_no_text(office: Office, client: httpx.AsyncClient) -> None:
    headers = await token(office)
    await record(office, callee="sip:b\udcff@example.org")
    answer = (await client.get("/calls", headers=headers)).json()
    assert answer["items"][0]["callee"] == "sip:b\\udcff@example.org"


async def test_bans_of_a_node(node: None, office: Office, client: httpx.AsyncClient) -> None:
    headers = await token(office)
    made = await client.post(
        "/bans", headers=headers, json={"network": "192.0.2.0/24", "seconds": 60, "reason": "guesses"}
    )
    assert (made.status_code, made.json()["network"]) == (201, "192.0.2.0/24")
    assert [each["network"] for each in (await client.get("/bans", headers=headers)).json()["items"]] == [
        "192.0.2.0/24"
    ]
    assert is_problem(await client.post("/bans", headers=headers, json={"network": "nonsense"}), 400)
    assert (await client.delete("/bans/192.0.2.0/24", headers=headers)).status_code == 204
    assert is_problem(await client.delete("/bans/192.0.2.0/24", headers=headers), 404)
    status = (await client.get("/status", headers=headers)).json()
    assert (status["serving"], status["domain"], status["accounts"]) == (True, "example.org", 1)


async def test_a_node_that_is_away_is_said(office: Office, client: httpx.AsyncClient) -> None:
    headers = await token(office)
    assert is_problem(await client.get("/bans", headers=headers), 503)
    assert (await client.get("/status", headers=headers)).json()["serving"] is False


async def test_what_there_is_not(office: Office, client: httpx.AsyncClient) -> None:
    assert is_problem(await client.get("/nothing"), 404)
    answer = await client.put("/accounts", json={})
    assert is_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}

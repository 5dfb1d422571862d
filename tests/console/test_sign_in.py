"""Who is let in, for how long, and what guessing costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ringfence.console.guesses import FREE_TRIES, WaitFirst
from ringfence.console.office import Office
from ringfence.console.sessions import IDLE_SECONDS, LONGEST_SECONDS, MAX_SESSIONS, Sessions
from ringfence.store.records import Administrator, AdministratorRole
from tests.console.conftest import HASHED, PASSWORD, Browser, Visit

SOMEBODY = Administrator("owner", HASHED, AdministratorRole.OWNER)


class Clock:
    """Stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_nobody_sees_a_page_before_signing_in(visitor: Browser) -> None:
    for path in (
        "/",
        "/calls",
        "/calls/one",
        "/accounts",
        "/bans",
        "/ledger",
        "/certificates",
        "/audit",
        "/audit/report",
    ):
        answer = await visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


async def test_the_cookie_is_for_this_host_over_https_and_for_no_script(visitor: Browser) -> None:
    answer = await visitor.sign_in("owner")
    assert answer.headers["location"] == "/accounts"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-ringfence=")
    for attribute in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert attribute in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    "following", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1"]
)
async def test_one_is_not_led_to_another_site(visitor: Browser, following: str) -> None:
    answer = await visitor.post("/sign-in", data={"name": "owner", "password": PASSWORD, "next": following})
    assert answer.headers["location"] == "/"


async def test_a_wrong_name_and_a_wrong_password_look_alike(visitor: Browser) -> None:
    wrong = [await visitor.sign_in("owner", "wrong"), await visitor.sign_in("nobody", PASSWORD)]
    assert [each.status_code for each in wrong] == [403, 403]
    assert wrong[0].text == wrong[1].text


async def test_who_guesses_has_to_wait_and_tries_at_once_do_not_help(
    office: Office, visitor: Browser
) -> None:
    office.sessions.guesses.clock = Clock()  # it stands: a slow machine is not to wait the time out
    answers = await asyncio.gather(
        *(visitor.sign_in("owner", f"guess {each}") for each in range(FREE_TRIES + 3))
    )
    statuses = [each.status_code for each in answers]
    assert statuses.count(403) <= FREE_TRIES + 1  # two are checked at a time
    assert 429 in statuses
    assert (await visitor.sign_in("owner")).status_code == 429


async def test_a_wait_is_over_and_grows() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    for _ in range(FREE_TRIES):
        assert await sessions.sign_in(None, "x", "guess", "192.0.2.1") is None
    with pytest.raises(WaitFirst):
        await sessions.sign_in(None, "x", "guess", "198.51.100.1")
    with pytest.raises(WaitFirst):
        await sessions.sign_in(SOMEBODY, "owner", PASSWORD, "192.0.2.1")
    clock.now += 1.1
    assert await sessions.sign_in(None, "x", "guess", "192.0.2.1") is None
    clock.now += 1.1
    with pytest.raises(WaitFirst):
        await sessions.sign_in(None, "x", "guess", "192.0.2.1")
    clock.now += 1.0
    assert await sessions.sign_in(SOMEBODY, "owner", PASSWORD, "192.0.2.1") is not None


async def test_sessions_end() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    name = await sessions.sign_in(SOMEBODY, "owner", PASSWORD, "192.0.2.1")
    assert name is not None
    clock.now += IDLE_SECONDS
    assert sessions.find(name) is not None
    clock.now += IDLE_SECONDS / 2
    assert sessions.find(name, used=False) is not None
    clock.now += IDLE_SECONDS / 2 + 1
    assert sessions.find(name) is None, "a page that asks for itself is no use of a session"
    begun = clock.now
    name = sessions._begin(SOMEBODY, begun)
    while clock.now - begun <= LONGEST_SECONDS:
        clock.now += IDLE_SECONDS - 1
        sessions.find(name)
    assert sessions.find(name) is None


def test_sessions_are_bounded() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    names = []
    for clock.now in range(MAX_SESSIONS + 1):
        names.append(sessions._begin(SOMEBODY, clock.now))
    clock.now = MAX_SESSIONS
    assert sessions.find(names[0]) is None
    assert sessions.find(names[-1]) is not None


async def test_signing_out_ends_the_session_on_the_server(visit: Visit) -> None:
    browser = await visit("owner")
    cookie = browser.cookies["__Host-ringfence"]
    assert (await browser.submit("/sign-out")).headers["location"] == "/sign-in"
    assert (await browser.get("/", headers={"cookie": f"__Host-ringfence={cookie}"})).status_code == 303


@pytest.mark.parametrize(
    "change",
    [{"role": AdministratorRole.AUDITOR}, {"password_hash": HASHED + "="}, None],
    ids=["role", "password", "gone"],
)
async def test_an_administrator_who_was_changed_or_removed_is_signed_out(
    office: Office, visit: Visit, change: dict[str, object] | None
) -> None:
    browser = await visit("owner")
    assert (await browser.get("/")).status_code == 200
    administrators = office.database.administrators
    found = await administrators.find("owner")
    assert found is not None
    if change is None:
        await administrators.remove("owner")
    else:
        await administrators.update(replace(found, **change))  # type: ignore[arg-type]
    assert (await browser.get("/")).status_code == 303
    assert "You are signed out" in (await browser.get("/", headers={"HX-Request": "true"})).text

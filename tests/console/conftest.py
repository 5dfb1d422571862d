"""A console in the loop of the test, its database in a directory of its own; and browsers that are programs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from ringfence.console.app import make_app, opened
from ringfence.console.office import Office
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.store.passwords import hash_password
from ringfence.store.records import Account, Administrator, AdministratorRole
from tests.service.test_checks import Domain

HOSTS = ("console.example.org", "127.0.0.1", "[::1]")
BASE = "https://console.example.org"
PASSWORD = "correct horse battery staple"
HASHED = hash_password(PASSWORD)
"""Made once: it takes a fifth of a second on purpose."""

Visit = Callable[[str], Awaitable["Browser"]]


class Browser(httpx.AsyncClient):
    """A browser with cookies, which sends forms as a page of the console would."""

    csrf: str = ""

    async def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        """Fill in the form."""
        answer = await self.post("/sign-in", data={"name": name, "password": password, "next": "/accounts"})
        if answer.status_code == 303:
            self.csrf = token_in(await self.get("/"))
        return answer

    async def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with the token of the session."""
        return await self.post(path, data={"csrf": self.csrf, **fields})


def token_in(page: httpx.Response) -> str:
    """The token that the forms of a page have."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One administrator of each role, alice, and no node."""
    async with opened(Domain(tmp_path).config('[metrics]\nlisten = ""\n')) as office:
        for role in AdministratorRole:
            await office.database.administrators.add(Administrator(str(role), HASHED, role))
        secret = {"SHA-256": make_ha1("alice", "example.org", "a long password", Algorithm.SHA_256)}
        await office.database.accounts.add(Account("sip:alice@example.org", "alice", "example.org", secret))
        yield office


@pytest.fixture
async def visitor(office: Office) -> AsyncIterator[Browser]:
    """Somebody who is not signed in."""
    transport = httpx.ASGITransport(app=make_app(office, HOSTS), client=("192.0.2.7", 50_000))
    async with Browser(transport=transport, base_url=BASE) as browser:
        yield browser


@pytest.fixture
async def visit(office: Office) -> AsyncIterator[Visit]:
    """Sign in as an administrator of that role."""
    browsers: list[Browser] = []
    app = make_app(office, HOSTS)

    async def enter(name: str) -> Browser:
        browser = Browser(transport=httpx.ASGITransport(app=app), base_url=BASE)
        browsers.append(browser)
        assert (await browser.sign_in(name)).status_code == 303
        return browser

    yield enter
    for browser in browsers:
        await browser.aclose()

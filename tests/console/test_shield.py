"""What is refused before any page is asked, and what each answer tells a browser not to do."""

from __future__ import annotations

import pytest

from ringfence.console.office import Office
from ringfence.console.shield import HEADERS, MAX_BODY
from tests.console.conftest import BASE, Browser, Visit


@pytest.mark.parametrize("path", ["/sign-in", "/", "/static/style.css", "/nothing"])
async def test_every_answer_has_the_headers(visitor: Browser, path: str) -> None:
    answer = await visitor.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


async def test_no_page_has_a_script_or_a_style_of_its_own(office: Office, visit: Visit) -> None:
    browser = await visit("owner")
    for path in (
        "/",
        "/calls",
        "/accounts",
        "/bans",
        "/ledger",
        "/certificates",
        "/audit",
        "/accounts/sip:alice@example.org",
    ):
        text = (await browser.get(path)).text
        assert text.count("<script") == 1
        assert '<script src="/static/htmx.min.js" defer></script>' in text
        for inline in ("<style", " style=", " onclick=", "hx-on", "javascript:"):
            assert inline not in text


@pytest.mark.parametrize("host", ["evil.example", "console.example.org.evil.example", "", "169.254.169.254"])
async def test_a_name_that_is_not_ours_is_refused(visitor: Browser, host: str) -> None:
    assert (await visitor.get("/sign-in", headers={"host": host})).status_code == 400


@pytest.mark.parametrize("host", ["console.example.org:8443", "127.0.0.1:8443", "[::1]:8443"])
async def test_our_names_are_taken_with_any_port(visitor: Browser, host: str) -> None:
    assert (await visitor.get("/sign-in", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_can_send_no_form(visitor: Browser, site: str) -> None:
    answer = await visitor.post("/sign-in", data={"name": "owner"}, headers={"sec-fetch-site": site})
    assert (answer.status_code, answer.text) == (403, "Not from a page of this console.")


async def test_a_form_without_the_token_changes_nothing(office: Office, visit: Visit) -> None:
    browser = await visit("owner")
    other = await visit("operator")
    for token in ("", "x", other.csrf):
        fields = {"csrf": token, "what": "remove"}
        answer = await browser.post("/accounts/sip:alice@example.org", data=fields)
        assert (answer.status_code, "too old" in answer.text) == (403, True)
    assert office.database.accounts.by_aor("sip:alice@example.org") is not None


async def test_a_token_without_the_cookie_changes_nothing(
    office: Office, visit: Visit, visitor: Browser
) -> None:
    browser = await visit("owner")
    visitor.csrf = browser.csrf
    assert (await visitor.submit("/accounts/sip:alice@example.org", what="remove")).status_code == 303
    assert office.database.accounts.by_aor("sip:alice@example.org") is not None


async def test_a_body_is_read_up_to_a_limit(visitor: Browser) -> None:
    answer = await visitor.post("/sign-in", content=b"name=" + b"x" * MAX_BODY)
    assert answer.status_code == 413


async def test_what_there_is_not_is_said_on_a_page(visit: Visit) -> None:
    answer = await (await visit("auditor")).get("/accounts/sip:nobody@example.org")
    assert answer.status_code == 404
    assert "There is no account sip:nobody@example.org." in answer.text
    assert 'aria-label="Pages"' in answer.text


async def test_static_files_stay_within_their_directory(visitor: Browser) -> None:
    assert (await visitor.get("/static/style.css")).status_code == 200
    for path in ("/static/../web.py", "/static/%2e%2e/web.py", "/static//etc/passwd"):
        assert (await visitor.get(f"{BASE}{path}")).status_code in (404, 405)

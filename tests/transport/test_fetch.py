"""What is fetched over HTTPS, from whom it is not, and how long it is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ringfence.message import LocalError
from ringfence.transport.fetch import Fetched, Fetcher, FetchLimits, age_of, web_context
from ringfence.transport.web import MAX_BODY, WebError, WebUrl, parse_url
from tests.transport.site import Site, page
from tests.transport.support import PATIENCE, Authority

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
async def site(authority: Authority) -> AsyncIterator[Site]:
    made = Site(*authority.issue("cert.test"))
    await made.start()
    yield made
    made.close()


Make = Callable[..., Fetcher]


@pytest.fixture
async def fetcher_for(authority: Authority) -> AsyncIterator[Make]:
    made: list[Fetcher] = []

    def make(*addresses: str, **more: object) -> Fetcher:
        async def lookup(_host: str) -> tuple[str, ...]:
            return addresses or ("127.0.0.1",)

        more.setdefault("allowed", LOOPBACK)
        fetcher = Fetcher(web_context([authority.root], system_trust=False), lookup, **more)  # type: ignore[arg-type]
        made.append(fetcher)
        return fetcher

    yield make
    for fetcher in made:
        await fetcher.close()


async def soon(work: Awaitable[Fetched]) -> Fetched:
    async with asyncio.timeout(PATIENCE):
        return await work


async def test_a_certificate_is_fetched_once_and_kept(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for()
    first = await soon(fetcher.fetch(site.url("/a?b=1")))
    assert (first.data, first.failure) == (b"hello", "")
    assert await soon(fetcher.fetch(site.url("/a?b=1"))) is first
    assert len(site.requests) == 1
    lines = site.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /a?b=1 HTTP/1.1"
    assert f"Host: cert.test:{site.port}" in lines


async def test_many_who_ask_at_once_cause_one_request(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for()
    found = await asyncio.gather(*(soon(fetcher.fetch(site.url())) for _ in range(50)))
    assert {each.data for each in found} == {b"hello"}
    assert len(site.requests) == 1


async def test_one_who_stops_waiting_does_not_take_it_from_the_others(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for()
    site.hold.clear()
    impatient = asyncio.create_task(fetcher.fetch(site.url()))
    patient = asyncio.create_task(fetcher.fetch(site.url()))
    await asyncio.sleep(0.05)
    impatient.cancel()
    site.hold.set()
    assert (await soon(patient)).data == b"hello"


@pytest.mark.parametrize(
    "url",
    [
        "http://cert.test/a",
        "ftp://cert.test/a",
        "https://",
        "https://user@cert.test/a",
        "https://cert.test:0/",
        "https://cert.test:99999/",
        "https://cert.test/a b",
        "https://cert.test/a\r\nHost: inside",
        "https://cert.test/a#b",
        "https://ex\u00e4mple.test/",
        "https://cert.test/" + "a" * 2048,
        "",
    ],
)
async def test_what_is_no_https_url_is_not_asked(url: str, fetcher_for: Make) -> None:
    with pytest.raises(WebError, match="not an https URL"):
        parse_url(url)
    assert "not an https URL" in (await soon(fetcher_for().fetch(url))).failure


def test_urls_are_read_into_their_parts() -> None:
    assert parse_url("https://Cert.Example.com") == WebUrl("cert.example.com", 443, "/")
    assert parse_url("https://[2001:db8::1]:8443/x?y") == WebUrl("2001:db8::1", 8443, "/x?y")
    assert parse_url("https://a.example?x").target == "/?x"
    assert parse_url("https://[2001:db8::1]/").authority == "[2001:db8::1]"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # where clouds keep the secrets of their machines
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
async def test_addresses_that_are_not_public_are_not_asked(
    address: str, site: Site, fetcher_for: Make
) -> None:
    fetcher = fetcher_for(address, allowed=())
    assert not fetcher.may_ask(address)
    assert "not a public address" in (await soon(fetcher.fetch(site.url()))).failure
    literal = f"[{address}]" if ":" in address else address
    assert "not a public address" in (await soon(fetcher.fetch(site.url(host=literal)))).failure
    assert site.requests == []


@pytest.mark.parametrize("address", ["192.0.32.10", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_asked(address: str, fetcher_for: Make) -> None:
    assert fetcher_for(allowed=()).may_ask(address)


async def test_a_private_address_beside_a_public_one_is_left_out(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for("10.0.0.1", "127.0.0.1")
    assert (await soon(fetcher.fetch(site.url()))).data == b"hello"


async def test_the_next_address_is_tried(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for("127.0.0.2", "127.0.0.1")
    assert (await soon(fetcher.fetch(site.url()))).data == b"hello"


async def test_a_name_without_an_address_is_a_failure(site: Site, authority: Authority) -> None:
    async def lookup(_host: str) -> tuple[str, ...]:
        return ()

    fetcher = Fetcher(web_context([authority.root], system_trust=False), lookup)
    assert (await soon(fetcher.fetch(site.url()))).failure == "cert.test has no address"


async def test_a_server_has_to_prove_its_name(site: Site, fetcher_for: Make) -> None:
    failure = (await soon(fetcher_for().fetch(site.url(host="other.test")))).failure
    assert "certificate is not good" in failure


async def test_a_server_has_to_be_trusted(site: Site) -> None:
    async def lookup(_host: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    fetcher = Fetcher(web_context(system_trust=False), lookup, allowed=LOOPBACK)
    assert "certificate is not good" in (await soon(fetcher.fetch(site.url()))).failure


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
            "the answer is 302",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "the answer is 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "the answer is empty"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "not HTTP"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000, "not HTTP"),
        (b"", "not HTTP|closed"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * (MAX_BODY + 1), f"longer than {MAX_BODY}"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"a" * (MAX_BODY + 1), "longer than"),
    ],
)
async def test_bad_answers_are_failures(answer: bytes, failure: str, site: Site, fetcher_for: Make) -> None:
    site.answer = answer
    found = await soon(fetcher_for().fetch(site.url()))
    assert re.search(failure, found.failure), found.failure
    assert found.data == b""


async def test_an_answer_without_a_length_ends_with_the_connection(site: Site, fetcher_for: Make) -> None:
    site.answer = b"HTTP/1.0 200 OK\r\n\r\nhello"
    assert (await soon(fetcher_for().fetch(site.url()))).data == b"hello"


async def test_a_slow_server_is_given_up(site: Site, fetcher_for: Make) -> None:
    site.hold.clear()
    fetcher = fetcher_for(limits=FetchLimits(time=0.1))
    assert (await soon(fetcher.fetch(site.url()))).failure == "no answer in 0.1 s"
    site.hold.set()


async def test_a_failure_is_remembered_for_a_while(site: Site, fetcher_for: Make) -> None:
    now = [0.0]
    fetcher = fetcher_for(clock=lambda: now[0])
    site.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    assert (await soon(fetcher.fetch(site.url()))).failure == "the answer is 500"
    site.answer = page(b"hello")
    now[0] = 29.0
    assert (await soon(fetcher.fetch(site.url()))).failure == "the answer is 500"
    now[0] = 31.0
    assert (await soon(fetcher.fetch(site.url()))).data == b"hello"


async def test_what_is_kept_is_fetched_again_after_its_time(site: Site, fetcher_for: Make) -> None:
    now = [0.0]
    fetcher = fetcher_for(clock=lambda: now[0])
    site.answer = page(b"hello", b"Cache-Control: public, max-age=600\r\n")
    await soon(fetcher.fetch(site.url()))
    now[0] = 599.0
    assert fetcher.known(site.url()) is not None
    now[0] = 601.0
    assert fetcher.known(site.url()) is None
    await soon(fetcher.fetch(site.url()))
    assert len(site.requests) == 2


@pytest.mark.parametrize(
    ("control", "age"),
    [
        ("", 3600),
        ("max-age=600", 600),
        ('private, Max-Age="600"', 600),
        ("max-age=1", 60),
        ("max-age=999999999", 86400),
        ("no-store", 60),
        ("no-cache, max-age=600", 60),
        ("max-age=-5", 3600),
    ],
)
def test_the_age_stays_within_bounds(control: str, age: float) -> None:
    assert age_of({"cache-control": control}, FetchLimits()) == age


def test_time_spent_in_another_cache_counts() -> None:
    assert age_of({"cache-control": "max-age=600", "age": "400"}, FetchLimits()) == 200


async def test_the_cache_is_bounded_in_bytes_and_entries(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for(limits=FetchLimits(kept_bytes=12))
    for path in ("/1", "/2"):
        await soon(fetcher.fetch(site.url(path)))
    fetcher.known(site.url("/1"))  # used again: the other one goes
    await soon(fetcher.fetch(site.url("/3")))
    assert [fetcher.known(site.url(path)) is not None for path in ("/1", "/2", "/3")] == [True, False, True]
    fetcher = fetcher_for(limits=FetchLimits(kept=2))
    for path in ("/1", "/2", "/3"):
        await soon(fetcher.fetch(site.url(path)))
    assert fetcher.known(site.url("/1")) is None


async def test_few_connections_at_once(site: Site, fetcher_for: Make) -> None:
    fetcher = fetcher_for("127.0.0.1", limits=FetchLimits(at_once=2, per_address=100))
    found = await asyncio.gather(*(soon(fetcher.fetch(site.url(f"/{n}"))) for n in range(10)))
    assert {each.data for each in found} == {b"hello"}
    assert site.most_open <= 2


async def test_one_address_does_not_get_all_turns(site: Site, fetcher_for: Make) -> None:
    site.hold.clear()
    fetcher = fetcher_for(limits=FetchLimits(per_address=2))
    waiting = [asyncio.create_task(fetcher.fetch(site.url(f"/{n}"))) for n in range(2)]
    await asyncio.sleep(0.05)
    failure = (await soon(fetcher.fetch(site.url("/3")))).failure
    assert failure == "2 requests to 127.0.0.1 are under way"
    site.hold.set()
    await asyncio.gather(*waiting)


async def test_a_flood_of_names_fails_at_once(site: Site, fetcher_for: Make) -> None:
    site.hold.clear()
    fetcher = fetcher_for(limits=FetchLimits(waiting=1))
    waiting = asyncio.create_task(fetcher.fetch(site.url("/1")))
    await asyncio.sleep(0.05)
    assert (await soon(fetcher.fetch(site.url("/2")))).failure == "too many fetches are under way"
    assert fetcher.known(site.url("/2")) is None  # it is not the URL's fault
    site.hold.set()
    await waiting


def test_a_trust_file_without_certificates_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing")
    with pytest.raises(LocalError, match=r"empty\.pem"):
        web_context([path])

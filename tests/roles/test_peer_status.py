"""Whether peers of TLS connections have certificates that are revoked: who is asked, how often, and what is kept."""

from __future__ import annotations

import asyncio
import inspect
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ringfence.roles.revocation import KNOWN_AGE, UNKNOWN_AGE, PeerStatus
from ringfence.transport.fetch import Fetcher, web_context
from ringfence.transport.flow import PeerCertificate
from ringfence.transport.inquiry import Inquiry, Revocation
from tests.roles.test_signers import ROOT, START, asks, crl, listed_by, says, with_list
from tests.security.pki import Pair, issue
from tests.transport.site import Site, page

Lists = tuple[x509.CertificateRevocationList, ...]
GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    made.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    await made.start()
    yield made
    made.close()


class Desk:
    """A ``PeerStatus`` with a clock that stands."""

    def __init__(self, revocation: Revocation = Revocation.TRY) -> None:
        async def nobody(_host: str) -> tuple[str, ...]:
            return ("127.0.0.1",)

        self.now = 0.0
        self.fetcher = Fetcher(web_context(), nobody, allowed=["127.0.0.0/8"], clock=self.ticks)
        self.status = PeerStatus(Inquiry(self.fetcher, ticks=self.ticks), revocation, ticks=self.ticks)

    def ticks(self) -> float:
        return self.now

    def at_once(self, pair: Pair, lists: Lists = ()) -> str | None:
        """What is known without asking, or None."""
        found = self.status(shown(pair), lists)
        if isinstance(found, str):
            return found
        found.close()
        return None

    async def about(self, pair: Pair, lists: Lists = ()) -> str:
        found: Any = self.status(shown(pair), lists)
        return str(await found) if inspect.isawaitable(found) else str(found)


def shown(pair: Pair) -> PeerCertificate:
    chain = tuple(one.public_bytes(Encoding.DER) for one in (pair.certificate, ROOT.certificate))
    return PeerCertificate(chain[0], True, chain)


async def test_a_certificate_that_names_nobody_costs_nothing() -> None:
    assert Desk().at_once(issue("a", ROOT, start=START)) == ""


@pytest.mark.rfc("6960", "2.2")
@pytest.mark.parametrize(("status", "said"), [(GOOD, ""), (REVOKED, "a has been revoked")])
async def test_a_responder_is_asked_once(site: Site, status: ocsp.OCSPCertStatus, said: str) -> None:
    pair = issue("a", ROOT, extra=[asks(site.url("/"))], start=START)
    site.answer = page(says(pair, status, hours=0.5))
    desk = Desk()
    assert await desk.about(pair) == said
    assert desk.at_once(pair) == said
    desk.now = 1801.0
    assert desk.at_once(pair) is None  # the answer has ended


@pytest.mark.rfc("9654", "2.1")
async def test_each_question_has_a_nonce_of_its_own_and_many_who_ask_share_it(site: Site) -> None:
    pair = issue("a", ROOT, extra=[asks(site.url("/"))], start=START)
    site.answer = page(says(pair, GOOD), b"Cache-Control: max-age=60\r\n")
    desk = Desk()
    assert await asyncio.gather(*(desk.about(pair) for _ in range(20))) == [""] * 20
    assert len(site.paths) == 1
    desk.now = KNOWN_AGE + 1
    await desk.about(pair)
    asked = [ocsp.load_der_ocsp_request(b64decode(unquote(path.lstrip("/")))) for path in site.paths]
    first, second = (each.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce for each in asked)
    assert len(first) == len(second) == 32
    assert first != second


async def test_a_list_is_fetched(site: Site) -> None:
    pair = issue("a", ROOT, extra=[with_list(site.url("/crl"))], start=START)
    site.pages["/crl"] = page(crl(ROOT, pair), b"Cache-Control: max-age=86400\r\n")
    desk = Desk()
    assert await desk.about(pair) == "a has been revoked"
    desk.now = KNOWN_AGE - 1
    assert desk.at_once(pair) == "a has been revoked"
    desk.now = KNOWN_AGE
    assert desk.at_once(pair) is None


@pytest.mark.rfc("5280", "6.3.3")
async def test_an_indirect_list_is_fetched_and_who_has_signed_it(site: Site) -> None:
    pair = listed_by(issue("Lister", ROOT, ca=True, start=START), site)
    assert await Desk().about(pair) == "a has been revoked"
    forged = listed_by(issue("Lister", ca=True, start=START), site)
    assert await Desk().about(forged) == ""
    said = await Desk(Revocation.REQUIRE).about(forged)
    assert said.startswith("nobody tells whether a is revoked")


async def test_a_list_at_hand_makes_it_needless(site: Site) -> None:
    """What it tells is judged with the handshake."""
    pair = issue("a", ROOT, extra=[asks(site.url("/"))], start=START)
    assert Desk().at_once(pair, (x509.load_der_x509_crl(crl(ROOT)),)) == ""


@pytest.mark.parametrize(
    ("revocation", "said"),
    [
        (Revocation.TRY, ""),
        (Revocation.REQUIRE, "nobody tells whether a is revoked: OCSP: the answer is 404"),
    ],
)
async def test_a_status_that_nobody_tells(site: Site, revocation: Revocation, said: str) -> None:
    pair = issue("a", ROOT, extra=[asks(site.url("/"))], start=START)
    desk = Desk(revocation)
    assert await desk.about(pair) == said
    assert desk.at_once(pair) == said
    desk.now = UNKNOWN_AGE
    assert desk.at_once(pair) is None


async def test_a_chain_that_can_not_be_read_proves_nobody() -> None:
    found = Desk().status(PeerCertificate(b"x", True, (b"x",)), ())
    assert isinstance(found, str)
    assert found.startswith("the certificate cannot be read")

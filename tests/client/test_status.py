"""Whose word an agent takes for it that a certificate has been revoked, where the list says who has signed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.client.certificates import Certificates, Smime
from ringfence.client.status import Status
from ringfence.message import parse_uri
from ringfence.security.pem import chain_pem
from ringfence.transport.fetch import Fetcher, web_context
from ringfence.transport.inquiry import Inquiry, Revocation
from tests.roles.test_signers import ROOT, START, listed_by
from tests.security.pki import Pair, issue
from tests.transport.site import Site

OTHER = issue("Other root", ca=True, start=START)
ALICE = parse_uri("sip:alice@example.org")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.start()
    yield made
    made.close()


@pytest.mark.rfc("5280", "6.3.3")
@pytest.mark.parametrize(
    ("lister", "left"),
    [
        (issue("Lister", ROOT, ca=True, start=START), 0),
        (issue("Lister", OTHER, ca=True, start=START), 1),
        (issue("Lister", ca=True, start=START), 1),
    ],
    ids=["of its own root", "of another that is trusted", "of nobody"],
)
async def test_who_may_take_a_certificate_back(lister: Pair, left: int, site: Site, tmp_path: Path) -> None:
    pair = listed_by(lister, site)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(chain_pem([ROOT.certificate, OTHER.certificate]))
    known = Certificates(Smime(trust=(roots,)), keep=False)
    known.accept(ALICE, pair.certificate)

    async def here(_host: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    fetcher = Fetcher(web_context(), here, allowed=["127.0.0.0/8"])
    await Status(known, Inquiry(fetcher), Revocation.TRY).look_after(ALICE)
    await fetcher.close()
    assert site.paths == ["/crl", "/lister"]
    assert len(known.recipients(ALICE, START + 86400)) == left

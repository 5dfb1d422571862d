"""Retargeted calls (RFC 8946): a chain of signatures from the first callee to the last."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ringfence.message import Request, parse_uri
from ringfence.security.canonical import Party
from ringfence.security.diversion import sign_diversion
from ringfence.security.findings import Policy
from ringfence.security.identity import IdentityFlaw, parse_identity, sign_request, write_identity
from ringfence.security.tnauth import Credential, credential_from
from ringfence.security.verification import verify_request
from tests.security import published
from tests.security.calls import BOB, DOMAIN, KNOWN, ROOT, codes, credential, invite, signer
from tests.security.pki import NOW, Pair, issue, tn_list

STRICT = Policy(require_diversion=True)


def domain(name: str) -> Pair:
    return issue(name, ROOT, names=[x509.UniformResourceIdentifier(f"sip:{name}")])


NET, ORG = domain("example.net"), domain("example.org")
NET_INFO, ORG_INFO = "https://example.net/1.pem", "https://example.org/1.pem"
ALL: dict[str, Credential | None] = KNOWN | {NET_INFO: credential(NET), ORG_INFO: credential(ORG)}


def sent_on(request: Request, pair: Pair, info: str, target: str) -> Request:
    """The request as a retargeting proxy of that domain forwards it."""
    made = sign_diversion(request, signer(pair, info), parse_uri(target))
    assert made.reasons == ()
    for name, value in made.fields:
        request.headers.add(name, value)
    request.uri = target
    return request


def first_hop(*, compact: bool = False) -> Request:
    request = invite()
    made = sign_request(request, signer(DOMAIN), NOW, compact=compact)
    for name, value in made.fields:
        request.headers.add(name, value)
    return request


@pytest.mark.rfc("8946", "4.2")
@pytest.mark.parametrize("compact", [False, True])
def test_a_call_that_was_sent_on_twice_is_followed(compact: bool) -> None:
    request = sent_on(first_hop(compact=compact), NET, NET_INFO, "sip:carol@example.org")
    sent_on(request, ORG, ORG_INFO, "sip:dave@example.edu")
    assert len(request.headers.all("Identity")) == 3
    verdict = verify_request(request, ALL, NOW, STRICT)
    assert (verdict.who, codes(verdict)) == (BOB, [])


@pytest.mark.rfc("8946", "4.2")
def test_header_fields_have_no_order() -> None:
    request = sent_on(first_hop(), NET, NET_INFO, "sip:carol@example.org")
    values = request.headers.all("Identity")
    request.headers.remove("Identity")
    for value in reversed(values):
        request.headers.add("Identity", value)
    assert verify_request(request, ALL, NOW, STRICT).who == BOB


@pytest.mark.rfc("8946", "4.2")
def test_a_rewritten_to_is_explained_by_the_chain() -> None:
    request = sent_on(first_hop(), NET, NET_INFO, "sip:carol@example.org")
    request.headers.set("To", "<sip:carol@example.org>")
    assert verify_request(request, ALL, NOW).who == BOB
    request.uri = "sip:victim@example.org"
    assert verify_request(request, ALL, NOW).status == 438


@pytest.mark.rfc("8946", "4.2")
def test_a_redirected_call_without_diversion_is_told_from_one_with() -> None:
    request = first_hop()
    request.uri = "sip:victim@example.org"
    assert verify_request(request, ALL, NOW).who == BOB  # To is what was signed; retargeting happens
    verdict = verify_request(request, ALL, NOW, STRICT)
    assert (verdict.status, codes(verdict)) == (438, [IdentityFlaw.DESTINATION])


@pytest.mark.rfc("8946", "4.2")
def test_a_chain_must_end_where_the_call_is() -> None:
    request = sent_on(first_hop(), NET, NET_INFO, "sip:carol@example.org")
    request.uri = "sip:victim@example.org"
    verdict = verify_request(request, ALL, NOW)
    assert (verdict.status, set(codes(verdict))) == (438, {IdentityFlaw.CHAIN})


@pytest.mark.rfc("8946", "4.2")
def test_a_diversion_of_nothing_proves_nobody() -> None:
    request = sent_on(first_hop(), NET, NET_INFO, "sip:carol@example.org")
    alone = request.headers.all("Identity")[1]
    request.headers.set("Identity", alone)
    verdict = verify_request(request, ALL, NOW)
    assert (verdict.status, verdict.who, codes(verdict)) == (438, None, [IdentityFlaw.CHAIN])


@pytest.mark.rfc("8946", "4.2")
def test_a_diversion_of_a_broken_original_is_worth_nothing() -> None:
    request = sent_on(first_hop(), NET, NET_INFO, "sip:carol@example.org")
    values = request.headers.all("Identity")
    head, _, tail = values[0].partition(";")
    request.headers.remove("Identity")
    request.headers.add("Identity", f"{head[:-8]}AAAAAAAA;{tail}")
    request.headers.add("Identity", values[1])
    assert verify_request(request, ALL, NOW).who is None


@pytest.mark.rfc("8946", "4.1")
def test_only_who_speaks_for_the_diverted_identity_signs_it() -> None:
    made = sign_diversion(first_hop(), signer(ORG), parse_uri("sip:carol@example.org"))
    assert (made.fields, len(made.reasons)) == ((), 1)
    forged = sent_on(
        first_hop(), NET, ORG_INFO, "sip:carol@example.org"
    )  # the certificate there is another's
    assert verify_request(forged, ALL, NOW, STRICT).status == 438


@pytest.mark.rfc("8946", "3")
def test_nothing_is_said_when_the_canonical_identity_stays() -> None:
    made = sign_diversion(first_hop(), signer(NET), parse_uri("sip:ALICE@example.net:5061;transport=tls"))
    assert made == ((), ())


@pytest.mark.rfc("8946", "4.1")
def test_an_unsigned_request_gets_no_div() -> None:
    assert sign_diversion(invite(), signer(NET), parse_uri("sip:carol@example.org")) == ((), ())


def test_a_circle_of_diversions_ends() -> None:
    request = sent_on(first_hop(), NET, NET_INFO, "sip:carol@example.org")
    sent_on(request, ORG, ORG_INFO, "sip:alice@example.net")
    sent_on(request, NET, NET_INFO, "sip:carol@example.org")
    assert verify_request(request, ALL, NOW).who is not None


@pytest.mark.rfc("8946", "4.1")
def test_the_published_div_header_verifies_by_its_own_wrong_number() -> None:
    """RFC 8946 prints the div as 121555551213, one 5 too many: the chain joins only with that number."""
    info = "https://www.example.com/cert.cer"
    pair = issue("publisher", ROOT, numbers=tn_list(spc=["1"]), start=0, days=40000)
    known = credential_from(pair.pem, [ROOT.certificate], NOW)
    fields = {name: getattr(known, name) for name in Credential.__slots__}
    key = load_pem_public_key(published.RFC8946_PUBLIC)
    request = invite("<tel:+12155551212>", "<tel:+12155551213>", "tel:+12155551214", date=None)
    request.headers.add("Identity", write_identity(published.RFC8946_ORIGINAL, info))
    request.headers.add("Identity", write_identity(published.RFC8946_DIV, info, '"div"'))
    verdict = verify_request(request, {info: Credential(**fields | {"key": key})}, 1443208345)
    assert verdict.who == Party("tn", "12155551212")
    assert codes(verdict) == [IdentityFlaw.CHAIN]
    assert parse_identity(request.headers.all("Identity")[1]).ppt == "div"

"""Callers from other domains, for tests about identity: their certificates, and their signed calls."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.guard.reputation import Reputation
from ringfence.message import Request
from ringfence.message.fields.date import format_date
from ringfence.roles.identity import Refuse, Signing, Strangers, Treatment, Verification
from ringfence.roles.signers import Anchors, Signers
from ringfence.security.findings import Policy
from ringfence.security.identity import Signer, sign_request
from ringfence.security.tnauth import Credential, credential_from
from ringfence.transport.fetch import Fetcher, web_context
from ringfence.transport.flow import PeerCertificate
from tests.conversations.network import WALL, Network
from tests.security.pki import Pair, issue, tn_list

START = WALL - 86400
ROOT = issue("Root of the test", ca=True, start=START, days=300)


def for_domain(domain: str, issuer: Pair | None = ROOT, **how: Any) -> Pair:
    """A certificate for a SIP domain, as a web server of that domain has one."""
    names = [x509.UniformResourceIdentifier(f"sip:{domain}"), x509.DNSName(domain)]
    return issue(domain, issuer, names=names, start=how.pop("start", START), **how)


ATLANTA = for_domain("atlanta.example")
CARRIER = issue("Carrier 709J", ROOT, numbers=tn_list(spc=["709J"]), start=START)
OURS = for_domain("example.org")
OUR_NUMBERS = issue("example.org numbers", ROOT, numbers=tn_list(one=["12155550100"]), start=START)
SELF_SIGNED = for_domain("atlanta.example", None)
EXPIRED = for_domain("atlanta.example", start=START - 40 * 86400)
PAIRS = {
    "https://atlanta.example/cert.pem": ATLANTA,
    "https://carrier.example/shaken.pem": CARRIER,
    "https://example.org/cert.pem": OURS,
    "https://atlanta.example/self.pem": SELF_SIGNED,
    "https://atlanta.example/old.pem": EXPIRED,
}
UNKNOWN = "https://unknown.example/cert.pem"
"""Where no certificate could be had."""


def credential(pair: Pair) -> Credential:
    chain = [pair.certificate]
    return credential_from(chain, [ROOT.certificate], WALL)


async def _nowhere(_host: str) -> tuple[str, ...]:
    return ()


def verification(refuse: Refuse = Refuse.INVALID, **rules: Any) -> Verification:
    """A verification service that has fetched the certificates above."""
    fetcher = Fetcher(web_context(system_trust=False), _nowhere)
    known: dict[str, Credential | None] = {url: credential(pair) for url, pair in PAIRS.items()}
    known[UNKNOWN] = None
    signers = Signers(fetcher, Anchors((ROOT.certificate,)), pinned=known, ticks=time.monotonic)
    return Verification(signers, refuse, Policy(**rules))


def signing(*pairs: Pair, **how: Any) -> Signing:
    """An authentication service with these certificates of ours, or with the usual one."""
    urls = ("https://example.org/cert.pem", *(f"https://example.org/{place}.pem" for place in range(2, 9)))
    signers = tuple(signer(pair, url) for pair, url in zip(pairs or (OURS,), urls, strict=False))
    return Signing(signers, b"secret", **how)


def signer(pair: Pair, url: str) -> Signer:
    assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
    own = credential_from([pair.certificate], [pair.certificate], WALL)
    return Signer(pair.key, url, own)


def strangers(
    network: Network, verified: Treatment = Treatment.ACCEPT, unverified: Treatment = Treatment.MARK
) -> Strangers:
    """How callers are received, with the network's own store."""
    network.services.strangers = Strangers(Reputation(network.store.opinions), verified, unverified)
    return network.services.strangers


def now_of(network: Network) -> float:
    return WALL + network.clock.now


def signed(
    network: Network,
    request: Request,
    pair: Pair = ATLANTA,
    url: str = "https://atlanta.example/cert.pem",
    at: float | None = None,
    speaks_for: str = "",
    **how: Any,
) -> Request:
    """The request as an authentication service sends it, an honest one or not.

    It signs although its certificate has expired, and for a domain that it only believes to have.
    """
    moment = now_of(network) if at is None else at
    by = signer(pair, url)
    domains = frozenset({speaks_for}) if speaks_for else by.credential.domains
    careless = replace(by.credential, problems=(), not_before=0.0, not_after=WALL * 2, domains=domains)
    by = Signer(by.key, by.info, careless)
    made = sign_request(request, by, moment, **how)
    assert made.fields, made.reasons
    for name, value in made.fields:
        request.headers.add(name, value)
    return request


def date_at(seconds: float) -> str:
    return format_date(datetime.fromtimestamp(int(seconds), UTC))


def proved(pair: Pair) -> PeerCertificate:
    """What a TLS connection knows of its peer, once its chain has been verified."""
    der = pair.certificate.public_bytes(Encoding.DER)
    return PeerCertificate(der, True, (der,))

"""The rules of `ringfence check` about signatures of callers: ours have to hold, those of others to be looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from ringfence.message import LocalError, PeerError, parse_uri
from ringfence.roles.identity import Signing
from ringfence.security.canonical import identity_of
from ringfence.security.identity import authority_flaws, credential_time_flaws
from ringfence.security.tnauth import Credential, credential_from
from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, expiry, warning
from ringfence.service.identity import make_rules, make_signing, read_identity
from ringfence.service.lines import KeyPath
from ringfence.transport.web import WebUrl, parse_url

if TYPE_CHECKING:
    from ringfence.store.database import Database

SHOWN_ACCOUNTS = 3
"""Of those that can't be signed, with the reason; of the others the number."""

LARGEST_FETCH_NETWORK = 65_536
"""Addresses that certificates are fetched from although they are not public: those of a federation's servers."""


def identity_holds(config: Config) -> Iterator[Finding]:
    """The certificates that calls are signed with can be read, have their keys, speak for us, and can be fetched."""
    if not config.identity.sign:
        return
    found = []
    for key, (url, certificate, private) in zip(_places(config), config.identity.signers, strict=True):
        if not certificate.is_file() or not private.is_file():
            continue  # files_exist has said so where it matters
        try:
            chain, _ = read_identity(certificate, private)
            credential = credential_from(chain[:1], chain[:1], 0.0)
        except (LocalError, PeerError) as flaw:
            reason = flaw.reason if isinstance(flaw, PeerError) else str(flaw)
            fix = "put a certificate with a key on P-256 there, and the key beside it"
            yield error(config, (*key, "certificate"), reason, fix)
            continue
        found.append(credential)
        yield from expiry(config, (*key, "certificate"), certificate, chain)
        yield from _speaks(config, key, certificate, credential)
        yield from _root(config, key, chain)
        yield from _reachable(config, key, parse_url(url))
    yield from _scope(config, found)


def _places(config: Config) -> Iterator[KeyPath]:
    """Where each signer stands."""
    yield ("identity",)
    for place in range(len(config.identity.signer)):
        yield ("identity", "signer", place)


def _speaks(config: Config, key: KeyPath, path: Path, credential: Credential) -> Iterator[Finding]:
    if credential.own_numbers or not config.domains.isdisjoint(credential.domains):
        return
    domain = config.domain.name
    reason = f"{path} names neither {domain} nor telephone numbers: nothing can be signed with it"
    fix = f"run ringfence cert issue {domain}, or have one issued for it"
    yield error(config, (*key, "certificate"), reason, fix)


def _scope(config: Config, found: list[Credential]) -> Iterator[Finding]:
    """Which of our domains no certificate speaks for."""
    named = {domain for credential in found for domain in credential.domains}
    numbers = any(credential.own_numbers for credential in found)
    lacking = sorted(config.domains - named)
    if not lacking or not (numbers or named & config.domains):
        return  # _speaks has said so
    names = ", ".join(lacking)
    reason = f"no certificate speaks for {names}: calls of its addresses go unsigned"
    fix = "have one issued that names it, and add it as [[identity.signer]], if they are to be signed"
    yield warning(config, ("identity", "certificate"), reason, fix)


async def unsigned_accounts(config: Config) -> list[Finding]:
    """Which accounts none of the certificates speaks for, as far as they can be looked at."""
    from ringfence.store import migrate  # SQLAlchemy: 0.3 s that other uses of this module save
    from ringfence.store.database import Database
    from ringfence.store.errors import StoreError

    if not config.identity.sign or not config.database_exists():
        return []
    try:
        signing = make_signing(config, make_rules(config), b"")
        if migrate.current(config.database_url) != migrate.head():
            return []  # database_is_ready has said so
        database = await Database.open(config.database_url)
    except (LocalError, PeerError, StoreError):
        return []
    try:
        unsigned, total = _unsigned(signing, database)
    finally:
        await database.close()
    if not unsigned:
        return []
    shown = "; ".join(f"{address} ({why})" for address, why in unsigned[:SHOWN_ACCOUNTS])
    more = f", and {len(unsigned) - SHOWN_ACCOUNTS} more" if len(unsigned) > SHOWN_ACCOUNTS else ""
    reason = f"calls of {len(unsigned)} of {total} addresses of accounts can't be signed: {shown}{more}"
    fix = "add a certificate that speaks for them as [[identity.signer]], or let them go unsigned"
    return [warning(config, ("identity", "certificate"), reason, fix)]


def _unsigned(signing: Signing, database: Database) -> tuple[list[tuple[str, str]], int]:
    found, total, after, now = [], 0, "", time.time()
    while page := database.accounts.list(after):
        for account in page:
            for address in (account.aor, *account.aliases):
                total += 1
                uri = parse_uri(address)
                party = identity_of(uri, signing.plan)
                signer = signing.signer_for(party, uri, now)
                flaws = credential_time_flaws(signer.credential, int(now)) + authority_flaws(
                    signer.credential, party, uri, by_domain=signer.numbers_by_domain
                )
                if flaws:
                    found.append((address, flaws[0].detail))
        after = page[-1].aor
    return found, total


def _root(config: Config, key: KeyPath, chain: list[x509.Certificate]) -> Iterator[Finding]:
    ca = config.tls.ca
    if ca is None or not ca.is_file():
        return
    roots = x509.load_pem_x509_certificates(ca.read_bytes())
    if roots and chain[0].issuer == roots[0].subject:
        reason = "the certificate is from our own CA: only who has been given that believes our signatures"
        fix = "give tls.ca to the other domains, or name a certificate of a public CA with a key on P-256"
        yield warning(config, (*key, "certificate"), reason, fix)


def _reachable(config: Config, key: KeyPath, url: WebUrl) -> Iterator[Finding]:
    try:
        public = ip_address(url.host).is_global
    except ValueError:
        public = "." in url.host and not url.host.endswith((".localhost", ".local", ".internal", ".test"))
    if not public:
        reason = f"{url.host} is no host that strangers can reach: they can't fetch the certificate"
        yield warning(
            config, (*key, "url"), reason, 'write a public one: url = "https://example.org/identity.pem"'
        )
    address = config.identity.publish_address
    if address is not None and address.loopback and key == ("identity",):
        reason = f"the certificate is published on {address}, where only this machine can fetch it"
        yield warning(config, ("identity", "publish"), reason, f'write publish = "0.0.0.0:{address.port}"')


def identity_is_in_use(config: Config) -> Iterator[Finding]:
    """Forged callers are found out."""
    identity = config.identity
    if identity.verify == "off":
        reason = "signatures of callers are not looked at: a forged one passes as well as a good one"
        yield warning(config, ("identity", "verify"), reason, 'write verify = "invalid"')
    if identity.numbers_by_domain and identity.system_trust:
        reason = "every domain with a web certificate can sign for any telephone number"
        fix = "write system_trust = false and name the roots of the federation in trust"
        yield error(config, ("identity", "numbers_by_domain"), reason, fix)


def fetching_is_bounded(config: Config) -> Iterator[Finding]:
    """What a stranger names in a call must not lead this node to its own network."""
    for place, text in enumerate(config.identity.fetch_from):
        if ip_network(text).num_addresses > LARGEST_FETCH_NETWORK:
            reason = f"{text}: any caller can make this node ask any of these addresses"
            yield error(
                config, ("identity", "fetch_from", place), reason, "name the servers of certificates alone"
            )

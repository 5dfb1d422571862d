"""From the configuration to what signs and verifies calls. Part of `wiring`, which calls it; `reload` calls it again.

The files are read here. What a running node has learned (which tokens it has seen, what it has fetched) outlives a
reload.
"""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.guard.reputation import DAY, Reputation, ReputationPolicy
from ringfence.message import LocalError
from ringfence.roles.identity import Refuse, Signing, Strangers, Treatment, Unproven, Verification
from ringfence.roles.peers import Peers
from ringfence.roles.policy import Services
from ringfence.roles.revocation import PeerStatus
from ringfence.roles.signers import Anchors, Signers
from ringfence.security.canonical import NumberPlan
from ringfence.security.findings import Policy
from ringfence.security.identity import Signer
from ringfence.security.pem import check_pair, read_chain, read_crl, read_key
from ringfence.security.replay import ReplayWindow
from ringfence.security.tnauth import credential_from
from ringfence.service.config import Config
from ringfence.store.ports import Store
from ringfence.transport.fetch import Fetcher, resolver_lookup, web_context
from ringfence.transport.inquiry import Inquiry, Revocation
from ringfence.transport.pool import Pool
from ringfence.transport.resolver import Resolver

T = TypeVar("T")


def make_fetcher(config: Config, resolver: Resolver) -> Fetcher:
    """What fetches certificates. Raises LocalError for a file without certificates."""
    identity = config.identity
    context = web_context(identity.fetch_trust)
    return Fetcher(context, resolver_lookup(resolver), allowed=identity.fetch_from)


def look_after_peers(config: Config, peers: Peers, pool: Pool, fetcher: Fetcher) -> None:
    """Let only their own authorities vouch for peers, and have it asked whether certificates are revoked."""
    pool.vouch(peers.roots)
    if config.tls.revocation != "off":
        pool.inquire(PeerStatus(Inquiry(fetcher), Revocation(config.tls.revocation)))


def identify(config: Config, services: Services, fetcher: Fetcher, secret: bytes) -> None:
    """Give a node its signing and its verification, or the ones that are in the files now.

    Raises:
        LocalError: naming the file that can't be used; nothing has changed then.
    """
    rules = make_rules(config)
    signing = make_signing(config, rules, secret) if config.identity.sign else None
    verification = None
    if config.identity.verify != "off":
        verification = make_verification(config, rules, fetcher, signing)
        if services.verification is not None:
            verification.replay = services.verification.replay
            verification.bodies = services.verification.bodies
    services.signing, services.verification = signing, verification


def make_rules(config: Config) -> Policy:
    """What a signature has to be like."""
    identity = config.identity
    plan = NumberPlan(
        identity.country_code, identity.national_prefix, identity.international_prefix, identity.bare_digits
    )
    return Policy(
        freshness=identity.freshness_seconds,
        providers=frozenset(identity.providers) or None,
        numbers_by_domain=identity.numbers_by_domain,
        require_diversion=identity.require_diversion,
        plan=plan,
        priorities=_priorities(config),
    )


def _priorities(config: Config) -> dict[str, frozenset[str]]:
    """For each namespace, who may sign it; domains and fingerprints as certificates are read."""
    found: dict[str, frozenset[str]] = {}
    for authority in config.identity.priority:
        signers = frozenset(each.replace(":", "").lower() for each in authority.signers)
        for namespace in authority.namespaces:
            found[namespace.lower()] = found.get(namespace.lower(), frozenset()) | signers
    return found


def make_verification(
    config: Config, rules: Policy, fetcher: Fetcher, signing: Signing | None
) -> Verification:
    """How calls from outside are verified. Raises LocalError for a file that can't be used."""
    identity = config.identity
    ca = config.tls.ca
    named = _certificates([*([ca] if ca is not None and ca.is_file() else []), *identity.trust])
    anchors = Anchors(
        named,
        web_roots() if identity.system_trust else (),
        tuple(map(_revocation_list, identity.crl)),
        _certificates(identity.list_issuers),
    )
    pinned = {} if signing is None else {each.info: each.credential for each in signing.signers}
    signers = Signers(fetcher, anchors, pinned=pinned, revocation=Revocation(identity.revocation))
    window = ReplayWindow(2 * identity.freshness_seconds)
    return Verification(
        signers,
        Refuse(identity.verify),
        rules,
        window,
        unproven_priority=Unproven(identity.unproven_priority),
    )


def make_signing(config: Config, rules: Policy, secret: bytes) -> Signing:
    """How calls that leave are signed. Raises LocalError when the certificate or its key can't be used."""
    identity = config.identity
    signers = []
    for url, certificate, private in identity.signers:
        chain, key = read_identity(certificate, private)
        # Whom others trust is their affair; of our own certificate only its time and its scope matter.
        credential = credential_from(chain[:1], chain[:1], time.time())
        signers.append(Signer(key, url, credential, identity.numbers_by_domain))
    return Signing(tuple(signers), secret, identity.attest, identity.divert, rules)


def read_identity(certificate: Path, key: Path) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """The certificate, with those above it, and the key. Raises LocalError, naming the file."""
    chain = _read(certificate, read_chain)
    private = _read(key, read_key)
    try:
        check_pair(chain[0], private)
    except LocalError as error:
        raise LocalError(f"{certificate}: {error}") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise LocalError(f"{key}: signatures of callers need a key on the curve P-256 (RFC 8225 section 4)")
    return chain, private


def make_strangers(config: Config, store: Store) -> Strangers:
    """How strangers are received."""
    callers = config.callers
    policy = ReputationPolicy(callers.reports, callers.report_days * DAY, callers.consent_days * DAY)
    reputation = Reputation(store.opinions, policy)
    return Strangers(reputation, Treatment(callers.verified), Treatment(callers.unverified))


def web_roots() -> tuple[x509.Certificate, ...]:
    """The roots that the operating system trusts for the web; empty where it keeps them in no file."""
    context = ssl.create_default_context()
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some old roots are not as today's rules have them
        for der in context.get_ca_certs(binary_form=True):
            try:
                found.append(x509.load_der_x509_certificate(der))
            except ValueError:
                continue
    return tuple(found)


def _certificates(paths: Iterable[Path]) -> tuple[x509.Certificate, ...]:
    return tuple(certificate for path in paths for certificate in _read(path, read_chain))


def _revocation_list(path: Path) -> x509.CertificateRevocationList:
    return _read(path, read_crl)


def _read(path: Path, reader: Callable[[bytes], T]) -> T:
    try:
        return reader(path.read_bytes())
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from None
    except LocalError as error:
        raise LocalError(f"{path}: {error}") from None

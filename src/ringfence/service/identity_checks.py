"""The rules of `ringfence check` about signatures of callers: ours have to hold, those of others to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from cryptography import x509

from ringfence.message import LocalError, PeerError
from ringfence.security.tnauth import Credential, credential_from
from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, expiry, warning
from ringfence.service.identity import read_identity
from ringfence.service.lines import KeyPath
from ringfence.transport.web import WebUrl, parse_url

LARGEST_FETCH_NETWORK = 65_536
"""Addresses that certificates are fetched from although they are not public: those of a federation's servers."""


def identity_holds(config: Config) -> Iterator[Finding]:
    """The certificate that calls are signed with can be read, has its key, speaks for us, and can be fetched."""
    identity = config.identity
    key: KeyPath = ("identity", "certificate")
    if not identity.sign or not identity.certificate.is_file() or not identity.key.is_file():
        return  # files_exist has said so where it matters
    try:
        chain, _ = read_identity(identity.certificate, identity.key)
        credential = credential_from(chain[:1], chain[:1], 0.0)
    except (LocalError, PeerError) as flaw:
        reason = flaw.reason if isinstance(flaw, PeerError) else str(flaw)
        fix = "put a certificate with a key on P-256 there, and the key beside it"
        yield error(config, key, reason, fix)
        return
    yield from expiry(config, key, identity.certificate, chain)
    yield from _scope(config, key, credential)
    yield from _root(config, chain)
    yield from _reachable(config, parse_url(identity.url))


def _scope(config: Config, key: KeyPath, credential: Credential) -> Iterator[Finding]:
    domain = config.domain.name
    if domain in credential.domains:
        return
    path = config.identity.certificate
    if credential.own_numbers:
        reason = (
            f"{path} speaks for telephone numbers and not for {domain}: calls of other addresses go unsigned"
        )
        yield warning(
            config, key, reason, f"have one issued that names {domain}, too, if they are to be signed"
        )
    else:
        reason = f"{path} names neither {domain} nor telephone numbers: nothing can be signed with it"
        yield error(config, key, reason, f"run ringfence cert issue {domain}, or have one issued for it")


def _root(config: Config, chain: list[x509.Certificate]) -> Iterator[Finding]:
    ca = config.tls.ca
    if ca is None or not ca.is_file():
        return
    roots = x509.load_pem_x509_certificates(ca.read_bytes())
    if roots and chain[0].issuer == roots[0].subject:
        reason = "the certificate is from our own CA: only who has been given that believes our signatures"
        fix = "give tls.ca to the other domains, or name a certificate of a public CA with a key on P-256"
        yield warning(config, ("identity", "certificate"), reason, fix)


def _reachable(config: Config, url: WebUrl) -> Iterator[Finding]:
    key: KeyPath = ("identity", "url")
    try:
        public = ip_address(url.host).is_global
    except ValueError:
        public = "." in url.host and not url.host.endswith((".localhost", ".local", ".internal", ".test"))
    if not public:
        reason = f"{url.host} is no host that strangers can reach: they can't fetch the certificate"
        yield warning(config, key, reason, 'write a public one: url = "https://example.org/identity.pem"')
    address = config.identity.publish_address
    if address is not None and address.loopback:
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

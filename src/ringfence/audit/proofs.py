"""Whether the server proves which domain it is (RFC 5922): probes of its certificate, for requirement 1."""

from __future__ import annotations

import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ringfence.audit.finding import Fix, Probe, Verdict, failed, passed, unseen, weak
from ringfence.audit.hello import ANY, MODERN, TLS12, TLS13, offer
from ringfence.audit.line import Place
from ringfence.audit.site import Site, Unobservable
from ringfence.message import LocalError
from ringfence.security.certificates import WEB_USAGES, domain_flaws, domain_identities
from ringfence.security.chains import ChainFlaw, judge_chain
from ringfence.security.pem import read_chain

SOON = 14 * 86_400.0
"""Seconds before the end of a certificate in which it should have been renewed."""

LONG = 825 * 86_400.0
"""Seconds of a lifetime above which a stolen key is good for too long (CA/Browser Forum, ballot 193)."""

MIN_RSA = 2048
MIN_EC = 224
"""Bits of keys (RFC 9325 section 4.5)."""


async def _chain(site: Site, place: Place | None = None) -> list[x509.Certificate]:
    async with site.open(place or site.need("TLS", "WSS")) as line:
        peer = line.peer
    if peer is None:
        raise Unobservable("the server shows no certificate")
    try:
        return [x509.load_der_x509_certificate(each) for each in peer.chain]
    except ValueError as error:
        raise Unobservable(f"the certificate cannot be read: {error}") from None


async def names(site: Site) -> Verdict:
    """Each secure port proves the domain."""
    secure = [place for place in site.places if place.secure]
    if not secure:
        raise Unobservable("the server answers on no TLS port that was found")
    told = []
    for place in secure:
        leaf = (await _chain(site, place))[0]
        flaws = domain_flaws(leaf, site.domain, WEB_USAGES)
        if flaws:
            return failed(f"{place}: {flaws[0].detail}")
        found = domain_identities(leaf)
        told.append(f"{place}: {found.source} {', '.join(found.domains[:3])}")
    return passed("; ".join(told))


async def trusted(site: Site) -> Verdict:
    """The chain leads to a root that is known here."""
    chain = await _chain(site)
    anchors = _anchors(site)
    judged = judge_chain(chain, anchors, time.time())
    if not judged.reasons:
        return passed(f"{len(judged.path)} certificates, up to {judged.path[-1].subject.rfc4514_string()}")
    if len(chain) == 1 and chain[0].issuer == chain[0].subject:
        return failed("the certificate has signed itself: nobody can tell it from one of an attacker")
    issuer = chain[0].issuer.rfc4514_string()
    if judged.reasons[0].code is ChainFlaw.UNTRUSTED and not site.trust and site.config is None:
        return failed(
            f"the system knows no root above {issuer}: if the authority is yours, name it by --trust"
        )
    return failed(f"{judged.reasons[0].detail}; issued by {issuer}")


def _anchors(site: Site) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    paths = list(site.trust)
    if site.config is not None and site.config.tls.ca is not None:
        paths.append(site.config.tls.ca)
    for path in paths:
        try:
            found += read_chain(path.read_bytes())
        except (OSError, LocalError) as error:
            raise Unobservable(f"{path} cannot be read: {error}") from None
    if not found:
        context = ssl.create_default_context()
        for der in context.get_ca_certs(binary_form=True):
            found.append(x509.load_der_x509_certificate(der))
    return found


async def lifetime(site: Site) -> Verdict:
    """It has begun, and does not end soon."""
    leaf = (await _chain(site))[0]
    start, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    now = time.time()
    told = f"from {leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
    if not start <= now <= end:
        return failed(f"{told}: not now")
    if end - now < SOON and end - now < (end - start) / 3:
        return weak(f"{told}: it ends in {(end - now) / 86_400:.0f} days")
    if end - start > LONG:
        return weak(f"{told}: {(end - start) / 86_400:.0f} days are long for a stolen key")
    return passed(told)


async def key(site: Site) -> Verdict:
    """The key and the signatures are strong enough."""
    chain = await _chain(site)
    public = chain[0].public_key()
    bits = getattr(public, "key_size", 256)
    kind = (
        "RSA"
        if isinstance(public, rsa.RSAPublicKey)
        else "EC"
        if isinstance(public, ec.EllipticCurvePublicKey)
        else "EdDSA"
    )
    least = MIN_RSA if kind == "RSA" else MIN_EC
    hashes = [
        each.signature_hash_algorithm for each in chain if each.issuer != each.subject or each is chain[0]
    ]
    old = [each.name for each in hashes if each is not None and each.name in {"md5", "sha1"}]
    if bits < least:
        return failed(f"{kind} with {bits} bits")
    if old:
        return failed(f"signed with {old[0]}")
    return passed(
        f"{kind} with {bits} bits, signed with {hashes[0].name if hashes and hashes[0] else 'EdDSA'}"
    )


async def asks_for_certificates(site: Site) -> Verdict:
    """Other servers can prove themselves to it."""
    place = site.need("TLS", "WSS")
    flight = await offer(place.endpoint, TLS12, ANY, place.server_name, site.wait)
    if not flight.version:
        newest = await offer(place.endpoint, TLS13, MODERN, place.server_name, site.wait)
        return unseen(
            "only TLS 1.3 is spoken, where the question is encrypted" if newest.version else "no handshake"
        )
    if flight.asks_certificate:
        return passed("a client is asked for its certificate")
    return weak("no client is asked for a certificate: other domains are known by address or not at all")


PROBES: tuple[Probe, ...] = (
    Probe(
        "certificate-name",
        "The certificate names the domain",
        "RFC 5922 section 7.2",
        "A caller who checks cannot connect; one who does not check can be led to anybody.",
        Fix(
            "ringfence cert issue DOMAIN",
            "tls.cfg: [server:default] certificate = /etc/kamailio/tls/DOMAIN.pem  (with SAN URI:sip:DOMAIN)",
            "pjsip.conf: [transport-tls] cert_file=/etc/asterisk/keys/DOMAIN.pem",
        ),
        names,
        3,
    ),
    Probe(
        "certificate-chain",
        "The certificate leads to a root that is known",
        "RFC 5280 section 6.1",
        "Phones and other domains cannot tell the server from an attacker in the middle.",
        Fix(
            "ringfence cert renew",
            "tls.cfg: [server:default] certificate = fullchain.pem",
            "pjsip.conf: [transport-tls] cert_file=fullchain.pem",
        ),
        trusted,
        2,
    ),
    Probe(
        "certificate-lifetime",
        "The certificate is valid, and will be",
        "RFC 5280 section 4.1.2.5",
        "When it has run out, every checked connection fails, and people turn the check off.",
        Fix(
            "ringfence cert renew",
            "kamcmd tls.reload  (after renewing)",
            "asterisk -rx 'module reload res_pjsip.so'",
        ),
        lifetime,
        2,
    ),
    Probe(
        "certificate-key",
        "The key is strong enough",
        "RFC 9325 section 4.5",
        "A short key or a broken hash lets others make a certificate that passes for yours.",
        Fix(
            "ringfence cert renew",
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 ...",
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 ...",
        ),
        key,
        2,
    ),
    Probe(
        "client-certificates",
        "Other servers can prove themselves",
        "RFC 5922 section 7.4",
        "Calls from other domains cannot be told from calls of strangers.",
        Fix(
            '[tls] client_certificates = "optional"',
            "tls.cfg: [server:default] verify_certificate = yes  require_certificate = no",
            "pjsip.conf: [transport-tls] verify_client=yes",
        ),
        asks_for_certificates,
    ),
)

"""Certificates that arrive in messages or from an ``info`` URL: reading them, and judging their chain.

TLS checks its own chains. Here are those that TLS never sees: the signers of PASSporTs (RFC 8226) and of
S/MIME bodies (RFC 8550). The path is built and checked by the verifier of ``cryptography`` (RFC 5280); this
file adds revocation lists and says in words what was wrong. Paths with Ed25519 keys are built in ``edwards_paths``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from ringfence.message.errors import PeerError
from ringfence.security.edwards_paths import build_path, has_edwards_key
from ringfence.security.reasons import Reason, Reasons
from ringfence.security.revocation import applies, revokes
from ringfence.security.unreadable import UNREADABLE

MAX_CHAIN_OCTETS = 65536
"""Longest chain that is read: ten certificates with 4096-bit keys fit four times."""

MAX_CERTIFICATES = 10
"""Most certificates in one chain. Deployed paths have two to four; each costs a signature check."""

_PEM = b"-----BEGIN"


class ChainFlaw(StrEnum):
    """What can be wrong with a certificate or the path above it."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    SELF_SIGNED = "self-signed"
    UNTRUSTED = "untrusted"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation unknown"
    USAGE = "usage"


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM chain, or one DER certificate; the leaf stands first.

    Raises:
        PeerError: 436 when there is none, one can't be read, or a limit is passed.
    """
    if len(data) > MAX_CHAIN_OCTETS:
        raise PeerError(
            436, f"the certificate chain is longer than {MAX_CHAIN_OCTETS} octets", header="Identity"
        )
    try:
        if _PEM not in data:
            return [fully_read(x509.load_der_x509_certificate(data))]
        found = [fully_read(one) for one in x509.load_pem_x509_certificates(data)]
    except UNREADABLE as error:
        raise PeerError(436, f"not a certificate: {str(error)[:80]}", header="Identity") from None
    if not 0 < len(found) <= MAX_CERTIFICATES:
        raise PeerError(436, f"{len(found)} certificates, at most {MAX_CERTIFICATES}", header="Identity")
    return found


def fully_read(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate, when its names and times can be read. The library reads them when they are asked for, and what
    is wrong with them should come out at once.

    Raises:
        ValueError: when they can't.
    """
    _ = (
        certificate.subject,
        certificate.issuer,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
    return certificate


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the certificate in lower-case hexadecimal, for people and for pinning."""
    return certificate.fingerprint(SHA256()).hex()


def subject_text(certificate: x509.Certificate) -> str:
    """The subject as a person reads it: the common name if there is one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def time_flaws(certificate: x509.Certificate, now: float) -> Reasons:
    """Whether ``now`` lies in the validity period."""
    moment = datetime.fromtimestamp(now, UTC)
    name = subject_text(certificate)
    if moment > certificate.not_valid_after_utc:
        return (
            Reason(ChainFlaw.EXPIRED, f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M}"),
        )
    if moment < certificate.not_valid_before_utc:
        when = certificate.not_valid_before_utc
        return (Reason(ChainFlaw.NOT_YET_VALID, f"{name} is valid from {when:%Y-%m-%d %H:%M}"),)
    return ()


class Judged(NamedTuple):
    """The path that was built, or the chain as it came when none was, and why it is not to be trusted."""

    path: tuple[x509.Certificate, ...]
    reasons: Reasons


def judge_chain(
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: float,
    revocation: Iterable[x509.CertificateRevocationList] = (),
    *,
    usages: Iterable[x509.ObjectIdentifier] = (),
    list_issuers: Sequence[x509.Certificate] = (),
) -> Judged:
    """Find a path from the first certificate of ``chain`` to a trusted one and judge it.

    ``anchors`` are the trusted roots, or the certificate itself when it is trusted by name. When ``usages``
    is given and the certificate limits its usage, one of them must be among it. ``revocation`` holds the
    lists at hand; a certificate whose issuer has none there is not refused for that. ``list_issuers`` may sign
    indirect lists for any root, by the owner's word.
    """
    leaf, path = chain[0], tuple(chain)
    reasons = time_flaws(leaf, now) + _usage_flaws(leaf, usages)
    if leaf in anchors:
        return Judged((leaf,), reasons)
    if not reasons:
        try:
            path = tuple(_build(chain, anchors, now))
        except (VerificationError, ValueError, UnsupportedAlgorithm) as error:
            return Judged(path, (_path_flaw(leaf, error),))
    lists = tuple(revocation)
    signers = list_signers(lists, path, (*chain[1:], *anchors), now) if not reasons else []
    signers += [one for one in list_issuers if not time_flaws(one, now)]
    return Judged(path, reasons + revocation_flaws(path, lists, now, signers))


def _build(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: float
) -> list[x509.Certificate]:
    if not anchors:
        raise ValueError("no trust anchor is configured")
    # Signers of tokens and bodies have no name that TLS would look for, and often no extended key usage:
    # what they may sign for is judged by their own extensions, so nothing is asked of the leaf here.
    policy = PolicyBuilder().store(Store(list(anchors))).time(datetime.fromtimestamp(now, UTC))
    policy = policy.max_chain_depth(MAX_CERTIFICATES).extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    )
    try:
        return policy.build_client_verifier().verify(chain[0], list(chain[1:MAX_CERTIFICATES])).chain
    except VerificationError:
        if has_edwards_key([*chain, *anchors]):
            return build_path(chain, anchors, now)
        raise


def _path_flaw(leaf: x509.Certificate, error: Exception) -> Reason:
    if leaf.issuer == leaf.subject:
        return Reason(
            ChainFlaw.SELF_SIGNED, f"{subject_text(leaf)} is signed by itself and not among the trusted"
        )
    return Reason(ChainFlaw.UNTRUSTED, f"no trusted path for {subject_text(leaf)}: {str(error)[:120]}")


def _usage_flaws(leaf: x509.Certificate, usages: Iterable[x509.ObjectIdentifier]) -> Reasons:
    try:
        extensions = leaf.extensions
    except UNREADABLE as error:
        return (Reason(ChainFlaw.USAGE, f"unreadable extensions: {str(error)[:80]}"),)
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage) and not (value.digital_signature or value.content_commitment):
            return (Reason(ChainFlaw.USAGE, f"{subject_text(leaf)} is not for signatures"),)
        if isinstance(value, x509.ExtendedKeyUsage):
            allowed = {*usages, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
            if len(allowed) > 1 and not allowed & set(value):
                return (Reason(ChainFlaw.USAGE, f"{subject_text(leaf)} is for another use"),)
    return ()


# ---- revocation (RFC 5280 section 6.3) ----


def revocation_flaws(
    path: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    now: float,
    signers: Sequence[x509.Certificate] = (),
) -> Reasons:
    """What these lists say against the certificates of a path. ``signers`` are those of ``list_signers``."""
    reasons: list[Reason] = []
    moment = datetime.fromtimestamp(now, UTC)
    for certificate, issuer in pairwise(path):
        for crl in lists:
            if not applies(crl, certificate):
                continue
            name = subject_text(certificate)
            direct = crl.issuer == certificate.issuer
            if not any(_signed_by(crl, one) for one in ((issuer,) if direct else (*path[1:], *signers))):
                detail = f"the revocation list for {name} is not signed by its issuer"
                reasons.append(Reason(ChainFlaw.REVOCATION_UNKNOWN, detail))
            elif revokes(crl, certificate):
                reasons.append(Reason(ChainFlaw.REVOKED, f"{name} has been revoked"))
            elif crl.next_update_utc is not None and crl.next_update_utc < moment:
                detail = f"the revocation list for {name} ended on {crl.next_update_utc:%Y-%m-%d}"
                reasons.append(Reason(ChainFlaw.REVOCATION_UNKNOWN, detail))
    return tuple(reasons)


def list_signers(
    lists: Sequence[x509.CertificateRevocationList],
    path: Sequence[x509.Certificate],
    beside: Sequence[x509.Certificate],
    now: float,
) -> list[x509.Certificate]:
    """Issuers of indirect lists that do not stand in a path that was built, but beside it.

    "The trust anchor for the certification path MUST be the same as the trust anchor used to validate the target
    certificate" (section 6.3.3 step f): else who may speak in one trust domain could unsay what another one revokes.
    An issuer that these lists revoke themselves is none.
    """
    wanted = {crl.issuer for crl in lists} - {one.subject for one in path}
    found: list[x509.Certificate] = []
    for one in beside if wanted else ():
        if one.subject in wanted and one not in found:
            with suppress(VerificationError, ValueError, UnsupportedAlgorithm):
                up = _build([one, *path[1:], *beside], path[-1:], now)
                said = revocation_flaws(up, lists, now)
                if all(flaw.code is not ChainFlaw.REVOKED for flaw in said):
                    found.append(one)
    return found


def sound_lists(
    lists: Sequence[x509.CertificateRevocationList],
    path: Sequence[x509.Certificate],
    now: float,
    signers: Sequence[x509.Certificate] = (),
) -> tuple[x509.CertificateRevocationList, ...]:
    """Those lists that can be believed, which leaves out what has ended, or was signed by nobody who may.

    What was fetched and is not sound is as if it had not been had: whoever can put it there can hold it back, too. What
    an issuer has revoked stays so when its list has ended.
    """
    found = []
    for crl in lists:
        codes = {flaw.code for flaw in revocation_flaws(path, (crl,), now, signers)}
        if ChainFlaw.REVOCATION_UNKNOWN not in codes or ChainFlaw.REVOKED in codes:
            found.append(crl)
    return tuple(found)


def _signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    if crl.issuer != issuer.subject or not _may_sign_lists(issuer):
        return False
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # a wrong kind: TypeError
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
    except UNREADABLE:
        return False


def issuer_among(
    certificate: x509.Certificate, others: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    """The certificate that has issued another one, if it is here."""
    for one in others:
        if one.subject == certificate.issuer:
            with suppress(InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
                certificate.verify_directly_issued_by(one)
                return one
    return None

"""CMS SignedData (RFC 5652 section 5): attached and detached signatures, by one or more signers.

``verify`` says of each signer everything that is wrong with its signature. Whether its certificate is to be
trusted, and for whom, is asked elsewhere. A signature is over the signed attributes, and they hold the digest
of the content: so a changed content (``DIGEST``) is told from a changed or foreign signature (``SIGNATURE``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any, NamedTuple

from asn1crypto import algos, cms, core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message.errors import LocalError, PeerError
from ringfence.security import cms as syntax
from ringfence.security.chains import fully_read
from ringfence.security.cms import DIGESTS, ECDSA_WITH, SHA256, SHA512, Digest
from ringfence.security.cms_fit import MIN_RSA_BITS, SignatureFlaw, fit_flaws
from ringfence.security.reasons import Reason, Reasons

PREFER_SIGNED_DATA = "1.2.840.113549.1.9.15.1"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Signatory(NamedTuple):
    """Who signs: a key, its certificate, and the certificates above it to send along."""

    key: PrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    digest: Digest = SHA256
    pss: bool = False
    by_key_identifier: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, judged; it is good when there are no reasons."""

    certificate: x509.Certificate | None
    reasons: Reasons
    digest: str
    signed_at: float | None
    """The signer's own claim (RFC 5652 section 11.3), seconds since 1970."""
    capabilities: tuple[str, ...]
    """OIDs that the signer says it can decrypt, the preferred first (RFC 8551 section 2.5.2)."""


def unreadable(why: str) -> Signature:
    """What stands for a signature that is no signature at all."""
    return Signature(None, (Reason(SignatureFlaw.MALFORMED, why),), "", None, ())


class Signed(NamedTuple):
    """A SignedData object: its content (None when it is detached), signatures and certificates."""

    content: bytes | None
    signatures: tuple[Signature, ...]
    certificates: tuple[x509.Certificate, ...]


# ---- signing ----


def sign(
    content: bytes,
    signatories: Sequence[Signatory],
    now: float,
    *,
    detached: bool = True,
    capabilities: Iterable[str] = (),
) -> bytes:
    """A SignedData object in DER over ``content``, which is part of it unless ``detached``.

    The certificates go along, as RFC 3261 section 23.2 demands. Without signatories it carries only
    ``certificates`` (see ``certs_only``).

    Raises:
        LocalError: when a key does not fit its algorithm.
    """
    certificates = {one for who in signatories for one in (who.certificate, *who.chain)}
    return _signed_data(
        {"content_type": syntax.DATA} if detached else {"content_type": syntax.DATA, "content": content},
        [_signer_info(who, content, now, tuple(capabilities)) for who in signatories],
        certificates,
    )


def certs_only(certificates: Iterable[x509.Certificate]) -> bytes:
    """The degenerate SignedData that only carries certificates (RFC 8551 section 3.8): goes with a 493."""
    return _signed_data({"content_type": syntax.DATA}, [], set(certificates))


def _signed_data(content: dict[str, Any], infos: list[Any], certificates: set[x509.Certificate]) -> bytes:
    by_identifier = any(info["sid"].name == "subject_key_identifier" for info in infos)
    carried = [cms.CertificateChoices.load(one.public_bytes(Encoding.DER)) for one in certificates]
    value = cms.SignedData(
        {
            "version": "v3" if by_identifier else "v1",
            "digest_algorithms": _unique_digests(infos),
            "encap_content_info": content,
            "certificates": carried,
            "signer_infos": infos,
        }
    )
    return syntax.wrap(syntax.SIGNED_DATA, value)


def _unique_digests(infos: list[Any]) -> list[Any]:
    return list(
        {info["digest_algorithm"]["algorithm"].dotted: info["digest_algorithm"] for info in infos}.values()
    )


def _signer_info(who: Signatory, content: bytes, now: float, capabilities: tuple[str, ...]) -> Any:
    # RFC 8419 section 3: Ed25519 goes with SHA-512.
    digest = SHA512 if isinstance(who.key, ed25519.Ed25519PrivateKey) else who.digest
    if digest.weak:
        raise LocalError(f"nothing is signed with {digest.name}")
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": [syntax.DATA]},
            {"type": "signing_time", "values": [_time(now)]},
            {"type": "message_digest", "values": [_hash(digest, content)]},
            *_capabilities(capabilities),
        ]
    )
    algorithm, signature = _signature(who, digest, attributes.dump())
    if who.by_key_identifier:
        sid = cms.SignerIdentifier("subject_key_identifier", _required_identifier(who.certificate))
    else:
        sid = cms.SignerIdentifier("issuer_and_serial_number", syntax.issuer_and_serial(who.certificate))
    return cms.SignerInfo(
        {
            "version": "v3" if who.by_key_identifier else "v1",
            "sid": sid,
            "digest_algorithm": {"algorithm": digest.oid},
            "signed_attrs": attributes,
            "signature_algorithm": algorithm,
            "signature": signature,
        }
    )


def _required_identifier(certificate: x509.Certificate) -> bytes:
    found = syntax.key_identifier(certificate)
    if found is None:
        raise LocalError("the certificate has no subject key identifier")
    return found


def _time(now: float) -> Any:
    # RFC 5652 section 11.3: UTCTime through 2049.
    moment = datetime.fromtimestamp(int(now), UTC)
    name = "utc_time" if moment.year < 2050 else "generalized_time"
    return cms.Time(name, moment)


def _capabilities(oids: tuple[str, ...]) -> list[dict[str, Any]]:
    if not oids:
        return []
    return [{"type": "smime_capabilities", "values": [[{"capability_id": oid} for oid in oids]]}]


def _hash(digest: Digest, content: bytes) -> bytes:
    context = hashes.Hash(digest.algorithm)
    context.update(content)
    return context.finalize()


def _signature(who: Signatory, digest: Digest, data: bytes) -> tuple[Any, bytes]:
    key, algorithm = who.key, digest.algorithm
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return algos.SignedDigestAlgorithm({"algorithm": syntax.ED25519}), key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        oid = next(oid for oid, known in ECDSA_WITH.items() if known is digest)
        return algos.SignedDigestAlgorithm({"algorithm": oid}), key.sign(data, ec.ECDSA(algorithm))
    if key.key_size < MIN_RSA_BITS:
        raise LocalError(f"an RSA key of {key.key_size} bits is too short")
    if not who.pss:
        return algos.SignedDigestAlgorithm({"algorithm": syntax.RSA}), key.sign(
            data, padding.PKCS1v15(), algorithm
        )
    hashed = {"algorithm": digest.oid}
    parameters = {
        "hash_algorithm": hashed,
        "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
        "salt_length": algorithm.digest_size,
    }
    pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    made = algos.SignedDigestAlgorithm({"algorithm": syntax.RSA_PSS, "parameters": parameters})
    return made, key.sign(data, pss, algorithm)


# ---- verifying ----


def verify(
    data: bytes, content: bytes | None = None, certificates: Sequence[x509.Certificate] = ()
) -> Signed:
    """Judge every signature of a SignedData object, DER or BER.

    ``content`` is what a detached signature is over. ``certificates`` are known ones, beside those that the
    object carries.

    Raises:
        PeerError: 400 when it is no SignedData object, or is malformed; 413 when it is over a limit.
    """
    content_type, value = syntax.read(data)
    if content_type != syntax.SIGNED_DATA:
        raise PeerError(400, f"the CMS object is no SignedData but {content_type}")
    with syntax.malformed():
        inner = value["encap_content_info"]
        attached = _content(inner)
        if attached is not None and content is not None and attached != content:
            raise PeerError(400, "a detached signature must not carry another content")
        infos = list(value["signer_infos"])
        if len(infos) > syntax.MAX_SIGNERS:
            raise PeerError(413, f"more than {syntax.MAX_SIGNERS} signatures")
        carried, unread = _certificates(value)
        signed = attached if attached is not None else content
        kind = inner["content_type"].dotted
        known = (*carried, *certificates)
        judged = tuple(_judge(info, kind, signed, known, unread) for info in infos)
    return Signed(attached, judged, carried)


def _content(inner: Any) -> bytes | None:
    content = inner["content"]
    if isinstance(content, core.Void):
        return None
    if not isinstance(content, core.OctetString | core.ParsableOctetString):
        # PKCS #7 version 1.5 allowed any type; S/MIME never used it.
        raise PeerError(400, "the content of the CMS object is no octet string")
    return bytes(content)


def _certificates(value: Any) -> tuple[tuple[x509.Certificate, ...], str]:
    """Those that can be read, and why the first of the others can't: one that is bad does not spoil the rest."""
    choices = value["certificates"] if syntax.present(value["certificates"]) else []
    found = [choice.chosen for choice in choices if choice.name == "certificate"]
    if len(found) > syntax.MAX_CERTIFICATES:
        raise PeerError(413, f"more than {syntax.MAX_CERTIFICATES} certificates")
    read, unread = [], ""
    for one in found:
        try:
            with syntax.malformed():
                read.append(fully_read(x509.load_der_x509_certificate(one.dump())))
        except PeerError as error:
            unread = unread or error.reason.removeprefix("malformed CMS object: ")
    return tuple(read), unread


def _judge(
    info: Any, kind: str, content: bytes | None, known: Sequence[x509.Certificate], unread: str
) -> Signature:
    reasons: list[Reason] = []
    oid = info["digest_algorithm"]["algorithm"].dotted
    digest = DIGESTS.get(oid)
    certificate = next((one for one in known if syntax.identifies(info["sid"], one)), None)
    if digest is None:
        name = syntax.OTHER_DIGESTS.get(oid, oid)
        reasons.append(Reason(SignatureFlaw.ALGORITHM, f"the digest {name} is not supported"))
    elif digest.weak:
        reasons.append(Reason(SignatureFlaw.WEAK_DIGEST, f"{digest.name} can be forged"))
    if certificate is None:
        why = f", or can't be read: {unread[:80]}" if unread else ""
        reasons.append(Reason(SignatureFlaw.NO_CERTIFICATE, f"the signer's certificate is not at hand{why}"))
    attributes = info["signed_attrs"] if syntax.present(info["signed_attrs"]) else None
    reasons += _unsigned_flaws(info)
    if digest is not None and content is not None:
        reasons += _content_flaws(attributes, kind, digest, content)
        if certificate is not None:
            covered = [content] if attributes is None else _encodings(attributes)
            reasons += fit_flaws(info, certificate, digest, covered)
    elif content is None:
        reasons.append(Reason(SignatureFlaw.NO_CONTENT, "the content that was signed is not there"))
    name = digest.name if digest else syntax.OTHER_DIGESTS.get(oid, oid)
    when, able = (None, ()) if attributes is None else (_signed_at(attributes), _able(attributes))
    return Signature(certificate, tuple(reasons), name, when, able)


def _unsigned_flaws(info: Any) -> list[Reason]:
    """What has to be signed may not stand where anybody could have written it (RFC 5652 sections 11.1 to 11.3)."""
    attributes = info["unsigned_attrs"]
    names = {each["type"].native for each in attributes} if syntax.present(attributes) else set()
    misplaced = sorted(names & {"content_type", "message_digest", "signing_time"})
    return [Reason(SignatureFlaw.ATTRIBUTES, f"{misplaced[0]} is not signed")] if misplaced else []


def _encodings(attributes: Any) -> list[bytes]:
    """What a signature over attributes may cover: their DER (RFC 5652 section 5.4), or the octets that came.

    The two differ for attributes in BER, for which the first is right, and for signers that do not sort the set.
    """
    received: bytes = attributes.untag().dump()
    try:
        made: bytes = attributes.untag().dump(force=True)
    except (ValueError, TypeError, AttributeError):
        # An attribute of a kind that ``asn1crypto`` can't read, such as a receipt request (RFC 2634 section 2.7).
        return [received]
    return [made] if made == received else [made, received]


def _values(attributes: Any, name: str) -> list[Any]:
    """Every value of an attribute; RFC 5652 section 11 wants exactly one of each."""
    return [
        value for attribute in attributes if attribute["type"].native == name for value in attribute["values"]
    ]


def _content_flaws(attributes: Any, kind: str, digest: Digest, content: bytes) -> list[Reason]:
    if attributes is None:
        if kind != syntax.DATA or content[:1] == b"\x31":
            # What was signed as attributes could else be shown as content, and the other way round.
            return [Reason(SignatureFlaw.ATTRIBUTES, "signed attributes are missing where they are needed")]
        return []
    kinds, digests = _values(attributes, "content_type"), _values(attributes, "message_digest")
    if len(kinds) != 1 or kinds[0].dotted != kind:
        return [Reason(SignatureFlaw.ATTRIBUTES, "the content-type attribute is not that of the content")]
    if len(digests) != 1:
        return [Reason(SignatureFlaw.ATTRIBUTES, "there is not one message-digest attribute")]
    timed = any(attribute["type"].native == "signing_time" for attribute in attributes)
    if timed and len(_values(attributes, "signing_time")) != 1:
        return [Reason(SignatureFlaw.ATTRIBUTES, "there is not one signing-time attribute")]
    if not compare_digest(digests[0].native, _hash(digest, content)):
        return [Reason(SignatureFlaw.DIGEST, "the content is not what was signed")]
    return []


def _signed_at(attributes: Any) -> float | None:
    times = _values(attributes, "signing_time")
    return times[0].native.timestamp() if len(times) == 1 else None


def _able(attributes: Any) -> tuple[str, ...]:
    lists = _values(attributes, "smime_capabilities")
    return tuple(item["capability_id"].dotted for item in lists[0]) if len(lists) == 1 else ()

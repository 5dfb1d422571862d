"""What a proxy can say of the signature on a body that passes: whose it is, and whether the body is as it was signed.

It reads what is only signed; it opens nothing that is encrypted, and has no key to. It believes authorities alone: it
meets too many people to remember whom it has seen before, as a phone does.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509

from ringfence.message import PeerError, Request
from ringfence.security.smime import body_of, open_body
from ringfence.security.smime_signer import Speaks, signer_of


class Authorities(NamedTuple):
    """Who may vouch for people."""

    anchors: tuple[x509.Certificate, ...] = ()
    lists: tuple[x509.CertificateRevocationList, ...] = ()


class Judged(NamedTuple):
    """The verdict on a signature."""

    good: bool
    text: str
    """For people: who has signed, or what is wrong."""


def judge_signature(request: Request, authorities: Authorities, now: float) -> Judged:
    """Judge the outermost signature of a request's body, against its From (RFC 3261 section 23.3)."""
    try:
        layer = open_body(body_of(request)).signature_layer
    except PeerError as error:
        return Judged(False, f"it can't be read: {error.reason}")
    if layer is None or not layer.signatures:
        return Judged(False, "it is not signed")
    signer = signer_of(
        layer.signatures[0],
        request.from_.uri,
        authorities.anchors,
        now,
        others=layer.certificates,
        revocation=authorities.lists,
    )
    if signer.reasons:
        return Judged(False, "; ".join(reason.detail for reason in signer.reasons)[:200])
    whose = ", ".join(signer.addresses[:2])
    return Judged(
        True, f"signed by {whose}" if signer.speaks is Speaks.USER else f"signed by the domain {whose}"
    )

"""Authenticated Identity Bodies (RFC 3893): just enough signed header fields to say who sent a message.

An AIB is a ``message/sipfrag`` with the disposition ``aib``, signed by the sender or by its domain. It
holds the From, and what ties that to this one message: Date and Call-ID against replay, Contact against
reuse by somebody else. An unsigned AIB is judged like one whose signature is broken (section 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from cryptography import x509

from ringfence.message.address import NameAddr
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.fields import CALL_ID, FROM
from ringfence.message.fields.date import format_date
from ringfence.message.headers import Headers
from ringfence.message.message import Message, Request, Response
from ringfence.message.multipart import Entity, make_entity
from ringfence.message.sipfrag import Fragment, fragment_of, parse_fragment
from ringfence.security.cms_enveloped import Keyring
from ringfence.security.reasons import Reason, Reasons
from ringfence.security.replay import ReplayWindow
from ringfence.security.smime import Secured, is_secured, open_body
from ringfence.security.smime_signer import Signer, signer_of
from ringfence.security.tunnel import MAX_AGE, Comparison, age_flaw, compare

DISPOSITION = ("Content-Disposition", "aib; handling=optional")

REQUIRED = ("From", "Date", "Call-ID", "Contact")
"""What the AIB of a request MUST hold (RFC 3893 section 2)."""

IN_REQUESTS = ("From", "To", "Contact", "Date", "Call-ID", "CSeq")
"""What ours hold: the SHOULD of section 2 too, in the order of its example."""

NO_CONTACT = frozenset({"MESSAGE", "BYE", "PRACK", "INFO", "PUBLISH", "CANCEL", "ACK"})
"""Methods whose requests have no Contact of their own (RFC 3428 section 4, RFC 3261 table 2): there it can't be
asked for. It is still compared when it is there."""


class AibFlaw(StrEnum):
    """Why an AIB does not prove who sent a message."""

    UNSIGNED = "unsigned"
    INCOMPLETE = "incomplete"
    DIFFERENT = "different"
    STALE = "stale"
    REPLAYED = "replayed"
    TO_PRESENT = "to present"


class Found(NamedTuple):
    """An AIB in a body, with the layers of security around it."""

    fragment: Fragment
    secured: Secured


class AibVerdict(NamedTuple):
    """Who sent the message, by its AIB; proven when there are no reasons."""

    identity: NameAddr | None
    signer: Signer | None
    comparison: Comparison
    reasons: Reasons


# ---- making ----


def aib_for_request(request: Request) -> Entity:
    """The AIB of a request, to be signed; the request needs a Date.

    Raises:
        LocalError: when the request lacks a header field that an AIB must hold.
    """
    missing = [name for name in _required(request) if name not in request.headers]
    if missing:
        raise LocalError(f"an AIB needs {', '.join(missing)}")
    return make_entity("message/sipfrag", fragment_of(request, IN_REQUESTS).to_bytes(), DISPOSITION)


def aib_for_response(request: Request, response: Response, identity: NameAddr, now: float) -> Entity:
    """The AIB of a response (RFC 3893 section 6): the From is the responder, and there is no To.

    Raises:
        LocalError: when a response to an INVITE has no Contact.
    """
    contacts = response.headers.all("Contact")
    if not contacts and request.method not in NO_CONTACT:
        raise LocalError("an AIB needs Contact")
    headers = Headers([("From", str(identity)), *(("Contact", value) for value in contacts)])
    headers.add("Date", response.headers.get("Date") or format_date(datetime.fromtimestamp(int(now), UTC)))
    headers.add("Call-ID", request.call_id)
    headers.add("CSeq", request.cseq)
    return make_entity("message/sipfrag", Fragment(None, headers, b"").to_bytes(), DISPOSITION)


def _required(message: Message) -> tuple[str, ...]:
    exempt = isinstance(message, Request) and message.method in NO_CONTACT
    return tuple(name for name in REQUIRED if not (exempt and name == "Contact"))


# ---- finding ----


def find_aibs(
    body: Entity, keyrings: Sequence[Keyring] = (), known: Sequence[x509.Certificate] = ()
) -> list[Found]:
    """Every AIB in a body, signed or not, in its own part or inside a signature over the whole.

    A part that can't be opened is passed over, as an AIB is optional.

    Raises:
        PeerError: 400 when the body is malformed.
    """
    found: list[Found] = []
    for part in _parts(body):
        try:
            secured = open_body(part, keyrings, known)
        except PeerError as error:
            if error.status in (415, 493):
                continue
            raise
        inner = secured.entity
        if inner is not None and inner.media_type.essence == "message/sipfrag" and _is_aib(part, inner):
            found.append(Found(parse_fragment(inner.content(), strict=False), secured))
    return found


def _parts(body: Entity) -> Iterable[Entity]:
    if is_secured(body) or body.media_type.type != "multipart":
        yield body
    else:
        for part in body.parts():
            yield from _parts(part)


def _is_aib(outer: Entity, inner: Entity) -> bool:
    # An encrypted AIB shows its disposition outside (RFC 3893 section 9), a signed one inside (section 3).
    return "aib" in (outer.disposition.type.lower(), inner.disposition.type.lower())


# ---- judging ----


def judge_request(
    found: Found,
    request: Request,
    anchors: Sequence[x509.Certificate],
    now: float,
    *,
    revocation: Iterable[x509.CertificateRevocationList] = (),
    replay: ReplayWindow | None = None,
    max_age: float = MAX_AGE,
) -> AibVerdict:
    """Whether an AIB proves who sent a request (RFC 3893 section 7). ``replay`` must remember for
    ``max_age``.

    Raises:
        PeerError: 400 when a header field of the AIB or of the request is malformed.
    """
    headers = found.fragment.headers
    identity = headers.first(FROM)
    reasons = _form_flaws(found, request, now, max_age)
    comparison = compare(found.fragment, request, encrypted=found.secured.encrypted, whole=False)
    reasons += [Reason(AibFlaw.DIFFERENT, f"{line.name} {line.reason}") for line in comparison.violations]
    signer = None if identity is None else _signer(found, identity, anchors, now, revocation)
    if signer is not None:
        reasons += signer.reasons
    if not reasons and replay is not None:
        reasons += _replay_flaws(headers, request, now, replay)
    return AibVerdict(identity, signer, comparison, tuple(reasons))


def judge_response(
    found: Found,
    response: Response,
    anchors: Sequence[x509.Certificate],
    now: float,
    *,
    revocation: Iterable[x509.CertificateRevocationList] = (),
    max_age: float = MAX_AGE,
) -> AibVerdict:
    """Whether an AIB proves who answered (RFC 3893 sections 6 and 7).

    The identity may be another than the To of the request: then the call was retargeted, and the identity
    here is the one to show.

    Raises:
        PeerError: 400 when a header field of the AIB or of the response is malformed.
    """
    headers = found.fragment.headers
    identity = headers.first(FROM)
    reasons = _form_flaws(found, response, now, max_age)
    if "To" in headers:
        reasons.append(
            Reason(AibFlaw.TO_PRESENT, "the AIB of a response must not hold the To of the request")
        )
    # From and Date are the responder's own, so only what ties the AIB to the transaction is compared.
    kept = Headers((name, value) for name, value in headers if name in ("Call-ID", "CSeq", "Contact"))
    comparison = compare(Fragment(None, kept, b""), response, encrypted=found.secured.encrypted, whole=False)
    reasons += [Reason(AibFlaw.DIFFERENT, f"{line.name} {line.reason}") for line in comparison.violations]
    signer = None if identity is None else _signer(found, identity, anchors, now, revocation)
    if signer is not None:
        reasons += signer.reasons
    return AibVerdict(identity, signer, comparison, tuple(reasons))


def _form_flaws(found: Found, message: Message, now: float, max_age: float) -> list[Reason]:
    headers, layer = found.fragment.headers, found.secured.signature_layer
    reasons: list[Reason] = []
    if layer is None or not layer.signatures:
        reasons.append(Reason(AibFlaw.UNSIGNED, "the AIB is not signed"))
    missing = [name for name in _required(message) if name not in headers]
    if missing:
        reasons.append(Reason(AibFlaw.INCOMPLETE, f"the AIB has no {', '.join(missing)}"))
    stale = age_flaw(headers, now, max_age) if "Date" in headers else None
    if stale is not None:
        reasons.append(Reason(AibFlaw.STALE, stale))
    return reasons


def _signer(
    found: Found,
    identity: NameAddr,
    anchors: Sequence[x509.Certificate],
    now: float,
    revocation: Iterable[x509.CertificateRevocationList],
) -> Signer | None:
    layer = found.secured.signature_layer
    if layer is None or not layer.signatures:
        return None
    others = layer.certificates
    return signer_of(layer.signatures[0], identity.uri, anchors, now, others=others, revocation=revocation)


def _replay_flaws(headers: Headers, request: Request, now: float, replay: ReplayWindow) -> Reasons:
    # Section 10: a Call-ID that an AIB had must not come again within the Date interval. Later requests of
    # the same dialog may carry the same AIB, and have the same From tag.
    key = (headers.first(CALL_ID) or "").encode("utf-8", "surrogateescape")
    call = request.from_.tag or ""
    if replay.replayed(key, call, now):
        return (Reason(AibFlaw.REPLAYED, "its Call-ID was in an AIB of another call"),)
    replay.remember(key, call, now)
    return ()

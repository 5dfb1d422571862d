"""The Identity header field (RFC 8224): its syntax, and the authentication service that writes it.

A signer never speaks for somebody its certificate does not cover: it gives the reasons instead, and the
request goes on unsigned (section 6.1 step 1). Authenticating the caller (step 2) has been done before.
Verification is in ``verification``, retargeted calls are in ``diversion``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields import DATE, IDENTITY
from ringfence.message.fields.date import format_date
from ringfence.message.message import Message, Request
from ringfence.message.uri import Uri
from ringfence.security import passport as passports
from ringfence.security.canonical import NO_PLAN, NumberPlan, Party, identity_of
from ringfence.security.claims import claims_for, header_for
from ringfence.security.mediakeys import media_keys
from ringfence.security.passport import FRESHNESS
from ringfence.security.reasons import Reason, Reasons
from ringfence.security.tnauth import Credential

MAX_IDENTITIES = 8
"""Most Identity header fields that are read: an original, an rcd card, and some retargetings. Each can cost a
certificate fetch and a signature."""


class IdentityFlaw(StrEnum):
    """What can be wrong with an Identity header field, beside its token and its certificate."""

    SYNTAX = "syntax"
    LEGACY = "legacy"
    UNSUPPORTED = "unsupported type"
    INFO = "info"
    NO_CREDENTIAL = "no credential"
    CREDENTIAL = "credential"
    MISMATCH = "mismatch"
    ORIGIN = "origin"
    DESTINATION = "destination"
    MEDIA = "media keys"
    COMPACT = "compact form"
    REPLAYED = "replayed"
    CHAIN = "diversion"
    PRIORITY = "priority"


class IdentityHeader(NamedTuple):
    """One Identity header field. ``flaws`` are those of its syntax."""

    token: str
    info: str
    alg: str
    ppt: str | None
    flaws: Reasons


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"]+").fullmatch


def read_identities(message: Message) -> list[IdentityHeader]:
    """Every Identity header field of a message, well formed or not.

    Raises:
        PeerError: 400 when there are more than ``MAX_IDENTITIES``.
    """
    values = [
        value
        for line in message.headers.all("Identity")
        for value in (_split(line) if "," in line or '"' in line else (line,))
    ]
    if len(values) > MAX_IDENTITIES:
        raise PeerError(400, f"more than {MAX_IDENTITIES} values", header="Identity")
    return [parse_identity(value) for value in values]


def _split(line: str) -> list[str]:
    # RFC 8224 has no comma list here, but RFC 3261 section 7.3.1 made many expect one, and neither a token nor a
    # URI in angle brackets holds a bare comma. A line that can't be split must not take the other lines along.
    try:
        return grammar.split_list(line, "Identity")
    except PeerError:
        return [line]


def parse_identity(text: str) -> IdentityHeader:
    """Read one value of an Identity header field; what is wrong stands in its ``flaws``."""
    if text.startswith('"'):
        # RFC 4474 put a quoted RSA-SHA1 signature here, and its certificate in Identity-Info.
        return _flawed(IdentityFlaw.LEGACY, "a signature in the form of RFC 4474, which RFC 8224 replaced")
    try:
        token, info, params = IDENTITY.parse(text)
    except PeerError as error:
        return _flawed(IdentityFlaw.SYNTAX, error.reason)
    flaws: Reasons = ()
    if not _ABSOLUTE(info):
        flaws = (Reason(IdentityFlaw.INFO, "info is missing or holds no absolute URI"),)
    return IdentityHeader(token, info, params.get("alg") or "ES256", params.get("ppt"), flaws)


def _flawed(code: IdentityFlaw, detail: str) -> IdentityHeader:
    return IdentityHeader("", "", "", None, (Reason(code, detail),))


def write_identity(token: str, info: str, ppt: str | None = None) -> str:
    """The value of an Identity header field."""
    return f"{token};info=<{info}>;alg=ES256" + (f";ppt={ppt}" if ppt else "")


# ---- signing (RFC 8224 section 6.1) ----


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, the URL of its certificate, and what the certificate speaks for."""

    key: ec.EllipticCurvePrivateKey
    info: str
    credential: Credential
    numbers_by_domain: bool = False
    """Whether a certificate for the domain of the From may sign for its telephone numbers (a private
    federation without RFC 8226 certificates; verifiers must have the same policy)."""


class Signing(NamedTuple):
    """Header fields to add, in order; or none, with the reasons why the request goes on unsigned."""

    fields: tuple[tuple[str, str], ...]
    reasons: Reasons


def sign_request(
    request: Request,
    signer: Signer,
    now: float,
    *,
    asserted: Uri | None = None,
    ppt: str | None = None,
    extra: Mapping[str, Any] | None = None,
    compact: bool = False,
    plan: NumberPlan = NO_PLAN,
    freshness: float = FRESHNESS,
    orig: Party | None = None,
) -> Signing:
    """Make the Identity header field, and the Date if there is none. The request is not changed.

    ``asserted`` signs for the P-Asserted-Identity instead of the From (section 8). ``ppt`` and ``extra`` name
    an extension, such as ``shaken`` with ``attest`` and ``origid``. The full form is the default: it survives
    a network that rewrites Date or numbers. Authenticating the caller (step 2) has been done before. ``orig`` is the
    canonical identity of who is signed for, where it is known already.

    Raises:
        PeerError: 403 "Stale Date" when the Date is not fresh, 400 when From, To or Date are malformed.
    """
    fields: list[tuple[str, str]] = []
    date = request.headers.first(DATE)
    iat = int(now if date is None else date.timestamp())
    if date is None:
        fields.append(("Date", format_date(datetime.fromtimestamp(iat, UTC))))
    elif abs(iat - now) > freshness:
        raise PeerError(403, "Stale Date", header="Date")
    source = request.from_.uri if asserted is None else asserted
    if orig is None:
        orig = identity_of(source, plan)
    reasons = signer.credential.problems + credential_time_flaws(signer.credential, iat)
    reasons += authority_flaws(signer.credential, orig, source, by_domain=signer.numbers_by_domain)
    claims = claims_for(
        orig, [identity_of(request.to.uri, plan, destination=True)], iat, media_keys(request), extra
    )
    reasons += signer.credential.claim_flaws(claims)
    if reasons:
        return Signing((), reasons)
    # Randomised on purpose: a deterministic signature (RFC 8225 section 4.2) makes two honest requests of one
    # second the same to the last octet, and the second would be taken for a replay.
    token = passports.sign(signer.key, header_for(signer.info, ppt), claims, deterministic=False)
    if compact and not extra and ppt is None and asserted is None:
        token = passports.compact(token)
    fields.append(("Identity", write_identity(token, signer.info, ppt)))
    return Signing(tuple(fields), ())


def credential_time_flaws(credential: Credential, moment: float) -> Reasons:
    """Whether a moment lies in the validity period of the certificate (RFC 8224 section 6.2 step 4)."""
    if credential.not_before <= moment <= credential.not_after:
        return ()
    return (Reason(IdentityFlaw.CREDENTIAL, f"{credential.subject} is not valid at that time"),)


def authority_flaws(
    credential: Credential,
    party: Party,
    source: Uri | None,
    *,
    by_domain: bool = False,
    providers: frozenset[str] | None = None,
) -> Reasons:
    """Whether the certificate speaks for this identity (RFC 8224 sections 8.2 and 8.4)."""
    flaws = credential.covers(party, providers=providers)
    if flaws and by_domain and party.kind == "tn" and not credential.own_numbers:
        return () if getattr(source, "host", None) in credential.domains else flaws
    return flaws

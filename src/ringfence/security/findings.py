"""One Identity header field, judged by the steps of RFC 8224 section 6.2.

The signaling is read once into ``Facts``; each header field is compared with them, with its certificate and
with the clock, the cheap checks first. ``verification`` puts the findings of a request together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields import DATE
from ringfence.message.message import Request
from ringfence.message.uri import Uri
from ringfence.security import passport as passports
from ringfence.security.canonical import NO_PLAN, NumberPlan, Party, readings_of
from ringfence.security.claims import claims_for, mky_of
from ringfence.security.identity import (
    IdentityFlaw,
    IdentityHeader,
    authority_flaws,
    credential_time_flaws,
)
from ringfence.security.mediakeys import media_keys
from ringfence.security.passport import FRESHNESS, Flaw, Passport
from ringfence.security.priorities import PPT, authorized, priority_flaws
from ringfence.security.reasons import Reason, Reasons
from ringfence.security.tnauth import Credential


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verification service accepts. Times in seconds."""

    freshness: float = FRESHNESS
    types: frozenset[str] = frozenset({"shaken", "div", "rcd", "rph"})
    """``ppt`` values that are understood; ``div-o`` is for other protocols than SIP (RFC 8946 section 5)."""
    providers: frozenset[str] | None = None
    """Service provider codes that are believed for any number; None believes every trusted certificate."""
    numbers_by_domain: bool = False
    """Whether a certificate for the domain of the From speaks for its telephone numbers too."""
    require_diversion: bool = False
    """Whether a request whose Request-URI is not what was signed must show by ``div`` how it got there. To is
    compared always; many networks retarget without saying so (RFC 8224 section 12.1.1)."""
    plan: NumberPlan = NO_PLAN
    priorities: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Who may give priority in each namespace (RFC 8443): domains and fingerprints of certificates."""


DEFAULT_POLICY = Policy()


class Finding(NamedTuple):
    """What was found about one Identity header field; it is valid when there are no reasons."""

    header: IdentityHeader
    token: Passport | None
    signer: Credential | None
    reasons: Reasons

    @property
    def lands(self) -> bool:
        """Whether the only thing wrong is the destination, which a diversion can explain."""
        return all(reason.code is IdentityFlaw.DESTINATION for reason in self.reasons)

    @property
    def of_priority(self) -> bool:
        """Whether it is about the priority of the call, and says nothing of the caller (RFC 8443)."""
        return self.header.ppt == PPT or (self.token is not None and self.token.ppt == PPT)


class Facts(NamedTuple):
    """What the signaling says, canonical: the other side of every comparison."""

    origins: tuple[tuple[Party, Uri], ...]
    """Who the caller may be; the canonical identity of the From first."""
    destinations: tuple[Party, ...]
    """Whom the To may name; its canonical identity first."""
    date: int | None
    keys: tuple[tuple[str, str], ...]


def facts_of(request: Request, policy: Policy, asserted: Iterable[Uri] = ()) -> Facts:
    """Read what tokens are compared with: From (and identities that the caller believes), To, Date, SDP.

    Raises:
        PeerError: 400 when From, To or Date are malformed.
    """
    date = request.headers.first(DATE)
    sources = (request.from_.uri, *asserted)
    return Facts(
        tuple((party, uri) for uri in sources for party in readings_of(uri, policy.plan)),
        readings_of(request.to.uri, policy.plan, destination=True),
        None if date is None else int(date.timestamp()),
        tuple(media_keys(request)),
    )


def judge(
    header: IdentityHeader,
    facts: Facts,
    credential: Credential | None,
    now: float,
    policy: Policy = DEFAULT_POLICY,
) -> Finding:
    """Steps 1 to 5 of RFC 8224 section 6.2 for one header field, the cheap ones first.

    The signature is checked only when nothing else is wrong, so that a flood of bad tokens costs little.
    """
    if header.flaws:
        return Finding(header, None, credential, header.flaws)
    if header.ppt is not None and header.ppt not in policy.types:
        flaw = Reason(IdentityFlaw.UNSUPPORTED, f"the PASSporT type {header.ppt:.20} is not supported")
        return Finding(header, None, credential, (flaw,))
    try:
        token = passports.parse(header.token)
    except PeerError as error:
        return Finding(header, None, credential, (Reason(Flaw.TYPE, error.reason),))
    reasons: list[Reason] = []
    if token.compact:
        token = _rebuild(token, header, facts, reasons)
    if not reasons:
        reasons += passports.flaws_of(token)
        reasons += _comparison_flaws(header, token, facts)
        reasons += _freshness_flaws(token, facts, now, policy)
    reasons += _credential_flaws(credential, token, facts, policy)
    finding = Finding(header, token, credential, tuple(reasons))
    if credential is not None and finding.lands:
        return finding._replace(reasons=finding.reasons + passports.signature_flaws(token, credential.key))
    return finding


def _rebuild(token: Passport, header: IdentityHeader, facts: Facts, reasons: list[Reason]) -> Passport:
    # RFC 8224 section 9: extensions need the full form.
    if header.ppt is not None:
        reasons.append(Reason(IdentityFlaw.COMPACT, "an extension must not use the compact form"))
    elif facts.date is None:
        reasons.append(Reason(IdentityFlaw.COMPACT, "the compact form needs a Date header field"))
    else:
        claims = claims_for(facts.origins[0][0], facts.destinations[:1], facts.date, facts.keys)
        return token.rebuilt({"alg": header.alg, "typ": "passport", "x5u": header.info}, claims)
    return token


def _comparison_flaws(header: IdentityHeader, token: Passport, facts: Facts) -> list[Reason]:
    found: list[Reason] = []
    for name, outer, inner in (
        ("alg", header.alg, token.header.get("alg")),
        ("info", header.info, token.header.get("x5u")),
        ("ppt", header.ppt, token.header.get("ppt")),
    ):
        if outer != inner:
            found.append(
                Reason(IdentityFlaw.MISMATCH, f"{name} is {outer!s:.60} outside and {inner!s:.60} inside")
            )
    if token.orig is not None and all(token.orig != party for party, _ in facts.origins):
        caller = facts.origins[0][0]
        found.append(
            Reason(IdentityFlaw.ORIGIN, f"signed for {token.orig!s:.60}, the call is from {caller!s:.60}")
        )
    if token.dest and token.div is None and not any(party in token.dest for party in facts.destinations):
        detail = f"signed for a call to {token.dest[0]!s:.60}, this one is to {facts.destinations[0]!s:.60}"
        found.append(Reason(IdentityFlaw.DESTINATION, detail))
    signed, sent = token.claims.get("mky"), mky_of(facts.keys)
    # Baseline tokens must cover the fingerprints (RFC 8224 section 4.1); extensions may leave them out.
    if (signed is not None or (token.ppt is None and sent)) and signed != sent:
        found.append(Reason(IdentityFlaw.MEDIA, "the media keys in the SDP are not those that were signed"))
    return found


def _freshness_flaws(token: Passport, facts: Facts, now: float, policy: Policy) -> list[Reason]:
    # "MUST NOT deem valid a request with an outdated Date" (section 12.1), even when iat is fresh.
    moments = {moment for moment in (token.iat, facts.date) if moment is not None}
    flaws = (passports.time_flaws(moment, now, policy.freshness) for moment in sorted(moments))
    return [reason for found in flaws for reason in found][:1]


def _credential_flaws(
    credential: Credential | None, token: Passport, facts: Facts, policy: Policy
) -> list[Reason]:
    if credential is None:
        return [Reason(IdentityFlaw.NO_CREDENTIAL, "the certificate could not be had")]
    found = [Reason(IdentityFlaw.CREDENTIAL, reason.detail) for reason in credential.problems]
    if token.iat is not None:
        found += credential_time_flaws(credential, token.iat)
    if token.ppt == PPT:
        if not authorized(token.claims):
            found.append(Reason(Flaw.CLAIM, "rph has no auth with values of Resource-Priority"))
        found += priority_flaws(credential, token.claims, policy.priorities)
        return found + list(credential.claim_flaws(token.claims))
    # The signer of a diversion speaks for the number that diverted, not for the caller (RFC 8946 section
    # 4.1).
    party = token.div or token.orig
    if party is not None:
        source = next((uri for known, uri in facts.origins if known == party), None)
        by_domain = policy.numbers_by_domain
        found += authority_flaws(credential, party, source, by_domain=by_domain, providers=policy.providers)
    return found + list(credential.claim_flaws(token.claims))

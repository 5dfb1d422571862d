"""Retargeted calls (RFC 8946): who sent the call on, proven hop by hop.

A ``div`` token says: this call was for ``div``, now it is for ``dest``, and I speak for ``div``. Header
fields have no order, so the tokens are joined by value: the ``div`` of one is in the ``dest`` of an earlier
one, and all have the caller of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.message.errors import PeerError
from ringfence.message.fields import DATE
from ringfence.message.message import Request
from ringfence.message.uri import Uri
from ringfence.security import passport as passports
from ringfence.security.canonical import NO_PLAN, NumberPlan, Party, identity_of
from ringfence.security.claims import claims_for, header_for
from ringfence.security.findings import Finding
from ringfence.security.identity import (
    IdentityFlaw,
    IdentityHeader,
    Signer,
    Signing,
    authority_flaws,
    credential_time_flaws,
    read_identities,
    write_identity,
)
from ringfence.security.passport import Passport
from ringfence.security.reasons import Reason


def follow(findings: list[Finding], to: Party, targets: tuple[Party, ...], *, strict: bool) -> list[Finding]:
    """Join the tokens of a request into chains, and judge where each chain ends (RFC 8946 section 4.2).

    A token that was signed for somebody else than the To is good when a complete chain leads from it to one of
    ``targets``, which are what the Request-URI may stand for. A ``div`` token that continues nothing, or whose chain
    ends elsewhere, is not. With ``strict``, a token without a chain must have one of them as its destination.
    """
    chained = {i for i, one in enumerate(findings) if _is_div(one) and _begins(one, findings, frozenset({i}))}
    return [_settled(i, findings, chained, to, targets, strict) for i in range(len(findings))]


def _is_div(finding: Finding) -> bool:
    return finding.token is not None and finding.token.div is not None


def _continues(later: Finding, earlier: Finding) -> bool:
    """Whether ``later`` diverts what ``earlier`` was signed for; both are sound but for their destination."""
    a, b = later.token, earlier.token
    return a is not None and b is not None and earlier.lands and a.div in b.dest and a.orig == b.orig


def _begins(finding: Finding, findings: list[Finding], passed: frozenset[int]) -> bool:
    """Whether a chain leads from a token of the caller's own side to this one, each token used once."""
    if not finding.lands:
        return False
    for i, earlier in enumerate(findings):
        if i in passed or not _continues(finding, earlier):
            continue
        if not _is_div(earlier) or _begins(earlier, findings, passed | {i}):
            return True
    return False


def _ends(finding: Finding, findings: list[Finding], chained: set[int], passed: frozenset[int]) -> set[Party]:
    """The destinations of the chains that go on from this token."""
    later = [i for i in chained - passed if _continues(findings[i], finding)]
    if not later:
        return set(finding.token.dest) if finding.token is not None else set()
    return {party for i in later for party in _ends(findings[i], findings, chained, passed | {i})}


def _settled(
    i: int, findings: list[Finding], chained: set[int], to: Party, targets: tuple[Party, ...], strict: bool
) -> Finding:
    finding = findings[i]
    if finding.token is None or not finding.lands:
        return finding
    if _is_div(finding) and i not in chained:
        return _wrong(finding, IdentityFlaw.CHAIN, "diverts nothing that is signed in this request")
    goes_on = any(_continues(findings[j], finding) for j in chained - {i})
    if _is_div(finding) or goes_on:
        if not _ends(finding, findings, chained, frozenset({i})).isdisjoint(targets):
            return finding._replace(reasons=())
        return _wrong(finding, IdentityFlaw.CHAIN, f"the diversions do not lead to {targets[0]!s:.60}")
    if strict and not finding.reasons and not any(target in finding.token.dest for target in targets):
        return _wrong(
            finding, IdentityFlaw.DESTINATION, f"signed for {to!s:.60}, the call goes to {targets[0]!s:.60}"
        )
    return finding


def _wrong(finding: Finding, code: IdentityFlaw, detail: str) -> Finding:
    return finding._replace(reasons=(*finding.reasons, Reason(code, detail)))


# ---- signing (RFC 8946 section 4.1) ----


def sign_diversion(
    request: Request,
    signer: Signer,
    target: Uri,
    *,
    diverted: Party | None = None,
    plan: NumberPlan = NO_PLAN,
) -> Signing:
    """The header fields that say that this request is sent on to ``target``; the request is not changed.

    ``diverted`` is the identity that sends it on, by default that of the Request-URI as received; the
    signer must speak for it. There are no fields and no reasons when nothing needs to be said: the
    canonical identity stays the same, or the request is unsigned (a ``div`` MUST NOT stand alone).

    Raises:
        PeerError: 400 when header fields that a token was made from are malformed.
    """
    source = request.target
    party = diverted or identity_of(source, plan, destination=True)
    dest = identity_of(target, plan, destination=True)
    if party == dest:
        return Signing((), ())
    fields: list[tuple[str, str]] = []
    for original in _originals(request, party, plan):
        iat, orig = original.iat, original.orig
        assert iat is not None
        assert orig is not None  # _originals gives only tokens that have both
        reasons = signer.credential.problems + credential_time_flaws(signer.credential, iat)
        reasons += authority_flaws(signer.credential, party, source, by_domain=signer.numbers_by_domain)
        if reasons:
            return Signing((), reasons)
        # "No other claims or extensions are to be copied from the original" (section 3).
        extra: Mapping[str, Any] = {"div": {party.kind: party.value}}
        claims = claims_for(orig, [dest], iat, extra=extra)
        token = passports.sign(signer.key, header_for(signer.info, "div"), claims, deterministic=False)
        fields.append(("Identity", write_identity(token, signer.info, "div")))
    return Signing(tuple(fields), ())


def _originals(request: Request, party: Party, plan: NumberPlan) -> list[Passport]:
    """One token for each caller that was signed for ``party``: several with the same need only one
    ``div``."""
    found: dict[tuple[Party, tuple[Party, ...]], Passport] = {}
    for header in read_identities(request):
        token = _readable(request, header, plan)
        if token is not None and token.iat is not None and token.orig is not None and party in token.dest:
            found.setdefault((token.orig, token.dest), token)
    return list(found.values())


def _readable(request: Request, header: IdentityHeader, plan: NumberPlan) -> Passport | None:
    if header.flaws:
        return None
    try:
        token = passports.parse(header.token)
    except PeerError:
        return None
    date = request.headers.first(DATE)
    if not token.compact or date is None:
        return token
    orig, dest = identity_of(request.from_.uri, plan), identity_of(request.to.uri, plan, destination=True)
    claims = claims_for(orig, [dest], int(date.timestamp()))
    return token.rebuilt(header_for(header.info), claims)

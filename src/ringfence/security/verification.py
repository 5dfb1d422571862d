"""The verification service of RFC 8224: what the Identity header fields of a request prove.

Nothing is fetched here. ``read_identities`` (in ``identity``) tells which URLs are needed, and the caller
hands in the credentials it could get. The verdict holds every reason for every header field, and the
response that section 6.2.2 names, should policy want to refuse; this file never refuses by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ringfence.message.fields.resource_priority import ResourcePriority
from ringfence.message.message import Request
from ringfence.message.uri import Uri
from ringfence.security.canonical import Party, readings_of
from ringfence.security.diversion import follow
from ringfence.security.findings import DEFAULT_POLICY, Finding, Policy, facts_of, judge
from ringfence.security.identity import IdentityFlaw, IdentityHeader, read_identities
from ringfence.security.passport import Flaw
from ringfence.security.priorities import authorized
from ringfence.security.reasons import Reason
from ringfence.security.replay import ReplayWindow
from ringfence.security.tnauth import Credential, ScopeFlaw

_INVALID = 438
# RFC 8224 section 6.2.2, in the order of the steps of section 6.2: the first that applies is the answer.
_STATUS: tuple[tuple[int, frozenset[StrEnum]], ...] = (
    (400, frozenset({IdentityFlaw.SYNTAX})),
    (428, frozenset({IdentityFlaw.UNSUPPORTED, IdentityFlaw.LEGACY})),
    (436, frozenset({IdentityFlaw.INFO, IdentityFlaw.NO_CREDENTIAL})),
    (437, frozenset({IdentityFlaw.CREDENTIAL, ScopeFlaw.NUMBER, ScopeFlaw.DOMAIN, Flaw.KEY})),
    (403, frozenset({Flaw.STALE, Flaw.FUTURE})),
)
_PHRASES = {
    400: "Bad Identity Header",
    403: "Stale Date",
    428: "Use Identity Header",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the Identity header fields of one request prove. ``status`` is None when one of them is valid;
    else it is the response that RFC 8224 names, for a policy that refuses."""

    findings: tuple[Finding, ...]
    status: int | None
    phrase: str

    @property
    def proof(self) -> Finding | None:
        """The valid header field that speaks for the caller, or None."""
        for finding in self.findings:
            if finding.reasons or finding.token is None or finding.of_priority:
                continue
            if finding.token.div is None:
                return finding
        return None

    @property
    def priorities(self) -> frozenset[ResourcePriority]:
        """What the caller may have in Resource-Priority, as those who give it out have signed (RFC 8443)."""
        return frozenset(
            value
            for finding in self.findings
            if finding.of_priority and not finding.reasons and finding.token is not None
            for value in authorized(finding.token.claims)
        )

    @property
    def who(self) -> Party | None:
        """The caller, when proven."""
        proof = self.proof
        return proof.token.orig if proof is not None and proof.token is not None else None

    @property
    def attestation(self) -> str | None:
        """The SHAKEN level A, B or C of the proof (RFC 8588 section 4), or None."""
        proof = self.proof
        level = proof.token.claims.get("attest") if proof is not None and proof.token is not None else None
        return level if isinstance(level, str) else None

    @property
    def evidence(self) -> str:
        """One phrase for a person: what proves the caller, or why nothing does."""
        proof = self.proof
        if proof is None or proof.signer is None:
            return (
                "; ".join(
                    str(reason)
                    for finding in self.findings
                    if not finding.of_priority
                    for reason in finding.reasons
                )
                or "unsigned"
            )
        kind = (proof.header.ppt or "PASSporT") + (f" {self.attestation}" if self.attestation else "")
        return f"{kind} signed by {proof.signer.subject}"


def verify_request(
    request: Request,
    credentials: Mapping[str, Credential | None],
    now: float,
    policy: Policy = DEFAULT_POLICY,
    *,
    asserted: Iterable[Uri] = (),
    replay: ReplayWindow | None = None,
    headers: Sequence[IdentityHeader] | None = None,
) -> Verdict:
    """Judge every Identity header field of a request; ``headers`` are they, when they have been read already.

    ``credentials`` has, for each ``info`` URL, what was fetched, or None when it could not be had.
    ``asserted`` are identities beside the From that the caller of this function believes, such as a
    P-Asserted-Identity from a trusted peer. ``replay`` remembers what was accepted; give it twice the
    freshness, since a token may come that much before and after its time.

    Raises:
        PeerError: 400 when From, To or Date are malformed, or there are too many Identity header fields.
    """
    if headers is None:
        headers = read_identities(request)
    if not headers:
        return Verdict((), 428, _PHRASES[428])
    facts = facts_of(request, policy, asserted)
    findings = [judge(header, facts, credentials.get(header.info), now, policy) for header in headers]
    targets = readings_of(request.target, policy.plan, destination=True)
    findings = follow(findings, facts.destinations[0], targets, strict=policy.require_diversion)
    if replay is not None:
        call = f"{request.call_id} {request.from_.tag}"
        findings = [_not_replayed(finding, replay, call, now) for finding in findings]
    verdict = Verdict(tuple(findings), None, "")
    if verdict.proof is not None:
        return verdict
    # A wrong rph token loses the priority, not the call (RFC 8443 section 4.2).
    status, phrase = _answer([finding for finding in findings if not finding.of_priority])
    return Verdict(tuple(findings), status, phrase)


def _not_replayed(finding: Finding, replay: ReplayWindow, call: str, now: float) -> Finding:
    if finding.reasons or finding.token is None:
        return finding
    # The first half of an ECDSA signature: the second can be negated by anybody, and would still verify.
    key = finding.token.signature[:32]
    if replay.replayed(key, call, now):
        return finding._replace(reasons=(Reason(IdentityFlaw.REPLAYED, "seen before in another call"),))
    replay.remember(key, call, now)
    return finding


def _answer(findings: list[Finding]) -> tuple[int, str]:
    if not findings:
        return 428, _PHRASES[428]
    # Each code speaks for the request as a whole only when all header fields fail in that way; a mixture is
    # "no header field with a valid and supported PASSporT object" (438). A diversion alone proves nothing.
    found = {_status_of(finding) for finding in findings if finding.reasons}
    status = found.pop() if len(found) == 1 else _INVALID
    if status == 428:
        return status, "Use Supported PASSporT Format"
    codes = {reason.code for finding in findings for reason in finding.reasons}
    if status == _INVALID and codes <= {Flaw.CLAIM, Flaw.TYPE}:
        return status, "Invalid PASSporT"
    return status, _PHRASES[status]


def _status_of(finding: Finding) -> int:
    codes = {reason.code for reason in finding.reasons}
    return next((status for status, group in _STATUS if codes & group), _INVALID)

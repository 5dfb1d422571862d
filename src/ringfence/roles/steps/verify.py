"""Who calls from outside, and on what evidence: the verification service of RFC 8224 at our border."""

from __future__ import annotations

from collections.abc import Awaitable

import structlog

from ringfence.message import NameAddr, PeerError, SipUri, Uri
from ringfence.message.fields import FROM
from ringfence.roles.call import Call, Trust
from ringfence.roles.callers import Caller, Proof, wants_privacy
from ringfence.roles.identity import Refuse, Verification
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import ChallengeMode
from ringfence.roles.signers import Known
from ringfence.roles.steps.claims import is_anonymous
from ringfence.roles.steps.connected import TELLS
from ringfence.security.aib import find_aibs, judge_request
from ringfence.security.canonical import NO_PLAN, Party, identity_of
from ringfence.security.identity import IdentityHeader, read_identities
from ringfence.security.smime import body_of
from ringfence.security.told import NAME as MARK
from ringfence.security.told import printable
from ringfence.security.verification import Verdict as Verified
from ringfence.security.verification import verify_request
from ringfence.security.verstat import Verstat, verstat_of, with_verstat, without_verstat
from ringfence.transport.tls import proves

log = structlog.get_logger("ringfence.identity")

VERIFIED = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "UPDATE", "NOTIFY", "PUBLISH"})
"""Methods that say something to a user. The others belong to one of these, or ask the domain."""

INVALID = frozenset({400, 403, 438})
"""What RFC 8224 answers to a signature that is wrong. Its other codes say that nothing is known for certain."""


def strip_marks(call: Call) -> Verdict:
    """Take off what only we, or a trusted peer, may say of the verification of a caller."""
    if call.findings.peer is Trust.TRUSTED:
        return CONTINUE
    headers = call.request.headers
    if headers.has(MARK):
        headers.remove(MARK)
    address = call.request.from_
    text = str(address.uri)
    if (";" in text or "%" in text) and verstat_of(address.uri) is not None:
        headers.set("From", NameAddr(without_verstat(address.uri), address.display, address.params))
    return CONTINUE


def verify_identity(call: Call) -> Verdict | Awaitable[Verdict]:
    """Judge every Identity of a request from outside, and refuse it where the configuration says so.

    Certificates that are not known yet are fetched; then the step waits, and the others go on.

    Raises:
        PeerError: 400 for more Identity header fields than anybody needs.
    """
    findings = call.findings
    if call.request.method not in VERIFIED or findings.role:
        return CONTINUE  # what comes from within our network was judged by the edge that it came in by
    if findings.user is not None:
        findings.caller = _user(call)
        return CONTINUE
    signed = call.request.headers.has("Identity")
    if findings.in_dialog and not signed:
        # The dialog was let in. Who is there now may be told (RFC 4916), by a signature or by the connection.
        if call.request.method in TELLS and call.flow.peer is not None and not findings.to_stranger:
            _connected(call)
        return CONTINUE
    if not (findings.in_dialog or findings.for_us or findings.flow):
        return CONTINUE  # it goes through us, to be verified where it arrives
    if not signed and _taken_for_ours(call):
        return CONTINUE
    service = call.services.verification
    if service is None:
        findings.caller = _unsigned(call, None, "not looked at")
        return CONTINUE
    headers = read_identities(call.request) if signed else []
    urls = [header.info for header in headers if not header.flaws]
    known = service.signers.known(urls)
    if known is None:
        return _fetch(call, service, headers, urls)
    return _conclude(call, service, headers, known)


def _taken_for_ours(call: Call) -> bool:
    """Where nobody is challenged, who names an address of ours is taken for its owner, and is no stranger."""
    policy = call.services.policy
    if policy.challenge is not ChallengeMode.NONE:
        return False
    source = _source(call)
    return isinstance(source, SipUri) and policy.is_ours(source)


async def _fetch(
    call: Call, service: Verification, headers: list[IdentityHeader], urls: list[str]
) -> Verdict:
    return _conclude(call, service, headers, await service.signers.find(urls))


def _conclude(call: Call, service: Verification, headers: list[IdentityHeader], known: Known) -> Verdict:
    verdict = verify_request(
        call.request,
        known,
        call.services.clock(),
        service.rules,
        asserted=[address.uri for address in call.findings.asserted or call.findings.claimed],
        replay=service.replay,
        headers=headers,
    )
    call.findings.passport = verdict
    call.findings.caller = caller = _caller(call, service, verdict)
    _assert(call, caller)
    _tell(call, caller)
    if call.findings.peer is Trust.TRUSTED or (call.findings.in_dialog and verdict.status == 428):
        return CONTINUE
    wrong = verdict.status in INVALID
    if service.refuse is Refuse.NOBODY or caller.proven or (service.refuse is Refuse.INVALID and not wrong):
        return CONTINUE
    assert verdict.status is not None  # one that proves nothing has a status
    return Answer(verdict.status, printable(f"{verdict.phrase} ({verdict.evidence})", 200))


# -- the verdict ---------------------------------------------------------------------------------------


def _user(call: Call) -> Caller:
    user = call.findings.user
    assert user is not None  # the caller has looked
    return Caller(Party("uri", user.account.aor), Proof.ACCOUNT, user.evidence, call.services.policy.domain)


def _caller(call: Call, service: Verification, verdict: Verified) -> Caller:
    if verdict.who is not None:
        return Caller(verdict.who, Proof.PASSPORT, verdict.evidence, call.services.policy.domain)
    if verdict.status in INVALID:
        who = identity_of(_source(call), service.rules.plan)
        return Caller(who, Proof.FAILED, verdict.evidence, call.services.policy.domain)
    return _unsigned(call, service, verdict.evidence)


def _unsigned(call: Call, service: Verification | None, why: str) -> Caller:
    """Without a good PASSporT: whatever else speaks for the caller."""
    findings = call.findings
    plan = NO_PLAN if service is None else service.rules.plan
    if findings.asserted:
        who = identity_of(findings.asserted[0].uri, plan)
        return Caller(who, Proof.ASSERTED, f"asserted by {findings.peer_name}", findings.peer_name)
    source = _source(call)
    who = identity_of(source, plan)
    domain = call.services.policy.domain
    if service is not None and (signer := _signed_body(call, service)):
        return Caller(who, Proof.BODY, f"identity body signed by {signer}", domain)
    if who.kind == "uri" and (proven := _domain_of_connection(call, source)):
        return Caller(who, Proof.CONNECTION, f"TLS certificate for {proven}", domain)
    return Caller(who, Proof.NONE, why, domain)


def _connected(call: Call) -> None:
    """Inside a dialog: take note of a caller or callee whose domain has the connection's certificate."""
    source = _source(call)
    if not is_anonymous(source) and (domain := _domain_of_connection(call, source)):
        who = identity_of(source, NO_PLAN)
        evidence = f"TLS certificate for {domain}"
        call.findings.caller = Caller(who, Proof.CONNECTION, evidence, call.services.policy.domain)


def _domain_of_connection(call: Call, source: Uri) -> str:
    """The domain of an address, when the certificate of the connection is for it (RFC 5922); else an empty text."""
    peer = call.flow.peer
    if peer is None or not isinstance(source, SipUri) or identity_of(source, NO_PLAN).kind != "uri":
        return ""
    return source.host if proves(peer, source.host) else ""


def _source(call: Call) -> Uri:
    return call.request.headers.only(FROM).uri


def _signed_body(call: Call, service: Verification) -> str:
    """The signer of an authenticated identity body that names the From (RFC 3893), or ""."""
    if not (call.request.headers.get("Content-Type") or "").lower().startswith("multipart/"):
        return ""
    request, anchors, now = call.request, service.signers.anchors, call.services.clock()
    try:
        for found in find_aibs(body_of(request)):
            judged = judge_request(
                found, request, anchors.named, now, revocation=anchors.lists, replay=service.bodies
            )
            if judged.identity is None or judged.signer is None or judged.reasons:
                continue
            if identity_of(judged.identity.uri) == identity_of(_source(call)):
                return judged.signer.text
    except PeerError:
        return ""  # a body that can't be read is the callee's affair
    return ""


# -- what comes of it ----------------------------------------------------------------------------------


def _assert(call: Call, caller: Caller) -> None:
    """Let our phones see a proven caller as P-Asserted-Identity, with the verdict on it (3GPP TS 24.229)."""
    findings = call.findings
    if findings.claimed:
        return  # who is proven does not want to be named
    if caller.proof is Proof.PASSPORT and not findings.asserted:
        address = call.request.from_
        findings.asserted = (with_verstat(NameAddr(address.uri, address.display), Verstat.PASSED),)
    elif caller.proof is Proof.PASSPORT:
        findings.asserted = tuple(
            with_verstat(each, Verstat.PASSED) if identity_of(each.uri) == caller.who else each
            for each in findings.asserted
        )
    elif caller.proof is Proof.FAILED:
        findings.asserted = tuple(with_verstat(each, Verstat.FAILED) for each in findings.asserted)


def _tell(call: Call, caller: Caller) -> None:
    """Log who calls, on what evidence, and who checked it."""
    call.services.driver.counts[f"caller {caller.proof}"] += 1
    log.info(
        "caller",
        caller=str(caller.who),
        proof=str(caller.proof),
        evidence=caller.evidence,
        checked_by=caller.checked_by,
        call_id=call.request.call_id,
        private=bool(call.findings.claimed) or wants_privacy(call.request.headers),
    )

"""Signing for our users: the authentication service of RFC 8224 at our border. Nothing may change what is signed after
this step: From, To, Date, the media keys in the body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from ringfence.message import PeerError, SipUri, TelUri, Uri, parse_uri
from ringfence.roles.bound import bound_user
from ringfence.roles.call import Authenticated, Call, Target, Trust
from ringfence.roles.callers import in_private
from ringfence.roles.identity import Signing
from ringfence.roles.pipeline import CONTINUE, Verdict
from ringfence.roles.steps.claims import is_anonymous
from ringfence.security.canonical import Party, identity_of
from ringfence.security.diversion import sign_diversion
from ringfence.security.identity import IdentityFlaw, Signer, sign_request
from ringfence.security.identity import Signing as Signed
from ringfence.security.privacy import Privacy
from ringfence.security.reasons import Reason
from ringfence.transport.sockets import is_address

log = structlog.get_logger("ringfence.identity")

SIGNED = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"})
"""Methods that say something to a stranger, outside a dialog."""

SIGNED_IN_DIALOG = frozenset({"INVITE", "UPDATE"})
"""Those that may tell a new identity inside a dialog (RFC 4916 section 4)."""


def sign_identity(call: Call) -> Verdict:
    """Sign what leaves the domain, for the user who has authenticated, or for whom a trusted peer asserts.

    What can't be signed goes on unsigned, and the log says why.

    Raises:
        PeerError: 403 when the caller's own Date is too far from our clock (RFC 8224 section 6.1 step 3).
    """
    signing = call.services.signing
    if signing is None:
        return CONTINUE
    private = call.findings.private
    if private is not None and Privacy.USER in private.values:
        return CONTINUE  # a signature would name who does not want to be named
    methods = SIGNED_IN_DIALOG if call.findings.in_dialog else SIGNED
    if call.request.method not in methods:
        return CONTINUE
    if any(_leaves(call, target) for target in call.targets):
        _sign(call, signing)
    elif signing.divert and call.request.headers.has("Identity"):
        call.targets = tuple(_diverted(call, signing, target) for target in call.targets)
    return CONTINUE


def _leaves(call: Call, target: Target) -> bool:
    """Whether a target is no phone of ours. Inside a dialog a stranger may be reached by its connection, too."""
    if target.registered or target.inside:
        return False
    return not target.flow or (call.findings.in_dialog and call.findings.to_stranger)


# -- who calls -----------------------------------------------------------------------------------------


def _sign(call: Call, signing: Signing) -> None:
    findings = call.findings
    request = call.request
    user = findings.user or _user_in_dialog(call)
    if user is not None:
        if is_anonymous(request.from_.uri):
            return  # a signature would name who does not want to be named
        _add(call, _signature(call, signing, request.from_.uri, user.account.aor, "A"))
    elif findings.role:
        _sign_for_edge(call, signing)
    elif findings.peer is Trust.TRUSTED and findings.asserted and not request.headers.has("Identity"):
        # RFC 8588 section 4: a gateway that can't vouch for the caller attests C.
        asserted = findings.asserted[0].uri
        _add(call, _signature(call, signing, asserted, findings.peer_name, "C", asserted=asserted))


def _sign_for_edge(call: Call, signing: Signing) -> None:
    """At the border of our network: an edge has authenticated the caller, and compared its From with the account."""
    asserted, source = call.findings.asserted, call.request.from_.uri
    if not asserted or call.request.headers.has("Identity") or is_anonymous(source):
        return
    policy = call.services.policy
    if isinstance(asserted[0].uri, SipUri) and policy.is_ours(asserted[0].uri):
        _add(call, _signature(call, signing, source, policy.address_of(asserted[0].uri), "A"))


def _user_in_dialog(call: Call) -> Authenticated | None:
    """Inside a dialog nobody authenticates; a connection that has may still speak for its users."""
    if not call.findings.in_dialog:
        return None
    if is_anonymous(call.request.from_.uri):
        return None
    return bound_user(call, call.request.from_)


def _signature(
    call: Call, signing: Signing, caller: Uri, origin: str, level: str, *, asserted: Uri | None = None
) -> Signed:
    party, now = identity_of(caller, signing.plan), call.services.clock()
    signer = signing.signer_for(party, caller, now)
    ppt, extra = _attestation(signing, signer, party, origin, level)
    try:
        return sign_request(
            call.request,
            signer,
            now,
            asserted=asserted,
            ppt=ppt,
            extra=extra,
            plan=signing.plan,
            freshness=signing.rules.freshness,
            orig=party,
        )
    except PeerError as error:
        if error.status == 403:
            raise
        # A body whose media keys can't be read passes a proxy, but nobody can sign for it.
        return Signed((), (Reason(IdentityFlaw.MEDIA, error.reason),))


def _attestation(
    signing: Signing, signer: Signer, party: Party, origin: str, level: str
) -> tuple[str | None, Mapping[str, Any] | None]:
    """SHAKEN for a telephone number with a certificate that lists numbers (RFC 8588); else the plain form.

    ``level`` is A for a user of ours, whose From has been found to be its own: it is known, and so is its number.
    """
    if not signing.attest or party.kind != "tn" or not signer.credential.own_numbers:
        return None, None
    return "shaken", {"attest": level, "origid": signing.origin(origin)}


def _add(call: Call, signed: Signed) -> None:
    for name, value in signed.fields:
        call.request.headers.add(name, value)
    call.services.driver.counts["signed" if signed.fields else "not signed"] += 1
    for reason in signed.reasons:
        log.info("not signed", reason=str(reason), call_id=call.request.call_id, private=in_private(call))


# -- calls that are sent on ----------------------------------------------------------------------------


def _diverted(call: Call, signing: Signing, target: Target) -> Target:
    """A ``div`` for a contact of a user of ours that is an address elsewhere, and no phone (RFC 8946 section 4.1)."""
    uri = parse_uri(target.uri)
    if target.flow or not _is_elsewhere(call, uri):
        return target
    source = parse_uri(call.received_uri)
    received = identity_of(source, signing.plan, destination=True)
    signer = signing.signer_for(received, source, call.services.clock())
    signed = sign_diversion(call.request, signer, uri, diverted=received, plan=signing.plan)
    for reason in signed.reasons:
        log.info(
            "diversion not signed", reason=str(reason), call_id=call.request.call_id, private=in_private(call)
        )
    return replace(target, fields=signed.fields) if signed.fields else target


def _is_elsewhere(call: Call, uri: Uri) -> bool:
    if isinstance(uri, TelUri):
        return True
    if not isinstance(uri, SipUri) or uri.user is None or is_address(uri.address):
        return False
    return not call.services.policy.is_ours(uri)

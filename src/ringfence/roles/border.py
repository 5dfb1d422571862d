"""What a message may still say of who calls when it leaves (RFC 3325 section 7).

Toward a trusted peer the identity is told, whatever privacy the caller asked for: it stays inside the trust domain.
Our own users are told what a trusted peer says, unless the caller asked for ``id`` privacy. Everybody else is told
nothing, unless the caller asked for just that (``none``).
"""

from __future__ import annotations

from ringfence.message import Message, NameAddr, Request, Response
from ringfence.roles.call import Findings, Target, Trust
from ringfence.roles.callers import PRIVATE, mark
from ringfence.roles.steps.trust import identities_of
from ringfence.security.asserted import Asserted, apply, leave, privacy_values
from ringfence.security.verstat import without_verstat


def tell_identity(request: Request, findings: Findings, *, trusted: bool, registered: bool) -> None:
    """Put the caller's identity on a request, as far as the next hop may know it.

    ``trusted``: the next hop is a trusted peer. ``registered``: it is a user of ours, who is told who has proved what
    (RFC 3325 section 7: without Privacy, the identity should stay).
    """
    values = findings.asserted
    if not values and (trusted or registered) and findings.user is not None:
        values = identities_of(findings.user.account)[:1]
    if findings.private is not None and not PRIVATE.isdisjoint(findings.private.values):
        if trusted and values:
            apply(request.headers, Asserted(values, ()))
            _keep_inside(request)
        return
    _tell(request, values, trusted=trusted, keep=registered)


def tell_verdict(request: Request, findings: Findings, target: Target) -> None:
    """Tell a phone of ours what was found about a caller from outside."""
    caller = findings.caller
    if caller is None or findings.user is not None or not findings.marked:
        return
    ours = findings.in_dialog and bool(target.flow) and not findings.to_stranger
    if target.registered or target.inside or ours:
        private = findings.private is not None and bool(findings.private.values)
        mark(request, caller, anonymous=private or bool(findings.claimed), unproven=findings.unproven)


def filter_identity(response: Response, findings: Findings, *, believed: bool) -> None:
    """Keep or remove what a response says of who answers. ``believed``: it comes from a trusted peer."""
    if believed:
        trusted = findings.peer is Trust.TRUSTED
        kept = leave(response, trusted=trusted, keep_by_default=findings.user is not None)
    else:
        kept = Asserted((), ())
    apply(response.headers, kept)


def _tell(message: Message, values: tuple[NameAddr, ...], *, trusted: bool, keep: bool) -> None:
    if values:
        if not trusted and not keep:  # the verdict on a caller is for our own
            values = tuple(NameAddr(without_verstat(each.uri), each.display) for each in values)
        if trusted or _may_know(message, by_default=keep):
            apply(message.headers, Asserted(values, ()))


def _keep_inside(request: Request) -> None:
    """Whoever takes the identity over our border takes it off (RFC 3325 sections 7 and 9.3)."""
    if not request.headers.has("Privacy"):
        request.headers.add("Privacy", "id")
    elif "id" not in privacy_values(request.headers):
        request.headers.set("Privacy", f"{request.headers.get('Privacy')};id")


def _may_know(message: Message, *, by_default: bool) -> bool:
    """Whether a node outside the trust domain is told (RFC 3325 section 7)."""
    if not message.headers.has("Privacy"):
        return by_default
    wishes = privacy_values(message.headers)
    return "id" not in wishes and (by_default or "none" in wishes)

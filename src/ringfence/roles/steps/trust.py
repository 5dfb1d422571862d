"""Who handed us the request, and whose word on the caller we take (RFC 3324, RFC 3325)."""

from __future__ import annotations

from ringfence.message import NameAddr, PeerError, Request, parse_uri
from ringfence.message.fields import P_ASSERTED_IDENTITY
from ringfence.message.names import canonical_name
from ringfence.roles.call import Call, Trust
from ringfence.roles.peers import PeerRole
from ringfence.roles.pipeline import CONTINUE, Verdict
from ringfence.roles.steps.claims import withholds_name
from ringfence.security.asserted import enter, usable
from ringfence.store.records import Account

CLAIMS = ("P-Asserted-Identity", "P-Preferred-Identity")

NOT_BELIEVED = tuple(
    map(canonical_name, ("Remote-Party-ID", "P-Charging-Vector", "P-Charging-Function-Addresses"))
)
"""What only a trusted element may say: who calls, by the field that phones believed before RFC 3325
(draft-ietf-sip-privacy-04) and many still do; and who is charged (RFC 7315 sections 4.5 and 4.6)."""


def know_peer(call: Call) -> Verdict:
    """See whether a peer that the configuration names is at the other end of the flow."""
    peers = call.services.policy.peers
    if peers and (peer := peers.recognise(call.flow)) is not None:
        call.findings.peer = Trust.TRUSTED if peer.trusted else Trust.PEER
        call.findings.peer_name = peer.name
        if peer.role is not PeerRole.DOMAIN:
            call.findings.role = peer.role
    return CONTINUE


def take_identity(call: Call) -> Verdict:
    """Take the asserted or preferred identity off the request, and remember what may be believed of it.

    Of a trusted peer: what it asserts. Of a user: that one of its own addresses which it prefers. Of anybody else:
    nothing. What goes on is decided for each hop, in ``roles.border``.

    Raises:
        PeerError: 403 when a user prefers an identity that is not its own.
    """
    headers = call.request.headers
    if call.findings.peer is not Trust.TRUSTED:
        for name in NOT_BELIEVED:
            if headers.has(name):
                headers.remove(name)
    if not headers.has(CLAIMS[0]) and not headers.has(CLAIMS[1]):
        return CONTINUE
    findings = call.findings
    identities = identities_of(findings.user.account) if findings.user is not None else ()
    asserted = enter(call.request, trusted=findings.peer is Trust.TRUSTED, identities=identities)
    findings.asserted = asserted.values
    if findings.user is None and findings.peer is not Trust.TRUSTED and headers.has("Identity"):
        findings.claimed = _claimed(call.request)
    for name in CLAIMS:
        headers.remove(name)
    return CONTINUE


def _claimed(request: Request) -> tuple[NameAddr, ...]:
    """Whom a stranger with an anonymous From says it is: it counts if it is signed for (RFC 8224 section 8).

    Beside a From that names somebody it stays unheard: phones show the From, and it would be taken for what was proven.
    """
    if not withholds_name(request.from_.uri):
        return ()
    try:
        return usable(request.headers.every(P_ASSERTED_IDENTITY))[0]
    except PeerError:
        return ()


def identities_of(account: Account) -> tuple[NameAddr, ...]:
    """The addresses of an account, its own first, as P-Asserted-Identity has them."""
    return tuple(NameAddr(parse_uri(text), account.display_name) for text in (account.aor, *account.aliases))

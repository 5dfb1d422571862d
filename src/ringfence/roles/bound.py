"""Whom a flow speaks for: the users who have authenticated on it, and whom its certificate names.

Only TLS flows speak for anybody (DESIGN: authentication memory); they do for as long as they live, and as long as the
account is as it was.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography import x509

from ringfence.message import NameAddr
from ringfence.roles.call import Authenticated, Call
from ringfence.roles.steps.claims import is_anonymous
from ringfence.security.certificates import user_identities
from ringfence.transport.flow import Flow, PeerCertificate

PROVING_TRANSPORTS = frozenset({"TLS", "WSS"})
"""Transports on which a flow proves who it is for as long as it lives."""

MAX_USERS = 100
"""Accounts that one connection may be bound to: a gateway registers a port for each of its telephones."""

MAX_CERTIFICATES = 4096
"""Certificates whose names are remembered; to read one takes 50 us."""


def users_of(flow: Flow) -> tuple[Authenticated, ...]:
    """The users that the flow is bound to, the latest last."""
    return flow.user or ()  # type: ignore[return-value]  # only ``bind`` sets it


def bind(flow: Flow, user: Authenticated) -> None:
    """From now on the flow speaks for the user, if it is one that can."""
    if flow.transport in PROVING_TRANSPORTS:
        others = [other for other in users_of(flow) if other.account.aor != user.account.aor]
        flow.user = (*others[1 - MAX_USERS :], user)  # type: ignore[misc]  # a plain attribute of every flow


def unbind(flow: Flow) -> None:
    """Nobody is bound any more: each proves itself again."""
    flow.user = None  # type: ignore[misc]


def bound_user(call: Call, claimed: NameAddr) -> Authenticated | None:
    """The user of the flow whose address the request claims; another one has to prove itself."""
    users = users_of(call.flow)
    if is_anonymous(claimed.uri):
        return users[-1] if users else None
    address = call.services.policy.address_of(claimed.uri)
    return next((user for user in users if user.account.owns(address)), None)


def certified_address(call: Call) -> str:
    """The user that the flow's certificate names, if our own authority has issued it; else an empty text.

    No other authority decides who our users are, however well it is trusted for servers.
    """
    policy, peer = call.services.policy, call.flow.peer
    if peer is None or not policy.user_authorities or call.flow.transport not in PROVING_TRANSPORTS:
        return ""
    return _named(peer, policy.user_authorities)


@lru_cache(MAX_CERTIFICATES)
def _named(peer: PeerCertificate, authorities: frozenset[bytes]) -> str:
    if not peer.verified or authorities.isdisjoint(peer.chain[1:]):
        return ""
    try:
        names = user_identities(x509.load_der_x509_certificate(peer.der))
    except ValueError:
        return ""
    return names[0] if names else ""

"""Whom a flow speaks for: the users who have authenticated on it, and whom its certificate names.

Only TLS flows speak for anybody (DESIGN: authentication memory); they do for as long as they live, and as long as the
account is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from cryptography import x509

from ringfence.message import NameAddr
from ringfence.roles.call import Authenticated, Call
from ringfence.roles.steps.claims import is_anonymous
from ringfence.security.certificates import user_identities
from ringfence.security.unreadable import UNREADABLE
from ringfence.transport.flow import Flow, PeerCertificate

PROVING_TRANSPORTS = frozenset({"TLS", "WSS"})
"""Transports on which a flow proves who it is for as long as it lives."""

MAX_USERS = 100
"""Accounts that one connection may be bound to: a gateway registers a port for each of its telephones."""

MAX_CERTIFICATES = 4096
"""Certificates whose names are remembered; to read one takes 50 us."""


class Users:
    """The users that a connection is bound to, the latest last; found by any of their addresses."""

    __slots__ = ("_by_address", "_by_aor")

    def __init__(self) -> None:
        self._by_aor: dict[str, Authenticated] = {}
        self._by_address: dict[str, Authenticated] = {}

    def __iter__(self) -> Iterator[Authenticated]:
        return iter(self._by_aor.values())

    def __len__(self) -> int:
        return len(self._by_aor)

    def add(self, user: Authenticated) -> None:
        """Bind one more; who has been bound for the longest makes room."""
        account = user.account
        if account.aor in self._by_aor:
            self._drop(account.aor)
        elif len(self._by_aor) >= MAX_USERS:
            self._drop(next(iter(self._by_aor)))
        self._by_aor[account.aor] = user
        for address in (account.aor, *account.aliases):
            self._by_address[address] = user

    def _drop(self, aor: str) -> None:
        user = self._by_aor.pop(aor)
        for address in (aor, *user.account.aliases):
            if self._by_address.get(address) is user:
                del self._by_address[address]

    def latest(self) -> Authenticated:
        """Who was bound last."""
        return next(reversed(self._by_aor.values()))

    def owner(self, address: str) -> Authenticated | None:
        """Whose address it is (canonical text)."""
        return self._by_address.get(address)


def users_of(flow: Flow) -> tuple[Authenticated, ...]:
    """The users that the flow is bound to, the latest last."""
    return tuple(flow.user) if isinstance(flow.user, Users) else ()


def bind(flow: Flow, user: Authenticated) -> None:
    """From now on the flow speaks for the user, if it is one that can."""
    if flow.transport in PROVING_TRANSPORTS:
        users = flow.user
        if not isinstance(users, Users):
            users = Users()
            flow.user = users  # type: ignore[misc]  # a plain attribute of every flow
        users.add(user)


def unbind(flow: Flow) -> None:
    """Nobody is bound any more: each proves itself again."""
    flow.user = None  # type: ignore[misc]


def bound_user(call: Call, claimed: NameAddr) -> Authenticated | None:
    """The user of the flow whose address the request claims; another one has to prove itself."""
    users = call.flow.user
    if not isinstance(users, Users):
        return None
    if is_anonymous(claimed.uri):
        return users.latest()
    return users.owner(call.services.policy.address_of(claimed.uri))


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
    except UNREADABLE:
        return ""
    return names[0] if names else ""

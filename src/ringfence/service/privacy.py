"""From the configuration to the privacy service. Part of `wiring`."""

from __future__ import annotations

from ringfence.message import Message, PeerError, SipUri
from ringfence.roles.bridge.bridges import BridgePolicy, Bridges
from ringfence.roles.policy import Services
from ringfence.security.asserted import ANONYMOUS_HOST
from ringfence.service.config import Config
from ringfence.store.records import Account


def make_bridges(config: Config, key: bytes, services: Services) -> Bridges | None:
    """The private calls; None where there are none. ``key`` seals anonymous contacts."""
    section = config.privacy
    if not section.enabled:
        return None
    policy = BridgePolicy(section.refuse_unmet, section.max_calls, config.ledger.max_call_seconds)
    return Bridges(key, policy, services.media)


def is_private(services: Services, message: Message) -> bool:
    """Whether a message comes from, or goes to, somebody who has asked for privacy: with its call, or once and for
    all."""
    bridges = services.bridges
    try:
        known = bridges.side(message.call_id) if bridges is not None else None
        if known is not None:
            bridge, party = known
            return bool(bridge.asked[party])
        return any(_asks(services, uri) for uri in (message.from_.uri, message.to.uri))
    except PeerError:
        return True  # what can't be read may name anybody


def _asks(services: Services, uri: object) -> bool:
    if isinstance(uri, SipUri) and uri.host == ANONYMOUS_HOST:
        return True
    if not isinstance(uri, SipUri) or not services.policy.is_ours(uri):
        return False
    account = services.accounts.by_aor(services.policy.canonical(uri))
    return isinstance(account, Account) and bool(account.rights.privacy)

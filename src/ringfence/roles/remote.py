"""Users whose passwords a server elsewhere knows: what it says of them becomes an account, for as long as that
holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ringfence.message import PeerError, SipUri, parse_uri
from ringfence.security.foreign_nonces import ForeignNonces
from ringfence.store.authority import Authority, Grant, NonceMaker
from ringfence.store.known import KnownAccounts
from ringfence.store.records import Account, Rights

USUAL_RIGHTS = Rights()


@dataclass(slots=True)
class TheirNonces:
    """Nonces that the authority chooses: who is asked for them, and how they are known again."""

    maker: NonceMaker
    known: ForeignNonces


@dataclass(slots=True)
class Remote:
    """The authority, and what its users may do."""

    authority: Authority
    accounts: KnownAccounts
    rights: Rights = USUAL_RIGHTS
    """Of a user of whom nothing is stored here."""
    profiles: Mapping[str, Rights] = field(default_factory=dict)
    """Sets of rights that the authority names."""
    nonces: TheirNonces | None = None
    """None: the nonces are ours."""


def address_of_user(username: str, domain: str, domains: frozenset[str]) -> str:
    """The address-of-record of a user name, ``user`` or ``user@domain``; empty for what is no user of ours."""
    name, _, host = username.rpartition("@") if "@" in username else (username, "", domain)
    try:
        uri = parse_uri(f"sip:{name}@{host}")
    except PeerError:
        return ""
    if not isinstance(uri, SipUri) or not uri.user or uri.password or uri.port or uri.params or uri.headers:
        return ""
    return uri.replace(host=domain).aor if uri.host in domains else ""


def account_of(
    remote: Remote, aor: str, username: str, realm: str, stored: Account | None, grant: Grant
) -> Account | None:
    """The account of a user for whom the authority has vouched; None when it names rights that we don't know."""
    base = stored or Account(aor, username, realm, rights=remote.rights)
    rights = base.rights
    if grant.profile:
        named = remote.profiles.get(grant.profile)
        if named is None:
            return None
        rights = named
    if grant.max_calls is not None:
        rights = replace(rights, max_calls=grant.max_calls)
    if grant.max_seconds is not None:
        rights = replace(rights, max_seconds=grant.max_seconds)
    return replace(base, rights=rights)

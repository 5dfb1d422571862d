"""From the configuration to whoever knows the passwords. Part of `wiring`, which calls it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ringfence.ledger.radius import RadiusServer
from ringfence.ledger.radius_digest import RadiusAuthority
from ringfence.message import LocalError
from ringfence.roles.remote import Remote, TheirNonces
from ringfence.security.foreign_nonces import ForeignNonces
from ringfence.security.nonces import Nonces
from ringfence.service.aaa_sections import Radius
from ringfence.service.addresses import parse_address
from ringfence.service.config import Config
from ringfence.store.known import KnownAccounts
from ringfence.store.ports import Accounts

if TYPE_CHECKING:
    from ringfence.ledger.diameter import DiameterClient
    from ringfence.ledger.diameter_digest import DiameterAuthority


def make_remote(
    config: Config, accounts: Accounts, diameter: DiameterClient | None, nonces: Nonces
) -> Remote | None:
    """Whoever knows the passwords; None where our own store does. Raises LocalError."""
    section = config.accounts
    if section.source == "database":
        return None
    profiles = {each.name: each.rights() for each in config.profile}
    known = KnownAccounts(accounts, section.cache_seconds, time.time)
    authority = make_authority(config, diameter)
    theirs = TheirNonces(authority, ForeignNonces(nonces)) if section.nonces == "server" else None
    return Remote(authority, known, section.rights(), profiles, theirs)


def make_authority(config: Config, diameter: DiameterClient | None) -> RadiusAuthority | DiameterAuthority:
    """The servers that are asked about passwords."""
    if diameter is not None and config.accounts.source == "diameter":
        from ringfence.ledger.diameter_digest import DiameterAuthority  # needs an optional package

        return DiameterAuthority(diameter, f"sip:{config.node.name}")
    servers = [radius_server(each, each.authentication) for each in config.radius if each.authentication]
    return RadiusAuthority(servers, config.node.name)


def radius_server(section: Radius, place: str) -> RadiusServer:
    """A server with its secret. Raises LocalError."""
    address = parse_address(place)
    try:
        secret = section.secret.read_bytes().strip()
    except OSError as error:
        raise LocalError(f"{section.secret}: {error.strerror}") from None
    sterman = section.digest == "sterman"
    return RadiusServer(address.host, address.port, secret, section.timeout_seconds, section.tries, sterman)

"""From the configuration to a Diameter client. Part of `wiring`, which calls it; imports the `diameter` package only
then."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from ringfence.message import LocalError
from ringfence.service.aaa_sections import DiameterServer
from ringfence.service.addresses import parse_address
from ringfence.service.config import Config

if TYPE_CHECKING:
    from ringfence.ledger.diameter import DiameterClient

CREDIT_CONTROL, SIP = 4, 6
"""Applications (RFC 8506, RFC 4740)."""


def applications(config: Config) -> tuple[int, ...]:
    """What Diameter is needed for; empty: for nothing."""
    credit = (CREDIT_CONTROL,) if config.charging.credit == "diameter" and config.ledger.enabled else ()
    return (*credit, SIP) if config.accounts.source == "diameter" else credit


def make_client(config: Config) -> DiameterClient | None:
    """A client of the servers of the configuration; None where none is needed. Raises LocalError."""
    wanted = applications(config)
    if not wanted:
        return None
    if not config.diameter_server:
        raise LocalError("Diameter is needed, and there is no [[diameter_server]]")
    try:
        from ringfence.ledger.diameter import DiameterClient, DiameterPeer, DiameterSelf
    except ModuleNotFoundError:
        raise LocalError(
            "Diameter needs the python-diameter package; run: pip install 'ringfence[diameter]'"
        ) from None
    section = config.diameter
    host = section.host or config.node.name
    us = DiameterSelf(
        # A server takes one connection of each name, so that each worker needs one of its own.
        host if config.worker is None else f"w{config.worker}.{host}",
        section.realm or config.domain.name,
        wanted,
        section.timeout_seconds,
        section.watchdog_seconds,
    )
    peers = []
    for each in config.diameter_server:
        address = parse_address(each.server)
        tls = _context(config, each) if each.transport == "tls" else None
        peers.append(DiameterPeer(address.host, address.port, each.name, tls))
    return DiameterClient(us, peers, int(time.time()))


def _context(config: Config, server: DiameterServer) -> ssl.SSLContext:
    """TLS with names checked in both directions (RFC 6733 section 13.1)."""
    trust = server.trust or config.tls.ca
    try:
        context = ssl.create_default_context(cafile=trust)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(config.tls.certificate, config.tls.key)
    except (OSError, ssl.SSLError) as error:
        raise LocalError(f"the certificates for {server.name} can't be used: {error}") from None
    return context

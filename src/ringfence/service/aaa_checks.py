"""What the sections about accounts elsewhere, charging and fraud mean. Part of `checks`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from ringfence.service.config import Config
from ringfence.service.diameter import applications
from ringfence.service.finding import Finding, error, warning

SHORT_SECRET = 16
"""Octets: RFC 2865 section 3 wants as many, since whoever hears an exchange can try secrets against it."""


def passwords_are_known(config: Config) -> Iterator[Finding]:
    """Whoever is asked about passwords is there, and can judge what is offered."""
    source = config.accounts.source
    if source == "radius" and not any(each.authentication for each in config.radius):
        fix = 'write authentication = "192.0.2.53:1812" in a [[radius]] section'
        yield error(config, ("accounts", "source"), "no RADIUS server is named that can be asked", fix)
    offered = {*config.security.algorithms, *(name for each in config.listen for name in each.algorithms)}
    if source == "radius" and "MD5" not in offered:
        reason = "RADIUS servers such as FreeRADIUS know digests by MD5 only, and MD5 is offered nowhere"
        yield warning(
            config, ("security", "algorithms"), reason, 'write algorithms = ["MD5"] for a port of its own'
        )
    for place, server in enumerate(config.radius):
        if server.secret.is_file() and len(server.secret.read_bytes().strip()) < SHORT_SECRET:
            reason = f"{server.secret} is short: it can be guessed from one recorded exchange"
            yield warning(config, ("radius", place, "secret"), reason, "use 16 random characters or more")


def nonces_are_made(config: Config) -> Iterator[Finding]:
    """Servers that are to make the nonces can."""
    if config.accounts.nonces == "node":
        return
    place, fix = ("accounts", "nonces"), 'write nonces = "node"'
    if config.accounts.source == "database":
        yield error(config, place, "no server is asked about passwords that could make nonces", fix)
    for number, server in enumerate(config.radius):
        if server.authentication and server.digest == "sterman":
            reason = "the draft before RFC 5090 has no nonces of the server"
            yield error(config, ("radius", number, "digest"), reason, 'write digest = "rfc5090"')
    if config.security.agreement != "off" and "digest" in config.security.mechanisms:
        reason = "an agreement on digest needs passwords that are known here"
        yield error(config, ("security", "mechanisms"), reason, 'write mechanisms = ["tls"]')


def diameter_is_there(config: Config) -> Iterator[Finding]:
    """Diameter servers are named where they are needed, and proved."""
    needed = applications(config)
    if needed and not config.diameter_server:
        yield error(config, ("diameter_server",), "Diameter is needed, and no server is named", "add one")
    if needed and find_spec("diameter") is None:
        yield error(
            config,
            ("diameter_server",),
            "python-diameter is not installed",
            "pip install 'ringfence[diameter]'",
        )
    for place, server in enumerate(config.diameter_server):
        if server.transport == "tcp":
            reason = f"the connection to {server.name} is neither hidden nor proved"
            yield warning(config, ("diameter_server", place, "transport"), reason, 'write transport = "tls"')


def spending_is_limited(config: Config) -> Iterator[Finding]:
    """Limits on what is spent can work."""
    if config.fraud.cost_per_hour and not config.rate:
        yield error(
            config, ("fraud", "cost_per_hour"), "calls cost nothing without prices", "add [[rate]] sections"
        )
    if not config.ledger.enabled and (config.rate or config.fraud.destinations_per_hour):
        yield error(
            config, ("ledger", "enabled"), "prices and limits need the ledger", "write enabled = true"
        )

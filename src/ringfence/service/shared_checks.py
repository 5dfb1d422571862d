"""Rules of `ringfence check` about what nodes have in common through Redis."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from ringfence.service.config import Config
from ringfence.service.finding import Finding, warning


def shared_state_is_safe(config: Config) -> Iterator[Finding]:
    """Nobody on the way to Redis can register, ban or let in whom he likes."""
    for section, url in (("registrations", config.registrations.redis), ("shared", config.shared.redis)):
        if url.startswith("redis://") and not _is_here(url):
            reason = "whoever is on the way to that server can read and change what it holds"
            yield warning(config, (section, "redis"), reason, "let it serve TLS, and write rediss://")
    if config.registrations.redis and not config.shared.redis:
        reason = "nodes that share registrations ban and count alone: an account has its limits at each"
        yield warning(config, ("registrations", "redis"), reason, "write redis under [shared] too")


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or "localhost"
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

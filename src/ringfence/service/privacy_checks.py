"""What `ringfence check` says about the privacy service. `RULES` in `checks` lists it."""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.service.config import Config
from ringfence.service.finding import Finding, warning


def privacy_can_be_given(config: Config) -> Iterator[Finding]:
    """Session privacy takes the relay, and a service of its own takes a next hop for its own domain."""
    if not config.privacy.enabled:
        if config.node.roles[0] == "privacy":
            fix = "write enabled = true under [privacy], or another role"
            yield warning(
                config, ("privacy", "enabled"), "this node is a privacy service that gives no privacy", fix
            )
        return
    if config.media.relay == "off" and config.node.roles[0] in {"edge", "privacy"}:
        fix = 'write relay = "embedded" under [media], or enabled = false under [privacy]'
        yield warning(config, ("media", "relay"), "without a relay nobody gets session privacy", fix)

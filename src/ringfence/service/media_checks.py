"""The rules of `ringfence check` about media: ports that can be opened, and a relay for those who need it."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning
from ringfence.service.media import OTHER_FILES


def media_can_flow(config: Config) -> Iterator[Finding]:
    """The ports for media are free for it, and as many as the process may open."""
    media = config.media
    if media.relay == "off":
        if config.nat.media == "always":
            fix = 'write relay = "embedded" under [media], or media = "never" under [nat]'
            yield error(config, ("nat", "media"), "all media are to pass a relay, and there is none", fix)
        return
    if media.relay != "embedded":
        return
    first, last = media.ports
    for place, each in enumerate(config.listeners):
        if each.transport == "udp" and first <= each.port <= last:
            reason = f"port {each.port} is among those for media"
            fix = "choose other ports under [media], or another for SIP"
            yield error(config, ("listen", place, "port"), reason, fix)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = last - first + 1
    if hard != resource.RLIM_INFINITY and hard < most + OTHER_FILES:
        streams = max(0, hard - OTHER_FILES) // 4
        reason = (
            f"{most} ports, and the system lets a process open {hard} files: enough for {streams} streams"
        )
        yield warning(
            config, ("media", "ports"), reason, "raise the limit (LimitNOFILE=), or name fewer ports"
        )

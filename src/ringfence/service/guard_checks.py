"""The rules of `ringfence check` about who is limited, shut out and scanned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning

LARGEST_ALLOWED = 65_536
"""Addresses of one network on the allow list. A site is smaller; what is larger has strangers in it."""

LONGEST_DRAIN = 60.0
"""Seconds. Whoever starts nodes kills one that takes longer, such as systemd after 90."""


def the_guard_watches(config: Config) -> Iterator[Finding]:
    """Somebody counts what strangers send."""
    guard = config.guard
    if not guard.enabled:
        reason = "nothing is limited: whoever sends fast enough shuts everybody out"
        yield warning(config, ("guard", "enabled"), reason, "write enabled = true")
    elif not guard.ban:
        reason = "passwords may be guessed for as long as somebody likes"
        yield warning(config, ("guard", "ban"), reason, "write ban = true")
    for place, text in enumerate(guard.allow):
        network = ip_network(text)
        if network.num_addresses > LARGEST_ALLOWED and (network.version == 4 or network.prefixlen < 48):
            reason = f"{text} is {network.num_addresses} addresses that nothing is counted of"
            say = warning if network.is_private else error
            yield say(config, ("guard", "allow", place), reason, "name the addresses that are yours")
    if guard.nftables and shutil.which("nft") is None:
        reason = "there is no program nft: the node drops what the kernel should"
        yield warning(config, ("guard", "nftables"), reason, "install nftables, or write nftables = false")
    if not config.overload.enabled:
        reason = "under too much load everybody is served late, and nobody in time"
        yield warning(config, ("overload", "enabled"), reason, "write enabled = true")
    if config.limits.drain_seconds > LONGEST_DRAIN:
        reason = f"a stop may take {config.limits.drain_seconds:g} s: what starts the node may kill it before"
        yield warning(config, ("limits", "drain_seconds"), reason, "write drain_seconds = 10")


def bodies_are_scanned(config: Config) -> Iterator[Finding]:
    """The scanner is where it is said to be, and what it can't look at is the owner's choice."""
    malware = config.malware
    if not malware.clamd:
        return
    if malware.clamd.startswith("/") and not Path(malware.clamd).is_socket():
        reason = f"there is no socket {malware.clamd}: " + (
            "bodies pass unscanned" if malware.fail_open else "requests with bodies are answered 503"
        )
        yield warning(config, ("malware", "clamd"), reason, "start clamd, or correct the path")
    if malware.fail_open:
        reason = "bodies pass unscanned while clamd is away, and whoever sends a large one knows how"
        yield warning(config, ("malware", "fail_open"), reason, "write fail_open = false")

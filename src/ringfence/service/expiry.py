"""When the certificates of a node end: for /healthz and for Prometheus. Read from the files when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ringfence.message import LocalError
from ringfence.security.pem import read_chain
from ringfence.service.config import Config
from ringfence.service.finding import DAY, ends_soon
from ringfence.service.metrics import Metrics


class End(NamedTuple):
    """When one of them ends."""

    path: Path
    at: float
    """Seconds since 1970."""
    soon: float
    """Seconds before that from which on it wants attention."""


def ends(config: Config) -> Iterator[End]:
    """All that TLS uses, what is shown by default first. A file that can't be read is left out: `check` tells of it."""
    for path in dict.fromkeys(path for _, path, _ in config.certificate_files()):
        try:
            chain = read_chain(path.read_bytes())
        except (LocalError, OSError):
            continue
        yield End(path, min(each.not_valid_after_utc.timestamp() for each in chain), ends_soon(chain))


async def expired(config: Config) -> str | None:
    """Whether what is shown by default has expired: then nobody gets in over TLS."""
    for end in ends(config):
        if end.path == config.shown_pair[0] and end.at < time.time():
            return f"{end.path} has expired"
    return None


async def expiring(config: Config) -> str | None:
    """Which certificates end soon, or have ended."""
    now = time.time()
    found = [
        f"{end.path} {f'expires in {(end.at - now) / DAY:.1f} days' if end.at > now else 'has expired'}"
        for end in ends(config)
        if end.at - now < end.soon
    ]
    return ", ".join(found) or None


def show_ends(metrics: Metrics, config: Config) -> None:
    """Add the metric."""
    metrics.gauge(
        "ringfence_certificate_end_seconds",
        "When a certificate in use ends, in seconds since 1970",
        ("file",),
        lambda: {(str(end.path),): end.at for end in ends(config)},
    )

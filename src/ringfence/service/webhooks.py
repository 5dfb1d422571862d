"""Makes what tells web servers of calls, and checks whether it can."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ringfence.ledger.webhooks import Hook, WebhookFollower, key_of
from ringfence.message import LocalError
from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning

SHORT_SECRET = 24
"""Octets: Standard Webhooks asks for as many."""


def make_webhooks(config: Config) -> list[WebhookFollower]:
    """One for each section. Raises LocalError."""
    if not config.ledger.enabled:
        return []
    found = []
    for section in config.webhook:
        try:
            secret = key_of(section.secret.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise LocalError(f"{section.secret} has no secret for a webhook: {problem}") from None
        hook = Hook(section.url, secret, frozenset(section.events), section.trust)
        # By its URL: another server begins at the present, and the order of sections means nothing.
        mark = hashlib.sha256(section.url.encode()).hexdigest()[:12]
        worker = "" if config.worker is None else f".{config.worker}"
        place = config.node.data_dir / f"webhook.{mark}{worker}.place"
        found.append(WebhookFollower(config.ledger_url, config.writer, hook, place))
    return found


def webhooks_can_be_told(config: Config) -> Iterator[Finding]:
    """There is a ledger to tell of, and a secret to sign with."""
    if config.webhook and not config.ledger.enabled:
        yield error(
            config,
            ("webhook",),
            "webhooks are told what the ledger says, and none is kept",
            "see ledger.enabled",
        )
    for place, section in enumerate(config.webhook):
        path = ("webhook", place, "secret")
        try:
            secret = key_of(section.secret.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            fix = "make one: openssl rand -base64 32"
            yield error(config, path, f"{section.secret} has no secret that can be read", fix)
            continue
        if len(secret) < SHORT_SECRET:
            reason = "whoever sees one request can try secrets of this length against it"
            yield warning(config, path, reason, "make another: openssl rand -base64 32")

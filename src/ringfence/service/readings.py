"""The metrics that are read from the parts of a node: what they hold, and what they have counted themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from inspect import iscoroutine

from ringfence.service.media import read_media
from ringfence.service.metrics import Labels, Metrics, Values
from ringfence.service.wiring import Parts

DRIVER_COUNTS = (
    ("ringfence_authentications", "Credentials checked", "outcome", "authentication "),
    ("ringfence_flows_opened", "Connections set up", "transport", "opened "),
    ("ringfence_flows_closed", "Connections that ended or could not be made", "transport", "closed "),
    ("ringfence_alerts", "Accounts over a limit of [fraud]", "rule", "alert "),
    (
        "ringfence_privacy",
        "Wishes for privacy that were given, refused or not wholly given",
        "outcome",
        "privacy ",
    ),
    ("ringfence_challenges", "Requests answered 401 or 407", "", "challenges"),
    ("ringfence_malformed", "Messages that could not be read", "", "malformed"),
    ("ringfence_busy", "Requests refused since too many wait", "", "too busy"),
)
"""Metric, text, label, and what the driver's names of it begin with; without a label, the whole name."""


def read_parts(metrics: Metrics, parts: Parts) -> None:
    """Add what the parts of a node have to tell."""
    counter, gauge = metrics.counter, metrics.gauge
    driver, pool, store = parts.driver, parts.pool, parts.store
    for name, text, label, start in DRIVER_COUNTS:
        counter(name, text, (label,) if label else (), partial(_counted, driver.counts, label, start))
    events = "What happened to transactions: received, sent, retransmitted, absorbed, stray, refused, failed"
    counter(
        "ringfence_transaction_events", events, ("event",), lambda: _named(asdict(driver.transactions.counts))
    )
    gauge("ringfence_transactions", "Transactions now", (), lambda: {(): len(driver.transactions)})
    counter("ringfence_flows_refused", "Connections over a limit", (), lambda: {(): pool.refused})
    gauge("ringfence_flows", "Connections now", ("transport",), lambda: _flows(parts))
    _read_protection(metrics, parts)
    if parts.shared is not None:
        parts.shared.show(metrics)
    gauge("ringfence_accounts", "Accounts", (), lambda: _known(store.accounts.count()))
    if parts.services.media is not None:
        read_media(metrics, parts.services.media)
    bridges = parts.services.bridges
    if bridges is not None:
        gauge(
            "ringfence_private_calls", "Private calls and subscriptions now", (), lambda: {(): len(bridges)}
        )
    gauge("ringfence_registered", "What is registered", ("kind",), lambda: _registered(parts))


def _read_protection(metrics: Metrics, parts: Parts) -> None:
    """What the guard, overload control and the scanner have to tell."""
    counter, gauge = metrics.counter, metrics.gauge
    protection = parts.protection
    guard, overload, clamd = protection.guard, protection.overload, protection.clamd
    if guard is not None:
        text = "What the guard has dropped, refused, held up or counted"
        counter("ringfence_guard_events", text, ("event",), lambda: _named(guard.counts))
        gauge(
            "ringfence_guard_remembered", "What the guard remembers", ("what",), lambda: _named(guard.sizes())
        )
    gauge("ringfence_share", "Part of new requests that is taken", (), lambda: {(): overload.share})
    gauge("ringfence_late_seconds", "How late work begins", ("where",), lambda: _late(parts))
    counter(
        "ringfence_shed", "Requests refused since there was too much to do", (), lambda: {(): overload.shed}
    )
    held = "Requests not sent since the next hop wants less"
    neighbours = parts.services.neighbours
    if neighbours is not None:
        counter("ringfence_held_back", held, (), lambda: {(): neighbours.held_back})
    if clamd is not None:
        counter(
            "ringfence_scans",
            "Bodies given to clamd",
            ("finding",),
            lambda: _named({str(k): v for k, v in clamd.counts.items()}),
        )


def _late(parts: Parts) -> Values:
    load = parts.protection.overload.load
    return {("loop",): load.lag, ("datagrams",): load.queue}


def _counted(counts: Mapping[str, int], label: str, start: str) -> Values:
    if not label:
        return {(): counts.get(start, 0)}
    return {(name.removeprefix(start),): count for name, count in counts.items() if name.startswith(start)}


def _named(counts: Mapping[str, int]) -> Values:
    return {(name,): count for name, count in counts.items()}


def _flows(parts: Parts) -> Values:
    found: Counter[Labels] = Counter((flow.transport,) for flow in parts.pool.connections())
    return found


# Records that are across a network can't be asked while Prometheus waits; whoever holds them has metrics too.
def _known(count: object) -> Values:
    return {(): count} if isinstance(count, int) else {}


def _registered(parts: Parts) -> Values:
    counts = parts.store.bindings.counts()
    if not isinstance(counts, tuple):
        if iscoroutine(counts):
            counts.close()
        return {}
    return {("addresses",): counts.addresses, ("bindings",): counts.bindings}

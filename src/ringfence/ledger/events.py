"""What happened, one event at a time: the only thing that the ledger stores.

An event is a kind, a time, the key of the call that it belongs to, and facts. Its canonical text is JSON with
sorted keys, no spaces, and no float but the time, which has six decimals: the same event gives the same octets
everywhere, so that its hash can be computed again by anybody. An event is never changed. What was wrong or has
become known later is said by another event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from ringfence.store.errors import StoreError

Fact = str | int | bool
"""What may stand in an event."""


class Kind(StrEnum):
    """What happened."""

    OPEN = "open"
    """A node began to write this chain, or went on with it."""
    CLOSE = "close"
    """It stopped in good order."""
    START = "start"
    """A call is about to be forwarded. Facts: account, caller, callee, call_id, evidence, transport, source."""
    ANSWER = "answer"
    """The first 2xx: from here on the call is charged. Fact: tag."""
    STOP = "stop"
    """The call is over. Facts: reason, status."""
    NOTE = "note"
    """Something about a call that people should know, such as a BYE that did not count."""
    ALERT = "alert"
    """An account calls more than it should. Facts: account, rule, value, limit, action."""
    KEY = "key"
    """Checkpoints are signed with another key from the next one on. Fact: public (base64)."""
    PRUNED = "pruned"
    """Old events were removed by the owner. Facts: upto, hash."""


class Event(NamedTuple):
    """One entry. ``time`` is in seconds since the epoch; ``call`` is empty for what belongs to no call."""

    kind: Kind
    time: float
    call: str = ""
    facts: Mapping[str, Fact] = {}


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
RESERVED = frozenset({"kind", "time", "call"})


def body_of(event: Event) -> str:
    """The canonical text.

    Octets of a peer that are no UTF-8 are held as surrogates; ASCII with escapes keeps them, and can't fail.
    """
    fields: dict[str, Any] = {**event.facts, "kind": event.kind, "time": f"{event.time:.6f}"}
    if event.call:
        fields["call"] = event.call
    return _ENCODER.encode(fields)


def event_of(body: str) -> Event:
    """The event of a canonical text.

    Raises:
        StoreError: It is no event: it was not written by us, or by a newer version.
    """
    try:
        fields = json.loads(body)
        kind, time, call = Kind(fields.pop("kind")), float(fields.pop("time")), fields.pop("call", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"an event of the ledger can't be read: {error}") from None
    if not isinstance(call, str):
        raise StoreError("an event of the ledger can't be read: its call is no text")
    return Event(kind, time, call, fields)

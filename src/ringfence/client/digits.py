"""Key presses in INFO bodies, as phones without RTP events send them (``application/dtmf-relay``).

No RFC describes it; it is what Cisco's gateways began, ``Signal=5`` and ``Duration=160`` in lines, and what
some phones shorten to the key alone (``application/dtmf``).
"""

from __future__ import annotations

from ringfence.client.media.dtmf import KEYS
from ringfence.message import LocalError, PeerError, Request

DURATION = 160
"""Milliseconds."""


def write_signal(key: str) -> tuple[bytes, str]:
    """The body that presses a key, and its type. Raises LocalError for what is no key."""
    if len(key) != 1 or key.upper() not in KEYS:
        raise LocalError(f"{key!r} is not one of the keys {KEYS}")
    return f"Signal={key.upper()}\r\nDuration={DURATION}\r\n".encode(), "application/dtmf-relay"


def read_signal(request: Request) -> str | None:
    """The key that an INFO presses; None for an INFO without a body.

    Raises:
        PeerError: 400 when it is no key.
    """
    if not request.body:
        return None
    text = request.body.decode("ascii", "replace")
    key = text.strip()
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip().lower() == "signal":
            key = value.strip()
            break
    if len(key) != 1 or key.upper() not in KEYS:
        raise PeerError(400, f"{key[:20]!r} is no key")
    return key.upper()

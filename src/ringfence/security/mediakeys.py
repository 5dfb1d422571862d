"""The fingerprints of media keys in a message's SDP, as PASSporT signs them (RFC 8225 section 5.2.2)."""

from __future__ import annotations

import re

from ringfence.message.message import Message

# attribute = "fingerprint" ":" hash-func SP fingerprint (RFC 8122 section 5). Taken with whatever value it
# has: a line that this missed but a phone reads would be a key that nobody signed.
_FINGERPRINT = re.compile(rb"(?:^|[\r\n])a=fingerprint:[ \t]*([^\s]+)[ \t]+([^\r\n]+)").findall


def media_keys(message: Message) -> list[tuple[str, str]]:
    """(algorithm, digest) of every ``a=fingerprint`` line, with the colons; empty without SDP."""
    body = message.body
    if b"a=fingerprint:" not in body:
        return []
    kind = (message.headers.get("Content-Type") or "").lower()
    if not kind.startswith(("application/sdp", "multipart/")):
        return []
    return [(alg.decode("latin-1"), digest.decode("latin-1").strip()) for alg, digest in _FINGERPRINT(body)]

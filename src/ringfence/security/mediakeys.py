"""The fingerprints of media keys in a message's SDP, as PASSporT signs them (RFC 8225 section 5.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ringfence.message.message import Message
from ringfence.message.multipart import Entity

# attribute = "fingerprint" ":" hash-func SP fingerprint (RFC 8122 section 5). Taken with whatever value it
# has: a line that this missed but a phone reads would be a key that nobody signed.
_FINGERPRINT = re.compile(rb"(?:^|[\r\n])a=fingerprint:[ \t]*([^\s]+)[ \t]+([^\r\n]+)").findall


def media_keys(message: Message) -> list[tuple[str, str]]:
    """(algorithm, digest) of every ``a=fingerprint`` line, with the colons; empty without readable SDP.

    Raises:
        PeerError: 400 when a multipart body is malformed, 415 when its encoding is unknown.
    """
    if not message.body:
        return []
    return [
        (algorithm.decode("latin-1"), digest.decode("latin-1").strip())
        for sdp in _descriptions(message)
        for algorithm, digest in _FINGERPRINT(sdp)
    ]


def _descriptions(message: Message) -> Iterable[bytes]:
    kind = (message.headers.get("Content-Type") or "").lower()
    if kind.startswith("application/sdp"):
        if b"a=fingerprint" in message.body:
            yield message.body
    elif kind.startswith("multipart/"):
        for leaf in Entity(message.headers, message.body).leaves():
            if leaf.media_type.essence == "application/sdp":
                yield leaf.content()

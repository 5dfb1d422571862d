"""SRTP and SRTCP with AES counter mode and HMAC-SHA1 (RFC 3711), keyed by SDES (RFC 4568).

One ``Srtp`` protects, or checks, what one side sends: sequence numbers roll over into a 48-bit index for
each SSRC, the index and SSRC make the counter, and a tag over packet and index shows that nothing was
changed. A packet that is forged, replayed, too old or over the life of the key is told by None, never by an
exception: it may be anybody's.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ringfence.message import LocalError, PeerError
from ringfence.message.sdp_attributes import Crypto, Key

__all__ = ["SUITES", "Srtp", "Suite", "derive", "new_crypto"]

REPLAY_WINDOW = 128
"""Packets behind the newest that may still arrive, each once; RFC 3711 section 3.3.2 asks for 64 at least."""
MAX_SOURCES = 8
"""SSRCs under one key: a phone that restarts its stream takes a new one, and state must not grow without end."""
SALT = 14  # octets of every master and session salt
AUTH_KEY = 20  # octets of every authentication key
RTCP_TAG = 10  # octets, also where the RTP tag is shorter (RFC 3711 section 5.2)
LAST_RTCP_INDEX = (1 << 31) - 1
ENCRYPTED = 1 << 31  # the E bit in front of the SRTCP index


class Suite(NamedTuple):
    """What a crypto-suite fixes, in octets (RFC 4568 section 6.2, RFC 6188 section 4)."""

    key: int
    tag: int


SUITES = {
    "AES_CM_128_HMAC_SHA1_80": Suite(16, 10),
    "AES_CM_128_HMAC_SHA1_32": Suite(16, 4),
    "AES_256_CM_HMAC_SHA1_80": Suite(32, 10),
    "AES_256_CM_HMAC_SHA1_32": Suite(32, 4),
}
"""The suites that we have, by name in SDP."""


def new_crypto(tag: int, suite: str, token: Callable[[int], bytes] = secrets.token_bytes) -> Crypto:
    """A crypto attribute of this suite with a fresh key of ours."""
    return Crypto(tag, suite, (Key(token(SUITES[suite].key + SALT)),))


def derive(master_key: bytes, master_salt: bytes, label: int, length: int) -> bytes:
    """A session key (RFC 3711 section 4.3.1, with a key derivation rate of zero)."""
    x = int.from_bytes(master_salt, "big") ^ label << 48
    return _counter_mode(master_key, x << 16, bytes(length))


def _counter_mode(key: bytes, counter: int, data: bytes) -> bytes:
    # The counter block is the nonce of an AES-CTR stream (RFC 3711 section 4.1.1).
    return Cipher(AES(key), CTR(counter.to_bytes(16, "big"))).encryptor().update(data)


class _Source:
    """Where one SSRC stands: the highest index, and which of those right below it have been seen."""

    __slots__ = ("highest", "seen")

    def __init__(self, first: int) -> None:
        self.highest = first - 1
        self.seen = 0

    def index_of(self, sequence: int) -> int:
        """The 48-bit index that this sequence number most likely stands for (RFC 3711 section 3.3.1)."""
        highest = max(self.highest, 0)
        delta = sequence - highest & 0xFFFF
        return highest + delta if delta < 0x8000 else highest + delta - 0x10000

    def is_new(self, index: int) -> bool:
        """The index has not been seen, and is not too old to tell."""
        behind = self.highest - index
        return index >= 0 and (behind < 0 or (behind < REPLAY_WINDOW and not self.seen >> behind & 1))

    def note(self, index: int) -> None:
        """The packet of this index is authentic."""
        ahead = index - self.highest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, REPLAY_WINDOW) | 1) & (1 << REPLAY_WINDOW) - 1
            self.highest = index
        else:
            self.seen |= 1 << -ahead


class Srtp:
    """The crypto context of one direction of one stream."""

    def __init__(self, crypto: Crypto) -> None:
        """Derive the session keys from the first key of a crypto attribute.

        Raises:
            PeerError: 488, we do not have the suite, or the key has not its length.
        """
        suite, key = SUITES.get(crypto.suite), crypto.keys[0]
        if suite is None:
            raise PeerError(488, f"unknown crypto suite {crypto.suite[:40]}")
        if len(key.material) != suite.key + SALT:
            raise PeerError(488, f"{crypto.suite} needs a key and salt of {suite.key + SALT} octets")
        master, salt = key.material[: suite.key], key.material[suite.key :]
        self._tag = suite.tag
        self._mki = key.mki.to_bytes(key.mki_length, "big") if key.mki is not None else b""
        self._rtp_left = self._rtcp_left = key.lifetime if key.lifetime is not None else 1 << 48
        self._rtp_key, self._rtp_auth, self._rtp_salt = _session_keys(master, salt, suite.key, 0)
        self._rtcp_key, self._rtcp_auth, self._rtcp_salt = _session_keys(master, salt, suite.key, 3)
        self._rtp: dict[int, _Source] = {}
        self._rtcp: dict[int, _Source] = {}

    # --- RTP

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet as SRTP.

        Raises:
            LocalError: The key has been used for as many packets as it may be.
        """
        ssrc, sequence = int.from_bytes(packet[8:12], "big"), int.from_bytes(packet[2:4], "big")
        source = self._rtp.get(ssrc)
        if source is None:
            source = self._rtp[ssrc] = _Source(sequence)
        index = source.index_of(sequence)
        self._rtp_left -= 1
        if self._rtp_left < 0 or not source.is_new(index):
            # One index twice would give away both packets: the key stream would be the same.
            raise LocalError("the SRTP key is used up, or a sequence number was used twice")
        source.note(index)
        start = _payload_start(packet)
        body = packet[:start] + self._rtp_stream(ssrc, index, packet[start:])
        return body + self._mki + self._rtp_mac(body, index)

    def unprotect(self, data: bytes) -> bytes | None:
        """The RTP packet in SRTP; None when it is not authentic, seen before or under another key."""
        end = len(data) - self._tag - len(self._mki)
        if end < 12 or not data.startswith(self._mki, end):
            return None
        body, tag = data[:end], data[-self._tag :]
        ssrc, sequence = int.from_bytes(body[8:12], "big"), int.from_bytes(body[2:4], "big")
        source = self._rtp.get(ssrc) or _Source(sequence)
        index = source.index_of(sequence)
        start = _payload_start(body)
        if start > end or not source.is_new(index) or self._rtp_left <= 0:
            return None
        if not hmac.compare_digest(tag, self._rtp_mac(body, index)) or not _keep(self._rtp, ssrc, source):
            return None
        source.note(index)
        self._rtp_left -= 1
        return body[:start] + self._rtp_stream(ssrc, index, body[start:])

    def _rtp_stream(self, ssrc: int, index: int, payload: bytes) -> bytes:
        return _counter_mode(self._rtp_key, (self._rtp_salt ^ ssrc << 48 ^ index) << 16, payload)

    def _rtp_mac(self, body: bytes, index: int) -> bytes:
        # The roll-over counter is authenticated, though not sent (RFC 3711 section 4.2).
        return hmac.digest(self._rtp_auth, body + (index >> 16).to_bytes(4, "big"), "sha1")[: self._tag]

    # --- RTCP

    def protect_rtcp(self, packet: bytes) -> bytes:
        """A compound RTCP packet as SRTCP (RFC 3711 section 3.4). Raises LocalError as ``protect`` does."""
        ssrc = int.from_bytes(packet[4:8], "big")
        source = self._rtcp.setdefault(ssrc, _Source(1))
        index = source.highest + 1
        self._rtcp_left -= 1
        if index > LAST_RTCP_INDEX or self._rtcp_left < 0:
            raise LocalError("the SRTCP key is used up")
        source.note(index)
        body = (
            packet[:8] + self._rtcp_stream(ssrc, index, packet[8:]) + (ENCRYPTED | index).to_bytes(4, "big")
        )
        return body + self._mki + self._rtcp_mac(body)

    def unprotect_rtcp(self, data: bytes) -> bytes | None:
        """The compound packet in SRTCP; None as ``unprotect`` does."""
        end = len(data) - RTCP_TAG - len(self._mki)
        if end < 12 or not data.startswith(self._mki, end):
            return None
        body, tag = data[:end], data[-RTCP_TAG:]
        ssrc, word = int.from_bytes(body[4:8], "big"), int.from_bytes(body[-4:], "big")
        index = word & LAST_RTCP_INDEX
        source = self._rtcp.get(ssrc) or _Source(index)
        # RFC 4568 section 6.3.2: everything is encrypted unless that was negotiated, which we do not do.
        if not word & ENCRYPTED or not source.is_new(index) or self._rtcp_left <= 0:
            return None
        if not hmac.compare_digest(tag, self._rtcp_mac(body)) or not _keep(self._rtcp, ssrc, source):
            return None
        source.note(index)
        self._rtcp_left -= 1
        return body[:8] + self._rtcp_stream(ssrc, index, body[8:-4])

    def _rtcp_stream(self, ssrc: int, index: int, payload: bytes) -> bytes:
        return _counter_mode(self._rtcp_key, (self._rtcp_salt ^ ssrc << 48 ^ index) << 16, payload)

    def _rtcp_mac(self, body: bytes) -> bytes:
        return hmac.digest(self._rtcp_auth, body, "sha1")[:RTCP_TAG]


def _session_keys(master: bytes, salt: bytes, length: int, label: int) -> tuple[bytes, bytes, int]:
    """Cipher key, authentication key and salt, whose labels follow each other (RFC 3711 section 4.3.2)."""
    return (
        derive(master, salt, label, length),
        derive(master, salt, label + 1, AUTH_KEY),
        int.from_bytes(derive(master, salt, label + 2, SALT), "big"),
    )


def _keep(sources: dict[int, _Source], ssrc: int, source: _Source) -> bool:
    """Bind an SSRC to the context with its first authentic packet (RFC 4568 section 6.4.1)."""
    if ssrc not in sources and len(sources) >= MAX_SOURCES:
        return False
    sources[ssrc] = source
    return True


def _payload_start(packet: bytes) -> int:
    """Where the part that is encrypted begins: after CSRCs and the header extension (RFC 3711 section 3.1)."""
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return start

"""The values of the SDP attributes that we act on.

Each type reads the text after ``a=name:`` with ``parse`` and writes it back with ``str``; ``parse`` raises
ValueError. A description keeps every attribute as text, so nothing here is needed to pass an attribute on,
and an attribute with a fault costs its own meaning and no other.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "Candidate",
    "Crypto",
    "Direction",
    "Fingerprint",
    "Format",
    "Group",
    "Key",
    "Rtcp",
    "Rtpmap",
    "digits",
]

MAX_DIGITS = 20  # the decimal digits of a 64-bit number, the largest that RFC 3264 section 5 allows
MAX_MKI_LENGTH = 128  # RFC 4568 section 6.1: a longer MKI makes the attribute invalid

# token-char (RFC 4566 section 9)
TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+")

# "a=crypto:" tag 1*WSP crypto-suite 1*WSP key-params *(1*WSP session-param)   (RFC 4568 section 9.1)
CRYPTO = re.compile(r"(\d{1,9})[ \t]+(\w+)[ \t]+([!-~]+)((?:[ \t]+[!-~]+)*)[ \t]*", re.ASCII)

# key-salt ["|" lifetime] ["|" mki-value ":" mki-length]   (RFC 4568 section 9.2)
INLINE = re.compile(
    r"(?i:inline):([A-Za-z0-9+/]+=*)(?:\|(2\^)?([1-9]\d*))?(?:\|([1-9]\d*):([1-9]\d{0,2}))?", re.ASCII
)


def digits(text: str, limit: int | None = None) -> int:
    """The number that a run of decimal digits stands for, at most `limit`."""
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:30]!r} is not a number")
    number = int(text)
    if limit is not None and number > limit:
        raise ValueError(f"{number} is over {limit}")
    return number


class Direction(StrEnum):
    """Which way media flows, as the describing side sees it (RFC 4566 section 6, RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, sends: bool, receives: bool) -> Direction:
        """The direction of a side that sends, receives, both or neither."""
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE

    @property
    def sends(self) -> bool:
        """The describing side sends media."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """The describing side takes media."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)


class Rtpmap(NamedTuple):
    """A payload type bound to an encoding (RFC 4566 section 6)."""

    payload_type: int
    encoding: str
    clock_rate: int
    parameters: str | None = None  # for audio, the number of channels

    @classmethod
    def parse(cls, text: str) -> Rtpmap:
        payload_type, _, rest = text.partition(" ")
        encoding, *fields = rest.strip(" ").split("/", 2)
        if not fields or not TOKEN.fullmatch(encoding):
            raise ValueError("an rtpmap reads <payload type> <encoding>/<clock rate>")
        return cls(digits(payload_type, 127), encoding, digits(fields[0]), fields[1] if fields[1:] else None)

    def __str__(self) -> str:
        text = f"{self.payload_type} {self.encoding}/{self.clock_rate}"
        return f"{text}/{self.parameters}" if self.parameters is not None else text


class Format(NamedTuple):
    """What one payload type of an RTP stream means: its rtpmap or static assignment, joined with its fmtp."""

    payload_type: int
    encoding: str
    clock_rate: int
    channels: int = 1
    parameters: str | None = None

    def same_codec(self, other: Format) -> bool:
        """Names one codec, whatever the payload type. Encoding names ignore case (RFC 4855 section 3)."""
        return (
            self.encoding.lower() == other.encoding.lower()
            and self.clock_rate == other.clock_rate
            and self.channels == other.channels
        )


STATIC_FORMATS: dict[int, tuple[str, int, int]] = {
    0: ("PCMU", 8000, 1),
    3: ("GSM", 8000, 1),
    4: ("G723", 8000, 1),
    5: ("DVI4", 8000, 1),
    6: ("DVI4", 16000, 1),
    7: ("LPC", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    12: ("QCELP", 8000, 1),
    13: ("CN", 8000, 1),
    14: ("MPA", 90000, 1),
    15: ("G728", 8000, 1),
    16: ("DVI4", 11025, 1),
    17: ("DVI4", 22050, 1),
    18: ("G729", 8000, 1),
    25: ("CelB", 90000, 1),
    26: ("JPEG", 90000, 1),
    28: ("nv", 90000, 1),
    31: ("H261", 90000, 1),
    32: ("MPV", 90000, 1),
    33: ("MP2T", 90000, 1),
    34: ("H263", 90000, 1),
}
"""The payload types that need no rtpmap (RFC 3551 section 6): encoding, clock rate, channels."""


class Rtcp(NamedTuple):
    """Where RTCP goes when that is not the port after the RTP port (RFC 3605)."""

    port: int
    nettype: str | None = None
    addrtype: str | None = None
    address: str | None = None

    @classmethod
    def parse(cls, text: str) -> Rtcp:
        port, *where = text.split()
        if len(where) not in (0, 3):
            raise ValueError(
                "an rtcp attribute holds a port, alone or with a network, an address type and an address"
            )
        return cls(digits(port, 65_535), *where)

    def __str__(self) -> str:
        return " ".join(str(field) for field in self if field is not None)


class Key(NamedTuple):
    """One `inline:` master key with its salt (RFC 4568 section 6.1)."""

    material: bytes  # master key, then master salt
    lifetime: int | None = None  # packets
    mki: int | None = None
    mki_length: int = 0  # octets of the MKI field in each packet

    @classmethod
    def parse(cls, text: str) -> Key:
        match = INLINE.fullmatch(text)
        if match is None:
            raise ValueError("a key reads inline:<base64>|<lifetime>|<MKI>:<length>")
        encoded, power, lifetime, mki, mki_length = match.groups()
        try:
            # RFC 4568 section 6.1: padding may be left out.
            material = base64.b64decode(
                encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True
            )
        except binascii.Error:
            raise ValueError("the key is not base64") from None
        packets = digits(lifetime) if lifetime else None
        if power and packets is not None:
            if packets > 48:
                raise ValueError("the lifetime is over 2^48 packets")
            packets = 1 << packets
        if packets is not None and packets > 1 << 48:
            raise ValueError("the lifetime is over 2^48 packets")
        length = digits(mki_length, MAX_MKI_LENGTH) if mki_length else 0
        number = digits(mki) if mki else None
        if number is not None and number.bit_length() > 8 * length:
            raise ValueError("the MKI does not fit its length")
        return cls(material, packets, number, length)

    def __str__(self) -> str:
        text = "inline:" + base64.b64encode(self.material).decode("ascii")
        if self.lifetime is not None:
            power = self.lifetime.bit_length() - 1
            text += f"|2^{power}" if power and self.lifetime == 1 << power else f"|{self.lifetime}"
        return f"{text}|{self.mki}:{self.mki_length}" if self.mki is not None else text


@dataclass(slots=True, frozen=True)
class Crypto:
    """A crypto-suite with the keys that the describing side sends with (RFC 4568)."""

    tag: int
    suite: str
    keys: tuple[Key, ...]
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Crypto:
        match = CRYPTO.fullmatch(text)
        if match is None:
            raise ValueError("a crypto attribute reads <tag> <suite> <keys> [<parameters>]")
        tag, suite, keys, parameters = match.groups()
        # RFC 4568 section 4: suites and parameters are the same in any case, and all are registered in upper case.
        suite, parameters = suite.upper(), parameters.upper()
        read = tuple(Key.parse(key) for key in keys.split(";"))
        # RFC 4568 section 6.1: several keys are told apart by MKIs of one length.
        if len(read) > 1 and (None in {key.mki for key in read} or len({key.mki_length for key in read}) > 1):
            raise ValueError("several keys need an MKI each, of one length")
        return cls(int(tag), suite, read, tuple(parameters.split()))

    def __str__(self) -> str:
        return " ".join((str(self.tag), self.suite, ";".join(map(str, self.keys)), *self.parameters))

    def __repr__(self) -> str:
        # Never the key: this is what logs and tracebacks show.
        return f"Crypto(tag={self.tag}, suite={self.suite!r}, keys=<{len(self.keys)}>)"


class Fingerprint(NamedTuple):
    """The hash of the certificate that DTLS will show (RFC 8122 section 5)."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        algorithm, _, value = text.strip(" ").partition(" ")
        pairs = value.split(":")
        if not TOKEN.fullmatch(algorithm) or not all(re.fullmatch("[0-9A-Fa-f]{2}", pair) for pair in pairs):
            raise ValueError("a fingerprint reads <hash> <hex pairs>")
        return cls(algorithm, bytes.fromhex("".join(pairs)))

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


@dataclass(slots=True, frozen=True)
class Candidate:
    """One address that ICE may use (RFC 8839 section 5.1)."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str
    extensions: tuple[tuple[str, str], ...] = ()  # raddr, rport and those that we do not know, in order

    @classmethod
    def parse(cls, text: str) -> Candidate:
        fields = text.split()
        if len(fields) < 8 or fields[6] != "typ" or len(fields) % 2:
            raise ValueError(
                "a candidate reads <foundation> <component> <transport> <priority> <address> <port> typ ..."
            )
        foundation, component, transport, priority, address, port, _, kind, *rest = fields
        extensions = tuple(zip(rest[::2], rest[1::2], strict=True))
        return cls(
            foundation,
            digits(component, 256),
            transport,
            digits(priority),
            address,
            digits(port, 65_535),
            kind,
            extensions,
        )

    def __str__(self) -> str:
        text = (
            f"{self.foundation} {self.component} {self.transport} {self.priority} {self.address} {self.port}"
        )
        return " ".join((text, "typ", self.type, *(field for pair in self.extensions for field in pair)))


class Group(NamedTuple):
    """Streams that belong together, by their `mid` (RFC 5888)."""

    semantics: str
    mids: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Group:
        semantics, *mids = text.split()
        return cls(semantics, tuple(mids))

    def __str__(self) -> str:
        return " ".join((self.semantics, *self.mids))

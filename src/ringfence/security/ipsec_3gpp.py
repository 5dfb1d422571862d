"""The mechanism ``ipsec-3gpp``: its parameters and keys (RFC 3329 appendix A, 3GPP TS 33.203 annexes H, I).

Four security associations between a phone and its first hop, each one way, over UDP and TCP alike. Both have a port
that they are sent to (``port-s``) and one that they send from (``port-c``), and choose an SPI for each of the two::

    phone port-c  ->  server port-s    SPI: the server's spi-s
    server port-s ->  phone port-c     SPI: the phone's spi-c
    server port-c ->  phone port-s     SPI: the phone's spi-s
    phone port-s  ->  server port-c    SPI: the server's spi-c

The keys are IK and CK. In a mobile network the agreement of AKA (RFC 3310) gives them to both sides, anew each time;
neither RFC says how else. We do not derive any from a digest password: no text has that, and a password is no key.
Here both sides hold an IK and a CK of their own, as a SIM card and its network hold theirs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ringfence.message import LocalError, PeerError
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.message.params import Params
from ringfence.security.agreement import Name

KEY_OCTETS = 16
"""IK and CK have 128 bits."""

MIN_SPI, MAX_SPI = 1_000_000_000, (1 << 32) - 1
"""What we choose from: an SPI is written in ten digits (appendix A)."""

RESERVED_SPI = 255
"""SPIs up to this one are reserved (RFC 4303 section 2.1)."""

INTEGRITY, ENCRYPTION = "hmac-sha-1-96", "aes-cbc"
"""What we agree on. HMAC-MD5 and 3DES are broken or nearly; ``null`` would hide nothing."""

_NUMBER = re.compile(r"[0-9]{1,10}").fullmatch


class Side(NamedTuple):
    """What one side has chosen."""

    spi_c: int
    spi_s: int
    port_c: int
    port_s: int


class Secrets(NamedTuple):
    """The integrity key and the cipher key of a subscriber."""

    ik: bytes
    ck: bytes

    def __repr__(self) -> str:
        return "Secrets()"  # keys are for no log


def mechanism_of(side: Side | None, *, q: str | None = None) -> Mechanism:
    """The mechanism as it stands in Security-Client, or with ``q`` in Security-Server. Without a side it says by which
    algorithms it would be."""
    params = [] if q is None else [("q", q)]
    params += [("alg", INTEGRITY), ("ealg", ENCRYPTION), ("prot", "esp"), ("mod", "trans")]
    if side is not None:
        params += [("spi-c", f"{side.spi_c:010}"), ("spi-s", f"{side.spi_s:010}")]
        params += [("port-c", str(side.port_c)), ("port-s", str(side.port_s))]
    return Mechanism(Name.IPSEC_3GPP, Params(tuple(params)))


def acceptable(mechanism: Mechanism) -> bool:
    """Whether it is ``ipsec-3gpp`` with the algorithms and the mode that we agree on; ESP and transport by default."""
    if mechanism.name != Name.IPSEC_3GPP:
        return False
    params = mechanism.params
    wanted = (
        ("alg", INTEGRITY, ""),
        ("ealg", ENCRYPTION, "null"),
        ("prot", "esp", "esp"),
        ("mod", "trans", "trans"),
    )
    return all((params.get(name) or default).lower() == value for name, value, default in wanted)


def read_side(mechanism: Mechanism) -> Side:
    """What the other side has chosen.

    Raises:
        PeerError: 494 when a number is missing, or out of its range.
    """
    spis = (_number(mechanism, name, RESERVED_SPI + 1, MAX_SPI) for name in ("spi-c", "spi-s"))
    ports = (_number(mechanism, name, 1, 65_535) for name in ("port-c", "port-s"))
    side = Side(*spis, *ports)
    if side.spi_c == side.spi_s or side.port_c == side.port_s:
        raise PeerError(494, "ipsec-3gpp needs two SPIs and two ports", header="Security-Client")
    return side


def _number(mechanism: Mechanism, name: str, least: int, most: int) -> int:
    text = mechanism.params.get(name) or ""
    if not _NUMBER(text) or not least <= int(text) <= most:
        raise PeerError(494, f"ipsec-3gpp has no good {name}", header="Security-Client")
    return int(text)


def integrity_key(secrets: Secrets) -> bytes:
    """The key of HMAC-SHA-1-96: IK, and 32 zero bits after it (TS 33.203 annex I)."""
    return secrets.ik + bytes(4)


def read_secrets(text: str) -> Secrets:
    """The IK and the CK of a file: two keys of 32 hexadecimal digits.

    Raises:
        LocalError: when they are not.
    """
    keys = read_keys(text)
    if [len(key) for key in keys] != [KEY_OCTETS, KEY_OCTETS]:
        raise LocalError("two keys of 32 hexadecimal digits are needed: IK and CK")
    return Secrets(*keys)


def read_keys(text: str) -> list[bytes]:
    """The keys of a file, in hexadecimal digits with blanks or lines between them.

    Raises:
        LocalError: when something else stands there.
    """
    try:
        return [bytes.fromhex(word) for word in text.split()]
    except ValueError:
        raise LocalError("a key is written in hexadecimal digits") from None

"""IPsec for the first hop: what has to be true between two endpoints, whoever makes it true (RFC 4301, RFC 4303).

A program can't see by which key a packet was protected. So a port of ours is closed to everything that was not: the
kernel drops what comes to it, or would leave it, in clear (``Shut``). An ``Association`` then opens it, for one
direction between two endpoints, to packets under one security association alone. What a socket on that port receives
has been protected, and by whom its addresses say.

Transport mode and ESP alone: the hop is between two hosts, and AH hides nothing.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ringfence.message import LocalError
from ringfence.transport.flow import Endpoint

MIN_SPI = 256
"""Lower ones are reserved (RFC 4303 section 2.1)."""


PRIORITY = 1_000
"""Of the policy of an association in the kernel, the lowest number first. Those that programs choose by themselves are
over a hundred thousand."""


class IpsecError(LocalError):
    """The kernel has no IPsec, or will not let us set it up; the message says which and what to do."""


class EspKeys(NamedTuple):
    """The algorithms and keys of a security association, by the names that the kernel has for them."""

    authentication: str
    """Such as ``hmac(sha256)``."""
    authentication_key: bytes
    tag_bits: int
    """Length of the integrity check value."""
    encryption: str
    """``cbc(aes)``, or ``ecb(cipher_null)`` for none."""
    encryption_key: bytes

    def __repr__(self) -> str:
        return f"EspKeys({self.authentication}, {self.encryption})"  # keys are for no log


class Association(NamedTuple):
    """What goes from ``source`` to ``destination``, over UDP and TCP, goes by ESP under this SPI and these keys.

    Without SPI and keys only the rule is meant: the association itself is made by a key exchange. A port 0 is any.
    """

    source: Endpoint
    destination: Endpoint
    spi: int
    keys: EspKeys


class Ipsec(Protocol):
    """Who sets it up. Both calls take effect at once, or not at all."""

    def shut(self, endpoint: Endpoint) -> None:
        """Close a port of ours to everything in clear. Raises IpsecError."""

    def add(self, associations: tuple[Association, ...], own: str) -> None:
        """Make these; ``own`` is our address in them. Raises IpsecError."""

    def remove(self, associations: tuple[Association, ...], own: str) -> None:
        """Take these away; those that are gone already are passed over."""

    def close(self) -> None:
        """Take everything away that was made here."""

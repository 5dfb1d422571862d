"""Which security associations a first hop has: those of ``ipsec-3gpp``, and those that were entered by hand."""

from __future__ import annotations

from ringfence.message import LocalError
from ringfence.security.ipsec_3gpp import Secrets, Side, integrity_key
from ringfence.transport.flow import Endpoint
from ringfence.transport.ipsec import Association, EspKeys

MANUAL_KEYS = (32, 16)
"""Octets of the two keys of ``ipsec-man``: HMAC-SHA-256 and AES-CBC (RFC 8221 sections 5 and 6). AES-GCM would lose all
of its strength after the first restart: its counter begins anew under the same key (RFC 4106 section 1)."""


def of_3gpp(phone: str, theirs: Side, server: str, ours: Side, secrets: Secrets) -> tuple[Association, ...]:
    """The four of ``ipsec-3gpp``; ``theirs`` is the phone's side, ``ours`` the server's."""
    keys = EspKeys("hmac(sha1)", integrity_key(secrets), 96, "cbc(aes)", secrets.ck)
    return (
        Association(Endpoint(phone, theirs.port_c), Endpoint(server, ours.port_s), ours.spi_s, keys),
        Association(Endpoint(server, ours.port_s), Endpoint(phone, theirs.port_c), theirs.spi_c, keys),
        Association(Endpoint(server, ours.port_c), Endpoint(phone, theirs.port_s), theirs.spi_s, keys),
        Association(Endpoint(phone, theirs.port_s), Endpoint(server, ours.port_c), ours.spi_c, keys),
    )


def by_hand(
    own: Endpoint, other: Endpoint, spi_in: int, spi_out: int, keys: list[bytes]
) -> tuple[Association, ...]:
    """The two of ``ipsec-man``, with HMAC-SHA-256-128 and AES-CBC.

    Raises:
        LocalError: for keys of another length.
    """
    if len(keys) != 2 or len(keys[0]) != MANUAL_KEYS[0] or len(keys[1]) not in (16, 32):
        raise LocalError("two keys are needed: 64 hexadecimal digits for integrity, 32 or 64 for encryption")
    esp = EspKeys("hmac(sha256)", keys[0], 128, "cbc(aes)", keys[1])
    return (Association(other, own, spi_in, esp), Association(own, other, spi_out, esp))

"""What the kernel lets into a UDP socket while there is a flood: who is known, and a sample of all others.

A flood overflows the kernel's queue before anybody has looked at a datagram, and honest ones are lost with the rest.
So while it lasts the socket has a filter: a small program of the classic Berkeley packet filter (Linux, socket(7)
SO_ATTACH_FILTER; no privilege is needed), which passes the sources that are known and a random share of all others.

A source is the 32 bits at octet 12 of the IP header: the address in IPv4; in IPv6 the second half of the /64, which is
as good as all of it, since whoever forges addresses does not know which are known.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

MAX_KNOWN = 2_048
"""Sources that the program names; with more it names networks that hold them. The kernel takes 4,096 instructions."""

RUN = 64
"""Sources between two comparisons that pass over them: of N sources N / 64 + 64 are looked at, in some 100 ns."""

STEP = 4
"""Bits by which the networks grow, until there are few enough of them."""

_ATTACH, _DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
_LOAD, _AND, _GREATER, _EQUAL, _JUMP, _RETURN = 0x20, 0x54, 0x25, 0x15, 0x05, 0x06  # <linux/bpf_common.h>
_SOURCE: Final = 0xFFF0_0000 + 12  # SKF_NET_OFF: octets of the IP header
_RANDOM: Final = 0xFFFF_F000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
_ALL: Final = 0xFFFF_FFFF

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


def word_of(host: str) -> int:
    """The 32 bits that stand for the source of an address."""
    address = ip_address(host.partition("%")[0])
    return int(address) if address.version == 4 else int(address) >> 64 & _ALL


def program(known: Collection[int], networks: Collection[Network], share: float) -> list[Instruction]:
    """What passes ``known`` sources, ``networks``, and of all others a ``share`` (0 to 1)."""
    code: list[Instruction] = [(_LOAD, 0, 0, _SOURCE)]
    for network in networks:
        word, mask = _masked(network)
        code += [(_AND, 0, 0, mask), (_EQUAL, 0, 1, word), (_RETURN, 0, 0, _ALL), (_LOAD, 0, 0, _SOURCE)]
    mask, words = _few(known)
    code.append((_AND, 0, 0, mask))
    for start in range(0, len(words), RUN):
        run = words[start : start + RUN]
        code.append((_GREATER, len(run) + 2, 0, run[-1]))
        code += [(_EQUAL, len(run) - place, 0, word) for place, word in enumerate(run)]
        # Past the RETURN to the next run: a word that is in none is compared on, which finds nothing.
        code += [(_JUMP, 0, 0, 1), (_RETURN, 0, 0, _ALL)]
    code += [
        (_LOAD, 0, 0, _RANDOM),
        (_GREATER, 0, 1, int(share * _ALL)),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _ALL),
    ]
    return code


def _masked(network: Network) -> tuple[int, int]:
    if network.version == 4:
        return int(network.network_address), int(network.netmask)
    return int(network.network_address) >> 64 & _ALL, int(network.netmask) >> 64 & _ALL


def _few(known: Collection[int]) -> tuple[int, list[int]]:
    """A mask, and the sources under it: at most ``MAX_KNOWN``."""
    for bits in range(0, 33, STEP):
        mask = _ALL << bits & _ALL
        words = {word & mask for word in known}
        if len(words) <= MAX_KNOWN:
            break
    return mask, sorted(words)


def attach(sock: socket.socket, code: list[Instruction] | None) -> None:
    """Give a socket a program, in the place of the one that it has; None takes it away.

    Raises:
        OSError: when the kernel does not take it.
    """
    if code is None:
        sock.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
        return
    text = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    room = ctypes.create_string_buffer(text, len(text))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("HP", len(code), ctypes.addressof(room)))

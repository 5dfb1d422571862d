"""``Ipsec`` by the kernel of Linux: netlink XFRM messages, laid out as <linux/xfrm.h> has them.

``pyroute2`` packs the messages; they go over a plain netlink socket, one at a time, each acknowledged. That takes some
tens of microseconds and never waits for anybody else, so it is done right on the event loop.

For each association the kernel gets the security association itself, and the policy that says that packets between
these two endpoints are under it and under nothing else. What closes a port is a policy too, behind all others.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address

from pyroute2.netlink import nlmsg

from ringfence.transport.flow import Endpoint
from ringfence.transport.ipsec import PRIORITY, Association, IpsecError

REPLAY_WINDOW = 32
"""Packets that may come out of order (RFC 4303 section 3.4.3 wants at least 32)."""

SHUT_PRIORITY = PRIORITY + 1_000
"""Of what closes a port: behind every association, and before the policies of others, such as those by which strongSwan
lets a local network pass in clear."""

_NETLINK_XFRM = 6
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_NEW_SA, _DEL_SA, _NEW_POLICY, _DEL_POLICY = 0x10, 0x11, 0x13, 0x14
_IN, _OUT = 0, 1
_ALLOW, _BLOCK = 0, 1
_ESP, _TRANSPORT = 50, 0
_FOREVER = (1 << 64) - 1
_NO_ADDRESS = bytes(16)
_ANSWER_OCTETS = 8_192
_GONE = frozenset({errno.ESRCH, errno.ENOENT})

_SELECTOR = (
    ("daddr", "16s"),
    ("saddr", "16s"),
    ("dport", ">H"),
    ("dport_mask", ">H"),
    ("sport", ">H"),
    ("sport_mask", ">H"),
    ("family", "H"),
    ("prefixlen_d", "B"),
    ("prefixlen_s", "B"),
    ("proto", "B"),
    ("sel_pad", "3s"),
    ("ifindex", "i"),
    ("user", "I"),
)
# struct xfrm_lifetime_cfg, then xfrm_lifetime_cur: limits of octets and packets, of seconds, and what was used.
_PLAIN_LIMITS = ("soft_bytes", "hard_bytes", "soft_packets", "hard_packets")
_LIFETIME = tuple(
    (name, "Q")
    for name in (
        *_PLAIN_LIMITS,
        *("soft_added", "hard_added", "soft_used", "hard_used"),
        *("used_bytes", "used_packets", "used_added", "used_used"),
    )
)


class _SecurityAssociation(nlmsg):  # type: ignore[misc]
    """struct xfrm_usersa_info, and the algorithms."""

    prefix = "XFRMA_"
    fields = (
        *_SELECTOR,
        ("id_daddr", "16s"),
        ("id_spi", ">I"),
        ("id_proto", "B"),
        ("id_pad", "3s"),
        ("source", "16s"),
        *_LIFETIME,
        ("replay_window_failed", "I"),
        ("replayed", "I"),
        ("integrity_failed", "I"),
        ("seq", "I"),
        ("reqid", "I"),
        ("own_family", "H"),
        ("mode", "B"),
        ("replay_window", "B"),
        ("flags", "B"),
        ("pad", "7s"),
    )
    nla_map = ((2, "XFRMA_ALG_CRYPT", "cdata"), (20, "XFRMA_ALG_AUTH_TRUNC", "cdata"))


class _SecurityAssociationId(nlmsg):  # type: ignore[misc]
    """struct xfrm_usersa_id, and the source address."""

    prefix = "XFRMA_"
    fields = (("id_daddr", "16s"), ("id_spi", ">I"), ("own_family", "H"), ("id_proto", "B"), ("id_pad", "1s"))
    nla_map = ((13, "XFRMA_SRCADDR", "cdata"),)


class _Policy(nlmsg):  # type: ignore[misc]
    """struct xfrm_userpolicy_info, and the template: which association it wants."""

    prefix = "XFRMA_"
    fields = (
        *_SELECTOR,
        *_LIFETIME,
        ("priority", "I"),
        ("index", "I"),
        ("dir", "B"),
        ("action", "B"),
        ("flags", "B"),
        ("share", "B"),
        ("pad", "4s"),
    )
    nla_map = ((5, "XFRMA_TMPL", "cdata"),)


class _PolicyId(nlmsg):  # type: ignore[misc]
    """struct xfrm_userpolicy_id."""

    fields = (*_SELECTOR, ("index", "I"), ("dir", "B"), ("pad", "3s"))


class Xfrm:
    """What one node or agent has set up in the kernel; ``close`` takes it away again.

    Raises:
        IpsecError: where the kernel has no XFRM.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_XFRM)
            self._socket.bind((0, 0))
            self._socket.settimeout(1.0)  # it answers at once; nothing may wait for ever on the event loop
        except (OSError, AttributeError) as error:
            raise IpsecError(f"this system has no IPsec (netlink XFRM): {error}") from None
        self._serial = 0
        self._shut: list[tuple[Endpoint, int]] = []
        self._made: list[tuple[tuple[Association, ...], str]] = []

    def shut(self, endpoint: Endpoint) -> None:
        """See ``Ipsec``. Raises IpsecError."""
        for direction in (_IN, _OUT):
            here, anywhere = endpoint, Endpoint("::" if ":" in endpoint.host else "0.0.0.0", 0)  # noqa: S104  any
            way = (anywhere, here) if direction == _IN else (here, anywhere)
            self._forget_policy(*way, direction)  # one that an earlier run left behind
            self._ask(_NEW_POLICY, _policy(*way, direction, _BLOCK, SHUT_PRIORITY), _CREATE)
            self._shut.append((endpoint, direction))

    def add(self, associations: tuple[Association, ...], own: str) -> None:
        """See ``Ipsec``. Raises IpsecError."""
        self._made.append((associations, own))
        try:
            for each in associations:
                self._ask(_NEW_SA, _association(each), _CREATE | _EXCL)
                direction = _IN if each.destination.host == own else _OUT
                policy = _policy(each.source, each.destination, direction, _ALLOW, PRIORITY)
                policy["attrs"] = [("XFRMA_TMPL", _template(each))]
                self._forget_policy(each.source, each.destination, direction)
                self._ask(_NEW_POLICY, policy, _CREATE)
        except IpsecError:
            self.remove(associations, own)
            raise

    def remove(self, associations: tuple[Association, ...], own: str) -> None:
        """See ``Ipsec``."""
        with suppress(ValueError):
            self._made.remove((associations, own))
        for each in associations:
            direction = _IN if each.destination.host == own else _OUT
            self._forget_policy(each.source, each.destination, direction)
            with suppress(IpsecError):
                self._ask(_DEL_SA, _association_id(each))

    def close(self) -> None:
        """See ``Ipsec``."""
        for associations, own in list(self._made):
            self.remove(associations, own)
        for endpoint, direction in self._shut:
            anywhere = Endpoint("::" if ":" in endpoint.host else "0.0.0.0", 0)  # noqa: S104  any
            self._forget_policy(
                *((anywhere, endpoint) if direction == _IN else (endpoint, anywhere)), direction
            )
        self._shut.clear()
        self._socket.close()

    def _forget_policy(self, source: Endpoint, destination: Endpoint, direction: int) -> None:
        message = _PolicyId()
        message.update(_selector(source, destination))
        message.update({"index": 0, "dir": direction, "pad": bytes(3)})
        with suppress(IpsecError):
            self._ask(_DEL_POLICY, message)

    def _ask(self, kind: int, message: nlmsg, flags: int = 0) -> None:
        """Send one message, and wait for the kernel's word on it."""
        self._serial += 1
        header = message["header"]
        header["type"], header["flags"], header["sequence_number"] = (
            kind,
            _REQUEST | _ACK | flags,
            self._serial,
        )
        message.encode()
        try:
            self._socket.send(bytes(message.data))
            answer = self._socket.recv(_ANSWER_OCTETS)
        except OSError as error:
            raise IpsecError(f"the kernel does not set up IPsec: {error}") from None
        # struct nlmsghdr (16 octets), then struct nlmsgerr: the number of an error, negative, or 0.
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number in (errno.EPERM, errno.EACCES):
            raise IpsecError("setting up IPsec needs the right CAP_NET_ADMIN; give it, or leave ipsec out")
        if number in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
            missing = (
                "this part of IPsec, ESP (module esp4, or esp6)" if kind == _NEW_SA else "this part of IPsec"
            )
            raise IpsecError(f"the kernel can't do {missing}: {os.strerror(number)}")
        if number:
            raise IpsecError(f"the kernel refuses: {os.strerror(number)}")


# ---- the messages ----


def _packed(host: str) -> bytes:
    """An xfrm_address_t: 16 octets, those of IPv4 first."""
    return ip_address(host).packed.ljust(16, b"\0")


def _selector(source: Endpoint, destination: Endpoint) -> dict[str, object]:
    """Which packets: of any protocol, between these endpoints; port 0 and the address 0 are any."""

    def bits(host: str) -> int:
        address = ip_address(host)
        return 0 if address.is_unspecified else address.max_prefixlen

    return {
        "daddr": _packed(destination.host),
        "saddr": _packed(source.host),
        "dport": destination.port,
        "dport_mask": 0xFFFF if destination.port else 0,
        "sport": source.port,
        "sport_mask": 0xFFFF if source.port else 0,
        "family": _family(source.host),
        "prefixlen_d": bits(destination.host),
        "prefixlen_s": bits(source.host),
        "proto": 0,
        "sel_pad": bytes(3),
        "ifindex": 0,
        "user": 0,
    }


def _family(host: str) -> int:
    return int(socket.AF_INET6 if ":" in host else socket.AF_INET)


def _no_limits() -> dict[str, int]:
    return {name: _FOREVER if name in _PLAIN_LIMITS else 0 for name, _ in _LIFETIME}


def _association(each: Association) -> nlmsg:
    keys = each.keys
    message = _SecurityAssociation()
    message.update(_selector(each.source, each.destination))
    message.update(_no_limits())
    message.update(
        {
            "id_daddr": _packed(each.destination.host),
            "id_spi": each.spi,
            "id_proto": _ESP,
            "id_pad": bytes(3),
            "source": _packed(each.source.host),
            "replay_window_failed": 0,
            "replayed": 0,
            "integrity_failed": 0,
            "seq": 0,
            "reqid": 0,
            "own_family": _family(each.source.host),
            "mode": _TRANSPORT,
            "replay_window": REPLAY_WINDOW,
            "flags": 0,
            "pad": bytes(7),
            "attrs": [
                ("XFRMA_ALG_CRYPT", _algorithm(keys.encryption, keys.encryption_key)),
                (
                    "XFRMA_ALG_AUTH_TRUNC",
                    _algorithm(keys.authentication, keys.authentication_key, keys.tag_bits),
                ),
            ],
        }
    )
    return message


def _algorithm(name: str, key: bytes, tag_bits: int | None = None) -> bytes:
    """struct xfrm_algo, or xfrm_algo_auth with the length of its result."""
    lengths = [len(key) * 8] if tag_bits is None else [len(key) * 8, tag_bits]
    return name.encode().ljust(64, b"\0") + struct.pack(f"={len(lengths)}I", *lengths) + key


def _association_id(each: Association) -> nlmsg:
    message = _SecurityAssociationId()
    message.update(
        {
            "id_daddr": _packed(each.destination.host),
            "id_spi": each.spi,
            "own_family": _family(each.source.host),
            "id_proto": _ESP,
            "id_pad": b"\0",
            "attrs": [("XFRMA_SRCADDR", _packed(each.source.host))],
        }
    )
    return message


def _policy(source: Endpoint, destination: Endpoint, direction: int, action: int, priority: int) -> nlmsg:
    message = _Policy()
    message.update(_selector(source, destination))
    message.update(_no_limits())
    message.update(
        {
            "priority": priority,
            "index": 0,
            "dir": direction,
            "action": action,
            "flags": 0,
            "share": 0,
            "pad": bytes(4),
        }
    )
    return message


def _template(each: Association) -> bytes:
    """struct xfrm_user_tmpl: this one association; 0 for the addresses of transport mode would be any."""
    return struct.pack(
        "=16sIB3xH2x16sIBBBxIII",
        _packed(each.destination.host),
        socket.htonl(each.spi),
        _ESP,
        _family(each.source.host),
        _packed(each.source.host),
        *(0, _TRANSPORT, 0, 0),
        *([(1 << 32) - 1] * 3),
    )

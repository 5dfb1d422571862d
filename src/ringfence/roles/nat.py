"""Who is behind NAT: told from what a phone says of itself, compared with where its messages come from (RFC 7362).

Only the first hop can be judged. Behind another proxy the source is that proxy, which has judged before us.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ringfence.engine.places import is_numeric, is_private
from ringfence.message import SipUri, parse_uri
from ringfence.message.ip import ip_address
from ringfence.roles.outgoing import is_first_hop

if TYPE_CHECKING:
    from ringfence.roles.call import Call, Target
    from ringfence.transport.flow import Flow

MAX_REMEMBERED: Final = 8192
"""Contacts whose host is remembered: to read one takes 2 us."""

# The first connection-field of a description; all streams of a phone have one address.
_CONNECTION: Final = re.compile(rb"^c=IN IP[46] ([0-9A-Fa-f.:]+)", re.MULTILINE)


def caller_behind_nat(call: Call, told: str) -> bool:
    """Whether media can't be sent to where the sender of a request says, since a NAT is between us.

    ``told`` is the address in its description; empty where it has made no offer yet. A phone that knows its public
    address (by STUN, or since somebody told it) says that there, and a gateway may have another public address for
    media: those are believed.
    """
    source = call.flow.remote.host
    if told == source or same_host(told, source) or not is_first_hop(call):
        return False
    via = call.request.via.host.strip("[]")
    if told:
        return is_private(told) or (is_numeric(via) and same_host(told, via))
    return is_numeric(via) and not same_host(via, source)


def callee_behind_nat(target: Target, flow: Flow) -> bool:
    """Whether a phone of ours has registered through a NAT: its Contact is not where its flow leads."""
    if not target.registered or target.route:
        return False
    host = _host(target.uri)
    if host.endswith(".invalid"):
        return True  # RFC 7118 section 5.2: it does not know its address
    return is_numeric(host) and not same_host(host, flow.remote.host)


def other_version(told: str, flow: Flow) -> bool:
    """Whether an offer has IPv4 addresses and leaves by IPv6, or the other way round."""
    return told != "" and (":" in told) != (":" in flow.remote.host)


def media_host(body: bytes) -> str:
    """The address in a session description; empty if there is none. Only looked for, so that it costs little."""
    if not body:
        return ""
    found = _CONNECTION.search(body)
    return found[1].decode("ascii") if found is not None else ""


def same_host(one: str, other: str) -> bool:
    """Whether two addresses are one. Those of IPv6 have many spellings (RFC 5954 section 4.2)."""
    if one == other:
        return True
    try:
        return ":" in one and ip_address(one.partition("%")[0]) == ip_address(other.partition("%")[0])
    except ValueError:
        return False


@lru_cache(MAX_REMEMBERED)
def _host(uri: str) -> str:
    read = parse_uri(uri)
    return read.address if isinstance(read, SipUri) else ""

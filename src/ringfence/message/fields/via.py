"""Via (RFC 3261 section 20.42, RFC 3581 rport, RFC 5393 Max-Breadth does not live here)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.params import NO_PARAMS, Items, Params, parse_params
from ringfence.message.uri import CACHE_SIZE, MAX_CACHED

# via-parm = sent-protocol LWS sent-by *( SEMI via-params );  sent-by = host [ COLON port ]
_VIA: Final = re.compile(
    rf"({grammar.TOKEN})[ \t]*+/[ \t]*+({grammar.TOKEN})[ \t]*+/[ \t]*+({grammar.TOKEN})[ \t]++"
    rf"({grammar.HOST})(?:[ \t]*+:[ \t]*+([0-9]{{1,10}}))?[ \t]*+"
).fullmatch
MAGIC_COOKIE: Final = "z9hG4bK"
"""How a branch starts whose maker follows RFC 3261 section 8.1.1.7."""


class Via:
    """One hop. ``transport`` is in upper case, ``host`` as received, ``port`` None when not given."""

    __slots__ = ("branch", "host", "params", "port", "transport")

    def __init__(
        self,
        transport: str,
        host: str,
        port: int | None = None,
        params: Params = NO_PARAMS,
        branch: str | None = None,
    ) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.params = params
        # "" when it is not there (RFC 2543 elements)
        self.branch = (params.get("branch") or "") if branch is None else branch

    @property
    def received(self) -> str | None:
        """Where the request came from, when the server before us found that the sent-by differs (18.2.1)."""
        return self.params.get("received")

    @property
    def rport(self) -> int | None:
        """The source port filled in by the server before us (RFC 3581), None when absent or empty."""
        text = self.params.get("rport")
        return int(text) if text and text.isdecimal() else None

    @property
    def wants_rport(self) -> bool:
        """Whether the client asked for symmetric response routing (RFC 3581 section 3)."""
        return self.params.get("rport") == ""

    @property
    def sent_by(self) -> str:
        """host[:port] in lower case, as the transaction key needs it (RFC 3261 section 17.2.3)."""
        host = self.host.lower()
        return f"{host}:{self.port}" if self.port is not None else host

    def with_param(self, name: str, value: str | None) -> Via:
        """A copy with this parameter set."""
        return Via(self.transport, self.host, self.port, self.params.with_(name, value))

    def __str__(self) -> str:
        port = f":{self.port}" if self.port is not None else ""
        return f"SIP/2.0/{self.transport} {self.host}{port}{self.params}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Via) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Via({str(self)!r})"


def parse_via(text: str) -> Via:
    """Read one via-parm.

    Raises:
        PeerError: 400 when it is malformed or its protocol is not SIP/2.0.
    """
    head, semicolon, rest = text.partition(";")
    transport, host, port = _known_sent_by(head) if len(head) <= MAX_CACHED else _sent_by(head)
    return Via(transport, host, port, parse_params(semicolon + rest) if semicolon else NO_PARAMS)


def plain_via(head: str, items: Items, branch: str) -> Via:
    """One hop from what the scanner has cut out of it.

    Raises:
        PeerError: 400 when what stands before the parameters is malformed.
    """
    transport, host, port = _known_sent_by(head) if len(head) <= MAX_CACHED else _sent_by(head)
    return Via(transport, host, port, Params(items), branch)


def _sent_by(text: str) -> tuple[str, str, int | None]:
    """Read what stands before the parameters: transport, host, port."""
    match = _VIA(text)
    if match is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    name, version, transport, host, port = match.groups()
    if name.upper() != "SIP" or version != "2.0":
        raise PeerError(400, f"the protocol {name}/{version} is not SIP/2.0")
    if not grammar.valid_host(host):
        raise PeerError(400, f"sent-by {host[:60]!r} is not a host")
    number = int(port) if port else None
    if number is not None and not 0 < number < 65536:
        raise PeerError(400, f"port {port} is out of range")
    return transport.upper(), host, number


_known_sent_by = lru_cache(CACHE_SIZE)(_sent_by)  # a neighbour sends the same each time


VIA: Final = field("Via", parse_via, compact="v", many=True)

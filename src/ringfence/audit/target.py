"""What is to be audited: the URI that was typed, and every port of the server that it leads to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from ringfence.audit.line import Place
from ringfence.engine.places import Endpoint, bare_host
from ringfence.message import LocalError, PeerError, SipUri, parse_uri
from ringfence.service.config import Config
from ringfence.transport.resolver import Resolver

TRANSPORTS = ("UDP", "TCP", "TLS", "WS", "WSS")

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where such a port is reached from here)


@dataclass(frozen=True, slots=True)
class Target:
    """A server: what was typed, the domain it serves, and where it may be found."""

    text: str
    domain: str
    places: tuple[Place, ...]

    @property
    def loopback(self) -> bool:
        """Whether all of it is this machine."""
        return all(ipaddress.ip_address(place.endpoint.host).is_loopback for place in self.places)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address, once."""
        return tuple(dict.fromkeys(place.endpoint.host for place in self.places))

    def with_places(self, *others: Place) -> Target:
        """With further places, those that are new."""
        return replace(self, places=tuple(dict.fromkeys((*self.places, *others))))


def read(text: str) -> SipUri:
    """A target as people write it: a SIP URI, or a host with or without port.

    Raises:
        LocalError: for anything else.
    """
    whole = text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}"
    try:
        uri = parse_uri(whole)
    except PeerError as error:
        raise LocalError(f"{text} is no target: {error.reason}") from None
    if not isinstance(uri, SipUri):
        raise LocalError(f"{text} is no target: it names no host")
    return uri


async def find(text: str, domain: str | None, also: tuple[str, ...], resolver: Resolver) -> Target:
    """Where the target may be, by NAPTR, SRV and addresses (RFC 3263); nothing is sent to it yet.

    A port that is given is tried with every transport, unless one is given too. Raises LocalError when the name leads
    nowhere.
    """
    uri = read(text)
    target = Target(text, domain or bare_host(uri.host), ())
    for each in (uri, *map(read, also)):
        target = target.with_places(*await _places(each, target.domain, resolver))
    if not target.places:
        raise LocalError(f"{text} leads nowhere: it has no NAPTR, SRV or address record")
    return target


async def _places(uri: SipUri, domain: str, resolver: Resolver) -> list[Place]:
    given = uri.params.get("transport")
    every = ("TLS", "WSS") if uri.secure else TRANSPORTS
    wanted = every if given is None else (_transport(uri, given),)
    found: list[Place] = []
    for transport in wanted:
        secure = transport in {"TLS", "WSS"}
        params = (
            "" if transport == "TLS" else f";transport={'ws' if transport == 'WSS' else transport.lower()}"
        )
        port = f":{uri.port}" if uri.port else ""
        ask = parse_uri(f"{'sips' if secure else 'sip'}:{uri.host}{port}{params}")
        assert isinstance(ask, SipUri)  # the host and port are those of one
        for where in await resolver.locate(ask):
            if where.transport == transport:
                found.append(Place(transport, where.endpoint, domain))
                break  # one address of each: the audit is of one server
    return found


def _transport(uri: SipUri, given: str) -> str:
    transport = given.upper()
    if transport not in TRANSPORTS:
        raise LocalError(f"there is no transport {given}: write udp, tcp, tls, ws or wss")
    return {"TCP": "TLS", "WS": "WSS"}.get(transport, transport) if uri.secure else transport


def of_config(config: Config) -> Target:
    """The node of a configuration, by its listening ports."""
    domain = config.domain.name
    places: list[Place] = []
    for each in config.listeners:
        host = _reachable(each.hosts)
        places.append(Place(each.transport.upper(), Endpoint(host, each.port), domain))
    return Target(domain, domain, tuple(dict.fromkeys(places)))


def _reachable(hosts: tuple[str, ...]) -> str:
    return LOOPBACK.get(hosts[0], hosts[0])

"""The rules of `ringfence check` about peers: they are not challenged, so it must be certain who they are.

A trusted peer may send requests through this node to anybody. Whoever can be taken for one has an open relay.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning
from ringfence.service.lines import KeyPath

LARGEST_PEER_NETWORK = 4096
"""Addresses of one peer, of all its networks together. A carrier's whole range is smaller; what is larger has
strangers in it."""

SITE_PREFIX = 48
"""Bits that an IPv6 network of one site has in common (RFC 6177): as large as it is, it is one peer's."""

MOST_SITES = 16
"""IPv6 networks of one peer, with one site in each."""


def peers_are_few(config: Config) -> Iterator[Finding]:
    """A peer that is known by addresses has few of them."""
    for place, peer in enumerate(config.peer):
        key: KeyPath = ("peer", place, "addresses")
        networks = [ipaddress.ip_network(text) for text in peer.addresses]
        fix = "name the peer's own addresses"
        for network in networks:
            if network.num_addresses > LARGEST_PEER_NETWORK and network.prefixlen < SITE_PREFIX:
                reason = f"{peer.name}: {network} is {network.num_addresses} addresses, none of which is challenged"
                yield error(config, key, f"{reason}: an open relay", fix)
                break
        else:
            count = sum(each.num_addresses for each in networks if each.version == 4)
            sites = sum(each.version == 6 for each in networks)
            if count > LARGEST_PEER_NETWORK or sites > MOST_SITES:
                many = f"{count} addresses" if count > LARGEST_PEER_NETWORK else f"{sites} networks"
                reason = f"{peer.name}: {many} in all, none of which is challenged: an open relay"
                yield error(config, key, reason, fix)


def peers_are_believed_rightly(config: Config) -> Iterator[Finding]:
    """A peer that is trusted has proved who it is, by more than what anybody can write into a datagram."""
    datagrams = [each.port for each in config.listeners if each.transport == "udp"]
    plain = [each.port for each in config.listeners if not each.secure]
    for place, peer in enumerate(config.peer):
        if not peer.addresses or not peer.trusted or peer.transport in ("tls", "wss"):
            continue
        key: KeyPath = ("peer", place, "addresses")
        reason = f"{peer.name} is believed by its address alone"
        fix = 'write transport = "tls", and certificate_names instead of addresses'
        if datagrams and peer.transport in (None, "udp"):
            reason += f", which anybody can write into a datagram to udp {datagrams[0]}: an open relay"
            yield error(config, key, reason, f'{fix}; or transport = "tcp", where an address has to answer')
        elif plain:
            yield warning(config, key, f"{reason}: whoever is on the way can call as it", fix)


def peers_are_vouched_for(config: Config) -> Iterator[Finding]:
    """The authority of one domain can't make another one trusted."""
    if len(config.tls.trust) < 2:
        return
    for place, peer in enumerate(config.peer):
        if not peer.trusted or peer.trust or peer.role != "domain" or not peer.domain:
            continue
        reason = f"{peer.name} is trusted, and each of the {len(config.tls.trust)} files in tls.trust can vouch for it"
        fix = "name its own authority under this [[peer]]: trust = [...]"
        yield warning(config, ("peer", place, "trusted"), reason, fix)


def peers_are_others(config: Config) -> Iterator[Finding]:
    """A peer is another domain: ours is served here. A node of our own network has a name in our domain."""
    for place, peer in enumerate(config.peer):
        if peer.domain in config.domains:
            reason = f"{peer.name}: {peer.domain} is a domain of this node, whose users are found here"
            yield error(config, ("peer", place, "domain"), reason, "name the peer's own domain, or none")
        for name in peer.certificate_names if peer.role != "domain" else ():
            if not any(name == domain or name.endswith(f".{domain}") for domain in config.domains):
                reason = f"{name} is no name in a domain of this node, and whoever has it is believed in everything"
                fix = f"give the node a name such as {peer.role}.{config.domain.name}, if it is ours"
                yield warning(config, ("peer", place, "certificate_names"), reason, fix)

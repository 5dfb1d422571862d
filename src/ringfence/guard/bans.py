"""Who is shut out, why, and until when.

A ban is of an address or a network. The guard's own are short and grow with each time: five minutes, half an hour,
three hours, then up to a day. An end is remembered for a day, so that who comes back and goes on is shut out for
longer. Those of the owner last as long as the owner says. Whoever is on the allow list is never banned, nor is a peer
known by its address.

Times are seconds since the epoch, since a ban outlives the process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ringfence.message import LocalError
from ringfence.store.records import Ban
from ringfence.transport.limits import source_of

Network = IPv4Network | IPv6Network

MAX_BANS = 20_000
"""At a time. Each needs a real address that has answered, so that more would be a botnet, which other means stop."""

REMEMBERED_SECONDS = 86_400.0
"""How long after its end a ban still counts when the next one is given."""

GUARD = "guard"
"""Who gave a ban: the guard itself. Others have the name that the owner's command gives."""


@dataclass(frozen=True, slots=True)
class BanPolicy:
    """Times in seconds."""

    first: float = 300.0
    factor: float = 6.0
    longest: float = 86_400.0


class Bans:
    """All bans that hold or are remembered, found by address."""

    def __init__(self, policy: BanPolicy, allowed: Iterable[Network] = ()) -> None:
        self._policy = policy
        self._allowed = tuple(allowed)
        self._by_source: dict[str, Ban] = {}
        self._networks: list[tuple[Network, Ban]] = []
        self.any = False
        """Whether there is a ban at all, which is asked about for each message."""

    def hold(self, bans: Iterable[Ban]) -> None:
        """These are all bans there are."""
        self._by_source, self._networks = {}, []
        self.any = False
        for ban in bans:
            self.add(ban)

    def add(self, ban: Ban) -> None:
        """Take note of a ban."""
        self.any = True
        network = ip_network(ban.network)
        if is_one_source(network):
            self._by_source[source_of(str(network.network_address))] = ban
        else:
            self._networks = [each for each in self._networks if each[1].network != ban.network]
            self._networks.append((network, ban))

    def __len__(self) -> int:
        return len(self._by_source) + len(self._networks)

    def find(self, host: str, now: float) -> Ban | None:
        """The ban that an address is under, or None."""
        ban = self._by_source.get(source_of(host))
        if ban is not None and ban.holds(now):
            return None if self._networks_allow(host) else ban
        if self._networks:
            address = _parsed(host)
            for network, wider in self._networks:
                if wider.holds(now) and address in network:
                    return None if self._networks_allow(host) else wider
        return None

    def next_for(self, host: str, reason: str, now: float) -> Ban | None:
        """The ban that a source earns now; None when it may not be banned, or there are too many bans."""
        if self._networks_allow(host) or len(self._by_source) >= MAX_BANS:
            return None
        before = self._by_source.get(source_of(host))
        times = 1
        if before is not None and (before.until + REMEMBERED_SECONDS > now or before.holds(now)):
            times = before.times + 1
        policy = self._policy
        seconds = min(policy.longest, policy.first * policy.factor ** (times - 1))
        return Ban(network_of(host), reason, now, now + seconds, GUARD, times)

    def _networks_allow(self, host: str) -> bool:
        return within_any(host, self._allowed)


def is_one_source(network: Network) -> bool:
    """Whether a network is what the guard counts as one source."""
    return network.prefixlen == (32 if network.version == 4 else 64)


def network_of(host: str) -> str:
    """The network that stands for the source of an address."""
    address = ip_address(host.partition("%")[0])
    if address.version == 6:
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network(f"{address}/64", strict=False))
    return str(address)


def parse_network(text: str) -> str:
    """A network as bans name it: an IPv4 address, an IPv6 network, or any wider one.

    Raises:
        LocalError: when it is neither address nor network.
    """
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise LocalError(f"{text!r} is no address and no network") from None
    if network.version == 6 and network.prefixlen > 64:
        network = ip_network(f"{network.network_address}/64", strict=False)  # what a site moves about in
    return str(network.network_address) if network.prefixlen == 32 and network.version == 4 else str(network)


def _parsed(host: str) -> IPv4Address | IPv6Address:
    address = ip_address(host.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def within_any(host: str, networks: Collection[Network]) -> bool:
    """Whether an address is in one of the networks. It is asked of each new source, so it is read once."""
    if not networks:
        return False
    address = _parsed(host)
    return any(address in network for network in networks)

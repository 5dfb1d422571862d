"""Certificates, lists of numbers, and what tells of revoked certificates, fetched over HTTPS and kept for a while.

A caller names the URL, so the one who fetches is led by strangers. What bounds them: https only (http for what is
signed itself, and named by a certificate that is trusted), public addresses only (else a call could make this node
knock at doors inside its own network), one request under way for each URL, few for each address, few in all, small
answers, little time. A failure is remembered as well, for a short time, so that a flood of calls with one bad URL
costs one attempt.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import NamedTuple

from ringfence.engine.records import Kind, Query
from ringfence.message import LocalError
from ringfence.transport.resolver import Resolver
from ringfence.transport.web import WebAnswer, WebError, WebUrl, get, parse_url

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name."""

_NAT64 = IPv6Network("64:ff9b::/96")
_MAX_AGE = re.compile(r"(?:^|[,\s])(?:s-maxage|max-age)\s*=\s*\"?([0-9]{1,10})", re.IGNORECASE).search
_NO_CACHE = re.compile(r"(?:^|[,\s])(?:no-store|no-cache)\b", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Times in seconds, sizes in bytes."""

    time: float = 5.0
    """For one fetch, with name look-up and waiting for a turn. The caller of the call hears nothing meanwhile."""

    at_once: int = 32
    """Connections at a time. Certificates are kept for an hour, so a busy node needs a few in a minute."""

    per_address: int = 4
    """Of them, to one address: a server that answers slowly can't take all the turns."""

    waiting: int = 1_000
    """Fetches that have begun. More come only of a flood of names, and fail at once."""

    addresses: int = 3
    """Addresses of one name that are tried."""

    least_age: float = 60.0
    """What is fetched is kept for this time even when its server says no-store: a call a millisecond must not
    become a request a millisecond."""

    usual_age: float = 3_600.0
    """Without a word of the server."""

    most_age: float = 86_400.0
    """Whatever the server says, so that a certificate that was withdrawn is forgotten in a day."""

    failed_age: float = 30.0
    """How long a failure is remembered."""

    kept_bytes: int = 33_554_432
    """Of everything that is kept: some ten thousand chains. The least recently used go first."""

    kept: int = 20_000
    """Entries, failures included."""


class Fetched(NamedTuple):
    """What a URL gave: ``data``, or the ``failure`` that there is none. ``until`` is in the clock's seconds."""

    data: bytes
    failure: str
    until: float


class Fetcher:
    """One for a node. ``allowed`` are networks that are asked although they are not public."""

    def __init__(
        self,
        context: ssl.SSLContext,
        lookup: Lookup,
        *,
        allowed: Iterable[str] = (),
        limits: FetchLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or FetchLimits()
        self.counts: Counter[str] = Counter()
        self._context = context
        self._lookup = lookup
        self._allowed = tuple(ip_network(each) for each in allowed)
        self._clock = clock
        self._kept: OrderedDict[str, Fetched] = OrderedDict()
        self._kept_bytes = 0
        self._flights: dict[str, asyncio.Task[Fetched]] = {}
        self._turns = asyncio.Semaphore(self.limits.at_once)
        self._busy: Counter[str] = Counter()

    def known(self, url: str) -> Fetched | None:
        """What is kept for a URL and still good; costs one dictionary look-up."""
        found = self._kept.get(url)
        if found is None:
            return None
        if found.until <= self._clock():
            self._drop(url)
            return None
        self._kept.move_to_end(url)
        return found

    def holds(self, url: str) -> bool:
        """Whether nothing more has to be asked: what a URL gave is kept, or is just being fetched."""
        return url in self._flights or self.known(url) is not None

    async def fetch(self, url: str, *, plain: bool = False) -> Fetched:
        """What is kept, or what the URL gives now. Never raises: a failure is an answer too.

        ``plain`` allows http. Without it such a URL fails here, and is not remembered as one that failed: else a caller
        could have a revocation list passed over by naming it.
        """
        try:
            parse_url(url, plain=plain)
        except WebError as error:
            return self._failure(str(error))
        found = self.known(url)
        if found is not None:
            return found
        flight = self._flights.get(url)
        if flight is None:
            if len(self._flights) >= self.limits.waiting:
                return Fetched(b"", "too many fetches are under way", self._clock())
            flight = self._flights[url] = asyncio.get_running_loop().create_task(self._fly(url))
        return await asyncio.shield(flight)

    def forget(self) -> None:
        """Empty the cache."""
        self._kept.clear()
        self._kept_bytes = 0

    async def close(self) -> None:
        """Give up what is under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    # -- one fetch -------------------------------------------------------------------------------------

    async def _fly(self, url: str) -> Fetched:
        try:
            try:
                async with asyncio.timeout(self.limits.time):
                    answer = await self._ask(parse_url(url, plain=True))
                found = Fetched(answer.body, "", self._clock() + age_of(answer.headers, self.limits))
            except TimeoutError:
                found = self._failure(f"no answer in {self.limits.time:g} s")
            except WebError as error:
                found = self._failure(str(error))
            self._keep(url, found)
            return found
        finally:
            del self._flights[url]

    def _failure(self, why: str) -> Fetched:
        return Fetched(b"", why, self._clock() + self.limits.failed_age)

    async def _ask(self, url: WebUrl) -> WebAnswer:
        failure = WebError(f"{url.host} has no address")
        for address in await self._addresses(url.host):
            try:
                answer = await self._ask_at(url, address)
            except WebError as error:
                failure = error
                continue
            if answer.status == 200 and answer.body:
                return answer
            # A redirect is not followed: RFC 8224 names one URL, and the next could be inside our network.
            raise WebError(
                f"the answer is {answer.status}" if answer.status != 200 else "the answer is empty"
            )
        raise failure

    async def _ask_at(self, url: WebUrl, address: str) -> WebAnswer:
        if self._busy[address] >= self.limits.per_address:
            raise WebError(f"{self.limits.per_address} requests to {address} are under way")
        self._busy[address] += 1
        try:
            async with self._turns:
                return await get(url, address, self._context)
        finally:
            self._busy[address] -= 1
            if not self._busy[address]:
                del self._busy[address]

    async def _addresses(self, host: str) -> list[str]:
        try:
            found: Sequence[str] = (str(ip_address(host)),)
        except ValueError:
            found = await self._lookup(host)
        good = [address for address in found if self.may_ask(address)]
        if found and not good:
            raise WebError(f"{host} is at {found[0]}, which is not a public address")
        return good[: self.limits.addresses]

    def may_ask(self, address: str) -> bool:
        """Whether an address is public, or in an allowed network."""
        ip = ip_address(address.partition("%")[0])
        return any(ip in network for network in self._allowed) or all(map(_public, _meanings(ip)))

    # -- what is kept ----------------------------------------------------------------------------------

    def _keep(self, url: str, found: Fetched) -> None:
        self.counts["failed" if found.failure else "fetched"] += 1
        self._drop(url)
        self._kept[url] = found
        self._kept_bytes += len(found.data)
        while self._kept_bytes > self.limits.kept_bytes or len(self._kept) > self.limits.kept:
            self._drop(next(iter(self._kept)))

    def _drop(self, url: str) -> None:
        found = self._kept.pop(url, None)
        if found is not None:
            self._kept_bytes -= len(found.data)


def age_of(headers: dict[str, str], limits: FetchLimits) -> float:
    """How long an answer may be kept, in seconds (RFC 9111 section 4.2.1, within our bounds)."""
    control = headers.get("cache-control", "")
    given = _MAX_AGE(control)
    if _NO_CACHE(control):
        age = 0.0
    elif given is None:
        age = limits.usual_age
    else:
        spent = headers.get("age", "0").strip()
        age = float(given[1]) - (float(spent) if spent.isdecimal() else 0.0)
    return min(max(age, limits.least_age), limits.most_age)


def _meanings(ip: IPv4Address | IPv6Address) -> Iterable[IPv4Address | IPv6Address]:
    """The address, and the IPv4 address that a translator would make of it."""
    yield ip
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            yield inner


def _public(ip: IPv4Address | IPv6Address) -> bool:
    # These two stand for an IPv4 address and nothing else, and that is judged beside them.
    stands_for_another = isinstance(ip, IPv6Address) and (ip.ipv4_mapped is not None or ip in _NAT64)
    return stands_for_another or (ip.is_global and not ip.is_multicast and not ip.is_reserved)


def resolver_lookup(resolver: Resolver) -> Lookup:
    """The addresses of a host by a node's own resolver, IPv4 first."""

    async def lookup(host: str) -> list[str]:
        name = host.removesuffix(".")
        answers = await asyncio.gather(
            resolver.ask(Query(Kind.A, name)), resolver.ask(Query(Kind.AAAA, name))
        )
        return [record for records in answers for record in records or () if isinstance(record, str)]

    return lookup


def web_context(trust: Iterable[Path] = (), *, system_trust: bool = True) -> ssl.SSLContext:
    """How servers of certificates have to prove their names: by the web's rules, unlike SIP's.

    Raises:
        LocalError: when a file holds no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if system_trust:
        context.set_default_verify_paths()
    for path in trust:
        try:
            context.load_verify_locations(cafile=str(path))
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror or 'no certificates in it'}") from error
    return context

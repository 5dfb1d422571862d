"""The DNS, asked for what a ``Locator`` wants to know, with a cache that obeys the times to live.

The cache is ours and not dnspython's, since it is asked with every request: a hit is one dictionary look-up and
needs no task. Names that have a special meaning (RFC 6761) or stand in the configuration or in /etc/hosts are
answered without the DNS.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver

from ringfence.engine.locate import DEFAULT, Destination, Locator, Preferences, is_numeric, locate_at_once
from ringfence.engine.places import Endpoint
from ringfence.engine.records import Kind, Naptr, Query, Record, Srv
from ringfence.message import SipUri
from ringfence.message.fields.via import Via

CACHE_SIZE = 10_000
"""Answers kept: a busy node calls thousands of domains, with four answers for each."""

MAX_RECORDS = 64
"""Records kept of one answer."""

MAX_TTL = 86_400.0
"""Seconds that an answer is believed at the most, so that a mistake in a zone is over in a day."""

MAX_NEGATIVE_TTL = 300.0
"""The same for "there is no such record" (RFC 2308 section 5 allows hours; people wait for a new domain)."""

FAILURE_TTL = 5.0
"""Seconds for which a question that got no answer is not asked again, so that only the first caller waits."""

MAX_ASKING = 1_000
"""Questions under way at one time. More come only of a flood of names, and are treated as not answered."""

LOST_SECONDS = 30.0
"""How long a place that did not answer is tried after the others: then a call waits for it once more."""

MAX_LOST = 1_000
"""Places that are remembered so; a network that has lost more has lost us."""

EDNS_SIZE = 1_232
"""Bytes of an answer over UDP that pass without fragments (DNS flag day 2020)."""

LOCALHOST: Final[Mapping[Kind, tuple[Record, ...]]] = {Kind.A: ("127.0.0.1",), Kind.AAAA: ("::1",)}
"""RFC 6761 section 6.3: answered without the DNS, whoever asks."""

Found = tuple[Record, ...] | None
"""Records; empty when there are none, None when the DNS did not answer."""

_SERVICE = re.compile(r"(?:_[a-z]+\.)+").match


class Resolver:
    """Finds destinations. One for a node; the loop must be the one it is used on."""

    def __init__(
        self,
        servers: Iterable[tuple[str, int]] = (),
        *,
        hosts: Mapping[str, Sequence[str]] | None = None,
        hosts_file: Path | None = Path("/etc/hosts"),
        timeout: float = 5.0,
        preferences: Preferences = DEFAULT,
        rng: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use these servers (address, port), or those of the system when there are none.

        ``hosts`` has addresses of names for which nothing is asked, SRV and NAPTR included. ``timeout`` is
        for one question, all servers tried, in seconds.
        """
        self.preferences = preferences
        self._rng = rng
        self._clock = clock
        self._timeout = timeout
        self._lost: dict[Endpoint, float] = {}
        self._dns = _system_resolver(servers)
        self._fixed = {name.lower(): _by_family(addresses) for name, addresses in (hosts or {}).items()}
        self._file = {name: _by_family(found) for name, found in _read_hosts(hosts_file).items()}
        self._cache: dict[Query, tuple[float, Found]] = {}
        self._asking: dict[Query, asyncio.Task[Found]] = {}

    # -- what roles ask --------------------------------------------------------------------------------

    async def locate(self, uri: SipUri, *, large: bool = False) -> list[Destination]:
        """Where to send a request for this URI, in the order to be tried; empty when there is no way."""
        known = locate_at_once(uri, self.preferences, large=large)
        if known is not None:
            return known
        return self._lost_last(await self.run(Locator.for_uri(uri, self._rng, self.preferences, large=large)))

    def known(self, uri: SipUri, *, large: bool = False) -> list[Destination] | None:
        """The same at once, when no question has to be asked; else None."""
        found = locate_at_once(uri, self.preferences, large=large)
        if found is not None:
            return found
        locator = Locator.for_uri(uri, self._rng, self.preferences, large=large)
        return None if self._answer_known(locator) else self._lost_last(locator.destinations)

    def lost(self, endpoint: Endpoint) -> None:
        """Nobody has answered there: for a while, the other places of the same name come first.

        Else each call would wait for that one anew, as long as its machine is gone (RFC 3263 section 4.3).
        """
        if len(self._lost) >= MAX_LOST:
            self._lost.clear()
        self._lost[endpoint] = self._clock() + LOST_SECONDS

    def _lost_last(self, found: list[Destination]) -> list[Destination]:
        if not self._lost or len(found) < 2:
            return found
        now = self._clock()
        return sorted(found, key=lambda place: self._lost.get(place.endpoint, 0.0) > now)

    async def locate_response(self, via: Via) -> list[Destination]:
        """Where to send a response whose flow and source address have failed (RFC 3263 section 5)."""
        return await self.run(Locator.for_response(via, self._rng, self.preferences))

    async def run(self, locator: Locator) -> list[Destination]:
        """Answer a locator's questions, those of one step at the same time."""
        while unknown := self._answer_known(locator):
            answers = await asyncio.gather(*(self.ask(query) for query in unknown))
            for query, records in zip(unknown, answers, strict=True):
                locator.answer(query, records)
        return locator.destinations

    def _answer_known(self, locator: Locator) -> list[Query]:
        """Answer what can be answered without the DNS; gives the questions that are left."""
        unknown: list[Query] = []
        while (query := locator.next_query()) is not None:
            records = self._look(query)
            if records is _UNKNOWN:
                unknown.append(query)
            else:
                locator.answer(query, records)
        return unknown

    async def ask(self, query: Query) -> Found:
        """The records for one question. Whoever asks the same meanwhile waits for the same answer."""
        records = self._look(query)
        if records is not _UNKNOWN:
            return records
        task = self._asking.get(query)
        if task is None:
            if len(self._asking) >= MAX_ASKING:
                return None
            task = self._asking[query] = asyncio.get_running_loop().create_task(self._fetch(query))
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- without the DNS -------------------------------------------------------------------------------

    def _look(self, query: Query) -> Found:
        entry = self._cache.get(query)
        if entry is not None:
            if entry[0] > self._clock():
                return entry[1]
            del self._cache[query]
        return self._fixed_answer(query)

    def _fixed_answer(self, query: Query) -> Found:
        kind, name = query
        service = _SERVICE(name)
        host = name[service.end() :] if service else name
        if host == "localhost" or host.endswith(".localhost"):
            return LOCALHOST.get(kind, ())
        if host in self._fixed:
            return self._fixed[host].get(kind, ())
        if kind in {Kind.A, Kind.AAAA}:
            return self._file[host].get(kind, ()) if host in self._file else _UNKNOWN
        return _UNKNOWN if "." in host else ()  # a name without a dot is of this network, and has no SRV

    # -- with the DNS ----------------------------------------------------------------------------------

    async def _fetch(self, query: Query) -> Found:
        try:
            ttl, records = await self._question(query)
        finally:
            del self._asking[query]
        if len(self._cache) >= CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        self._cache[query] = (self._clock() + ttl, records)
        return records

    async def _question(self, query: Query) -> tuple[float, Found]:
        if self._dns is None:
            return FAILURE_TTL, None
        try:
            name = dns.name.from_text(query.name)
            answer = await self._dns.resolve(
                name, query.kind.value, search=False, raise_on_no_answer=False, lifetime=self._timeout
            )
        except dns.resolver.NXDOMAIN as error:
            responses = error.responses().values()  # type: ignore[no-untyped-call]
            ttls = [response.resolve_chaining().minimum_ttl for response in responses]
            return min([MAX_NEGATIVE_TTL, *ttls]), ()
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return MAX_NEGATIVE_TTL, ()  # no DNS can have it
        except (dns.exception.DNSException, OSError):
            return FAILURE_TTL, None
        ttl = float(answer.chaining_result.minimum_ttl)
        if answer.rrset is None:
            return min(ttl, MAX_NEGATIVE_TTL), ()
        records = tuple(map(_record, list(answer.rrset)[:MAX_RECORDS]))
        return min(ttl, MAX_TTL), records


_UNKNOWN: Final[tuple[Record, ...]] = ("?",)
"""Not an answer: the DNS has to be asked. Compared by identity."""


def _record(data: dns.rdata.Rdata) -> Record:
    kind = dns.rdatatype.to_text(data.rdtype)
    if kind == "SRV":
        return Srv(data.priority, data.weight, data.port, _text(data.target))  # type: ignore[attr-defined]
    if kind == "NAPTR":
        flags, service, regexp = (
            part.decode("latin-1")
            for part in (data.flags, data.service, data.regexp)  # type: ignore[attr-defined]
        )
        replacement = _text(data.replacement)  # type: ignore[attr-defined]
        return Naptr(data.order, data.preference, flags, service, regexp, replacement)  # type: ignore[attr-defined]
    return data.to_text()


def _text(name: dns.name.Name) -> str:
    return name.to_text().lower()


def _system_resolver(servers: Iterable[tuple[str, int]]) -> dns.asyncresolver.Resolver | None:
    given = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
    try:
        resolver = dns.asyncresolver.Resolver(configure=not given)
    except (dns.resolver.NoResolverConfiguration, OSError):
        return None
    if given:
        resolver.nameservers = given
    resolver.use_edns(0, 0, EDNS_SIZE)
    return resolver


def _by_family(addresses: Iterable[str]) -> dict[Kind, tuple[Record, ...]]:
    plain = [address for address in addresses if is_numeric(address)]
    return {
        Kind.A: tuple(address for address in plain if ":" not in address),
        Kind.AAAA: tuple(address for address in plain if ":" in address),
    }


def _read_hosts(path: Path | None) -> dict[str, list[str]]:
    """The names of a hosts file; a file that cannot be read has none."""
    found: dict[str, list[str]] = {}
    try:
        text = path.read_text("utf-8", "replace") if path is not None else ""
    except OSError:
        return found
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower().removesuffix("."), []).append(address)
    return found

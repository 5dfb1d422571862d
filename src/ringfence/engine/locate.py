"""Where to send: RFC 3263 as a value that says what to ask the DNS next, and takes the answers.

A ``Locator`` goes from a URI (or a Via, for responses whose flow is gone) over NAPTR, SRV and address records to
an ordered list of destinations, to be tried one after the other (section 4.3). It asks nothing by itself:
``next_query`` gives each question once, and those it gives before None may be asked at the same time.

A domain name that DNS gave is never what a TLS server has to prove; that is the host of the URI (RFC 5922
section 7.3), so forged DNS answers cannot redirect a ``sips:`` call, only make it fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ringfence.engine.places import (
    DEFAULT,
    DEFAULT_PORTS,
    SECURE,
    Destination,
    Endpoint,
    Preferences,
    bare_host,
    is_numeric,
    response_endpoint,
)
from ringfence.engine.records import MAX_SRV, Kind, Naptr, Query, Record, Srv, in_order
from ringfence.message import SipUri
from ringfence.message.fields.via import Via

__all__ = [
    "DEFAULT",
    "DEFAULT_PORTS",
    "Destination",
    "Endpoint",
    "Kind",
    "Locator",
    "Naptr",
    "Preferences",
    "Query",
    "Record",
    "Srv",
    "in_order",
    "is_numeric",
    "locate_at_once",
    "response_endpoint",
]

MAX_NAPTR = 8
"""NAPTR records used: there are three transports that matter (RFC 3263 section 4.1) and two more."""

MAX_ADDRESSES = 8
"""Addresses used of one host."""

MAX_DESTINATIONS = 32
"""Destinations in all. At eight seconds for each, a caller has given up long before."""


# NAPTR services (RFC 3263 section 4.1, RFC 7118 section 5.5), and the prefix of the SRV records of a transport.
_SERVICES: Final = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS", "SIP+D2W": "WS", "SIPS+D2W": "WSS"}
_PREFIXES: Final = {
    "UDP": "_sip._udp",
    "TCP": "_sip._tcp",
    "TLS": "_sips._tcp",
    "WS": "_sip._ws",
    "WSS": "_sips._ws",
}
# What the transport parameter means in a sips URI (RFC 3261 section 26.2.2, RFC 5630 section 3.1.4).
_SECURED: Final = {"TCP": "TLS", "TLS": "TLS", "WS": "WSS", "WSS": "WSS"}


def locate_at_once(
    uri: SipUri, preferences: Preferences = DEFAULT, *, large: bool = False
) -> list[Destination] | None:
    """The destinations of a URI that needs no DNS; empty when there can be none, None when DNS must be asked.

    ``large`` says that the request is too long for UDP (RFC 3261 section 18.1.1).
    """
    target = _target(uri)
    transport = _asked_transport(uri, preferences)
    if transport == "" or _never_resolves(target):
        return []
    if not is_numeric(target):
        return None
    if transport is None:
        transport = _default_transport(uri.secure, large, preferences)
    return [_destination(transport, target, uri.port, uri.address)]


class Locator:
    """One location in progress: ask what ``next_query`` gives, hand ``answer`` what came, until ``done``."""

    __slots__ = (
        "_answers",
        "_determined",
        "_large",
        "_name",
        "_places",
        "_port",
        "_preferences",
        "_queue",
        "_rng",
        "_secure",
        "_server_name",
        "_services",
        "_then",
        "_unanswered",
        "destinations",
        "reason",
    )

    def __init__(
        self,
        name: str,
        port: int | None,
        transport: str | None,
        rng: Callable[[], float],
        preferences: Preferences,
        *,
        server_name: str,
        secure: bool = False,
        large: bool = False,
    ) -> None:
        """Use ``for_uri`` or ``for_response``. ``rng`` gives numbers from 0 up to 1."""
        self._name = name
        self._port = port
        self._rng = rng
        self._preferences = preferences
        self._server_name = server_name
        self._secure = secure
        self._large = large
        self._queue: list[Query] = []
        self._unanswered: set[Query] = set()
        self._answers: dict[Query, Sequence[Record] | None] = {}
        self._then: Callable[[Locator], None] | None = None
        self._services: list[tuple[str, str]] = []  # transport, name of its SRV records
        self._determined = ""  # the transport when there are no SRV records
        self._places: list[tuple[str, str, int]] = []  # transport, host, port
        self.destinations: list[Destination] = []
        """In the order to be tried; complete when ``done``."""
        self.reason = ""
        """Why there is no destination, for a log or a Warning."""
        self._start(transport)

    @classmethod
    def for_uri(
        cls,
        uri: SipUri,
        rng: Callable[[], float],
        preferences: Preferences = DEFAULT,
        *,
        large: bool = False,
    ) -> Locator:
        """Where to send a request for this URI (RFC 3263 section 4); ``large`` when it is too long for UDP."""
        transport = _asked_transport(uri, preferences)
        return cls(
            _target(uri),
            uri.port,
            transport,
            rng,
            preferences,
            server_name=uri.address,
            secure=uri.secure,
            large=large,
        )

    @classmethod
    def for_response(cls, via: Via, rng: Callable[[], float], preferences: Preferences = DEFAULT) -> Locator:
        """Where to send a response when the flow of its request and the source address fail (section 5)."""
        host = bare_host(via.host)
        transport = via.transport if via.transport in preferences.transports else ""
        return cls(host, via.port, transport, rng, preferences, server_name=host)

    # -- the two calls ---------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether ``destinations`` is complete."""
        return self._then is None

    def next_query(self) -> Query | None:
        """A question to ask, or None when there is none until an answer comes."""
        return self._queue.pop() if self._queue else None

    def answer(self, query: Query, records: Sequence[Record] | None) -> None:
        """Take the records for a question: empty when there are none, None when the DNS did not answer."""
        if query not in self._unanswered:
            return
        self._unanswered.discard(query)
        self._answers[query] = records
        if not self._unanswered:
            self._go_on()

    def _ask(self, queries: Iterable[Query], then: Callable[[Locator], None]) -> None:
        self._then = then
        self._unanswered = {query for query in queries if query not in self._answers}
        self._queue = sorted(self._unanswered, reverse=True)
        if not self._unanswered:
            self._go_on()

    def _go_on(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(self)

    # -- the steps -------------------------------------------------------------------------------------

    def _start(self, transport: str | None) -> None:
        name = self._name
        if transport == "":
            self.reason = "the transport that is asked for is not possible here"
        elif _never_resolves(name):
            self.reason = f"{name} is a name that stands for nothing (RFC 6761)"
        elif is_numeric(name) or self._port is not None:
            # RFC 3263 section 4.1: a numeric TARGET or an explicit port decides the transport without DNS.
            transport = transport or self._default()
            self._look_up([(transport, name, self._port or DEFAULT_PORTS[transport])])
        elif transport is not None:
            self._ask_services([(transport, f"{_PREFIXES[transport]}.{name}")], transport)
        else:
            self._ask([Query(Kind.NAPTR, name)], Locator._take_naptr)

    def _take_naptr(self) -> None:
        """RFC 3263 section 4.1: the services that both sides have, in the order that the domain wants."""
        records = self._answers[Query(Kind.NAPTR, self._name)] or ()
        found = sorted(record for record in records if isinstance(record, Naptr))
        services = [
            (transport, bare_host(record.replacement))
            for record in found
            if (transport := _SERVICES.get(record.service.upper())) is not None
            and record.flags.upper() == "S"
            and not record.regexp
            and self._allows(transport)
        ]
        determined = services[0][0] if services else self._default()
        if not services:
            usual = [name for name in self._preferences.transports if name in {"TLS", "TCP", "UDP"}]
            services = [(name, f"{_PREFIXES[name]}.{self._name}") for name in usual if self._allows(name)]
        self._ask_services(services[:MAX_NAPTR], determined)

    def _default(self) -> str:
        return _default_transport(self._secure, self._large, self._preferences)

    def _allows(self, transport: str) -> bool:
        if transport not in self._preferences.transports or (self._large and transport == "UDP"):
            return False
        return transport in SECURE or not self._secure

    def _ask_services(self, services: list[tuple[str, str]], determined: str) -> None:
        self._services = services
        self._determined = determined
        self._ask([Query(Kind.SRV, name) for _, name in services], Locator._take_srv)

    def _take_srv(self) -> None:
        """RFC 3263 section 4.2 and the usage rules of RFC 2782."""
        places: list[tuple[str, str, int]] = []
        absent = set()
        for transport, name in self._services:
            answer = self._answers[Query(Kind.SRV, name)] or ()
            records = [record for record in answer if isinstance(record, Srv)]
            if len(records) == 1 and records[0].target in {".", ""}:
                absent.add(transport)  # RFC 2782: "the service is decidedly not available at this domain"
                continue
            places += [(transport, bare_host(srv.target), srv.port) for srv in in_order(records, self._rng)]
        if places:
            self._look_up(places[:MAX_SRV])
            return
        # "If no SRV records were found, the client performs an A or AAAA record lookup of the domain name."
        transport = self._determined
        if transport in absent:
            self.reason = f"{self._name} has no {transport} service"
        else:
            self._look_up([(transport, self._name, DEFAULT_PORTS[transport])])

    def _look_up(self, places: list[tuple[str, str, int]]) -> None:
        """Find the addresses of the hosts, and with them the destinations."""
        queries = [
            Query(family, host)
            for _, host, _ in places
            if not is_numeric(host) and not _never_resolves(host)
            for family in self._preferences.families
        ]
        self._places = places
        self._ask(queries, Locator._take_addresses)

    def _take_addresses(self) -> None:
        for transport, host, port in self._places:
            for address in self._addresses(host):
                self.destinations.append(_destination(transport, address, port, self._server_name))
        del self.destinations[MAX_DESTINATIONS:]
        if not self.destinations:
            failed = [query for query, answer in self._answers.items() if answer is None]
            silent = f"the DNS did not answer for {failed[0].name}" if failed else ""
            self.reason = silent or f"{self._name} has no address"

    def _addresses(self, host: str) -> list[str]:
        if is_numeric(host):
            return [host]
        found: list[str] = []
        for family in self._preferences.families:
            records = self._answers.get(Query(family, host)) or ()
            found += [record for record in records if isinstance(record, str)]
        return found[:MAX_ADDRESSES]


def _target(uri: SipUri) -> str:
    """TARGET of RFC 3263 section 4: the ``maddr`` if there is one, else the host."""
    maddr = uri.params.get("maddr")
    return bare_host(maddr) if maddr else bare_host(uri.address)


def _asked_transport(uri: SipUri, preferences: Preferences) -> str | None:
    """What the ``transport`` parameter means; None when it is not there, "" when it cannot be had."""
    asked = uri.transport
    if asked is None:
        return None
    transport = _SECURED.get(asked, "") if uri.secure else asked
    return transport if transport in preferences.transports else ""


def _default_transport(secure: bool, large: bool, preferences: Preferences) -> str:
    """RFC 3263 section 4.1: TLS over TCP for SIPS; UDP for SIP, TCP for what UDP cannot carry.

    A node that speaks neither, since all has to be TLS, tries TLS.
    """
    if not secure:
        for transport in ("TCP",) if large else ("UDP", "TCP"):
            if transport in preferences.transports:
                return transport
    return "TLS"


def _destination(transport: str, address: str, port: int | None, server_name: str) -> Destination:
    endpoint = Endpoint(address, port or DEFAULT_PORTS[transport])
    return Destination(transport, endpoint, server_name if transport in SECURE else None)


def _never_resolves(host: str) -> bool:
    """RFC 6761 section 6.4; RFC 7118 phones in browsers have such a host in their Contact."""
    return host == "invalid" or host.endswith(".invalid")

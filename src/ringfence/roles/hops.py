"""First hops that are protected by IPsec: which phones have agreed on it, and what came under it (RFC 3329).

The kernel keeps the ports of ``ipsec`` shut to everything in clear, so what comes to one of them was protected. By
which mechanism, the address tells. For ``ipsec-3gpp`` the associations are made when a phone asks, since its next
request already comes under them; whoever asks may be anybody, so only ``MAX_PENDING`` of a subscriber wait at a time,
and for ``PENDING_SECONDS``. They last once a list came back under them.

Our list is the same for everybody, whatever a phone says that it can (section 2.3.1): a mechanism that was left out for
who does not offer it would be left out for whoever's offer was shortened on the way. Only what a subscriber needs to
turn ``ipsec-3gpp`` on is added for it alone. A phone may choose another mechanism of that list and say it back under
that one, so the lists that went to an address are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from ringfence.message import PeerError, Request
from ringfence.message.fields.security_agreement import SECURITY_CLIENT, Mechanism
from ringfence.security.agreement import Name
from ringfence.security.ipsec_3gpp import Secrets, Side, acceptable, mechanism_of, read_side
from ringfence.transport.associations import of_3gpp
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.ipsec import Association, Ipsec, IpsecError

log = structlog.get_logger("ringfence.ipsec")

PENDING_SECONDS = 60.0
"""For a phone to come back under the associations that it asked for: some round trips, and a user who types."""

MAX_PENDING = 4
"""Of one subscriber. Somebody who asks in its name pushes out no more than that."""

MAX_PHONES = 10_000
"""Phones under IPsec that are remembered; beyond it the one heard of the longest ago goes."""

MAX_GIVEN = 8
"""Lists that are remembered of one address: some phones behind it, and some that began anew."""

Choose = Callable[[], int]
"""Gives an SPI at random."""


class Ways(Protocol):
    """By which port of ours a phone is reached: a ``Pool``."""

    def keep(self, remote: Endpoint, own: Endpoint, by: Endpoint, at: Endpoint) -> None:
        """See ``Pool.keep``."""

    def release(self, remote: Endpoint) -> None:
        """See ``Pool.release``."""


@dataclass(slots=True)
class _Phone:
    subscriber: str
    address: str
    theirs: Side
    listed: tuple[Mechanism, ...]
    associations: tuple[Association, ...]
    expires: float
    confirmed: bool = False


class Hops:
    """The first hops of one node."""

    def __init__(
        self,
        kernel: Ipsec,
        own: Endpoint,
        client_port: int,
        *,
        subscribers: Mapping[str, Secrets],
        by_hand: frozenset[str],
        keyed: bool,
        lifetime: float,
        choose: Choose,
        clock: Callable[[], float],
        pool: Ways,
    ) -> None:
        """``own`` is the protected port, ``client_port`` the one that ``ipsec-3gpp`` sends from, ``by_hand`` the
        addresses of phones with ``ipsec-man``, ``keyed`` whether a key exchange serves the port."""
        self.kernel, self._own, self._client_port = kernel, own, client_port
        self._subscribers, self._by_hand, self._keyed = subscribers, by_hand, keyed
        self._lifetime, self._choose, self._clock, self._pool = lifetime, choose, clock, pool
        self._ports = frozenset({own.port, client_port})
        self._phones: OrderedDict[Endpoint, _Phone] = OrderedDict()
        self._others: set[Endpoint] = set()
        self._given: OrderedDict[str, OrderedDict[tuple[Mechanism, ...], float]] = OrderedDict()

    # -- what came -------------------------------------------------------------------------------------

    def mechanism(self, flow: Flow) -> str:
        """The mechanism that has protected what comes by this flow; empty when none has."""
        local = flow.local
        if local.port not in self._ports or local.host != self._own.host:
            return ""
        if flow.remote in self._phones:
            return Name.IPSEC_3GPP
        if flow.remote.host in self._by_hand:
            return Name.IPSEC_MAN
        return Name.IPSEC_IKE if self._keyed else ""

    def listed(
        self, flow: Flow, mechanisms: tuple[Mechanism, ...], returned: tuple[Mechanism, ...]
    ) -> tuple[Mechanism, ...]:
        """The list that this phone was given: under ``ipsec-3gpp`` the one of its associations, otherwise ``returned``
        where that went to its address, or the one of everybody."""
        phone = self._phones.get(flow.remote)
        if phone is not None and flow.local.port in self._ports:
            return phone.listed
        given = self._given.get(flow.remote.host)
        if given is None or given.get(returned, 0.0) <= self._clock():
            return plain(mechanisms)
        self._remember(flow.remote.host, returned, self._lifetime)
        return returned

    def _remember(self, host: str, listed: tuple[Mechanism, ...], seconds: float) -> None:
        given = self._given.pop(host, None) or OrderedDict()
        given[listed] = max(given.pop(listed, 0.0), self._clock() + seconds)
        if len(given) > MAX_GIVEN:
            # Who only asks, perhaps in the name of this address, pushes out none that came back.
            del given[min(given, key=given.__getitem__)]
        self._given[host] = given
        if len(self._given) > MAX_PHONES:
            self._given.popitem(last=False)

    def confirm(self, flow: Flow) -> None:
        """The list came back under protection: the associations last."""
        phone = self._phones.get(flow.remote)
        if phone is None:
            if not flow.reliable and len(self._others) < MAX_PHONES:
                self._others.add(flow.remote)
                self._pool.keep(flow.remote, self._own, self._own, flow.remote)
            return
        if not phone.confirmed:
            log.info("ipsec-3gpp agreed", subscriber=phone.subscriber, remote=str(flow.remote))
        phone.confirmed = True
        phone.expires = self._clock() + self._lifetime

    # -- who asks --------------------------------------------------------------------------------------

    def answer(
        self, request: Request, subscriber: str, remote: str, mechanisms: tuple[Mechanism, ...]
    ) -> tuple[Mechanism, ...]:
        """Our list for a phone that asks: with associations made for it, if it is a subscriber that can."""
        everybody = plain(mechanisms)
        secrets = self._subscribers.get(subscriber)
        place = next((at for at, each in enumerate(mechanisms) if each.name == Name.IPSEC_3GPP), None)
        if place is None or secrets is None:
            return everybody
        try:
            offered = [each for each in request.headers.every(SECURITY_CLIENT) if acceptable(each)]
            theirs = read_side(offered[0]) if offered else None
        except PeerError as error:
            log.info("ipsec-3gpp can't be agreed on", reason=error.reason, remote=remote)
            return everybody
        if theirs is None:
            return everybody
        known = self._phones.get(Endpoint(remote, theirs.port_c))
        if known is not None and known.theirs == theirs and known.subscriber == subscriber:
            self._remember(remote, known.listed, PENDING_SECONDS)
            return known.listed  # the same request again
        return self._make(place, subscriber, remote, theirs, secrets, mechanisms) or everybody

    def _make(
        self,
        place: int,
        subscriber: str,
        remote: str,
        theirs: Side,
        secrets: Secrets,
        mechanisms: tuple[Mechanism, ...],
    ) -> tuple[Mechanism, ...] | None:
        self._make_room(subscriber, Endpoint(remote, theirs.port_c))
        spi_c = self._choose()
        ours = Side(spi_c, spi_c ^ 1, self._client_port, self._own.port)
        listed = list(mechanisms)
        listed[place] = mechanism_of(ours, q=mechanisms[place].params.get("q"))
        associations = of_3gpp(remote, theirs, self._own.host, ours, secrets)
        try:
            self.kernel.add(associations, self._own.host)
        except IpsecError as error:
            log.error("ipsec-3gpp can't be set up", reason=str(error), remote=remote)
            return None
        self._remember(remote, tuple(listed), PENDING_SECONDS)
        expires = self._clock() + PENDING_SECONDS
        phone = _Phone(subscriber, remote, theirs, tuple(listed), associations, expires)
        for port in (theirs.port_c, theirs.port_s):
            place_of = Endpoint(remote, port)
            self._phones[place_of] = phone
            client = Endpoint(self._own.host, self._client_port)
            self._pool.keep(place_of, self._own, client, Endpoint(remote, theirs.port_s))
        return phone.listed

    def _make_room(self, subscriber: str, client: Endpoint) -> None:
        if (same := self._phones.get(client)) is not None:
            self._drop(same)
        waiting = [each for each in self._unique() if each.subscriber == subscriber and not each.confirmed]
        if len(waiting) >= MAX_PENDING:
            self._drop(waiting[0])
        if len(self._phones) >= 2 * MAX_PHONES:
            self._drop(next(iter(self._phones.values())))

    # -- the end ---------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Take away what has expired."""
        now = self._clock()
        for phone in self._unique():
            if phone.expires <= now:
                self._drop(phone)
        for host, given in tuple(self._given.items()):
            for listed in [each for each, until in given.items() if until <= now]:
                del given[listed]
            if not given:
                del self._given[host]

    def _unique(self) -> list[_Phone]:
        return list({id(each): each for each in self._phones.values()}.values())

    def _drop(self, phone: _Phone) -> None:
        for port in (phone.theirs.port_c, phone.theirs.port_s):
            self._phones.pop(Endpoint(phone.address, port), None)
            self._pool.release(Endpoint(phone.address, port))
        self.kernel.remove(phone.associations, self._own.host)

    def close(self) -> None:
        """Take everything away."""
        for phone in self._unique():
            self._drop(phone)
        self.kernel.close()


def plain(mechanisms: tuple[Mechanism, ...]) -> tuple[Mechanism, ...]:
    """The list for everybody: with ``ipsec-3gpp`` by its algorithms alone. A phone that knows it finds no SPIs there,
    and has to give up (section 2.3.1): either it is no subscriber, or what it offered was changed on the way."""
    return tuple(
        mechanism_of(None, q=each.params.get("q")) if each.name == Name.IPSEC_3GPP else each
        for each in mechanisms
    )

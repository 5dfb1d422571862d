"""Every list of a server, every set of mechanisms that a phone knows, and every change on the way (RFC 3329)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import PeerError
from ringfence.message.fields.security_agreement import Mechanism, parse_mechanism
from ringfence.roles.hops import Hops
from ringfence.roles.policy import AgreementMode
from ringfence.security.agreement import (
    Name,
    choose,
    digest_mechanism,
    ipsec_mechanism,
    make_list,
    proof,
    read_list,
    returned_list,
    tls_mechanism,
)
from ringfence.security.credentials import parse_credentials
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.security.ipsec_3gpp import Secrets, Side, acceptable, mechanism_of, read_side
from ringfence.transport.flow import Endpoint
from tests.conversations.network import DOMAIN, NODE4, Network, Wire
from tests.conversations.phones import Phone, named
from tests.roles.test_hops import Memory, Ways

HOST = "198.51.100.10"
OWN = Endpoint(NODE4, 5062)
ASKS = (("Require", "sec-agree"), ("Proxy-Require", "sec-agree"))
MADE = {
    Name.TLS: tls_mechanism(),
    Name.DIGEST: digest_mechanism(Algorithm.SHA_512_256),
    Name.IPSEC_IKE: ipsec_mechanism(Name.IPSEC_IKE, OWN.port),
    Name.IPSEC_MAN: ipsec_mechanism(Name.IPSEC_MAN, OWN.port),
    Name.IPSEC_3GPP: Mechanism(Name.IPSEC_3GPP),
}
SIDE = Side(2_000_000_000, 2_000_000_001, 6064, 6062)

Change = Callable[[list[str]], list[str]]


def node(order: list[Name], *, subscriber: bool = True) -> Network:
    """A node whose list has these mechanisms, the best first."""
    network = Network()
    network.account("alice")
    network.policy.agreement = AgreementMode.REQUIRE
    network.policy.mechanisms = make_list([MADE[name] for name in order])
    spis = count(3_000_000_000, 2)
    network.services.hops = Hops(
        Memory(),
        OWN,
        5064,
        subscribers={f"sip:alice@{DOMAIN}": Secrets(b"i" * 16, b"c" * 16)} if subscriber else {},
        by_hand=frozenset({HOST}) if Name.IPSEC_MAN in order else frozenset(),
        keyed=Name.IPSEC_IKE in order,
        lifetime=7200,
        choose=lambda: next(spis),
        clock=lambda: network.clock.now,
        pool=Ways(),
    )
    return network


def offers(known: set[Name]) -> str:
    return ", ".join(str(mechanism_of(SIDE)) if name == Name.IPSEC_3GPP else name for name in sorted(known))


def chosen_from(listed: list[str], known: set[Name]) -> Mechanism | None:
    """What a phone turns on, by section 2.3.1; None when it gives up."""
    try:
        mechanism = choose(
            read_list(listed),
            lambda each: each.name in known and (each.name != Name.IPSEC_3GPP or acceptable(each)),
        )
        if mechanism is not None and mechanism.name == Name.IPSEC_3GPP:
            read_side(mechanism)  # the information to turn it on may have been taken away
    except PeerError:
        return None
    return mechanism


def comes_back(network: Network, alice: Phone, mechanism: Mechanism, listed: list[str]) -> int:
    """The final answer to a REGISTER under a mechanism, with the list said back."""
    if mechanism.name == Name.DIGEST:
        request = alice.authorized()
        credentials = parse_credentials(request.headers.get("Authorization") or "", "Authorization")
        assert credentials is not None
        ha1 = make_ha1("alice", DOMAIN, "secret", Algorithm.SHA_512_256)
        made = proof(credentials, ha1, "REGISTER", listed)
        request.headers.set("Security-Verify", returned_list(listed, made))
        alice >> request
        return status_of(alice)
    if mechanism.name == Name.TLS:
        phone = Phone(network, "alice", HOST, "TLS")
    else:
        phone = Phone(network, "alice", HOST)
        three = mechanism.name == Name.IPSEC_3GPP
        phone.wire = Wire(network, "UDP", Endpoint(HOST, SIDE.port_c if three else OWN.port))
        phone.wire.local = OWN
    phone >> phone.register(*ASKS, ("Security-Verify", ", ".join(listed)))
    if (status := status_of(phone)) != 401:
        return status
    phone >> phone.authorized()
    return status_of(phone)


def status_of(phone: Phone) -> int:
    message, _ = phone.inbox[-1]
    phone << named(message)
    return phone.response.status


def opened(network: Network, known: set[Name]) -> tuple[Phone, list[str]]:
    """A phone that has asked in clear, and the list that it was sent."""
    alice = Phone(network, "alice", HOST)
    alice >> alice.register(*ASKS, ("Security-Client", offers(known))) << 494
    return alice, (alice.response.headers.get("Security-Server") or "").split(", ")


orders = st.permutations(list(Name)).flatmap(lambda all_: st.integers(1, len(all_)).map(lambda n: all_[:n]))
knowledge = st.sets(st.sampled_from(list(Name)), min_size=1)


@pytest.mark.rfc("3329", "2.3.1")
@given(orders, knowledge)
def test_who_chooses_by_the_rule_is_let_in(order: list[Name], known: set[Name]) -> None:
    network = node(order)
    alice, listed = opened(network, known)
    assert [parse_mechanism(each).name for each in listed] == order
    best = next((name for name in order if name in known), None)
    mechanism = chosen_from(listed, known)
    assert (mechanism.name if mechanism else None) == best
    if mechanism is not None:
        assert comes_back(network, alice, mechanism, listed) == 200
        assert network.driver.counts["agreements refused"] == 0


@pytest.mark.rfc("3329", "2.3.1")
@given(orders, knowledge, st.data())
def test_a_phone_may_take_any_mechanism_of_the_list(
    order: list[Name], known: set[Name], data: st.DataObject
) -> None:
    """The server can't know what a phone knows; which one it takes is the phone's business."""
    common = sorted(known & set(order))
    if not common:
        return
    network = node(order)
    alice, listed = opened(network, known)
    name = data.draw(st.sampled_from(common))
    mechanism = next(each for each in map(parse_mechanism, listed) if each.name == name)
    assert comes_back(network, alice, mechanism, listed) == 200


def changes(listed: list[str], known: set[Name]) -> st.SearchStrategy[list[str]]:
    """What somebody on the way can make of a list."""
    places = st.integers(0, len(listed) - 1)

    def at(place: int, change: Callable[[str], str]) -> list[str]:
        return [change(each) if number == place else each for number, each in enumerate(listed)]

    def parameter(place: int, number: int, value: str) -> list[str]:
        name, *params = listed[place].split(";")
        spot = number % len(params)
        params[spot] = f"{params[spot].partition('=')[0]}={value}"
        return at(place, lambda _: ";".join([name, *params]))

    def without(place: int, number: int) -> list[str]:
        name, *params = listed[place].split(";")
        del params[number % len(params)]
        return at(place, lambda _: ";".join([name, *params]))

    shortened = places.map(lambda place: listed[:place] + listed[place + 1 :]).filter(bool)
    only = st.sampled_from(sorted(known)).map(lambda name: [f"{MADE[name]};q=0.9"])
    return st.one_of(
        shortened,
        only,
        st.permutations(listed),
        st.builds(parameter, places, st.integers(0, 8), st.sampled_from(["0.9", "0.05", "MD5", "7", "x"])),
        st.builds(without, places, st.integers(0, 8)),
        places.map(lambda place: at(place, lambda text: "ipsec-new" + text[text.find(";") :])),
    ).filter(lambda changed: changed != listed)


@pytest.mark.rfc("3329", "5")
@given(orders, knowledge, st.booleans(), st.data())
def test_no_change_on_the_way_leads_to_an_agreement(
    order: list[Name], known: set[Name], shortened: bool, data: st.DataObject
) -> None:
    network = node(order)
    # What the phone offers may be changed too: its own list comes back in no message.
    offered = data.draw(st.sets(st.sampled_from(sorted(known)))) | {Name.DIGEST} if shortened else known
    alice, listed = opened(network, offered)
    changed = data.draw(changes(listed, known))
    mechanism = chosen_from(changed, known)
    if mechanism is not None and mechanism.name == Name.DIGEST and Name.DIGEST not in order:
        assert "WWW-Authenticate" not in alice.response.headers  # it gives up: there is no challenge
    elif mechanism is not None:
        assert comes_back(network, alice, mechanism, changed) == 494
        assert network.driver.counts["agreements refused"] == 1


@pytest.mark.rfc("3329", "2.3.1")
@given(orders, knowledge)
def test_an_offer_that_was_shortened_takes_nothing_off_the_list(order: list[Name], known: set[Name]) -> None:
    """ "The server's list MUST NOT depend on the contents of the client's list"; without SPIs the phone gives up."""
    whole = [parse_mechanism(each).name for each in opened(node(order), known)[1]]
    listed = opened(node(order), known - {Name.IPSEC_3GPP} | {Name.DIGEST})[1]
    assert [parse_mechanism(each).name for each in listed] == whole
    best = next((name for name in order if name in known), None)
    mechanism = chosen_from(listed, known)
    assert (mechanism.name if mechanism else None) == (None if best == Name.IPSEC_3GPP else best)

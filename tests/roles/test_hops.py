"""First hops under IPsec: whose associations are made, kept and taken away."""

from __future__ import annotations

import pytest

from ringfence.message import parse
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.message.message import Request
from ringfence.roles.hops import MAX_GIVEN, MAX_PENDING, PENDING_SECONDS, Hops, plain
from ringfence.security.agreement import Name, make_list
from ringfence.security.ipsec_3gpp import Secrets, Side, mechanism_of, read_side
from ringfence.transport.dead import DeadFlow
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.ipsec import Association, IpsecError

ALICE = "sip:alice@example.org"
PHONE = "192.0.2.7"
OWN = Endpoint("192.0.2.1", 5062)
LISTED = make_list([Mechanism(Name.IPSEC_3GPP), Mechanism(Name.DIGEST)])
THEIRS = Side(2_000_000_000, 2_000_000_001, 6064, 6062)
SECRETS = Secrets(b"i" * 16, b"c" * 16)


class Memory:
    """A kernel that only remembers."""

    def __init__(self) -> None:
        self.kept: list[Association] = []
        self.refuses = False

    def shut(self, endpoint: Endpoint) -> None:
        """Nothing to remember."""

    def add(self, associations: tuple[Association, ...], own: str) -> None:
        if self.refuses:
            raise IpsecError("no ESP")
        self.kept += associations

    def remove(self, associations: tuple[Association, ...], own: str) -> None:
        for each in associations:
            self.kept.remove(each)

    def close(self) -> None:
        self.kept.clear()


class Ways:
    """The ports by which phones are reached."""

    def __init__(self) -> None:
        self.kept: dict[Endpoint, tuple[Endpoint, Endpoint, Endpoint]] = {}

    def keep(self, remote: Endpoint, own: Endpoint, by: Endpoint, at: Endpoint) -> None:
        self.kept[remote] = own, by, at

    def release(self, remote: Endpoint) -> None:
        self.kept.pop(remote, None)


class World:
    def __init__(self) -> None:
        self.kernel, self.ways, self.now, self.spi = Memory(), Ways(), 1000.0, 3_000_000_000
        self.hops = Hops(
            self.kernel,
            OWN,
            5064,
            subscribers={ALICE: SECRETS},
            by_hand=frozenset({"192.0.2.8"}),
            keyed=False,
            lifetime=7200,
            choose=self.choose,
            clock=lambda: self.now,
            pool=self.ways,
        )

    def choose(self) -> int:
        self.spi += 2
        return self.spi

    def ask(self, side: Side = THEIRS, who: str = ALICE, host: str = PHONE) -> tuple[Mechanism, ...]:
        return self.hops.answer(request(str(mechanism_of(side))), who, host, LISTED)


@pytest.fixture
def world() -> World:
    return World()


def request(client: str) -> Request:
    message = parse(
        f"OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:5060;branch=z9hG4bK1\r\nFrom: <{ALICE}>;tag=1\r\n"
        f"To: <sip:example.org>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nSecurity-Client: {client}\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def flow(port: int, local: Endpoint = OWN, host: str = PHONE) -> Flow:
    made = DeadFlow("UDP", Endpoint(host, port))
    made.local = local
    return made


@pytest.mark.rfc("3329", "2.3.1")
def test_a_subscriber_gets_four_associations_and_a_list_of_its_own(world: World) -> None:
    listed = world.ask()
    ours = read_side(listed[0])
    assert (ours.port_s, ours.port_c) == (5062, 5064)
    assert listed[0].params.get("q") == LISTED[0].params.get("q")
    ways = {(each.source, each.destination): each.spi for each in world.kernel.kept}
    assert ways == {
        (Endpoint(PHONE, 6064), OWN): ours.spi_s,
        (OWN, Endpoint(PHONE, 6064)): THEIRS.spi_c,
        (Endpoint(OWN.host, 5064), Endpoint(PHONE, 6062)): THEIRS.spi_s,
        (Endpoint(PHONE, 6062), Endpoint(OWN.host, 5064)): ours.spi_c,
    }
    assert world.ways.kept[Endpoint(PHONE, 6064)] == (OWN, Endpoint(OWN.host, 5064), Endpoint(PHONE, 6062))
    assert world.hops.mechanism(flow(6064)) == Name.IPSEC_3GPP
    assert world.hops.listed(flow(6064), LISTED, ()) == listed


def test_the_same_request_again_gets_the_same_list(world: World) -> None:
    assert world.ask() == world.ask()
    assert len(world.kernel.kept) == 4


@pytest.mark.parametrize(
    ("client", "who"),
    [
        (str(mechanism_of(THEIRS)), "sip:bob@example.org"),
        ("digest, tls", ALICE),
        ("ipsec-3gpp;alg=hmac-md5-96", ALICE),
        ("ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=7;spi-s=8;port-c=1;port-s=2", ALICE),
    ],
)
def test_nobody_else_can_turn_it_on_and_all_see_it(world: World, client: str, who: str) -> None:
    listed = world.hops.answer(request(client), who, PHONE, LISTED)
    assert listed == plain(LISTED)
    assert str(listed[0]) == "ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;ealg=aes-cbc;prot=esp;mod=trans"
    assert not world.kernel.kept


def test_a_kernel_that_refuses_makes_no_associations(world: World) -> None:
    world.kernel.refuses = True
    assert world.ask() == plain(LISTED)


@pytest.mark.rfc("3329", "2.3.1")
def test_a_list_may_come_back_by_another_mechanism_from_where_it_went_to(world: World) -> None:
    listed = world.ask()
    clear = Endpoint(OWN.host, 5060)
    assert world.hops.listed(flow(5060, clear), LISTED, listed) == listed
    assert world.hops.listed(flow(5060, clear), LISTED, listed[:1]) == plain(LISTED)
    assert world.hops.listed(flow(5060, clear, "192.0.2.99"), LISTED, listed) == plain(LISTED)
    world.now += PENDING_SECONDS  # it lasts, also when the associations go that nobody came back under
    world.hops.sweep()
    assert not world.kernel.kept
    assert world.hops.listed(flow(5060, clear), LISTED, listed) == listed
    world.now += 7200
    world.hops.sweep()
    assert world.hops.listed(flow(5060, clear), LISTED, listed) == plain(LISTED)


def test_who_only_asks_pushes_out_no_list_that_came_back(world: World) -> None:
    listed = world.ask()
    clear = flow(5060, Endpoint(OWN.host, 5060))
    assert world.hops.listed(clear, LISTED, listed) == listed
    for number in range(3 * MAX_GIVEN):
        world.ask(Side(5000 + 2 * number, 5001 + 2 * number, 1000 + number, 999))
    assert world.hops.listed(clear, LISTED, listed) == listed


def test_what_nobody_comes_back_under_goes(world: World) -> None:
    world.ask()
    world.now += PENDING_SECONDS
    world.hops.sweep()
    assert not world.kernel.kept
    assert not world.ways.kept
    assert world.hops.mechanism(flow(6064)) == ""


def test_what_is_confirmed_stays(world: World) -> None:
    world.ask()
    world.hops.confirm(flow(6064))
    world.now += PENDING_SECONDS
    world.hops.sweep()
    assert len(world.kernel.kept) == 4
    world.now += 7200
    world.hops.sweep()
    assert not world.kernel.kept


def test_who_asks_in_the_name_of_a_subscriber_pushes_out_only_what_waits(world: World) -> None:
    world.ask()
    world.hops.confirm(flow(6064))
    for number in range(3 * MAX_PENDING):
        world.ask(Side(5000 + 2 * number, 5001 + 2 * number, 1000, 1001), host=f"198.51.100.{number}")
    assert len(world.kernel.kept) == 4 * (1 + MAX_PENDING)
    assert world.hops.mechanism(flow(6064)) == Name.IPSEC_3GPP


def test_only_what_comes_to_a_shut_port_was_protected(world: World) -> None:
    world.ask()
    assert world.hops.mechanism(flow(6064, Endpoint(OWN.host, 5060))) == ""
    assert world.hops.mechanism(flow(6064, Endpoint("127.0.0.1", 5062))) == ""
    assert world.hops.mechanism(flow(5062, host="192.0.2.8")) == Name.IPSEC_MAN
    assert world.hops.mechanism(flow(5062, host="192.0.2.9")) == ""


def test_the_end(world: World) -> None:
    world.ask()
    world.hops.close()
    assert not world.kernel.kept

"""Who may send, and how much: floods, forged addresses, offices behind one address, guessing, bans."""

from __future__ import annotations

import tracemalloc
from ipaddress import ip_network

import pytest

from ringfence.guard.bans import BanPolicy, Bans
from ringfence.guard.gate import MAX_DEBT, Guard
from ringfence.guard.policy import GuardPolicy
from ringfence.guard.rates import Rate
from ringfence.guard.scores import Offence
from ringfence.guard.sources import MAX_KEPT, MAX_TRIED, PROOF_SECONDS, Sources
from ringfence.store.records import Ban
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate

OPTIONS = b"OPTIONS sip:example.org SIP/2.0\r\nUser-Agent: phone\r\n\r\n"
SCAN = b"OPTIONS sip:100@example.org SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"
WALL = 1_800_000_000.0


class Peer(Flow):
    """Somebody at the other end, by UDP or by a connection."""

    __slots__ = ("accepted", "closed_for", "held", "local", "name", "peer", "reliable", "remote", "secure",
                 "transport", "user")  # fmt: skip
    made = 0

    def __init__(self, host: str, transport: str = "UDP", *, accepted: bool = True) -> None:
        Peer.made += 1
        self.name = f"{transport}.{Peer.made}"
        self.transport = transport
        self.local, self.remote = Endpoint("192.0.2.1", 5060), Endpoint(host, 5060)
        self.reliable = transport != "UDP"
        self.secure = transport == "TLS"
        self.peer: PeerCertificate | None = None
        self.user: object | None = None
        self.accepted = accepted
        self.held = 0.0
        self.closed_for = ""

    @property
    def key(self) -> str:
        return self.name

    @property
    def closed(self) -> bool:
        return bool(self.closed_for)

    def send(self, data: bytes) -> None:
        raise AssertionError("the guard sends nothing")

    def close(self, reason: str) -> None:
        self.closed_for = reason if self.reliable else ""

    def hold(self, seconds: float) -> None:
        self.held = max(self.held, seconds)


class Site:
    """A guard with a clock."""

    def __init__(
        self, *, policy: GuardPolicy | None = None, allow: tuple[str, ...] = (), spare: tuple[str, ...] = ()
    ) -> None:
        self.now = 1000.0
        self.banned: list[Ban] = []
        networks = tuple(map(ip_network, allow))
        self.bans = Bans(BanPolicy(), networks)
        spared = tuple(map(ip_network, spare))
        self.guard = Guard(policy or GuardPolicy(), self.bans, networks, self.banned.append, spared)
        self.guard.tick(self.now, WALL + self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.guard.tick(self.now, WALL + self.now)

    def send(self, flow: Flow, count: int = 1, data: bytes = OPTIONS, per_second: float = 1e9) -> int:
        """How many of so many messages are let in."""
        passed = 0
        for _ in range(count):
            passed += self.guard.admit(flow, data, self.now)
            self.now += 1.0 / per_second
        return passed


@pytest.fixture
def site() -> Site:
    return Site()


# -- how much ------------------------------------------------------------------------------------------


def test_a_flood_from_one_address_is_cut_down(site: Site) -> None:
    passed = site.send(
        Peer("198.51.100.1"), 400_000, per_second=40_000
    )  # ten seconds of ten times what a core can do
    policy = site.guard.policy
    assert policy.strangers.burst <= passed <= policy.datagrams.burst + 10 * policy.datagrams.per_second + 1
    assert site.send(Peer("198.51.100.2"), 100) == 100  # others do not notice


def test_forged_addresses_have_one_allowance_together(site: Site) -> None:
    passed = 0
    for number in range(100_000):
        passed += site.send(Peer(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), per_second=20_000)
    policy = site.guard.policy.strangers
    assert passed <= policy.burst + 5 * policy.per_second + 1


def test_who_has_shown_to_be_there_does_not_share_it(site: Site) -> None:
    phone = Peer("198.51.100.9")
    site.send(phone)
    site.guard.succeeded(phone, "sip:alice@example.org", site.now)
    for number in range(100_000):
        site.send(Peer(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert site.send(Peer("198.51.100.200"), 10) == 0  # a newcomer has to come by TCP or TLS meanwhile
    assert site.send(phone, 1000) == 1000


def test_what_is_authenticated_gives_back_what_it_cost(site: Site) -> None:
    gateway = Peer("198.51.100.9")
    for _ in range(20_000):  # 800 calls a second, eight messages each, far above the rate of a proven source
        assert site.send(gateway, 8, per_second=6400) == 8
        site.guard.succeeded(gateway, "sip:gateway@example.org", site.now)


def test_a_proof_is_good_for_an_hour(site: Site) -> None:
    phone = Peer("198.51.100.9")
    site.send(phone)
    site.guard.succeeded(phone, "sip:alice@example.org", site.now)
    assert site.guard.is_proven(phone, site.now + PROOF_SECONDS - 1)
    site.pass_time(PROOF_SECONDS + 1)
    assert site.send(phone, 30_000) == site.guard.policy.strangers.burst


def test_an_answer_to_a_request_of_ours_is_proof(site: Site) -> None:
    carrier = Peer("203.0.113.5")
    assert not site.guard.is_proven(carrier, site.now)
    site.guard.answered("203.0.113.5", site.now)
    assert site.guard.is_proven(carrier, site.now)


def test_a_connection_is_slowed_down_and_loses_nothing(site: Site) -> None:
    flow = Peer("198.51.100.1", "TCP")
    burst = int(site.guard.policy.connections.burst)
    assert site.send(flow, burst) == burst
    assert flow.held == 0.0
    assert site.send(flow, 100) == 100
    assert 0.0 < flow.held < 1.0
    assert not flow.closed


def test_one_that_floods_all_the_same_is_banned(site: Site) -> None:
    flow = Peer("198.51.100.1", "TCP")
    site.send(flow, 40_000)  # one read can bring many, and its sender is not to blame for that
    assert flow.held == MAX_DEBT
    assert not flow.closed
    site.send(flow, 800_000, per_second=8_000)
    assert flow.closed
    assert site.banned[0].reason == Offence.FLOOD


def test_what_we_have_connected_to_ourselves_is_not_counted(site: Site) -> None:
    assert site.send(Peer("203.0.113.5", "TLS", accepted=False), 100_000) == 100_000


def test_friends_are_not_counted() -> None:
    site = Site(allow=("192.0.2.0/24", "2001:db8::/32"))
    assert site.send(Peer("192.0.2.7"), 50_000) == 50_000
    assert site.send(Peer("2001:db8:7::1"), 50_000) == 50_000
    site.guard.offend(Peer("192.0.2.7", "TCP"), Offence.SCANNER, site.now, proven=True)
    assert not site.banned


def test_a_peer_by_its_certificate_is_not_counted(site: Site) -> None:
    flow = Peer("203.0.113.5", "TLS")
    site.guard.trust(flow)
    assert site.send(flow, 100_000) == 100_000
    site.guard.closed(flow)
    assert site.guard.sizes()["flows"] == 0


def test_new_connections_are_counted_too(site: Site) -> None:
    waits = [site.guard.welcome("198.51.100.1", site.now) for _ in range(8000)]
    assert waits[:4900] == [0.0] * 4900
    assert 0.0 < max(waits) <= MAX_DEBT  # later ones wait, and the last are refused
    assert waits[-1] < 0.0
    assert site.guard.welcome("198.51.100.2", site.now) == 0.0


# -- memory --------------------------------------------------------------------------------------------


def test_a_million_sources_take_no_more_memory_than_the_ceiling() -> None:
    policy = GuardPolicy(strangers=Rate(1e9, 1e9))
    site = Site(policy=policy)
    flow = Peer("10.0.0.0")

    def flood(begin: int, end: int) -> None:
        for number in range(begin, end):
            flow.remote = Endpoint(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5060)
            site.guard.admit(flow, OPTIONS, site.now)

    flood(0, 100_000)
    tracemalloc.start()
    flood(100_000, 300_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert site.guard.sizes()["datagram sources"] <= 65_536
    assert grown < 30_000_000


def test_an_ipv6_site_has_one_allowance(site: Site) -> None:
    passed = sum(site.send(Peer(f"2001:db8::{number:x}")) for number in range(30_000))
    assert passed == site.guard.policy.strangers.burst


def test_what_is_proven_has_a_ceiling_too() -> None:
    sources = Sources(Rate(1, 1), Rate(1, 1), lambda source, now: source, kept=100)
    for number in range(1000):
        sources.prove(sources.find(f"10.0.{number >> 8}.{number & 255}", 0.0), 0.0)
    assert sources.kept == 100
    assert MAX_KEPT == 65_536


# -- who attacks ---------------------------------------------------------------------------------------


def test_guessing_over_a_connection_is_banned(site: Site) -> None:
    flow = Peer("198.51.100.1", "TCP")
    for _ in range(49):
        site.guard.offend(flow, Offence.WRONG_PASSWORD, site.now, proven=True)
    assert not site.banned
    site.guard.offend(flow, Offence.WRONG_PASSWORD, site.now, proven=True)
    assert [(ban.network, ban.reason) for ban in site.banned] == [("198.51.100.1", "wrong password")]
    assert flow.closed
    assert site.send(Peer("198.51.100.1"), 10) == 0
    assert site.send(Peer("198.51.100.1", "TCP"), 10) == 0
    assert site.guard.welcome("198.51.100.1", site.now) < 0.0
    assert site.send(Peer("198.51.100.2"), 10) == 10


def test_nobody_can_have_others_banned_by_forging_their_address(site: Site) -> None:
    victim = Peer("198.51.100.1")
    site.guard.succeeded(victim, "sip:alice@example.org", site.now)
    for offence in Offence:
        for _ in range(1000):
            site.guard.offend(victim, offence, site.now, proven=False)
    site.send(victim, 100_000)
    assert not site.banned
    site.pass_time(60.0)
    assert site.send(victim, 100) == 100


def test_a_scanner_by_udp_gets_nothing_and_bans_nobody(site: Site) -> None:
    assert site.send(Peer("198.51.100.1"), 100, SCAN) == 0
    assert not site.banned
    assert site.send(Peer("198.51.100.1")) == 1


def test_a_scanner_by_tcp_is_banned_at_once(site: Site) -> None:
    flow = Peer("198.51.100.1", "TCP")
    assert site.send(flow, 1, SCAN) == 0
    assert flow.closed
    assert site.banned[0].reason == Offence.SCANNER


def test_an_office_with_a_guesser_keeps_its_bound_connections(site: Site) -> None:
    phone = Peer("198.51.100.1", "TLS")
    site.send(phone)
    phone.user = ("alice",)
    site.guard.succeeded(phone, "sip:alice@example.org", site.now)
    guesser = Peer("198.51.100.1", "TCP")
    for _ in range(21):
        site.guard.offend(guesser, Offence.UNKNOWN_USER, site.now, proven=True)
    assert site.banned
    assert site.send(phone, 1000) == 1000
    assert not phone.closed


def test_a_user_who_guesses_on_its_own_connection_loses_only_that(site: Site) -> None:
    bad, good = Peer("198.51.100.1", "TLS"), Peer("198.51.100.1", "TLS")
    for flow in (bad, good):
        site.send(flow)
        flow.user = ("somebody",)
        site.guard.succeeded(flow, "sip:somebody@example.org", site.now)
    for _ in range(20):
        site.guard.offend(bad, Offence.UNKNOWN_USER, site.now, proven=True)
    assert bad.closed
    assert not site.banned
    assert not good.closed
    assert site.send(good, 10) == 10


def test_many_users_who_never_answer_are_a_scan(site: Site) -> None:
    flow = Peer("198.51.100.1", "TCP")
    for number in range(400):
        site.guard.challenged(flow, f"sip:{number}@example.org", site.now)
        site.pass_time(0.2)
    assert [ban.reason for ban in site.banned] == [Offence.MANY_USERS]


def test_an_office_that_comes_back_after_a_power_cut_is_none(site: Site) -> None:
    flows = [Peer("198.51.100.1", "TLS") for _ in range(300)]
    for number, flow in enumerate(flows):  # all of them before the first has answered
        site.guard.challenged(flow, f"sip:{number}@example.org", site.now)
    for number, flow in enumerate(flows):
        flow.user = (number,)
        site.guard.succeeded(flow, f"sip:{number}@example.org", site.now)
        site.pass_time(0.01)
    assert not site.banned
    assert MAX_TRIED < 300


def test_guesses_at_one_account_from_many_addresses_are_told(site: Site) -> None:
    for _ in range(30):
        site.guard.guessed("sip:alice@example.org", site.now)
    assert site.guard.counts["guesses at an account"] == 10


def test_a_ban_ends(site: Site) -> None:
    site.guard.ban("198.51.100.1", "test", site.now)
    assert site.send(Peer("198.51.100.1"), 10) == 0
    site.pass_time(301.0)
    site.guard.bans_changed(site.now)
    assert site.send(Peer("198.51.100.1"), 10) == 10


def test_a_proven_source_that_the_owner_bans_is_out(site: Site) -> None:
    phone = Peer("198.51.100.9")
    site.send(phone)
    site.guard.succeeded(phone, "sip:alice@example.org", site.now)
    site.bans.add(Ban("198.51.100.0/24", "no", WALL, 0.0, "owner"))
    site.guard.bans_changed(site.now)
    assert site.send(phone, 10) == 0


def test_the_tarpit_holds_instead_of_closing() -> None:
    site = Site(policy=GuardPolicy(tarpit=30.0))
    site.guard.ban("198.51.100.1", "test", site.now)
    flow = Peer("198.51.100.1", "TCP")
    assert site.send(flow) == 0
    assert flow.held == 30.0
    assert not flow.closed


def test_no_bans_where_the_owner_wants_none() -> None:
    site = Site(policy=GuardPolicy(banning=False))
    flow = Peer("198.51.100.1", "TCP")
    for _ in range(20):
        site.guard.offend(flow, Offence.UNKNOWN_USER, site.now, proven=True)
    assert not site.banned


# -- behind the parser ---------------------------------------------------------------------------------


def test_prefixes_of_an_account() -> None:
    guard = Site(policy=GuardPolicy(prefixes=(("tel:+881", Rate(0.1, 2.0)),))).guard
    assert guard.has_prefixes
    called = [guard.prefix_may("sip:a@example.org", "tel:+8811", 0.0) for _ in range(3)]
    assert called == ["", "", "tel:+881"]
    assert guard.prefix_may("sip:a@example.org", "tel:+358", 0.0) == ""
    assert guard.prefix_may("sip:b@example.org", "tel:+8811", 0.0) == ""


LOOPBACK = ("127.0.0.1/32", "::1/128")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_a_spared_source_is_limited_by_its_own_rate_and_never_banned(host: str, transport: str) -> None:
    site = Site(spare=LOOPBACK)
    tester = Peer(host, transport)
    for number in range(1000):
        site.guard.challenged(tester, f"user{number}", site.now)
        site.guard.offend(tester, Offence.WRONG_PASSWORD, site.now, proven=True)
        site.guard.offend(tester, Offence.SCANNER, site.now, proven=True)
    assert not site.banned
    assert not tester.closed
    assert site.guard.counts["spared"] > 0
    assert site.send(tester, 40_000) == 40_000
    if transport == "UDP":
        assert 9_000 < site.send(tester, 100_000) < 11_000
        site.pass_time(1.0)
        assert 4_900 < site.send(tester, 100_000) < 5_100
    assert not site.send(tester, 1, SCAN), "a scanner is not answered here either"


def test_what_a_spared_source_sends_is_not_taken_from_strangers() -> None:
    site = Site(spare=LOOPBACK)
    assert site.send(Peer("127.0.0.1"), 20_000) == 20_000
    assert site.send(Peer("192.0.2.9"), 1_000) == 1_000


def test_a_spared_source_keeps_its_rate_when_it_is_proven_and_when_the_proof_lapses() -> None:
    site = Site(spare=LOOPBACK)
    tester = Peer("127.0.0.1")
    site.guard.succeeded(tester, "sip:a@example.org", site.now)
    assert site.send(tester, 40_000) == 40_000
    site.pass_time(PROOF_SECONDS + 60.0)
    assert site.send(tester, 40_000) == 40_000
    bound = Peer("127.0.0.1", "TLS")
    bound.user = object()
    site.guard.succeeded(bound, "sip:a@example.org", site.now)
    assert site.guard.spares(bound, site.now)
    assert not site.guard.spares(Peer("127.0.0.2"), site.now)


def test_the_owner_may_ban_a_spared_source() -> None:
    site = Site(spare=LOOPBACK)
    site.bans.add(Ban("127.0.0.1", "by the owner", WALL, 0.0, "owner"))
    site.guard.bans_changed(site.now)
    assert not site.send(Peer("127.0.0.1"))


def test_one_ipv6_address_on_the_allow_list_is_the_site_that_it_counts_as() -> None:
    site = Site(allow=("2001:db8::5/128",))
    assert site.send(Peer("2001:db8::5"), 50_000) == 50_000

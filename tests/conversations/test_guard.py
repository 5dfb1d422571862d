"""What the guard learns from conversations: who is there, who guesses, who asks too much."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest

from ringfence.guard.bans import BanPolicy, Bans
from ringfence.guard.gate import Guard
from ringfence.guard.policy import GuardPolicy
from ringfence.guard.rates import Rate
from ringfence.guard.scores import Offence
from ringfence.roles.policy import ChallengeMode
from ringfence.store.records import Ban, Rights
from tests.conversations.network import WALL, Network
from tests.conversations.phones import Phone, network_is_quiet


class Watched:
    """A network with a guard."""

    def __init__(
        self, network: Network, policy: GuardPolicy, spared: tuple[IPv4Network | IPv6Network, ...] = ()
    ) -> None:
        self.network = network
        self.banned: list[Ban] = []
        self.guard = Guard(policy, Bans(BanPolicy()), (), self.banned.append, spared)
        self.guard.tick(0.0, WALL)
        network.services.guard = self.guard
        network.driver.bind(
            network.wires,  # type: ignore[arg-type]
            network.server.receive,
            admit=self.guard.admit,
            on_closed=network.server.flow_closed,
        )


@pytest.fixture
def guard(network: Network) -> Watched:
    return Watched(network, GuardPolicy())


def guess(phone: Phone, times: int, user: str | None = None) -> None:
    """Try passwords."""
    for _ in range(times):
        phone >> phone.register() << 401
        phone >> phone.authorized(password="guess", user=user) << 401


def test_a_right_password_over_udp_is_proof(guard: Watched, alice: Phone) -> None:
    alice >> alice.register() << 401
    assert not guard.guard.is_proven(alice.wire, 0.1)
    alice >> alice.authorized() << 200
    assert guard.guard.is_proven(alice.wire, 0.1)


def test_guessing_with_our_nonce_over_udp_is_banned(guard: Watched, alice: Phone) -> None:
    guess(alice, 50)
    assert not guard.banned  # some milliseconds have taken a little off
    guess(alice, 1)
    assert [each.reason for each in guard.banned] == [Offence.WRONG_PASSWORD]
    alice >> alice.register()
    network_is_quiet(alice)


def test_guessing_without_our_nonce_bans_nobody(guard: Watched, network: Network, alice: Phone) -> None:
    """Somebody who writes the address of another into datagrams never sees the nonce."""
    other = Phone(network, "alice", "203.0.113.66")
    other >> other.register() << 401
    stolen = other.authorized(password="guess")  # a nonce for another address
    for _ in range(50):
        request = alice.again(stolen)
        alice >> request << 401
    assert not guard.banned
    assert guard.guard.counts[f"offence {Offence.WRONG_PASSWORD}"] == 50


def test_unknown_users_weigh_more(guard: Watched, network: Network) -> None:
    nobody = Phone(network, "nobody", "198.51.100.66", "TCP")
    guess(nobody, 21)
    assert [each.reason for each in guard.banned] == [Offence.UNKNOWN_USER]


def test_a_stale_nonce_counts_nothing(guard: Watched, network: Network, alice: Phone) -> None:
    for _ in range(60):
        alice >> alice.register() << 401
        network.wait(400.0)
        alice >> alice.authorized() << 401
        assert "stale=true" in (alice.response.headers.get("WWW-Authenticate") or "")
    assert not guard.banned
    assert not any(name.startswith("offence") for name in guard.guard.counts)


def test_an_office_with_one_old_password(guard: Watched, network: Network) -> None:
    network.account("good")
    good = Phone(network, "good", "10.0.0.2", behind="198.51.100.77")
    bad = Phone(network, "alice", "10.0.0.3", behind="198.51.100.77", password="old")
    network.places["198.51.100.77"] = lambda message, wire: (good if wire is good.wire else bad)._arrived(
        message, wire
    )
    for number in range(40):
        guess(bad, 5)
        good >> good.register(call_id=f"registration-{number}") << 401 >> good.authorized() << 200
        network.wait(1.0)
    assert not guard.banned


def test_what_is_malformed_counts_little(guard: Watched, network: Network) -> None:
    phone = Phone(network, "x", "198.51.100.5", "TCP")
    network.driver.on_malformed = lambda flow: guard.guard.offend(
        flow, Offence.MALFORMED, 0.0, proven=flow.reliable
    )
    for _ in range(2000):
        phone >> b"NONSENSE\r\n\r\n"
    assert not guard.banned
    for _ in range(18_100):
        network.driver.on_malformed(phone.wire)
    assert [each.reason for each in guard.banned] == [Offence.MALFORMED]


def test_a_search_for_numbers_of_ours_by_tcp(guard: Watched, network: Network) -> None:
    dan = Phone(network, "dan", "203.0.113.9", "TCP", domain="example.net")
    for number in range(30):
        dan >> dan.ask("OPTIONS", f"sip:{1000 + number}@example.org")
    assert [each.reason for each in guard.banned] == [Offence.UNKNOWN_DESTINATION]


# -- limits --------------------------------------------------------------------------------------------


def test_an_account_over_its_limit(network: Network, alice: Phone, bob: Phone) -> None:
    Watched(network, GuardPolicy(account=Rate(0.5, 3.0)))
    for expected in (202, 202, 202, 403):
        alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized()
        if expected == 202:
            bob << "MESSAGE"
            bob >> bob.answer(202)
        alice << expected
    assert "too many requests" in alice.response.reason
    assert alice.response.headers.get("Retry-After")
    network.wait(2.1)
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized()
    bob << "MESSAGE"


def test_strangers_can_not_all_bother_one_user(network: Network, bob: Phone) -> None:
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.30")
    Watched(network, GuardPolicy(destination=Rate(0.1, 2.0)))
    carol >> carol.register() << 401 >> carol.authorized() << 200
    for number in range(4):
        dan = Phone(network, "dan", f"203.0.113.{number + 10}", domain="example.net")
        dan >> dan.ask("MESSAGE", bob.aor)
        if number < 2:
            bob << "MESSAGE"
        else:
            dan << 480
    dan >> dan.ask("MESSAGE", carol.aor)
    carol << "MESSAGE"
    carol >> carol.ask("MESSAGE", bob.aor) << 407 >> carol.authorized()  # no stranger
    bob << "MESSAGE"


def test_calls_to_what_costs(network: Network, alice: Phone) -> None:
    network.account("alice", rights=Rights(allow=("sip:", "tel:")))
    Watched(network, GuardPolicy(prefixes=(("sip:+881", Rate(0.01, 1.0)),)))
    network.names.host("example.net", "203.0.113.9")
    for expected in (100, 403):
        alice >> alice.invite("sip:+8811234@example.net") << 407 >> alice.authorized() << expected
    assert "such numbers" in alice.response.reason


def test_the_limits_of_accounts_and_destinations_are_not_for_this_machine(
    network: Network, bob: Phone
) -> None:
    policy = GuardPolicy(account=Rate(0.5, 3.0), destination=Rate(0.5, 3.0))
    Watched(network, policy, (ip_network("127.0.0.0/30"),))
    here = Phone(network, "alice", "127.0.0.1")
    stranger = Phone(network, "dan", "127.0.0.2", domain="example.net")
    for _ in range(6):
        here >> here.ask("MESSAGE", bob.aor) << 407 >> here.authorized()
        bob << "MESSAGE"
        stranger >> stranger.ask("MESSAGE", bob.aor)
        bob << "MESSAGE"


def test_a_laboratory_without_challenges_is_not_limited_by_accounts(network: Network, bob: Phone) -> None:
    network.policy.challenge = ChallengeMode.NONE
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net")
    for _ in range(600):
        dan >> dan.ask("MESSAGE", bob.aor)
        bob << "MESSAGE"

"""Nonces that whoever knows the passwords makes (RFC 5090 section 2.1.5): asked for, known again, used once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringfence.message import Request
from ringfence.roles.remote import Remote, TheirNonces
from ringfence.security.credentials import Challenge, parse_challenge, parse_credentials
from ringfence.security.digest import Outcome
from ringfence.security.foreign_nonces import ForeignNonces
from ringfence.store.authority import Demand, Judgement, NoJudgement, Question, Wanted
from ringfence.store.known import KnownAccounts
from tests.conversations.network import DOMAIN, Network, Waiting
from tests.conversations.phones import Phone, network_is_quiet
from tests.conversations.test_digest import stale
from tests.conversations.test_remote_accounts import Server as OurNonces


class Server(OurNonces):
    """A double for what is outside: it makes nonces, and takes those that it has made."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[Wanted] = []
        self.demanded = Demand("", DOMAIN, "SHA-256", ("auth",), ticket="t1")
        self.answer: Demand | None = None
        self.next: Demand | None = None
        self.slow = False

    async def demand(self, wanted: Wanted) -> Demand:
        """See ``store.authority``."""
        self.wanted.append(wanted)
        if self.slow:
            await Waiting()
        if self.away is not None:
            raise self.away
        return replace(self.demanded, nonce=self.demanded.nonce or f"theirs-{len(self.wanted)}")

    async def judge(self, question: Question) -> Judgement:
        """See ``store.authority``."""
        judgement = await super().judge(question)
        return judgement._replace(demand=self.answer, nextnonce=self.next)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def network(server: Server) -> Network:
    network = Network()
    services = network.services
    known = KnownAccounts(services.accounts, 300.0, services.clock)
    services.remote = Remote(server, known, nonces=TheirNonces(server, ForeignNonces(services.nonces)))
    services.accounts = known
    return network


@pytest.fixture
def alice(network: Network) -> Phone:
    return Phone(network, "alice", "198.51.100.10")


@pytest.fixture
def bob(network: Network) -> Phone:
    bob = Phone(network, "bob", "198.51.100.20")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    return bob


def challenge(phone: Phone) -> Challenge:
    """The one challenge of the response taken last."""
    register = "WWW-Authenticate" in phone.response.headers
    (value,) = phone.response.headers.all("WWW-Authenticate" if register else "Proxy-Authenticate")
    found = parse_challenge(value)
    assert found is not None
    return found


def again(message: Request) -> Request:
    """The same in a transaction of its own."""
    copy = message.copy()
    copy.headers.set("Via", (copy.headers.get("Via") or "").replace("branch=z9hG4bK", "branch=z9hG4bKx"))
    return copy


@pytest.mark.rfc("5090", "2.1.5")
def test_the_challenge_is_what_the_server_wants(alice: Phone, server: Server) -> None:
    server.demanded = Demand("n1", DOMAIN, "SHA-512-256", ("auth-int",), "sip:a sip:b", "t9")
    alice >> alice.register() << 401
    found = challenge(alice)
    assert (found.nonce, found.realm, found.algorithm) == ("n1", DOMAIN, "SHA-512-256")
    assert (found.qop, found.domain, found.stale) == (("auth-int",), "sip:a sip:b", False)
    assert server.wanted == [Wanted("REGISTER", "sip:example.org", DOMAIN, alice.aor, "alice", True)]
    alice >> alice.authorized() << 200
    (asked,) = server.asked
    assert asked.ticket == "t9", "what it gave with the nonce comes back to it"
    assert asked.credentials.nonce == "n1"
    assert asked.body_hash, "auth-int"


@pytest.mark.rfc("5090", "2.1.2")
def test_users_register_and_call_over_them(alice: Phone, bob: Phone, server: Server) -> None:
    alice >> alice.invite(bob.aor) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    assert bob.request.headers.get("P-Asserted-Identity") == "<sip:alice@example.org>"
    assert server.wanted[-1] == Wanted("INVITE", bob.aor, DOMAIN, alice.aor, "alice")


@pytest.mark.rfc("3261", "26.3.2.4")
def test_a_challenge_leaves_nothing_behind(alice: Phone, network: Network, server: Server) -> None:
    server.slow = True
    alice >> alice.invite("sip:bob@example.org")
    network_is_quiet(alice)  # no 100, so that it goes on sending until it hears something
    network.answer_names()
    alice << 407
    assert network.transactions == 0
    alice >> alice.ack()
    network_is_quiet(alice)
    assert network.transactions == 0


@pytest.mark.rfc("3261", "17.2.1")
def test_when_it_takes_long_the_phone_is_told_to_wait(alice: Phone, network: Network, server: Server) -> None:
    server.slow = True
    invite = alice.invite("sip:bob@example.org")
    alice >> invite >> invite << 100
    assert len(server.wanted) == 1, "what it sends meanwhile is the same request"
    network.answer_names()
    alice << 407
    network.wait(0.6)
    alice << 407  # it sends its INVITE no more, so that ours is sent until it is acknowledged
    alice >> alice.ack()
    network.wait(6)
    network_is_quiet(alice)
    assert network.transactions == 0


def test_nobody_waits_for_ever(alice: Phone, network: Network, server: Server) -> None:
    for status in (503, 504):
        server.away = NoJudgement(status, "gone")
        alice >> alice.invite("sip:bob@example.org") << status
        assert alice.response.headers.get("Retry-After") == "5"
        assert network.transactions == 0, "nor is anything kept of it"


def test_a_request_may_be_given_up_while_the_server_is_asked(
    alice: Phone, network: Network, server: Server
) -> None:
    server.slow = True
    alice >> alice.invite("sip:bob@example.org")
    invite = alice.sent
    alice >> alice.cancel() << 200 << 487
    network.answer_names()
    network_is_quiet(alice)
    assert alice.sent is invite


@pytest.mark.rfc("5090", "2.1.2")
def test_a_nonce_that_was_given_to_nobody_costs_no_question(alice: Phone, bob: Phone, server: Server) -> None:
    before = len(server.asked)
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    right = alice.authorized()
    value = right.headers.get("Proxy-Authorization") or ""
    given = parse_credentials(value)
    assert given is not None
    for old, new in ((given.nonce, "theirs-0"), (given.opaque or "", "t1"), ('opaque="', 'opaque="x')):
        forged = again(right)
        forged.headers.set("Proxy-Authorization", value.replace(old, new))
        alice >> forged << 407
        assert not stale(alice)
    eve = Phone(alice.network, "eve", "198.51.100.66")
    eve >> again(right) << 407
    assert len(server.asked) == before
    network_is_quiet(bob)
    alice >> right
    bob << "MESSAGE"


def test_a_response_is_good_once(alice: Phone, bob: Phone, server: Server) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    right = alice.authorized()
    alice >> right
    bob << "MESSAGE"
    alice >> again(right) << 407
    assert stale(alice)
    network_is_quiet(bob)


def test_nor_is_it_for_another_who_is_given_the_same_nonce(alice: Phone, bob: Phone, server: Server) -> None:
    server.demanded = replace(server.demanded, nonce="one for all")
    eve = Phone(alice.network, "eve", "198.51.100.66")
    for phone in (alice, eve):
        phone >> phone.ask("MESSAGE", bob.aor) << 407
    right = alice.authorized()
    alice >> right
    bob << "MESSAGE"
    given, hers = (
        parse_credentials(m.headers.get("Proxy-Authorization") or "") for m in (right, eve.authorized())
    )
    assert given is not None
    assert hers is not None
    stolen = again(right)
    stolen.headers.set("Proxy-Authorization", str(replace(given, opaque=hers.opaque)))
    eve >> stolen << 407
    assert stale(eve)
    network_is_quiet(bob)
    eve >> eve.authorized(eve.ask("MESSAGE", bob.aor))
    bob << "MESSAGE"


def test_it_is_good_for_several_requests_until_it_is_old(
    alice: Phone, bob: Phone, network: Network, server: Server
) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    for count in (1, 2, 3):
        alice >> alice.authorized(alice.ask("MESSAGE", bob.aor), count=count)
        bob << "MESSAGE"
    network.wait(301)
    late = alice.authorized(alice.ask("MESSAGE", bob.aor), count=4)
    alice.inbox.clear()
    alice >> late << 407
    assert stale(alice)


@pytest.mark.rfc("5090", "2.1.4")
def test_what_comes_with_a_refusal_is_the_next_challenge(alice: Phone, server: Server) -> None:
    server.stale, server.answer = True, Demand("n2", DOMAIN, "SHA-256", ("auth",), ticket="t2")
    alice >> alice.register() << 401 >> alice.authorized() << 401
    found = challenge(alice)
    assert (found.nonce, found.stale) == ("n2", True)
    assert len(server.wanted) == 1, "no second question"
    server.stale, server.answer = False, None
    alice >> alice.authorized(alice.register(cseq=7)) << 200
    assert server.asked[-1].ticket == "t2"


def test_a_wrong_password_is_challenged_anew(alice: Phone, server: Server) -> None:
    alice >> alice.register() << 401 >> alice.authorized(password="guess") << 401
    assert not challenge(alice).stale
    assert len(server.wanted) == 2
    alice >> alice.authorized(alice.register(cseq=7)) << 200


@pytest.mark.rfc("5090", "3.5")
def test_the_next_nonce_is_the_server_s(alice: Phone, network: Network, server: Server) -> None:
    server.next = Demand("after", DOMAIN, ticket="t3")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    assert alice.response.headers.get("Authentication-Info") == 'nextnonce="after"'
    challenged = next(each for each in reversed(network.traffic) if "WWW-Authenticate" in each.headers)
    value = (challenged.headers.get("WWW-Authenticate") or "").replace("theirs-1", "after")
    challenged.headers.set("WWW-Authenticate", value)
    alice.last = challenged
    server.next = None
    following = alice.authorized(alice.register(cseq=5))
    alice >> following << 200
    assert server.asked[-1].ticket == "t3"
    assert "Authentication-Info" not in alice.response.headers, "no nonce of ours"
    eve = Phone(network, "eve", "198.51.100.66")
    eve >> again(following) << 401
    assert not challenge(eve).stale, "it was another's"


@pytest.mark.parametrize(
    "wrong", [{"realm": "example.net"}, {"algorithm": "MD5"}, {"algorithm": "ROT13"}, {"qop": ("auth-conf",)}]
)
def test_a_challenge_that_nobody_could_answer_is_not_sent(
    alice: Phone, server: Server, wrong: dict[str, Any]
) -> None:
    server.demanded = replace(server.demanded, **wrong)
    alice >> alice.register() << 503


def test_without_a_qop_ours_is_asked_for(alice: Phone, server: Server) -> None:
    server.demanded = replace(server.demanded, qop=())
    alice >> alice.register() << 401
    assert challenge(alice).qop == ("auth",)


def test_who_names_nobody_is_asked_for_without_a_name(alice: Phone, server: Server) -> None:
    alice.aor = "sip:anonymous@anonymous.invalid"
    alice >> alice.ask("MESSAGE", "sip:carol@example.net") << 407
    assert server.wanted == [Wanted("MESSAGE", "sip:carol@example.net", DOMAIN)]


def test_the_guard_is_told_of_guesses_all_the_same(alice: Phone, network: Network, server: Server) -> None:
    alice >> alice.register() << 401 >> alice.authorized(password="guess") << 401
    counts = network.driver.counts
    assert counts[f"authentication {Outcome.WRONG}"] == 1
    assert counts["challenges"] == 2

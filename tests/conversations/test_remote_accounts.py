"""Accounts whose passwords somebody else knows (RADIUS, Diameter), whatever that answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringfence.roles.remote import Remote, address_of_user
from ringfence.security.digest import Algorithm, Outcome, make_ha1, request_digest
from ringfence.store.authority import Grant, Judgement, NoJudgement, Question
from ringfence.store.known import KnownAccounts
from ringfence.store.records import Account, Rights
from tests.conversations.network import DOMAIN, Network
from tests.conversations.phones import Phone, network_is_quiet
from tests.conversations.test_digest import stale


class Server:
    """A double for what is outside: it knows that everybody's password is ``secret``."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.grant = Grant()
        self.stale = False
        self.away: NoJudgement | None = None
        self.known: Callable[[str], bool] = lambda user: True
        self.rspauth = ""

    async def judge(self, question: Question) -> Judgement:
        """See ``store.authority``."""
        self.asked.append(question)
        if self.away is not None:
            raise self.away
        given = question.credentials
        ha1 = make_ha1(given.username, DOMAIN, "secret", Algorithm(given.algorithm or "MD5"))
        right = request_digest(given, ha1, question.method, body_hash=question.body_hash) == given.response
        if not right or not self.known(given.username):
            return Judgement(Outcome.WRONG)
        return Judgement(Outcome.STALE if self.stale else Outcome.OK, self.grant, self.rspauth)

    async def close(self) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def network(server: Server) -> Network:
    network = Network()
    services = network.services
    known = KnownAccounts(services.accounts, 300.0, services.clock)
    profiles = {"national": Rights(allow=("sip:", "tel:+358"), max_calls=1)}
    services.remote = Remote(server, known, profiles=profiles)
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


@pytest.mark.rfc("5090", "2.1.2")
def test_a_user_that_is_stored_nowhere_registers_and_calls(alice: Phone, bob: Phone, server: Server) -> None:
    alice >> alice.invite(bob.aor) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    assert bob.request.headers.get("P-Asserted-Identity") == "<sip:alice@example.org>"
    register, invite = server.asked
    assert (register.address, register.registers) == (bob.aor, True)
    assert (invite.address, invite.destination, invite.registers) == (alice.aor, bob.aor, False)


@pytest.mark.rfc("5090", "2.1.4")
def test_a_wrong_password_and_an_unknown_user_look_alike(alice: Phone, server: Server) -> None:
    server.known = lambda user: user == "alice"
    eve = Phone(alice.network, "eve", "198.51.100.66")
    for phone, password in ((alice, "guess"), (eve, "secret")):
        phone >> phone.register() << 401 >> phone.authorized(password=password) << 401
        assert len(phone.response.headers.all("WWW-Authenticate")) == 2
    assert len(server.asked) == 2


def test_nobody_is_let_in_while_nobody_answers(alice: Phone, bob: Phone, server: Server) -> None:
    for status in (503, 504):
        server.away = NoJudgement(status, "gone")
        alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized() << status
        assert alice.response.headers.get("Retry-After") == "5"
    network_is_quiet(bob)


def test_what_can_be_told_without_asking_is(alice: Phone, bob: Phone, server: Server) -> None:
    before = len(server.asked)
    message = alice.ask("MESSAGE", bob.aor)
    alice >> message << 407
    forged = alice.authorized()
    value = forged.headers.get("Proxy-Authorization") or ""
    nonce = value.partition('nonce="')[2].partition('"')[0]
    forged.headers.set("Proxy-Authorization", value.replace(nonce, "0" * len(nonce)))
    alice >> forged << 407
    assert not stale(alice)
    assert len(server.asked) == before, "a nonce that is not ours"


@pytest.mark.rfc("5090", "2.1.2")
def test_a_response_is_good_once(alice: Phone, bob: Phone, server: Server) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    right = alice.authorized()
    alice >> right
    bob << "MESSAGE"
    again = right.copy()
    again.headers.set("Via", (right.headers.get("Via") or "").replace("branch=z9hG4bK", "branch=z9hG4bKx"))
    alice >> again << 407
    assert stale(alice)
    network_is_quiet(bob)


def test_the_server_may_find_a_nonce_stale(alice: Phone, bob: Phone, server: Server) -> None:
    server.stale = True
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized() << 407
    assert stale(alice)


def test_a_profile_says_what_the_user_may_do(alice: Phone, bob: Phone, server: Server) -> None:
    server.grant = Grant("national", max_calls=0)
    (
        alice
        >> alice.invite("sip:+15551234@gw.example.net")
        << 407
        >> alice.ack()
        >> alice.authorized()
        << 100
        << 403
    )
    alice >> alice.ack()
    server.grant = Grant("unheard of")
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized() << 403
    assert "not known here" in (alice.response.reason or "")
    network_is_quiet(bob)


def test_what_is_stored_here_gives_rights_and_takes_them(network: Network, alice: Phone, bob: Phone) -> None:
    network.account("alice", "another password", rights=Rights(methods=frozenset({"REGISTER"})))
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized() << 403
    network.account("alice", "another password", disabled=True)
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized() << 403
    network.account("alice", "another password")
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized(password="another password") << 407


def test_a_connection_speaks_for_its_user_as_long_as_the_word_holds(
    network: Network, bob: Phone, server: Server
) -> None:
    alice = Phone(network, "alice", "198.51.100.11", "TLS")
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized()
    bob << "MESSAGE"
    alice >> alice.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    other = Phone(network, "alice", "198.51.100.12", "TLS")
    other >> other.ask("MESSAGE", bob.aor) << 407 >> other.authorized()
    bob << "MESSAGE"
    alice >> alice.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    alice.inbox.clear()
    network.wait(301)
    alice.inbox.clear()
    alice >> alice.ask("MESSAGE", bob.aor) << 407


@pytest.mark.rfc("5090", "2.1.3")
def test_the_proof_of_the_server_reaches_the_phone(alice: Phone, server: Server) -> None:
    server.rspauth = "c0ffee"
    alice >> alice.register() << 401 >> alice.authorized() << 200
    assert 'rspauth="c0ffee"' in (alice.response.headers.get("Authentication-Info") or "")


@pytest.mark.parametrize(
    ("username", "address"),
    [
        ("alice", "sip:alice@example.org"),
        ("alice@example.org", "sip:alice@example.org"),
        ("alice@example.com", "sip:alice@example.org"),
        ("alice@elsewhere.org", ""),
        ("", ""),
        ("a:b", ""),
        ("a;b", "sip:a;b@example.org"),
        ("a b", ""),
        ("alice@example.org:5060", ""),
    ],
)
def test_a_user_name_stands_for_an_address(username: str, address: str) -> None:
    assert address_of_user(username, "example.org", frozenset({"example.org", "example.com"})) == address


def test_an_account_may_have_another_name_than_its_user(
    network: Network, alice: Phone, bob: Phone, server: Server
) -> None:
    network.store.accounts.hold(Account("sip:4711@example.org", "alice", DOMAIN))
    alice.aor = "sip:4711@example.org"
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized()
    bob << "MESSAGE"
    assert server.asked[-1].address == "sip:4711@example.org"


def test_who_calls_anonymously_is_asked_about_by_name(alice: Phone, server: Server) -> None:
    alice.aor = "sip:anonymous@anonymous.invalid"
    alice >> alice.ask("MESSAGE", "sip:carol@example.net") << 407 >> alice.authorized()
    assert server.asked[-1].address == "sip:alice@example.org"

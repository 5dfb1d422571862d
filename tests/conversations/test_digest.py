"""Digest authentication, every branch (RFC 3261 section 22, RFC 7616, RFC 8760)."""

from __future__ import annotations

import pytest

from ringfence.roles.policy import ChallengeMode
from ringfence.security.credentials import parse_challenge
from ringfence.security.digest import STRONG, Algorithm, UriCheck
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


def stale(phone: Phone) -> bool:
    """Whether the challenge taken last says that only the nonce was old."""
    challenge = parse_challenge(phone.response.headers.all("Proxy-Authenticate")[0])
    assert challenge is not None
    return challenge.stale


@pytest.fixture
def callee(bob: Phone) -> str:
    return bob.aor


@pytest.mark.rfc("8760", "2.3")
def test_there_is_a_challenge_for_each_algorithm_best_first(alice: Phone, callee: str) -> None:
    alice >> alice.ask("MESSAGE", callee) << 407
    challenges = [parse_challenge(value) for value in alice.response.headers.all("Proxy-Authenticate")]
    assert [each.algorithm for each in challenges if each] == ["SHA-512-256", "SHA-256"]
    assert all(each is not None and each.qop == ("auth",) for each in challenges)


@pytest.mark.rfc("3261", "8.2.7")
def test_a_request_that_is_sent_again_is_challenged_with_the_same_tag(alice: Phone, callee: str) -> None:
    request = alice.ask("MESSAGE", callee)
    alice >> request << 407
    tag = alice.response.to.tag
    alice >> request << 407
    assert alice.response.to.tag == tag
    alice >> alice.ask("MESSAGE", callee) << 407
    assert alice.response.to.tag != tag


@pytest.mark.rfc("8760", "2.6")
@pytest.mark.parametrize("choice", [0, 1])
def test_either_algorithm_does(alice: Phone, bob: Phone, choice: int) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized(choice=choice)
    bob << "MESSAGE"


def test_md5_is_not_offered_and_not_taken(network: Network, alice: Phone, callee: str) -> None:
    alice >> alice.ask("MESSAGE", callee) << 407
    offer = alice.response.headers.all("Proxy-Authenticate")[0]
    alice.response.headers.set("Proxy-Authenticate", offer.replace("SHA-512-256", "MD5"))
    alice >> alice.authorized() << 407
    assert network.driver.counts["authentication bad-algorithm"] == 1


def test_md5_where_the_owner_allows_it(network: Network, alice: Phone, bob: Phone) -> None:
    network.policy.algorithms = (*STRONG, Algorithm.MD5)
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized(choice=2)
    bob << "MESSAGE"


def test_an_account_without_md5_does_not_get_in_by_md5(network: Network, bob: Phone) -> None:
    network.policy.algorithms = (*STRONG, Algorithm.MD5)
    network.account("carol", algorithms=STRONG)
    carol = Phone(network, "carol", "198.51.100.30")
    carol >> carol.ask("MESSAGE", bob.aor) << 407 >> carol.authorized(choice=2) << 407
    assert not stale(carol)


@pytest.mark.rfc("7616", "3.4")
def test_auth_int_covers_the_body(alice: Phone, bob: Phone) -> None:
    alice >> alice.ask("MESSAGE", bob.aor, body=b"hello") << 407
    offer = alice.response.headers.all("Proxy-Authenticate")[0]
    alice.response.headers.set("Proxy-Authenticate", offer.replace('qop="auth"', 'qop="auth-int"'))
    request = alice.authorized(integrity=True)
    alice >> request
    bob << "MESSAGE"
    changed = alice.authorized(request=alice.sent, integrity=True)
    changed.headers.set("Content-Length", 5)
    changed.body = b"hallo"
    alice >> changed << 407


def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(
    network: Network, alice: Phone, callee: str
) -> None:
    answers = []
    for user, password in (("alice", "wrong"), ("nobody", "secret")):
        alice >> alice.ask("MESSAGE", callee) << 407
        alice >> alice.authorized(user=user, password=password) << 407
        response = alice.response
        names = [name for name in response.headers.names if name != "Via"]
        challenges = [parse_challenge(value) for value in response.headers.all("Proxy-Authenticate")]
        answers.append(
            (
                response.status,
                response.reason,
                names,
                [(each.realm, each.stale) for each in challenges if each],
            )
        )
    assert answers[0] == answers[1]


@pytest.mark.rfc("7616", "3.3")
def test_an_old_nonce_is_stale_and_only_for_one_who_knows_the_password(
    network: Network, alice: Phone, callee: str
) -> None:
    alice >> alice.ask("MESSAGE", callee) << 407
    late = alice.authorized()
    wrong = alice.authorized(password="wrong")
    network.wait(301)
    alice >> late << 407
    assert stale(alice)
    alice >> wrong << 407
    assert not stale(alice)


@pytest.mark.rfc("7616", "3.4")
def test_a_count_is_taken_once(alice: Phone, bob: Phone) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    challenge = alice.response
    alice >> alice.authorized(count=1)
    bob << "MESSAGE" >> bob.answer(200)
    alice << 200
    alice.last = challenge
    alice >> alice.authorized(count=1) << 407
    assert stale(alice)
    alice.last = challenge
    alice >> alice.authorized(count=2)
    bob << "MESSAGE"


def test_a_nonce_of_another_address_is_stale(network: Network, alice: Phone, bob: Phone) -> None:
    thief = Phone(network, "alice", "198.51.100.66")
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    thief.last, thief.sent = alice.last, alice.sent
    thief >> thief.authorized() << 407
    assert stale(thief)


@pytest.mark.rfc("7616", "3.4.6")
def test_the_uri_is_compared_with_the_request_uri(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    alice >> alice.authorized(uri="sip:carol@example.org") << 407
    network.policy.uri_check = UriCheck.USER_HOST
    alice >> alice.authorized(uri="sip:bob@example.org:5060;x=y")
    bob << "MESSAGE"


@pytest.mark.rfc("3261", "22.3")
def test_each_realm_takes_its_own_credentials(network: Network, alice: Phone) -> None:
    network.names.host("example.net", "203.0.113.9")
    other = Phone(network, "dan", "203.0.113.9", domain="example.net")
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407
    request = alice.authorized()
    theirs = (
        'Digest username="a", realm="example.net", nonce="n", uri="sip:dan@example.net", response="'
        + "0" * 32
        + '"'
    )
    request.headers.prepend("Proxy-Authorization", theirs)
    alice >> request
    other << "MESSAGE"
    assert other.request.headers.all("Proxy-Authorization") == [theirs]


@pytest.mark.rfc("3261", "22.3")
def test_several_credentials_for_our_realm_are_tried_in_turn(
    network: Network, alice: Phone, bob: Phone
) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    request = alice.authorized()
    wrong = alice.authorized(user="nobody").headers.get("Proxy-Authorization")
    request.headers.prepend("Proxy-Authorization", wrong)
    alice >> request
    bob << "MESSAGE"
    assert "Proxy-Authorization" not in bob.request.headers


def test_no_callee_sees_what_was_for_the_registrar(network: Network, alice: Phone, bob: Phone) -> None:
    theirs = 'Digest username="a", realm="voicemail", nonce="n", uri="sip:b", response="0"'
    ours = theirs.replace("voicemail", "example.org")
    alice >> alice.ask("MESSAGE", bob.aor, ("Authorization", ours), ("Authorization", theirs)) << 407
    alice >> alice.authorized()
    bob << "MESSAGE"
    assert bob.request.headers.all("Authorization") == [theirs]


def test_what_is_no_digest_counts_as_nothing(alice: Phone, callee: str) -> None:
    alice >> alice.ask("MESSAGE", callee, ("Proxy-Authorization", "Basic YWxpY2U6c2VjcmV0")) << 407


def test_malformed_credentials_are_told(alice: Phone, callee: str) -> None:
    alice >> alice.ask("MESSAGE", callee, ("Proxy-Authorization", "Digest realm=example.org nonce")) << 400
    assert "Proxy-Authorization" in alice.response.reason


def test_a_disabled_account_is_told_so_only_with_its_password(
    network: Network, alice: Phone, callee: str
) -> None:
    network.account("alice", disabled=True)
    alice >> alice.ask("MESSAGE", callee) << 407
    alice >> alice.authorized(password="wrong") << 407
    alice >> alice.authorized() << 403


@pytest.mark.rfc("7616", "3.5")
def test_the_registrar_proves_itself_and_gives_the_next_nonce_in_time(network: Network, alice: Phone) -> None:
    alice >> alice.register() << 401
    challenge = alice.response
    alice >> alice.authorized() << 200
    info = alice.response.headers.get("Authentication-Info") or ""
    assert "rspauth=" in info
    assert "nextnonce" not in info
    network.wait(200)
    alice.last = challenge
    alice >> alice.authorized(count=2) << 200
    assert "nextnonce=" in (alice.response.headers.get("Authentication-Info") or "")


@pytest.mark.rfc("3261", "26.3.2.4")
def test_a_challenge_leaves_nothing_behind(network: Network, alice: Phone, bob: Phone) -> None:
    network.wait(60)
    assert network.transactions == 0
    for _ in range(100):
        alice >> alice.invite(bob.aor) << 407
    assert network.transactions == 0
    network.wait(60)
    network_is_quiet(alice, bob)  # it is sent once


@pytest.mark.rfc("3261", "17.1.1.3")
def test_the_ack_for_a_challenge_ends_here(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite(bob.aor) << 407 >> alice.ack()
    network_is_quiet(alice, bob)


def test_a_challenge_for_each_request_even_of_a_flow_that_is_known(network: Network, bob: Phone) -> None:
    network.policy.challenge = ChallengeMode.EVERY_REQUEST
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    alice >> alice.ask("MESSAGE", bob.aor) << 407


def test_no_challenges_where_the_owner_wants_none(network: Network, alice: Phone, bob: Phone) -> None:
    network.policy.challenge = ChallengeMode.NONE
    alice >> alice.ask("MESSAGE", bob.aor)
    bob << "MESSAGE" >> bob.answer(200)
    alice << 200 >> alice.register() << 200


def test_a_port_with_algorithms_of_its_own(network: Network, alice: Phone, bob: Phone) -> None:
    network.policy.port_algorithms = {5060: (Algorithm.MD5,)}
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    assert len(alice.response.headers.all("Proxy-Authenticate")) == 1
    alice >> alice.authorized()
    bob << "MESSAGE"

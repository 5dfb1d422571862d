"""The call flows of RFC 3665, hop by hop: what is sent, in which order, and that nothing is left."""

from __future__ import annotations

import pytest

from tests.conversations.ladder import Network, Phone, Proxy

each_transport = pytest.mark.parametrize("reliable", [False, True], ids=["UDP", "TCP"])


def rungs(text: str) -> list[str]:
    """A ladder as it stands in a test: ``alice > p1 INVITE`` on each line."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def trapezoid(*, reliable: bool = False, bob: tuple[int, ...] = ()) -> tuple[Network, Phone, Phone]:
    """Alice, her proxy p1, Bob's proxy p2 and Bob."""
    network = Network(reliable=reliable)
    Proxy(network, "p1", onward="p2")
    Proxy(network, "p2", onward="bob")
    return network, Phone(network, "alice"), Phone(network, "bob", bob)


def nothing_is_left(network: Network) -> None:
    network.wait(70)
    assert [len(node.engine) for node in network.nodes.values()] == [0] * len(network.nodes)


UNTIL_RINGING = """
    alice > p1  INVITE
    p1 > p2     INVITE
    p1 > alice  100
    p2 > bob    INVITE
    p2 > p1     100
"""


@each_transport
@pytest.mark.rfc("3665", "3.2")
def test_session_establishment_through_two_proxies(reliable: bool) -> None:
    network, alice, bob = trapezoid(reliable=reliable, bob=(180, 200))
    network.nodes["p1"].challenge = True  # type: ignore[attr-defined]
    alice.call("p1")
    network.settle()
    alice.call("p1", credentials=True)
    network.settle()
    bob.hang_up()
    network.settle()
    assert network.ladder == rungs(
        """
        alice > p1  INVITE
        p1 > alice  407
        alice > p1  ACK
        """
        + UNTIL_RINGING
        + """
        bob > p2    180
        bob > p2    200
        p2 > p1     180
        p2 > p1     200
        p1 > alice  180
        p1 > alice  200
        alice > p1  ACK
        p1 > p2     ACK
        p2 > bob    ACK
        bob > p2    BYE
        p2 > p1     BYE
        p1 > alice  BYE
        alice > p1  200
        p1 > p2     200
        p2 > bob    200
        """
    )
    assert alice.heard == [407, 100, 180, 200]
    nothing_is_left(network)


@pytest.mark.rfc("3665", "3.4")
def test_session_with_proxy_failure() -> None:
    network, alice, _ = trapezoid(bob=(180, 200))
    network.lose = lambda rung: rung == "alice > p1 INVITE"
    alice.call("p1")
    network.wait(32)
    assert network.ladder == ["alice > p1 INVITE"] * 7
    assert alice.heard == [408]
    alice.call("p2")
    network.settle()
    assert alice.heard == [408, 100, 180, 200]
    nothing_is_left(network)


@pytest.mark.rfc("3665", "3.7")
def test_session_with_a_change_of_address() -> None:
    network = Network()
    Proxy(network, "p2", onward="bob", record_route=False)
    alice, bob = Phone(network, "alice"), Phone(network, "bob", (180, 200))
    alice.call("p2")
    network.settle()
    bob.move("bob2")
    network.settle()
    alice.hang_up()
    network.settle()
    assert network.ladder[3:] == rungs(
        """
        bob > p2      180
        bob > p2      200
        p2 > alice    180
        p2 > alice    200
        alice > bob   ACK
        bob2 > alice  INVITE
        alice > bob2  200
        bob2 > alice  ACK
        alice > bob2  BYE
        bob2 > alice  200
        """
    )
    nothing_is_left(network)


@each_transport
@pytest.mark.rfc("3665", "3.8")
def test_no_answer(reliable: bool) -> None:
    network, alice, _ = trapezoid(reliable=reliable, bob=(180,))
    alice.call("p1")
    network.settle()
    del network.ladder[:]
    alice.give_up()
    network.settle()
    assert network.ladder == rungs(
        """
        alice > p1  CANCEL
        p1 > alice  200
        p1 > p2     CANCEL
        p2 > p1     200
        p2 > bob    CANCEL
        bob > p2    200
        bob > p2    487
        p2 > bob    ACK
        p2 > p1     487
        p1 > p2     ACK
        p1 > alice  487
        alice > p1  ACK
        """
    )
    assert alice.heard == [100, 180, 487]
    nothing_is_left(network)


@each_transport
@pytest.mark.rfc("3665", "3.9")
@pytest.mark.rfc("3665", "3.11")
@pytest.mark.parametrize("bob", [(486,), (180, 480)])
def test_unsuccessful(reliable: bool, bob: tuple[int, ...]) -> None:
    network, alice, _ = trapezoid(reliable=reliable, bob=bob)
    alice.call("p1")
    network.settle()
    status = bob[-1]
    expected = rungs(
        UNTIL_RINGING
        + f"""
        bob > p2    {status}
        p2 > bob    ACK
        p2 > p1     {status}
        p1 > p2     ACK
        p1 > alice  {status}
        alice > p1  ACK
        """
    )
    assert [rung for rung in network.ladder if not rung.endswith(" 180")] == expected
    assert alice.heard == [100, *bob]
    nothing_is_left(network)


@pytest.mark.rfc("3665", "3.10")
def test_no_response_from_the_user_agent() -> None:
    network, alice, _ = trapezoid()
    network.lose = lambda rung: rung.startswith("p2 > bob")
    alice.call("p1")
    network.wait(32)
    assert network.ladder == rungs(UNTIL_RINGING) + ["p2 > bob INVITE"] * 6 + rungs(
        """
        p2 > p1     480
        p1 > p2     ACK
        p1 > alice  480
        alice > p1  ACK
        """
    )
    assert alice.heard == [100, 480]
    nothing_is_left(network)


@pytest.mark.parametrize("number", range(12))
def test_any_message_of_a_call_may_be_lost_once(number: int) -> None:
    """Over UDP the transactions repeat what gets lost; 2xx and ACK are the phones' to repeat, and are spared."""
    network, alice, bob = trapezoid(bob=(180, 200))
    lost: list[str] = []

    def lose(rung: str) -> bool:
        if rung.endswith(("180", "200", "ACK", "100")) and "BYE" not in rung and bob.dialog is not None:
            return False
        lost.append(rung)
        return len(lost) == number + 1

    network.lose = lose
    alice.call("p1")
    network.wait(5)
    assert alice.heard[-1] == 200
    bob.hang_up()
    network.wait(5)
    assert bob.heard == [200]
    nothing_is_left(network)

"""Callers whom the callee does not know: reports, consent, and the rule for strangers."""

from __future__ import annotations

import pytest

from ringfence.roles.callers import handle_named
from ringfence.roles.identity import Treatment
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet
from tests.conversations.strangers import ATLANTA, now_of, proved, signed, strangers, verification

BOB = "sip:bob@example.org"
CAROL = "uri:sip:carol@atlanta.example"


@pytest.fixture
def carol(network: Network) -> Phone:
    """A caller from another domain, who signs when she is asked to."""
    network.services.verification = verification()
    strangers(network)
    return Phone(network, "carol", "203.0.113.5", "TLS", domain="atlanta.example")


def ring(network: Network, carol: Phone, bob: Phone) -> None:
    """Carol calls with her signature; Bob's phone rings."""
    carol >> signed(network, carol.invite(BOB)) << 100
    bob << "INVITE"


def reported(network: Network) -> dict[str, str]:
    """What is stored: by caller, how it came to be."""
    return {each.caller: each.reason for each in network.store.opinions.list(0) if not each.wanted}


# -- reports -------------------------------------------------------------------------------------------


def test_607_is_a_report_and_the_next_call_is_refused(network: Network, carol: Phone, bob: Phone) -> None:
    ring(network, carol, bob)
    bob >> bob.answer(607)
    bob << "ACK"
    carol << 607 >> carol.ack()
    assert reported(network) == {CAROL: "607"}
    carol >> signed(network, carol.invite(BOB)) << 603
    assert carol.response.reason == "Decline (the caller has been reported)"
    network_is_quiet(carol, bob)


def test_the_report_is_about_the_caller_and_not_about_its_place(
    network: Network, carol: Phone, bob: Phone
) -> None:
    ring(network, carol, bob)
    bob >> bob.answer(607)
    bob << "ACK"
    dora = Phone(network, "dora", "203.0.113.5", "TLS", domain="atlanta.example")
    dora >> signed(network, dora.invite(BOB)) << 100
    bob << "INVITE"
    moved = Phone(network, "carol", "198.51.100.99", "TLS", domain="atlanta.example")
    moved >> signed(network, moved.invite(BOB)) << 603


def test_another_callee_still_hears_it(network: Network, carol: Phone, bob: Phone, alice: Phone) -> None:
    alice >> alice.register() << 401 >> alice.authorized() << 200
    ring(network, carol, bob)
    bob >> bob.answer(607)
    carol >> signed(network, carol.invite("sip:alice@example.org"))
    alice << "INVITE"


def test_603_is_a_report_only_when_its_reason_says_so(network: Network, carol: Phone, bob: Phone) -> None:
    ring(network, carol, bob)
    bob >> bob.answer(603)
    bob << "ACK"
    carol << 603 >> carol.ack()
    assert reported(network) == {}
    ring(network, carol, bob)
    bob >> bob.answer(603, ("Reason", 'SIP;cause=607;text="Unwanted"'))
    assert reported(network) == {CAROL: "603"}


@pytest.mark.parametrize("reason", ["SIP;cause=", "Q.850;cause=607", ""])
def test_other_reasons_are_no_reports(reason: str, network: Network, carol: Phone, bob: Phone) -> None:
    ring(network, carol, bob)
    bob >> bob.answer(603, ("Reason", reason))
    assert reported(network) == {}


@pytest.mark.rfc("3326", "2")
def test_a_call_is_reported_by_the_bye_that_ends_it(network: Network, carol: Phone, bob: Phone) -> None:
    ring(network, carol, bob)
    bob >> bob.answer(200)
    carol << 200
    carol.begin()
    carol >> carol.within("ACK")
    bob << "ACK"
    bob >> bob.within("BYE", ("Reason", "SIP;cause=607"))
    carol << "BYE" >> carol.answer(200)
    bob << 200
    assert reported(network) == {CAROL: "BYE with 607"}
    carol >> signed(network, carol.invite(BOB)) << 603


def test_a_caller_can_not_report_in_the_callees_name(network: Network, carol: Phone, bob: Phone) -> None:
    ring(network, carol, bob)
    bob >> bob.answer(200)
    carol << 200
    carol.begin()
    carol >> carol.within("ACK")
    bob << "ACK"
    carol >> carol.within("BYE", ("Reason", "SIP;cause=607"))
    bob << "BYE"
    assert reported(network) == {}


def test_calls_among_our_own_users_are_not_reported(
    network: Network, carol: Phone, alice: Phone, bob: Phone
) -> None:
    alice >> alice.invite(BOB) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(607)
    assert reported(network) == {}


def test_an_unsigned_caller_is_refused_by_where_it_came_from(
    network: Network, carol: Phone, bob: Phone
) -> None:
    carol >> carol.invite(BOB) << 100
    bob << "INVITE" >> bob.answer(607)
    bob << "ACK"
    carol << 607
    assert set(reported(network)) == {"address:203.0.113.5", "claim:atlanta.example"}
    carol >> carol.invite(BOB, from_="<sip:somebody@else.example>") << 603
    other = Phone(network, "carol", "198.51.100.7", "TLS", domain="atlanta.example")
    other >> other.invite(BOB) << 603
    ring(network, other, bob)  # and the real one is not silenced


def test_the_word_of_one_connection_is_about_its_caller(network: Network, carol: Phone, bob: Phone) -> None:
    dave = Phone(network, "dave", "203.0.113.9", "TLS", domain="atlanta.example", peer=proved(ATLANTA))
    dave >> dave.invite(BOB) << 100
    bob << "INVITE" >> bob.answer(607)
    assert set(reported(network)) == {"uri:sip:dave@atlanta.example"}


# -- consent -------------------------------------------------------------------------------------------


@pytest.mark.rfc("5360", "5.9.2")
def test_a_stranger_has_to_be_allowed(network: Network, carol: Phone, bob: Phone) -> None:
    rule = strangers(network, Treatment.CHALLENGE, Treatment.CHALLENGE)
    carol >> signed(network, carol.invite(BOB)) << 470
    assert carol.response.reason == "Consent Needed"
    assert carol.response.headers.get("Permission-Missing") == f"<{BOB}>"
    network_is_quiet(carol, bob)
    her = handle_named("sip:carol@atlanta.example")
    network.driver.spawn(rule.reputation.allow(her, BOB, 0.0))
    carol >> signed(network, carol.invite(BOB)) << 470  # that was long ago
    network.driver.spawn(rule.reputation.allow(her, BOB, now_of(network)))
    ring(network, carol, bob)
    carol >> carol.again(carol.invite(BOB)) << 470  # unsigned, it may be anybody


def test_whom_a_user_has_called_may_call_back(network: Network, carol: Phone, bob: Phone) -> None:
    strangers(network, Treatment.REFUSE, Treatment.REFUSE)
    carol >> signed(network, carol.invite(BOB)) << 403
    network.names.host("atlanta.example", "203.0.113.40")
    there = Phone(network, "carol", "203.0.113.40", domain="atlanta.example")
    bob >> bob.invite("sip:carol@atlanta.example") << 407 >> bob.ack()
    bob >> bob.authorized() << 100
    there << "INVITE" >> there.answer(200)
    bob << 200
    ring(network, carol, bob)


def test_a_call_that_was_not_answered_is_no_consent(network: Network, carol: Phone, bob: Phone) -> None:
    strangers(network, Treatment.REFUSE, Treatment.REFUSE)
    network.names.host("atlanta.example", "203.0.113.40")
    there = Phone(network, "carol", "203.0.113.40", domain="atlanta.example")
    bob >> bob.invite("sip:carol@atlanta.example") << 407 >> bob.ack()
    bob >> bob.authorized() << 100
    there << "INVITE" >> there.answer(486)
    bob << 486
    carol >> signed(network, carol.invite(BOB)) << 403


def test_unverified_strangers_are_refused_with_what_is_missing(
    network: Network, carol: Phone, bob: Phone
) -> None:
    strangers(network, Treatment.ACCEPT, Treatment.REFUSE)
    carol >> carol.invite(BOB) << 428
    ring(network, carol, bob)
    network.services.verification = None
    carol >> carol.invite(BOB) << 403


def test_accepted_strangers_are_not_marked(network: Network, carol: Phone, bob: Phone) -> None:
    strangers(network, Treatment.ACCEPT, Treatment.ACCEPT)
    carol >> carol.invite(BOB) << 100
    bob << "INVITE"
    assert "Ringfence-Caller" not in bob.request.headers
    ring(network, carol, bob)
    assert (bob.request.headers.get("Ringfence-Caller") or "").startswith("verified;")


def test_texts_are_treated_as_calls_are(network: Network, carol: Phone, bob: Phone) -> None:
    strangers(network, Treatment.ACCEPT, Treatment.CHALLENGE)
    carol >> carol.ask("MESSAGE", BOB) << 470
    carol >> carol.ask("OPTIONS", BOB)
    bob << "OPTIONS"


def test_an_alias_is_the_same_callee(network: Network, carol: Phone, bob: Phone) -> None:
    network.account("bob", aliases=("sip:sales@example.org",))
    ring(network, carol, bob)
    bob >> bob.answer(607)
    bob << "ACK"
    carol << 607
    carol >> signed(network, carol.invite("sip:sales@example.org")) << 603

"""Calls from other domains that ask for priority: whose word counts, and what becomes of the rest (RFC 8443)."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.message import Request, sip_uri
from ringfence.roles.call import Call
from ringfence.roles.congestion import is_important
from ringfence.roles.identity import Refuse, Unproven
from ringfence.roles.steps.verify import verify_identity
from ringfence.security import passport
from ringfence.security.canonical import Party
from ringfence.security.claims import claims_for, header_for
from ringfence.security.identity import write_identity
from tests.conversations.network import Network
from tests.conversations.phones import Phone
from tests.conversations.strangers import ATLANTA, CARRIER, credential, now_of, signed, signer, verification

BOB = "sip:bob@example.org"
NUMBER = "<sip:+12155551212@carrier.example;user=phone>"
SHAKEN = {"attest": "A", "origid": "123e4567-e89b-12d3-a456-426655440000"}
AUTHORITIES = {"ets": frozenset({"atlanta.example"}), "wps": frozenset({"atlanta.example"})}


@pytest.fixture
def carol(network: Network) -> Phone:
    """The proxy of another domain, whose certificate may give priority in ets and wps."""
    network.services.verification = verification(priorities=AUTHORITIES)
    return Phone(network, "carol", "203.0.113.5", "TLS", domain="atlanta.example")


def asking(network: Network, carol: Phone, *values: str, auth: Any = None, **how: Any) -> Request:
    """A signed call with these values of Resource-Priority, and an rph token for those in ``auth``."""
    invite = signed(network, carol.invite(BOB))
    for value in values:
        invite.headers.add("Resource-Priority", value)
    if auth is not None:
        date = invite.headers.get("Date")
        signed(network, invite, ppt="rph", extra={"rph": {"auth": auth}}, **how)
        invite.headers.set("Date", date or "")
    return invite


def given(caller: Party, moment: float) -> str:
    """An Identity of the authority of ets, which speaks for nobody's address or number here."""
    url = "https://atlanta.example/cert.pem"
    claims = claims_for(caller, [Party("uri", BOB)], int(moment), extra={"rph": {"auth": ["ets.0"]}})
    return write_identity(passport.sign(signer(ATLANTA, url).key, header_for(url, "rph"), claims), url, "rph")


def asked(phone: Phone) -> list[str]:
    """The priorities that reach Bob's phone."""
    return list(phone.request.headers.all("Resource-Priority"))


@pytest.mark.rfc("8443", "4.2")
def test_a_signed_priority_arrives(network: Network, carol: Phone, bob: Phone) -> None:
    carol >> asking(network, carol, "ets.0, WPS.1", auth=["ets.0", "wps.1"]) << 100
    bob << "INVITE"
    assert asked(bob) == ["ets.0, WPS.1"]
    assert network.driver.counts["priority proven"] == 1


@pytest.mark.rfc("8443", "4.2")
@pytest.mark.parametrize("auth", [None, ["ets.1"], ["wps.0"], [], "ets.0", ["ets.0", 5], ["ets"]])
def test_a_priority_that_nobody_signed_is_taken_off_and_the_call_goes_on(
    auth: Any, network: Network, carol: Phone, bob: Phone
) -> None:
    carol >> asking(network, carol, "ets.0", auth=auth) << 100
    bob << "INVITE"
    assert asked(bob) == []
    assert (bob.request.headers.get("Ringfence-Caller") or "").startswith("verified")
    assert network.driver.counts["priority unproven"] == 1


@pytest.mark.rfc("8443", "4.2")
def test_of_several_values_the_signed_ones_stay(network: Network, carol: Phone, bob: Phone) -> None:
    carol >> asking(network, carol, "ets.0, dsn.flash", "wps.0", auth=["ets.0", "wps.0"]) << 100
    bob << "INVITE"
    assert asked(bob) == ["ets.0", "wps.0"]


@pytest.mark.rfc("8443", "4.2")
def test_a_wrong_signature_loses_the_priority_alone(network: Network, carol: Phone, bob: Phone) -> None:
    invite = asking(network, carol, "ets.0", auth=["ets.0"])
    first, second = invite.headers.all("Identity")
    token, _, rest = second.partition(";")
    invite.headers.remove("Identity")
    invite.headers.add("Identity", first)
    # The signature of the other token: it is for other claims.
    invite.headers.add(
        "Identity", f"{token.rpartition('.')[0]}.{first.partition(';')[0].rpartition('.')[2]};{rest}"
    )
    carol >> invite << 100
    bob << "INVITE"
    assert asked(bob) == []


@pytest.mark.rfc("8443", "7.2")
@pytest.mark.parametrize("auth", [["dsn.flash"], ["ets.0", "dsn.flash"]])
def test_a_signer_gives_priority_in_its_own_namespaces_alone(
    auth: list[str], network: Network, carol: Phone, bob: Phone
) -> None:
    """One foreign value spoils the token: there is only one authority per claim (section 3)."""
    carol >> asking(network, carol, *auth, auth=auth) << 100
    bob << "INVITE"
    assert asked(bob) == []


@pytest.mark.rfc("8443", "4.2")
@pytest.mark.parametrize(("value", "first"), [("ets.0", True), ("wps.0", False), ("ets.1", False)])
def test_a_signed_priority_goes_first_where_the_owner_has_named_its_namespace(
    value: str, first: bool, network: Network, carol: Phone
) -> None:
    network.policy.priority_namespaces = frozenset({"ets"})
    request = asking(network, carol, value, auth=["ets.0", "wps.0"])
    call = Call(request, None, carol.wire, network.services, sip_uri(request.uri))
    assert not is_important(call)
    call.findings.for_us = True
    verify_identity(call)
    assert is_important(call) is first


@pytest.mark.rfc("8443", "7.1")
def test_a_token_of_another_call_gives_no_priority(network: Network, carol: Phone, bob: Phone) -> None:
    first = asking(network, carol, "ets.0", auth=["ets.0"])
    carol >> first << 100
    bob << "INVITE"
    again = signed(network, carol.invite(BOB))
    again.headers.add("Identity", first.headers.all("Identity")[1])
    again.headers.add("Resource-Priority", "ets.0")
    carol >> again << 100
    bob << "INVITE"
    assert asked(bob) == []


@pytest.mark.rfc("8443", "4.2")
@pytest.mark.parametrize("age", [-120, 120])
def test_a_token_of_another_time_gives_no_priority(
    age: int, network: Network, carol: Phone, bob: Phone
) -> None:
    """Its iat is judged as that of any other token (RFC 8224 section 6.2 step 4)."""
    invite = asking(network, carol, "ets.0")
    invite.headers.add("Identity", given(Party("uri", "sip:carol@atlanta.example"), now_of(network) + age))
    carol >> invite << 100
    bob << "INVITE"
    assert asked(bob) == []


def test_a_message_of_a_stranger_has_no_priority(network: Network, carol: Phone, bob: Phone) -> None:
    """An rph token is for an INVITE; what else asks for priority has nothing that could cover it."""
    carol >> carol.ask("MESSAGE", BOB, ("Resource-Priority", "ets.0"))
    bob << "MESSAGE"
    assert asked(bob) == []


@pytest.mark.rfc("8443", "3")
def test_who_gives_priority_proves_no_caller(network: Network, carol: Phone, bob: Phone) -> None:
    """Not even where its certificate would cover the number: the token is about something else."""
    authorities = {"ets": frozenset({credential(CARRIER).fingerprint})}
    network.services.verification = verification(Refuse.UNVERIFIED, priorities=authorities)
    carrier = (CARRIER, "https://carrier.example/shaken.pem")
    invite = carol.invite(BOB, from_=NUMBER)
    invite.headers.add("Resource-Priority", "ets.0")
    signed(network, invite, *carrier, ppt="rph", extra={"rph": {"auth": ["ets.0"]}})
    carol >> invite << 428
    both = carol.invite(BOB, from_=NUMBER)
    both.headers.add("Resource-Priority", "ets.0")
    signed(network, both, *carrier, ppt="rph", extra={"rph": {"auth": ["ets.0"]}})
    signed(network, both, *carrier, ppt="shaken", extra=SHAKEN)
    carol >> both << 100
    bob << "INVITE"
    assert asked(bob) == ["ets.0"]


@pytest.mark.rfc("8443", "3")
def test_who_gives_priority_need_not_speak_for_the_number(network: Network, carol: Phone, bob: Phone) -> None:
    invite = carol.invite(BOB, from_=NUMBER)
    invite.headers.add("Resource-Priority", "ets.0")
    invite.headers.add("Identity", given(Party("tn", "12155551212"), now_of(network)))
    carol >> invite << 100
    bob << "INVITE"
    assert asked(bob) == ["ets.0"]
    assert (bob.request.headers.get("Ringfence-Caller") or "").startswith("unverified")


@pytest.mark.rfc("8443", "4.2")
@pytest.mark.parametrize("rule", [Unproven.MARK, Unproven.KEEP])
def test_the_owner_may_let_it_stay(rule: Unproven, network: Network, carol: Phone, bob: Phone) -> None:
    assert network.services.verification is not None
    network.services.verification.unproven_priority = rule
    carol >> asking(network, carol, "ets.0") << 100
    bob << "INVITE"
    assert asked(bob) == ["ets.0"]
    told = bob.request.headers.get("Ringfence-Caller") or ""
    assert (';unproven-priority="ets.0"' in told) is (rule is Unproven.MARK)


def test_a_certificate_may_be_named_by_its_fingerprint(network: Network, carol: Phone, bob: Phone) -> None:
    authorities = {"ets": frozenset({credential(ATLANTA).fingerprint})}
    network.services.verification = verification(priorities=authorities)
    carol >> asking(network, carol, "ets.0", auth=["ets.0"]) << 100
    bob << "INVITE"
    assert asked(bob) == ["ets.0"]


def test_a_malformed_priority_is_taken_off(network: Network, carol: Phone, bob: Phone) -> None:
    carol >> asking(network, carol, "urgent!", auth=["ets.0"]) << 100
    bob << "INVITE"
    assert asked(bob) == []

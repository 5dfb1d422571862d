"""RFC 3325 and RFC 5876: an asserted identity is believed inside, and decided anew at the border."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import Headers, PeerError, Request, parse_address
from ringfence.security.asserted import (
    Asserted,
    Change,
    apply,
    enter,
    leave,
    privacy_values,
)
from ringfence.security.trust import Distrust, Neighbour, TrustDomain, judge_neighbour

FLUFFY = '"Cullen Jennings" <sip:fluffy@cisco.com>'
NUMBER = "<tel:+14085264000>"
OWN = (parse_address(FLUFFY), parse_address(NUMBER))


def request(
    *fields: tuple[str, str], method: str = "INVITE", caller: str = "<sip:fluffy@cisco.com>"
) -> Request:
    return Request(
        method, "sip:+14085551212@cisco.com", Headers([("From", f"{caller};tag=9802748"), *fields])
    )


def values(asserted: Asserted) -> list[str]:
    return [str(value) for value in asserted.values]


def codes(asserted: Asserted) -> list[str]:
    return [reason.code for reason in asserted.reasons]


PAI, PPI = "P-Asserted-Identity", "P-Preferred-Identity"


@pytest.mark.rfc("3325", "10.1")
def test_an_authenticated_caller_is_asserted_with_both_identities() -> None:
    message = request(("Privacy", "id"))
    apply(message.headers, enter(message, trusted=False, identities=OWN))
    assert message.headers.all(PAI) == [FLUFFY, NUMBER]
    assert message.headers.get("Privacy") == "id"


@pytest.mark.rfc("3325", "10.2")
def test_the_preferred_identity_chooses_and_does_not_go_on() -> None:
    message = request((PPI, '"Somebody Else" <sip:fluffy@cisco.com>'))
    apply(message.headers, enter(message, trusted=False, identities=OWN))
    assert message.headers.all(PAI) == [FLUFFY]  # the network's display name, not the caller's
    assert PPI not in message.headers


@pytest.mark.rfc("3325", "6")
def test_a_preferred_identity_of_somebody_else() -> None:
    message = request((PPI, "<sip:ceo@cisco.com>"))
    with pytest.raises(PeerError) as caught:
        enter(message, trusted=False, identities=OWN)
    assert (caught.value.status, caught.value.header) == (403, PPI)
    lenient = enter(message, trusted=False, identities=OWN, strict=False)
    assert (values(lenient), codes(lenient)) == ([FLUFFY, NUMBER], [Change.NOT_OWNED])


@pytest.mark.rfc("3325", "5")
@pytest.mark.parametrize(
    ("trusted", "authenticated", "kept"),
    [
        (True, False, ["<sip:x@y.example>"]),
        (True, True, ["<sip:x@y.example>"]),
        (False, False, []),
        (False, True, [FLUFFY, NUMBER]),
    ],
)
def test_what_enters(trusted: bool, authenticated: bool, kept: list[str]) -> None:
    message = request((PAI, "<sip:x@y.example>"))
    assert values(enter(message, trusted=trusted, identities=OWN if authenticated else ())) == kept


def test_a_trusted_neighbour_that_asserts_nothing_leaves_it_to_us() -> None:
    assert values(enter(request(), trusted=True, identities=OWN)) == [FLUFFY, NUMBER]
    assert enter(request(), trusted=True) == Asserted((), ())


@pytest.mark.rfc("5876", "3.2")
@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_what_can_not_be_challenged_asserts_nobody(method: str) -> None:
    made = enter(request((PAI, FLUFFY), method=method), trusted=True, identities=OWN)
    assert (made.values, codes(made)) == ((), [Change.METHOD])


@pytest.mark.rfc("5876", "4.2")
@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE", "PUBLISH", "UPDATE", "INFO"])
def test_any_other_method_does(method: str) -> None:
    assert values(enter(request((PAI, FLUFFY), method=method), trusted=True)) == [FLUFFY]


@pytest.mark.rfc("5876", "4.5")
def test_unexpected_values_are_ignored_and_not_forwarded() -> None:
    many = (
        f"<mailto:x@y.example>, {FLUFFY}, <sips:fluffy@cisco.com>, <sip:second@cisco.com>, {NUMBER}, <tel:+1>"
    )
    message = request((PAI, many))
    made = enter(message, trusted=True)
    assert (values(made), codes(made)) == ([FLUFFY, NUMBER], [Change.IGNORED] * 4)
    apply(message.headers, made)
    assert message.headers.all(PAI) == [FLUFFY, NUMBER]


@pytest.mark.rfc("3325", "7")
@pytest.mark.parametrize(
    ("privacy", "default", "kept"),
    [
        ("id", True, False),
        ("header;id", True, False),
        ("user; ID;critical", True, False),
        ("none", False, True),
        ("header", True, True),
        ("header", False, False),
        (None, True, True),
        (None, False, False),
    ],
)
def test_what_leaves_the_trust_domain(privacy: str | None, default: bool, kept: bool) -> None:
    message = request((PAI, FLUFFY), (PAI, NUMBER), *([("Privacy", privacy)] if privacy else []))
    assert bool(leave(message, trusted=False, keep_by_default=default).values) == kept
    assert values(leave(message, trusted=True, keep_by_default=default)) == [FLUFFY, NUMBER]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["id", "ID", "none", "header", "session", "user", "critical", "x"])),
    st.booleans(),
)
def test_id_privacy_never_leaks(words: list[str], default: bool) -> None:
    message = request((PAI, FLUFFY), *([("Privacy", ";".join(words))] if words else []))
    apply(message.headers, leave(message, trusted=False, keep_by_default=default))
    wished = {word.lower() for word in words}
    assert privacy_values(message.headers) == wished
    if "id" in wished:
        assert PAI not in message.headers


def test_an_unchanged_header_field_goes_on_as_received() -> None:
    message = request((PAI, f"{FLUFFY}, {NUMBER}"))
    apply(message.headers, enter(message, trusted=True))
    assert message.headers.all(PAI) == [f"{FLUFFY}, {NUMBER}"]


# ---- the trust domain (RFC 3324) ----

DOMAIN = TrustDomain(
    frozenset({"sip.carrier.example"}), (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
)


@pytest.mark.rfc("3324", "4")
@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("name", ["sip.carrier.example", "carrier.example", None])
@pytest.mark.parametrize(
    "address", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "198.51.100.1", "fe80::1%eth0", "?"]
)
def test_inside_is_who_proves_it(secure: bool, name: str | None, address: str) -> None:
    found = judge_neighbour(DOMAIN, Neighbour(address, secure, frozenset({name} if name else ())))
    closed = address in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1")
    assert found.inside == (closed or (secure and name == "sip.carrier.example"))
    assert bool(found.evidence) == found.inside == (not found.reasons)


def test_nobody_is_inside_an_empty_domain() -> None:
    for secure, names in product((True, False), (frozenset[str](), frozenset({"a.example"}))):
        found = judge_neighbour(TrustDomain(), Neighbour("192.0.2.1", secure, names))
        expected = Distrust.PLAINTEXT if not secure else Distrust.NAME if names else Distrust.NO_CERTIFICATE
        assert [reason.code for reason in found.reasons] == [expected, Distrust.ADDRESS]

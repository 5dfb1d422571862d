"""One spelling for each caller and callee (RFC 8224 section 8)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import PeerError, SipUri, parse_uri
from ringfence.security.canonical import NumberPlan, Party, canonical_number, canonical_uri, identity_of

FINLAND = NumberPlan("358", "0", "00")


@pytest.mark.rfc("8224", "8.1")
@pytest.mark.parametrize(
    ("uri", "kind", "value"),
    [
        ("tel:+1-215-555-1212", "tn", "12155551212"),
        ("tel:+1(215)555.1212;ext=7", "tn", "12155551212"),
        ("sip:12155551212@example.com;user=phone", "tn", "12155551212"),
        ("sip:+12155551212@example.com", "tn", "12155551212"),
        ("sip:+1-215-555-1212;ext=22@example.com;user=phone", "tn", "12155551212"),
        ("sip:%2B12155551212@example.com", "tn", "12155551212"),
        ("sip:12155551212@example.com", "uri", "sip:12155551212@example.com"),  # unlabelled digits: policy
        ("sip:alice@example.com;user=phone", "uri", "sip:alice@example.com"),
        ("sip:0401234567@example.com;user=phone", "uri", "sip:0401234567@example.com"),  # no E.164 number
        ("sip:+@example.com", "uri", "sip:+@example.com"),
        ("sip:example.com", "uri", "sip:example.com"),
        ("tel:112", "tn", "112"),
        ("im:alice@example.com", "uri", "im:alice@example.com"),
    ],
)
def test_a_caller_is_a_number_or_a_uri(uri: str, kind: str, value: str) -> None:
    assert identity_of(parse_uri(uri)) == (kind, value)


@pytest.mark.rfc("8224", "8.3")
@pytest.mark.parametrize(
    ("uri", "value"),
    [
        ("sip:*67@example.com;user=phone", "*67"),
        ("sip:0401234567@example.com;user=phone", "0401234567"),
        ("tel:911", "911"),
    ],
)
def test_a_callee_may_be_a_service_number(uri: str, value: str) -> None:
    assert identity_of(parse_uri(uri), destination=True) == Party("tn", value)


@pytest.mark.rfc("8224", "8.3")
@pytest.mark.parametrize(
    ("text", "plan", "number"),
    [
        ("+358 40 123-4567", FINLAND, "358401234567"),
        ("040 123 4567", FINLAND, "358401234567"),
        ("00 1 215 555 1212", FINLAND, "12155551212"),
        ("112", FINLAND, "112"),
        ("*31#0401234567", FINLAND, "*31#0401234567"),
        ("040 123 4567", NumberPlan(), "0401234567"),
        ("nobody", NumberPlan(), ""),
    ],
)
def test_numbers_become_e164_where_the_plan_tells(text: str, plan: NumberPlan, number: str) -> None:
    assert canonical_number(text, plan) == number


@pytest.mark.rfc("8224", "8.5")
@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("sip:Alice:secret@Example.COM:5061;transport=tcp?Subject=x", "sip:alice@example.com"),
        ("SIPS:%41lice@example.com", "sips:alice@example.com"),
        ("sip:a%2fb%7e@example.com", "sip:a%2Fb~@example.com"),
        ("sip:alice@[2001:DB8::1]:5060", "sip:alice@[2001:db8::1]"),
        ("sip:alice;day=tuesday@atlanta.com", "sip:alice;day=tuesday@atlanta.com"),
    ],
)
def test_uri_normalization(uri: str, canonical: str) -> None:
    parsed = parse_uri(uri)
    assert isinstance(parsed, SipUri)
    assert canonical_uri(parsed) == canonical


@settings(max_examples=200, deadline=None)
@given(st.text("aZ%4160+-;.:@*#é ", max_size=20))
def test_a_canonical_uri_is_its_own_canonical_form(user: str) -> None:
    try:
        uri = parse_uri(f"sip:{user}@example.com")
    except PeerError:
        return
    first = identity_of(uri)
    if first.kind == "uri":
        again = parse_uri(first.value)
        assert isinstance(again, SipUri)
        assert canonical_uri(again) == first.value

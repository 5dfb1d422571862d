"""Addresses as accounts have them."""

from __future__ import annotations

import pytest

from ringfence.message import parse_uri, sip_uri
from tests.conversations.network import make_policy


@pytest.mark.rfc("3261", "10.3")
@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("sip:alice@example.org", "sip:alice@example.org"),
        ("sips:alice@example.org:5061;transport=tcp?Subject=x", "sip:alice@example.org"),
        ("sip:alice:secret@EXAMPLE.COM", "sip:alice@example.org"),
        ("sip:%61lice@192.0.2.1", "sip:alice@example.org"),
        ("sip:a%40b@example.com", "sip:a%40b@example.org"),
        ("sip:Alice@example.org", "sip:Alice@example.org"),
        ("sip:example.com", "sip:example.org"),
    ],
)
def test_the_canonical_address(text: str, aor: str) -> None:
    assert make_policy().canonical(sip_uri(text)) == aor


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("sip:alice@example.com", "sip:alice@example.org"),
        ("sips:dan@Example.NET;x=y", "sip:dan@example.net"),
        ("tel:+358-40-123;ext=1", "tel:+35840123"),
        ("urn:service:sos", "urn:service:sos"),
    ],
)
def test_an_address_of_any_kind(text: str, address: str) -> None:
    assert make_policy().address_of(parse_uri(text)) == address

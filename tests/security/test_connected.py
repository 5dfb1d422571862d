"""RFC 4916: the callee that was reached by retargeting tells who it is, and its domain signs that."""

from __future__ import annotations

import pytest

from ringfence.message import Headers, Request
from ringfence.security.canonical import Party
from ringfence.security.connected import takes_from_change
from ringfence.security.verification import verify_request
from tests.security.calls import KNOWN, invite, signed
from tests.security.pki import NOW


def update(caller: str) -> Request:
    request = invite(caller, "<sip:alice@example.net>;tag=13adc987", "sip:alice@ua1.example.net")
    request.method = "UPDATE"
    return request


@pytest.mark.rfc("4916", "5.1")
def test_carol_answers_the_call_that_was_for_bob() -> None:
    """The call flow of RFC 4916 section 5.1, signed by RFC 8224 instead of RFC 4474."""
    verdict = verify_request(signed(update("Carol <sip:Carol@example.com>")), KNOWN, NOW)
    assert verdict.who == Party("uri", "sip:carol@example.com")
    assert verdict.evidence == "PASSporT signed by example.com"


@pytest.mark.rfc("4916", "4.1")
def test_the_option_tag() -> None:
    assert takes_from_change(Headers([("Supported", "100rel, From-Change")]))
    assert not takes_from_change(Headers([("Supported", "100rel")]))
    assert not takes_from_change(Headers())

"""Where the requests of a dialog go (RFC 3261 sections 12.1 and 12.2.1.1)."""

from __future__ import annotations

import pytest

from ringfence.engine.routing import (
    as_request_uri,
    contact_of,
    needs_sips_contact,
    next_hop,
    route_of_request,
    route_of_response,
)
from ringfence.message import PeerError, response_to, sip_uri
from tests.conversations.playbook import request


@pytest.mark.rfc("3261", "12.1.1")
def test_the_two_ends_see_the_route_from_their_side() -> None:
    asked = request(headers=(("Record-Route", "<sip:c;lr>;p=1, <sip:b;lr>"), ("Record-Route", "<sip:a;lr>")))
    assert route_of_request(asked) == ("<sip:c;lr>;p=1", "<sip:b;lr>", "<sip:a;lr>")
    assert route_of_response(response_to(asked, 200)) == ("<sip:a;lr>", "<sip:b;lr>", "<sip:c;lr>;p=1")


def test_a_route_of_something_else_is_refused() -> None:
    with pytest.raises(PeerError, match="scheme"):
        route_of_request(request(headers=(("Record-Route", "<http://example.org;lr>"),)))


@pytest.mark.rfc("3261", "12.2.1.1")
def test_the_next_hop() -> None:
    assert next_hop("sip:u@h", ()) == ("sip:u@h", ())
    assert next_hop("sip:u@h", ("<sip:a;lr>", "<sip:b>")) == ("sip:u@h", ("<sip:a;lr>", "<sip:b>"))
    assert next_hop("sip:u@h", ("<sip:a>", "<sip:b>")) == ("sip:a", ("<sip:b>", "<sip:u@h>"))


@pytest.mark.rfc("3261", "19.1.1")
@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("sip:u@h;transport=tcp;x=y", "sip:u@h;transport=tcp;x=y"),
        ("sip:u@h;method=INVITE;x=y", "sip:u@h;x=y"),
        ("sip:u@h:5070?Subject=hi", "sip:u@h:5070"),
    ],
)
def test_what_stands_in_a_request_uri(text: str, fit: str) -> None:
    assert as_request_uri(sip_uri(text)) == fit
    assert contact_of(request(headers=(("Contact", f"<{text}>"),)), secure=False) == fit


def test_no_contact_is_none() -> None:
    assert contact_of(request(), secure=True) is None


@pytest.mark.rfc("3261", "12.1.1")
@pytest.mark.parametrize(
    ("uri", "headers", "needed"),
    [
        ("sips:bob@example.net", (), True),
        ("SIPS:bob@example.net", (), True),
        ("sip:bob@example.net", (), False),
        ("sip:bob@example.net", (("Record-Route", "<sips:p;lr>"),), True),
        (
            "sip:bob@example.net",
            (("Record-Route", "<sip:p;lr>, <sips:q;lr>"), ("Contact", "<sips:a@x>")),
            False,
        ),
        ("sip:bob@example.net", (("Contact", "<sips:a@x>"),), True),
        ("sip:bob@example.net", (("Contact", "<sip:a@x>"),), False),
    ],
)
def test_when_our_contact_must_be_sips(uri: str, headers: tuple[tuple[str, str], ...], needed: bool) -> None:
    assert needs_sips_contact(request(uri=uri, headers=headers)) is needed

"""All that is wrong with a message, beyond what it takes to route it."""

from __future__ import annotations

import pytest
from hypothesis import given

from ringfence.message import Request, Response, parse
from ringfence.message.validate import validate
from tests.message.samples import invite_bytes, messages


def faults(data: bytes) -> list[tuple[int, str | None]]:
    return [(error.status, error.header) for error in validate(parse(data))]


def other(method: str, *extra: str, contact: str | None = "<sip:a@h>") -> bytes:
    change = {"CSeq": f"1 {method}", "Contact": contact, "Content-Type": None}
    return invite_bytes(change, start=f"{method} sip:b@h SIP/2.0", extra=extra, body=b"")


def test_a_good_message_has_no_fault() -> None:
    assert faults(invite_bytes()) == []
    assert faults(invite_bytes(start="SIP/2.0 200 OK")) == []


@given(messages())
def test_what_we_write_has_at_most_policy_faults(message: Request | Response) -> None:
    names = {error.header for error in validate(parse(message.to_bytes()))}
    assert names <= {None, "Contact", "Content-Type", "Event", "Refer-To", "RAck"}


def test_every_known_field_is_read() -> None:
    extra = ("Date: today", "Accept: x", "X-Foo: ;;,,", "Retry-After: soon", "Reason: ;;", "Via: x")
    assert [header for _, header in faults(invite_bytes(extra=extra))] == [
        "Via", "Date", "Accept", "Retry-After", "Reason",
    ]  # fmt: skip


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize(
    "line",
    ["Max-Forwards: 5", "Content-Type: application/sdp", "Subject: a\r\nSubject: b", "Date: x\r\nDate: x"],
)
def test_single_fields_may_stand_once(line: str) -> None:
    found = validate(parse(invite_bytes(extra=(line,))))
    assert any(error.reason == "stands more than once" for error in found)


@pytest.mark.parametrize(
    "line", ["Authorization: Digest realm=a", "Identity: a.b.c", "X-Foo: 1", "P-DCS-LAES: 1"]
)
def test_others_may_stand_again(line: str) -> None:
    assert faults(invite_bytes(extra=(line, line))) == []


@pytest.mark.rfc("3261", "20.15")
def test_a_body_has_a_type() -> None:
    assert faults(invite_bytes({"Content-Type": None})) == [(400, "Content-Type")]
    assert faults(invite_bytes({"Content-Type": None}, body=b"")) == []


@pytest.mark.rfc("3261", "8.1.1.8")
def test_contact_is_needed_where_a_dialog_may_begin() -> None:
    assert faults(invite_bytes({"Contact": None})) == [(400, "Contact")]
    assert faults(invite_bytes({"Contact": "<sip:a@h>, <sip:b@h>"})) == [(400, "Contact")]
    assert faults(invite_bytes({"Contact": None}, start="SIP/2.0 200 OK")) == [(400, "Contact")]
    assert faults(invite_bytes({"Contact": None}, start="SIP/2.0 486 Busy Here")) == []
    assert faults(other("OPTIONS", contact=None)) == []
    old = {"Via": "SIP/2.0/UDP h;branch=1", "Contact": None}
    assert faults(invite_bytes(old)) == []  # RFC 2543 had no such rule


@pytest.mark.parametrize(
    ("method", "line", "missing"),
    [
        ("PRACK", "RAck: 1 2 INVITE", "RAck"),
        ("SUBSCRIBE", "Event: presence", "Event"),
        ("PUBLISH", "Event: presence", "Event"),
        ("NOTIFY", "Event: presence\r\nSubscription-State: active", "Event"),
        ("REFER", "Refer-To: <sip:c@h>", "Refer-To"),
    ],
)
def test_what_methods_need(method: str, line: str, missing: str) -> None:
    assert faults(other(method, line)) == []
    assert (400, missing) in faults(other(method))


@pytest.mark.rfc("3261", "10.2.2")
def test_star_stands_alone_in_a_register_that_expires() -> None:
    assert faults(other("REGISTER", "Expires: 0", contact="*")) == []
    assert faults(other("REGISTER", "Expires: 5", contact="*")) == [(400, "Contact")]
    assert faults(other("REGISTER", contact="*")) == [(400, "Contact")]
    assert faults(other("REGISTER", "Expires: 0", "Contact: <sip:a@h>", contact="*")) == [(400, "Contact")]
    assert faults(other("OPTIONS", "Expires: 0", contact="*")) == [(400, "Contact")]


@pytest.mark.parametrize("params", ["q=2", "reg-id=0", '+sip.instance="x"'])
def test_contact_parameters(params: str) -> None:
    assert faults(other("REGISTER", contact=f"<sip:a@h>;{params}")) == [(400, "Contact")]


@pytest.mark.rfc("3261", "19.1.1")
@pytest.mark.parametrize(
    "uri", ["<sip:b@h>", "sip:b@h?Route=x", "sip:b@h;method=BYE", "sip:b@h;", "nothing", "*"]
)
def test_the_request_uri(uri: str) -> None:
    assert faults(invite_bytes(start=f"INVITE {uri} SIP/2.0")) == [(400, None)]


def test_an_unknown_scheme_is_well_formed() -> None:
    assert faults(invite_bytes(start="INVITE urn:service:sos SIP/2.0")) == []


def test_text_is_utf8() -> None:
    bad = invite_bytes(extra=("Subject: x", "X-Foo: x")).replace(b": x", b": \xff")
    assert faults(bad) == [(400, "Subject"), (400, "X-Foo")]
    assert faults(invite_bytes(start="SIP/2.0 200 \udcff")) == [(400, None)]


@pytest.mark.rfc("3262", "7.1")
def test_rseq_stands_in_provisional_responses() -> None:
    assert faults(invite_bytes(start="SIP/2.0 183 Progress", extra=("RSeq: 1",))) == []
    assert faults(invite_bytes(start="SIP/2.0 200 OK", extra=("RSeq: 1",))) == [(400, "RSeq")]

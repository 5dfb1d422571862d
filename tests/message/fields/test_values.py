"""What the typed values say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ringfence.message import PeerError, parse_address
from ringfence.message.fields import (
    AUTHORIZATION,
    DATE,
    EVENT,
    IDENTITY,
    PRIVACY,
    RACK,
    REASON,
    REPLACES,
    RETRY_AFTER,
    SECURITY_SERVER,
    SESSION_EXPIRES,
    SUBSCRIPTION_STATE,
    TARGET_DIALOG,
    TIMESTAMP,
    VIA,
    WARNING,
    Via,
    format_date,
    make_reason,
)
from ringfence.message.fields.contact import expires, features, instance, reg_id, thousandths
from ringfence.message.params import parse_params


@pytest.mark.rfc("3261", "20.17")
def test_date() -> None:
    when = DATE.parse("Sat, 13 Nov 2010 23:29:00 GMT")
    assert when == datetime(2010, 11, 13, 23, 29, tzinfo=UTC)
    assert format_date(when) == "Sat, 13 Nov 2010 23:29:00 GMT"
    east = datetime(2010, 11, 14, 1, 29, tzinfo=timezone(timedelta(hours=2)))
    assert format_date(east) == "Sat, 13 Nov 2010 23:29:00 GMT"
    for wrong in (
        "Sat, 13 Nov 2010 23:29:00 gmt", "sat, 13 Nov 2010 23:29:00 GMT", "Sat, 31 Feb 2010 23:29:00 GMT",
        "Sat, 13 Nov 2010 24:00:00 GMT", "Sat, 13 Nov 10 23:29:00 GMT", "Saturday, 13-Nov-10 23:29:00 GMT",
        "Sat, 1 Nov 2010 23:29:00 GMT", "Sat, 13 Nov 2010 23:29:00 +0000", "Sat, 13 Nov 0000 23:29:00 GMT",
    ):  # fmt: skip
        with pytest.raises(PeerError):
            DATE.parse(wrong)


@pytest.mark.rfc("3261", "20.42")
def test_via() -> None:
    via = VIA.parse("SIP/2.0/udp First.Example.com:4000;rport;received=192.0.2.207;BRANCH=z9hG4bK776asdhds")
    assert (via.transport, via.host, via.port) == ("UDP", "First.Example.com", 4000)
    assert (via.sent_by, via.branch, via.received) == (
        "first.example.com:4000",
        "z9hG4bK776asdhds",
        "192.0.2.207",
    )
    assert via.wants_rport
    assert via.rport is None
    answered = via.with_param("rport", "5061")
    assert (answered.rport, answered.wants_rport) == (5061, False)
    assert VIA.parse(str(answered)) == answered
    assert hash(VIA.parse(str(via))) == hash(via)
    assert str(Via("TLS", "[::1]", 5061)) == "SIP/2.0/TLS [::1]:5061"


@pytest.mark.rfc("6665", "8.2")
def test_events() -> None:
    event = EVENT.parse("presence.winfo;id=7")
    assert (event.package, event.id) == ("presence.winfo", "7")
    state = SUBSCRIPTION_STATE.parse("Terminated;reason=noresource;expires=0;retry-after=30")
    assert (state.state, state.reason, state.expires, state.retry_after) == (
        "terminated",
        "noresource",
        0,
        30,
    )


@pytest.mark.rfc("3262", "7.2")
def test_rack() -> None:
    assert RACK.parse("776656 1 INVITE") == (776656, 1, "INVITE")


@pytest.mark.rfc("3326", "2")
def test_reason() -> None:
    reason = REASON.parse('SIP;cause=600;text="Busy \\"Everywhere\\""')
    assert (reason.protocol, reason.cause, reason.text) == ("SIP", 600, 'Busy "Everywhere"')
    assert str(make_reason("Q.850", 16, "Terminated")) == 'Q.850;cause=16;text="Terminated"'
    assert REASON.parse(str(make_reason("SIP", 200))).text is None


@pytest.mark.rfc("3891", "6.1")
def test_dialog_names() -> None:
    replaces = REPLACES.parse("12345@149.112.118.3;to-tag=12345;from-tag=54321;early-only")
    assert (replaces.call_id, replaces.to_tag, replaces.from_tag) == ("12345@149.112.118.3", "12345", "54321")
    assert replaces.early_only
    assert TARGET_DIALOG.parse("a;local-tag=1;remote-tag=2").from_tag == "2"


@pytest.mark.rfc("4028", "4")
def test_session_expires() -> None:
    assert SESSION_EXPIRES.parse("1800;refresher=UAC").refresher == "uac"
    assert SESSION_EXPIRES.parse("1800").refresher is None


@pytest.mark.rfc("3261", "20.33")
def test_retry_after() -> None:
    value = RETRY_AFTER.parse("18000 (in a meeting);duration=3600")
    assert (value.seconds, value.comment, value.duration) == (18000, "(in a meeting)", 3600)


@pytest.mark.rfc("3261", "20.38")
def test_timestamp_is_echoed_as_text() -> None:
    assert TIMESTAMP.parse("054.20 0.50") == ("054.20", "0.50")


@pytest.mark.rfc("3261", "20.43")
def test_warning() -> None:
    warning = WARNING.parse('370 devnull "Choose a \\"bigger\\" pipe"')
    assert warning == (370, "devnull", 'Choose a "bigger" pipe')


@pytest.mark.rfc("3323", "4.2")
def test_privacy() -> None:
    assert PRIVACY.parse("Header; session;critical") == ("header", "session", "critical")
    assert PRIVACY.parse("id, critical") == ("id", "critical")


@pytest.mark.rfc("3329", "2.2")
def test_security_mechanisms() -> None:
    mechanism = SECURITY_SERVER.parse("TLS;q=0.2")
    assert (mechanism.name, mechanism.preference) == ("tls", 200)
    assert SECURITY_SERVER.parse("digest").preference == 1000


@pytest.mark.rfc("8224", "4")
def test_identity() -> None:
    identity = IDENTITY.parse("a.b.c;info=<https://example.org/cert>;alg=ES256;ppt=shaken")
    assert (identity.token, identity.info) == ("a.b.c", "https://example.org/cert")
    assert identity.params.get("ppt") == "shaken"
    assert IDENTITY.parse(str(identity)) == identity
    assert IDENTITY.parse('"abc="').info == ""


@pytest.mark.rfc("3261", "20.7")
def test_credentials() -> None:
    value = AUTHORIZATION.parse('Digest username="a\\"b", uri="sip:h;a,b", nc=00000001')
    assert value.scheme == "Digest"
    assert value.params.get("username") == 'a"b'
    assert value.params.raw("uri") == '"sip:h;a,b"'
    assert str(value) == 'Digest username="a\\"b", uri="sip:h;a,b", nc=00000001'
    assert str(AUTHORIZATION.parse("Bearer abc==")) == "Bearer abc=="


@pytest.mark.rfc("3261", "25.1")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 1000),
        (";q=1", 1000),
        (";q=1.000", 1000),
        (";q=0", 0),
        (";q=0.5", 500),
        (";q=0.001", 1),
        (";q=0.", 0),
    ],
)
def test_q_values(text: str, value: int) -> None:
    assert thousandths(parse_params(text)) == value


@pytest.mark.parametrize("text", [";q", ";q=2", ";q=1.001", ";q=0.1234", ";q=.5", ";q=-1", ";q=abc"])
def test_what_is_no_q_value(text: str) -> None:
    with pytest.raises(PeerError):
        thousandths(parse_params(text))


@pytest.mark.rfc("3261", "20.10")
@pytest.mark.parametrize(
    ("text", "value"),
    [("60", 60), ("0", 0), ("x", None), ("-1", None), ("280297596632815", None), ("", None)],
)
def test_a_malformed_expires_of_a_contact_is_as_if_absent(text: str, value: int | None) -> None:
    assert expires(parse_address(f'<sip:a@h>;expires="{text}"')) == value
    assert expires(parse_address("<sip:a@h>")) is None


@pytest.mark.rfc("5626", "4")
def test_instance_and_flow() -> None:
    contact = parse_address(
        '<sip:a@h>;reg-id=1;+sip.instance="<urn:uuid:0C67446E-F1A1-11D9-94D3-000A95A0E128>"'
    )
    assert instance(contact) == "urn:uuid:0C67446E-F1A1-11D9-94D3-000A95A0E128"
    assert reg_id(contact) == 1
    assert instance(parse_address("<sip:a@h>")) is None
    assert reg_id(parse_address("<sip:a@h>")) is None
    for wrong in ("reg-id=0", "reg-id=x", "reg-id=2147483648"):
        with pytest.raises(PeerError) as caught:
            reg_id(parse_address(f"<sip:a@h>;{wrong}"))
        assert caught.value.header == "Contact"
    for wrong in ('"urn:x"', '"<>"', '""'):
        with pytest.raises(PeerError):
            instance(parse_address(f"<sip:a@h>;+sip.instance={wrong}"))


@pytest.mark.rfc("3840", "9")
def test_features() -> None:
    contact = parse_address('<sip:a@h>;Audio;methods="INVITE, BYE";+sip.instance="<urn:a,b>";expires=5;q=0.1')
    assert features(contact.params) == {
        "audio": ("TRUE",),
        "methods": ("INVITE", "BYE"),
        "+sip.instance": ("<urn:a,b>",),
    }

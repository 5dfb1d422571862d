"""A proxy changes what it must, and nothing else (RFC 3261 section 16.6 step 1): byte for byte."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet

CHANGED = ("Via", "Max-Forwards", "Max-Breadth", "Record-Route", "Ringfence-Caller")


@pytest.fixture
def dan(network: Network) -> Phone:
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


def lines(data: bytes, *without: str) -> list[str]:
    """The header lines and the body, but for those that a proxy changes."""
    head, _, body = data.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
    kept = head.split("\r\n")[1:]
    folded: list[str] = []
    for line in kept:
        if line[:1] in " \t":
            folded[-1] += "\r\n" + line
        else:
            folded.append(line)
    names = {name.lower() for name in without}
    return [line for line in folded if line.split(":")[0].strip().lower() not in names] + [body]


ODD = (
    "FROBNICATE {uri} SIP/2.0\r\n"
    "v: SIP/2.0/UDP 203.0.113.9:5060;rport;branch=z9hG4bKodd\r\n"
    'f:"Dan, \\"the\\" man"   <sip:dan@example.net;x=%41> ;  tag = abc;odd\r\n'
    "t: <sip:bob@example.org>\r\n"
    "i: odd-call@203.0.113.9\r\n"
    "CSeq:  0007\tFROBNICATE\r\n"
    "max-forwards :70\r\n"
    "s: =?a subject?= \xc3\xa4\xc3\xb6\r\n"
    "Subject: twice\r\n"
    "X-Folded: one,\r\n   two,\r\n\tthree\r\n"
    "X-Empty:\r\n"
    "m: <sip:dan@203.0.113.9>;expires=10,<sip:dan@example.net>\r\n"
    "Content-Encoding: gzip, x-odd\r\n"
    'c: application/octet-stream;a="b;c"\r\n'
    "l:   8\r\n"
    "\r\n"
)


@pytest.mark.rfc("3261", "16.6")
@pytest.mark.rfc("3261", "7.3.1")
def test_a_request_passes_byte_for_byte(network: Network, dan: Phone, bob: Phone) -> None:
    """Compact names, folding, odd spacing, repeated and unknown fields, binary bodies."""
    data = ODD.format(uri="sip:bob@example.org").encode("latin-1") + b"\x00\x01\r\n\xff\xfe:;"
    received: list[bytes] = []
    wire = network.wires.wire("UDP", bob.wire.remote)
    network.carry = lambda data, to: received.append(data) if to is wire else None  # type: ignore[method-assign]
    network.deliver(data, dan.wire)
    (sent,) = received
    assert sent.startswith(f"FROBNICATE {bob.contact} SIP/2.0\r\n".encode())
    assert lines_of(sent) == lines_of(data)


def lines_of(data: bytes) -> list[str]:
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1").replace("\r\n ", "\n ").replace("\r\n\t", "\n\t").split("\r\n")[1:]
    changed = ("via:", "v:", "max-forwards", "max-breadth")
    return [line for line in text if not line.lower().startswith(changed)] + [body.decode("latin-1")]


@pytest.mark.rfc("3261", "16.7")
def test_a_response_passes_but_for_our_via(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    response = bob.answer(299, ("X-Folded", "a"), ("Server", "odd  one"), ("Warning", "is not read"))
    data = response.to_bytes().replace(b"X-Folded: a", b"X-Folded: a,\r\n b").replace(b"Server:", b"SERVER :")
    received: list[bytes] = []
    network.carry = lambda data, to: received.append(data)  # type: ignore[method-assign]
    network.deliver(data, bob.wire)
    (sent,) = received
    assert lines_of(sent) == lines_of(data)
    assert sent.split(b"\r\n")[0] == data.split(b"\r\n")[0]
    assert sent.count(b"Via:") == 1


METHODS = {
    "PRACK": (("RAck", "1 1 INVITE"),),
    "UPDATE": (("Contact", "<sip:dan@203.0.113.9>"),),
    "SUBSCRIBE": (("Event", "presence"), ("Expires", "600")),
    "NOTIFY": (("Event", "presence"), ("Subscription-State", "active;expires=600")),
    "MESSAGE": (("Expires", "30"),),
    "REFER": (("Refer-To", "<sip:carol@example.net?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>"),),
    "INFO": (("Info-Package", "dtmf"),),
    "PUBLISH": (("SIP-If-Match", "x"), ("Event", "presence")),
}


@pytest.mark.rfc("3261", "16.3")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_passes_untouched_outside_a_dialog(dan: Phone, bob: Phone, method: str) -> None:
    request = dan.ask(method, bob.aor, *METHODS[method], body=b"<body/>")
    dan >> request
    bob << method
    assert lines(bob.request.to_bytes(), *CHANGED) == lines(request.to_bytes(), *CHANGED)
    bob >> bob.answer(202, ("X-Extra", "1"))
    dan << 202
    assert dan.response.headers.get("X-Extra") == "1"


@pytest.mark.rfc("3261", "16.3")
@pytest.mark.parametrize("method", METHODS)
def test_and_inside_one(dan: Phone, bob: Phone, method: str) -> None:
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200
    dan.begin()
    request = dan.within(method, *METHODS[method], body=b"<body/>")
    dan >> request
    bob << method
    changed = (*CHANGED, "Route")
    assert lines(bob.request.to_bytes(), *changed) == lines(request.to_bytes(), *changed)
    assert "Route" not in bob.request.headers
    bob >> bob.answer(200)
    dan << 200


@pytest.mark.rfc("3262", "3")
def test_reliable_provisional_responses_pass(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor, ("Supported", "100rel")) << 100
    bob << "INVITE"
    ringing = bob.answer(183, ("Require", "100rel"), ("RSeq", "1"))
    bob >> ringing
    dan << 183
    dan.begin()
    assert dan.response.headers.get("RSeq") == "1"
    dan >> dan.within("PRACK", ("RAck", "1 1 INVITE"))
    bob << "PRACK" >> bob.answer(200)
    dan << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "16.6")
def test_a_missing_content_length_is_added(network: Network, dan: Phone, bob: Phone) -> None:
    request = dan.ask("MESSAGE", bob.aor, body=b"hello")
    request.headers.remove("Content-Length")
    dan >> request
    bob << "MESSAGE"
    assert bob.request.headers.get("Content-Length") == "5"
    assert bob.request.body == b"hello"


@pytest.mark.rfc("3261", "7.3.1")
def test_via_lists_and_lines_are_the_same(dan: Phone, bob: Phone) -> None:
    request = dan.ask("MESSAGE", bob.aor)
    request.headers.set(
        "Via", f"{dan.via()}, SIP/2.0/TCP p1.example.net;branch=z9hG4bK1 , SIP/2.0/UDP p0.example.net"
    )
    dan >> request
    bob << "MESSAGE"
    hosts = [value.split()[1].split(";")[0].split(":")[0] for value in bob.request.headers.values("Via")]
    assert hosts == ["192.0.2.1", "203.0.113.9", "p1.example.net", "p0.example.net"]
    bob >> bob.answer(200)
    dan << 200
    assert len(dan.response.headers.values("Via")) == 3


@pytest.mark.rfc("3581", "4")
def test_rport_and_received_are_filled_in(network: Network, bob: Phone) -> None:
    dan = Phone(network, "dan", "10.0.0.9", domain="example.net", behind="203.0.113.99")
    dan >> dan.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    via = bob.request.headers.values("Via")[1]
    assert f";rport={dan.wire.remote.port};received=203.0.113.99" in via
    bob >> bob.answer(200)
    dan << 200
    assert dan.arrived_by is dan.wire


@pytest.mark.rfc("3261", "18.2.2")
def test_without_rport_responses_go_to_the_port_of_the_via(network: Network, bob: Phone) -> None:
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net", behind="203.0.113.9")
    request = dan.ask("MESSAGE", bob.aor)
    request.headers.set("Via", "SIP/2.0/UDP 203.0.113.9:5070;branch=z9hG4bKnr")
    dan >> request
    bob << "MESSAGE" >> bob.answer(200)
    dan << 200
    assert dan.arrived_by.remote == ("203.0.113.9", 5070)


def test_a_phone_behind_nat_without_rport_is_answered_where_it_speaks_from(
    network: Network, bob: Phone
) -> None:
    dan = Phone(network, "dan", "10.0.0.9", domain="example.net", behind="203.0.113.99")
    request = dan.ask("MESSAGE", bob.aor)
    request.headers.set("Via", "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKnat")
    dan >> request
    bob << "MESSAGE" >> bob.answer(200)
    dan << 200
    assert dan.arrived_by is dan.wire


@pytest.mark.rfc("5118", "4")
def test_ipv6_on_both_sides(network: Network) -> None:
    network.account("carol")
    carol = Phone(network, "carol", "2001:db8::30")
    carol >> carol.register() << 401 >> carol.authorized() << 200
    dan = Phone(network, "dan", "2001:db8::9", domain="example.net")
    dan >> dan.invite("sip:carol@[2001:DB8::1]") << 100
    carol << "INVITE"
    assert carol.request.via.host == "[2001:db8::1]"
    carol >> carol.answer(200)
    dan << 200
    dan.begin()
    dan >> dan.within("ACK")
    carol << "ACK" >> carol.within("BYE")
    dan << "BYE" >> dan.answer(200)
    carol << 200
    network_is_quiet(dan, carol)

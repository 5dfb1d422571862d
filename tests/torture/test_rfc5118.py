"""RFC 5118: IPv6 in SIP messages."""

from __future__ import annotations

import pytest

from ringfence.message import Request, parse, sip_uri
from ringfence.message.fields import VIA
from tests.torture.judge import judge, load, stored

VALID = {
    "ipv6-good", "port-ambiguous", "port-unambiguous", "via-received-param-with-delim",
    "via-received-param-no-delim", "ipv6-in-sdp", "mult-ip-in-header", "mult-ip-in-sdp", "ipv4-mapped-ipv6",
    "ipv6-correct-abnf-2-colons",
}  # fmt: skip
INVALID = {"ipv6-bad", "ipv6-bug-abnf-3-colons"}


def request(name: str) -> Request:
    message = parse(load("rfc5118", name))
    assert isinstance(message, Request)
    return message


def test_every_message_of_the_rfc_is_here_and_is_tested() -> None:
    assert stored("rfc5118") == VALID | INVALID


@pytest.mark.rfc("5118", "4")
@pytest.mark.parametrize("name", sorted(VALID))
def test_well_formed(name: str) -> None:
    data = load("rfc5118", name)
    judgement = judge(data)
    assert judgement.faults == ()
    assert judgement.message is not None
    assert judgement.message.to_bytes() == data


@pytest.mark.rfc("5118", "4.2")
@pytest.mark.parametrize("name", sorted(INVALID))
def test_malformed(name: str) -> None:
    assert judge(load("rfc5118", name)).faults[0] == (400, None)  # the Request-URI


@pytest.mark.rfc("5118", "4.3")
def test_the_port_is_inside_or_outside_the_brackets() -> None:
    inside, outside = (sip_uri(request(f"port-{kind}").uri) for kind in ("ambiguous", "unambiguous"))
    assert (inside.address, inside.port) == ("2001:db8::10:5070", None)
    assert (outside.address, outside.port) == ("2001:db8::10", 5070)


@pytest.mark.rfc("5118", "4.5")
def test_received_with_and_without_brackets() -> None:
    assert request("via-received-param-with-delim").via.received == "[2001:db8::9:255]"
    assert request("via-received-param-no-delim").via.received == "2001:db8::9:255"


@pytest.mark.rfc("5118", "4.7")
def test_several_families_in_one_message() -> None:
    vias = request("mult-ip-in-header").headers.every(VIA)
    assert [via.sent_by for via in vias] == ["[2001:db8::9:1]:6050", "192.0.2.1", "[2001:db8::9:255]"]
    assert vias[2].received == "192.0.2.200"


@pytest.mark.rfc("5118", "4.9")
def test_mapped_addresses() -> None:
    vias = request("ipv4-mapped-ipv6").headers.every(VIA)
    assert [(via.host, via.port) for via in vias] == [
        ("[::ffff:192.0.2.10]", 19823),
        ("[::ffff:192.0.2.2]", None),
    ]


@pytest.mark.parametrize(("name", "printed", "faults"), [
    ("ipv6-in-sdp", b"268", ((400, "Content-Length"),)),  # longer than the datagram
    ("mult-ip-in-sdp", b"181", ()),  # shorter: the rest is cut off
    ("ipv4-mapped-ipv6", b"236", ()),
])  # fmt: skip
def test_the_wrong_lengths_that_the_rfc_prints(
    name: str, printed: bytes, faults: tuple[tuple[int, str | None], ...]
) -> None:
    data = load("rfc5118", name)
    right = str(len(request(name).body)).encode()
    assert judge(data.replace(b"Content-Length: " + right, b"Content-Length: " + printed)).faults == faults

"""Who is behind NAT."""

from __future__ import annotations

import pytest

from ringfence.message import SipUri
from ringfence.roles.call import Call, Target
from ringfence.roles.nat import callee_behind_nat, caller_behind_nat, media_host, other_version, same_host
from tests.conversations.network import Network
from tests.conversations.phones import Phone


def call(host: str, behind: str | None = None) -> Call:
    network = Network()
    phone = Phone(network, "alice", host, behind=behind)
    request = phone.invite("sip:bob@example.org")
    uri = request.target
    assert isinstance(uri, SipUri)
    return Call(request, None, phone.wire, network.services, uri)


@pytest.mark.parametrize(
    ("host", "behind", "told", "nat"),
    [
        ("10.0.0.5", "198.51.100.9", "10.0.0.5", True),
        ("10.0.0.5", "198.51.100.9", "", True),  # it has made no offer yet
        ("10.0.0.5", "198.51.100.9", "198.51.100.9", False),  # it knows better by now (STUN)
        ("10.0.0.5", None, "10.0.0.5", False),  # the same network
        ("198.51.100.9", None, "198.51.100.77", False),  # a gateway with another address for media
        ("198.51.100.9", None, "10.0.0.5", True),
        ("203.0.113.5", "198.51.100.9", "203.0.113.5", True),
        ("2001:db8::5", None, "2001:DB8:0::5", False),
        ("2001:db8::5", None, "fd00::5", True),
    ],
)
def test_a_caller_behind_nat(host: str, behind: str | None, told: str, nat: bool) -> None:
    assert caller_behind_nat(call(host, behind), told) is nat


def test_behind_a_proxy_nobody_is_judged() -> None:
    made = call("10.0.0.5", "198.51.100.9")
    made.request.headers.add("Via", "SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKx")
    assert not caller_behind_nat(made, "10.0.0.5")


@pytest.mark.parametrize(
    ("contact", "registered", "nat"),
    [
        ("sip:bob@10.0.0.5", True, True),
        ("sip:bob@198.51.100.9", True, False),
        ("sip:bob@10.0.0.5", False, False),  # somebody elsewhere
        ("sip:bob@phone.example.org", True, False),
        ("sip:x@b0b.invalid;transport=ws", True, True),
    ],
)
def test_a_callee_behind_nat(contact: str, registered: bool, nat: bool) -> None:
    assert callee_behind_nat(Target(contact, registered=registered), call("198.51.100.9").flow) is nat


def test_a_callee_behind_a_proxy_is_the_proxy_s_affair() -> None:
    target = Target("sip:bob@10.0.0.5", ("<sip:edge.example.org;lr>",), registered=True)
    assert not callee_behind_nat(target, call("198.51.100.9").flow)


def test_addresses() -> None:
    assert same_host("2001:db8::1", "2001:DB8:0:0::1")
    assert not same_host("2001:db8::1", "2001:db8::2")
    assert not same_host("a:b", "x")
    assert media_host(b"v=0\r\nc=IN IP6 ::1\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n") == "::1"
    assert media_host(b"") == media_host(b"x c=IN IP4 192.0.2.1") == ""
    flow = call("198.51.100.9").flow
    assert other_version("::1", flow)
    assert not other_version("192.0.2.1", flow)
    assert not other_version("", flow)

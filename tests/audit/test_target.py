"""What people type, and where it leads."""

from __future__ import annotations

import pytest

from ringfence.audit.target import Target, find, of_config, read
from ringfence.message import LocalError
from ringfence.service.config import Config
from ringfence.service.sections import Domain, Listen
from ringfence.transport.resolver import Resolver


def resolver() -> Resolver:
    return Resolver(
        [("127.0.0.1", 9)], hosts={"sip.example.org": ["192.0.2.1"]}, hosts_file=None, timeout=0.2
    )


async def found(text: str, *also: str, domain: str | None = None) -> Target:
    asked = resolver()
    try:
        return await find(text, domain, also, asked)
    finally:
        await asked.close()


def places(target: Target) -> set[str]:
    return {str(place) for place in target.places}


@pytest.mark.rfc("3263", "4.1")
async def test_a_name_is_tried_with_every_transport() -> None:
    target = await found("sip.example.org")
    assert places(target) == {
        "udp 192.0.2.1:5060",
        "tcp 192.0.2.1:5060",
        "tls 192.0.2.1:5061",
        "ws 192.0.2.1:80",
        "wss 192.0.2.1:443",
    }
    assert (target.domain, target.loopback) == ("sip.example.org", False)


async def test_a_port_is_tried_with_every_transport_unless_one_is_named() -> None:
    every = await found("sip:127.0.0.1:5070")
    assert len(every.places) == 5
    assert {place.endpoint.port for place in every.places} == {5070}
    one = await found("sip:127.0.0.1:5070;transport=udp", domain="example.org")
    assert places(one) == {"udp 127.0.0.1:5070"}
    assert (one.domain, one.loopback, one.places[0].server_name) == ("example.org", True, "example.org")


async def test_other_ports_are_added_once() -> None:
    target = await found(
        "sip:127.0.0.1:5070;transport=udp",
        "sip:127.0.0.1:5071;transport=tls",
        "sip:127.0.0.1:5070;transport=udp",
    )
    assert places(target) == {"udp 127.0.0.1:5070", "tls 127.0.0.1:5071"}


async def test_a_sips_uri_with_tcp_means_tls() -> None:
    assert places(await found("sips:127.0.0.1:5071;transport=tcp")) == {"tls 127.0.0.1:5071"}


async def test_ipv6_has_brackets() -> None:
    assert places(await found("sip:[::1]:5060;transport=tcp")) == {"tcp [::1]:5060"}


@pytest.mark.parametrize(
    "text", ["", "sip:", "tel:+1", "sip:a b", "sip:127.0.0.1;transport=sctp", "nowhere.invalid"]
)
async def test_what_is_no_target_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(LocalError, match=r"no target|no transport|leads nowhere"):
        await found(text)


def test_a_host_alone_is_a_uri() -> None:
    assert str(read("example.org")) == "sip:example.org"


def test_the_node_of_a_configuration_is_reached_on_this_machine() -> None:
    listen = (
        Listen(transport="tls", host="127.0.0.1", port=5061),
        Listen(transport="udp", host="::1", port=5060),
    )
    target = of_config(Config(domain=Domain(name="example.org"), listen=listen))
    assert places(target) == {"tls 127.0.0.1:5061", "udp [::1]:5060"}
    assert target.loopback


async def test_a_secure_address_is_tried_over_tls_only() -> None:
    assert places(await found("sips:127.0.0.1:5061")) == {"tls 127.0.0.1:5061", "wss 127.0.0.1:5061"}

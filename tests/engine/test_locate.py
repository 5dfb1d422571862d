"""RFC 3263, with a zone instead of a DNS: which questions are asked, and which destinations come of them."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.engine.locate import (
    MAX_DESTINATIONS,
    Destination,
    Endpoint,
    Kind,
    Locator,
    Naptr,
    Preferences,
    Query,
    Record,
    Srv,
    in_order,
    locate_at_once,
    response_endpoint,
)
from ringfence.message import sip_uri
from ringfence.message.fields.via import parse_via

Zone = dict[str, list[Record]]
PLAIN = Preferences(families=(Kind.A,))
V4 = Preferences(("TLS", "TCP", "UDP"), (Kind.A,))

# The example of RFC 3263 section 4.1.
EXAMPLE: Zone = {
    "NAPTR example.com": [
        Naptr(50, 50, "s", "SIPS+D2T", "", "_sips._tcp.example.com."),
        Naptr(90, 50, "s", "SIP+D2T", "", "_sip._tcp.example.com"),
        Naptr(100, 50, "s", "SIP+D2U", "", "_sip._udp.example.com."),
    ],
    "SRV _sip._tcp.example.com": [
        Srv(0, 1, 5060, "server1.example.com."),
        Srv(1, 2, 5062, "server2.example.com"),
    ],
    "SRV _sips._tcp.example.com": [Srv(0, 1, 5061, "server1.example.com")],
    "A server1.example.com": ["192.0.2.1"],
    "A server2.example.com": ["192.0.2.2"],
}


def run(locator: Locator, zone: Zone, silent: frozenset[str] = frozenset()) -> list[str]:
    """Answer all questions from the zone; gives the questions."""
    asked: list[str] = []
    while not locator.done:
        batch: list[Query] = []
        while (query := locator.next_query()) is not None:
            batch.append(query)
        assert batch, "it waits, but asks nothing"
        for query in batch:
            text = f"{query.kind} {query.name}"
            asked.append(text)
            locator.answer(query, None if text in silent else zone.get(text, []))
    assert len(asked) == len(set(asked))
    return asked


def found(uri: str, zone: Zone, preferences: Preferences = PLAIN, *, large: bool = False) -> list[str]:
    """The destinations as text."""
    locator = Locator.for_uri(sip_uri(uri), lambda: 0.0, preferences, large=large)
    run(locator, zone)
    assert bool(locator.destinations) != bool(locator.reason)
    return [shown(place) for place in locator.destinations]


def shown(place: Destination) -> str:
    return f"{place.transport} {place.endpoint}" + (f" {place.server_name}" if place.server_name else "")


@pytest.mark.rfc("3263", "4.1")
def test_naptr_decides_the_transport() -> None:
    assert found("sip:user@example.com", EXAMPLE) == [
        "TLS 192.0.2.1:5061 example.com",
        "TCP 192.0.2.1:5060",
        "TCP 192.0.2.2:5062",
    ]
    no_tls = Preferences(("TCP", "UDP"), (Kind.A,))
    assert found("sip:user@example.com", EXAMPLE, no_tls) == ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5062"]


@pytest.mark.rfc("3263", "4.1")
def test_sips_keeps_to_sips_services() -> None:
    assert found("sips:user@example.com", EXAMPLE) == ["TLS 192.0.2.1:5061 example.com"]


@pytest.mark.rfc("3263", "4.1")
def test_naptr_records_for_other_things_are_passed_over() -> None:
    zone: Zone = EXAMPLE | {
        "NAPTR example.com": [
            Naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:x@y!", "."),
            Naptr(1, 1, "s", "SIP+D2S", "", "_sip._sctp.example.com"),
            Naptr(1, 1, "s", "SIP+D2T", "!a!b!", "_sip._tcp.example.com"),
            Naptr(1, 1, "a", "SIP+D2T", "", "server1.example.com"),
            Naptr(9, 1, "S", "sip+d2t", "", "_sip._tcp.example.com"),
        ]
    }
    assert found("sip:example.com", zone)[0] == "TCP 192.0.2.1:5060"


@pytest.mark.rfc("3263", "4.1")
def test_without_naptr_every_supported_transport_is_asked_for() -> None:
    zone: Zone = {
        "SRV _sip._udp.example.com": [Srv(0, 0, 5060, "a.example.com")],
        "A a.example.com": ["192.0.2.3"],
    }
    locator = Locator.for_uri(sip_uri("sip:example.com"), lambda: 0.0, PLAIN)
    assert run(locator, zone) == [
        "NAPTR example.com",
        "SRV _sip._tcp.example.com",
        "SRV _sip._udp.example.com",
        "SRV _sips._tcp.example.com",
        "A a.example.com",
    ]
    assert [shown(place) for place in locator.destinations] == ["UDP 192.0.2.3:5060"]
    locator = Locator.for_uri(sip_uri("sips:example.com"), lambda: 0.0, PLAIN)
    assert run(locator, {})[:2] == ["NAPTR example.com", "SRV _sips._tcp.example.com"]


@pytest.mark.rfc("3263", "4.2")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:example.com", "UDP 192.0.2.9:5060"),
        ("sips:example.com", "TLS 192.0.2.9:5061 example.com"),
        ("sip:example.com:5070", "UDP 192.0.2.9:5070"),
        ("sips:example.com:5070", "TLS 192.0.2.9:5070 example.com"),
        ("sip:example.com;transport=tcp", "TCP 192.0.2.9:5060"),
        ("sip:example.com;transport=tls", "TLS 192.0.2.9:5061 example.com"),
        ("sips:example.com;transport=tcp", "TLS 192.0.2.9:5061 example.com"),
        ("sip:example.com:5070;transport=TCP", "TCP 192.0.2.9:5070"),
        ("sip:example.com.", "UDP 192.0.2.9:5060"),
    ],
)
def test_a_host_with_no_records_but_an_address(uri: str, expected: str) -> None:
    assert found(uri, {"A example.com": ["192.0.2.9"]}) == [expected]


@pytest.mark.rfc("3263", "4.2")
def test_a_port_means_no_srv_and_a_transport_no_naptr() -> None:
    locator = Locator.for_uri(sip_uri("sip:example.com:5060"), lambda: 0.0, PLAIN)
    assert run(locator, EXAMPLE) == ["A example.com"]
    locator = Locator.for_uri(sip_uri("sip:example.com;transport=tcp"), lambda: 0.0, PLAIN)
    assert run(locator, EXAMPLE)[0] == "SRV _sip._tcp.example.com"


@pytest.mark.rfc("7118", "5.5")
def test_websocket() -> None:
    zone: Zone = {"A example.com": ["192.0.2.9"]}
    assert found("sip:example.com;transport=ws", zone) == ["WS 192.0.2.9:80"]
    assert found("sips:example.com;transport=ws", zone) == ["WSS 192.0.2.9:443 example.com"]
    zone["NAPTR example.com"] = [Naptr(1, 1, "s", "SIPS+D2W", "", "_ws.example.com")]
    zone["SRV _ws.example.com"] = [Srv(0, 0, 8443, "example.com")]
    assert found("sips:example.com", zone) == ["WSS 192.0.2.9:8443 example.com"]


@pytest.mark.rfc("5922", "7.3")
def test_the_name_to_prove_is_that_of_the_uri_not_of_the_dns() -> None:
    zone: Zone = {
        "NAPTR example.com": [Naptr(1, 1, "s", "SIPS+D2T", "", "_sips._tcp.evil.example")],
        "SRV _sips._tcp.evil.example": [Srv(0, 0, 5061, "evil.example")],
        "A evil.example": ["192.0.2.66"],
        "A gateway.example": ["192.0.2.67"],
    }
    assert found("sips:example.com", zone) == ["TLS 192.0.2.66:5061 example.com"]
    assert found("sips:example.com:5061;maddr=gateway.example", zone) == ["TLS 192.0.2.67:5061 example.com"]


@pytest.mark.rfc("3263", "4")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.1", "UDP 192.0.2.1:5060"),
        ("sips:192.0.2.1", "TLS 192.0.2.1:5061 192.0.2.1"),
        ("sip:[2001:db8::1]:5070;transport=tcp", "TCP [2001:db8::1]:5070"),
        ("sips:[2001:DB8::1]", "TLS [2001:db8::1]:5061 2001:db8::1"),
        ("sip:192.0.2.1;transport=ws", "WS 192.0.2.1:80"),
        ("sip:example.com;maddr=192.0.2.7", "UDP 192.0.2.7:5060"),
        ("sips:example.com;maddr=192.0.2.7;transport=tcp", "TLS 192.0.2.7:5061 example.com"),
    ],
)
def test_addresses_need_no_dns(uri: str, expected: str) -> None:
    at_once = locate_at_once(sip_uri(uri))
    assert at_once is not None
    assert [shown(place) for place in at_once] == [expected]
    assert found(uri, {}) == [expected]


@pytest.mark.rfc("5630", "3.1.3")
@pytest.mark.parametrize(
    "uri", ["sips:192.0.2.1;transport=udp", "sips:example.com;transport=udp", "sip:192.0.2.1;transport=sctp"]
)
def test_what_cannot_be_is_no_destination(uri: str) -> None:
    assert locate_at_once(sip_uri(uri)) == []
    assert found(uri, EXAMPLE) == []


@pytest.mark.rfc("6761", "6.4")
def test_invalid_hosts_are_never_asked_for() -> None:
    uri = sip_uri("sip:alice@df7jal23ls0d.invalid;transport=ws")
    assert locate_at_once(uri) == []
    locator = Locator.for_uri(uri, lambda: 0.0)
    assert run(locator, {}) == []
    assert "invalid" in locator.reason


def test_names_need_dns() -> None:
    assert locate_at_once(sip_uri("sip:example.com")) is None
    assert locate_at_once(sip_uri("sip:1.example")) is None


def test_a_node_that_speaks_only_tls_tries_tls() -> None:
    only = Preferences(("TLS", "WSS"), (Kind.A,))
    assert found("sip:192.0.2.1", {}, only) == ["TLS 192.0.2.1:5061 192.0.2.1"]
    assert found("sip:example.com", EXAMPLE, only) == ["TLS 192.0.2.1:5061 example.com"]
    assert found("sip:192.0.2.1;transport=udp", {}, only) == []


@pytest.mark.rfc("3261", "18.1.1")
def test_a_large_request_goes_over_tcp() -> None:
    assert found("sip:192.0.2.1", {}, large=True) == ["TCP 192.0.2.1:5060"]
    assert found("sip:example.com:5080", {"A example.com": ["192.0.2.9"]}, large=True) == [
        "TCP 192.0.2.9:5080"
    ]
    zone: Zone = {
        "SRV _sip._udp.example.com": [Srv(0, 0, 5060, "a.example.com")],
        "A example.com": ["192.0.2.9"],
    }
    assert found("sip:example.com", zone, large=True) == ["TCP 192.0.2.9:5060"]


@pytest.mark.rfc("7984", "3.1")
def test_dual_stack_hosts_give_both_families_in_order() -> None:
    zone: Zone = {"A example.com": ["192.0.2.9"], "AAAA example.com": ["2001:db8::9"]}
    assert found("sip:example.com:5060", zone, Preferences()) == [
        "UDP [2001:db8::9]:5060",
        "UDP 192.0.2.9:5060",
    ]
    v4_first = Preferences(families=(Kind.A, Kind.AAAA))
    assert found("sip:example.com:5060", zone, v4_first)[0] == "UDP 192.0.2.9:5060"


@pytest.mark.rfc("2782", "usage-rules")
def test_a_single_dot_says_that_there_is_no_service() -> None:
    zone: Zone = {"SRV _sip._tcp.example.com": [Srv(0, 0, 0, ".")], "A example.com": ["192.0.2.9"]}
    assert found("sip:example.com;transport=tcp", zone) == []


@pytest.mark.rfc("2782", "usage-rules")
def test_weights_choose_in_proportion() -> None:
    records = [Srv(0, 1, 1, "light"), Srv(0, 3, 1, "heavy"), Srv(0, 0, 1, "zero"), Srv(1, 9, 1, "backup")]
    rng = Random(7).random
    first = Counter(in_order(records, rng)[0].target for _ in range(4000))
    assert first["backup"] == 0
    assert 600 < first["zero"] < 1000  # one in five: 0 .. 4 is drawn, and 0 is its share
    assert 600 < first["light"] < 1000
    assert 2200 < first["heavy"] < 2600
    assert in_order(records, rng)[3].target == "backup"


@given(
    st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 65535), st.just(1), st.text("ab", max_size=2)))
)
@settings(max_examples=60, deadline=None)
def test_every_srv_record_comes_once_and_by_priority(records: list[Srv]) -> None:
    ordered = in_order(records, Random(1).random)
    assert Counter(ordered) == Counter(records) or len(records) > 64
    assert [srv.priority for srv in ordered] == sorted(srv.priority for srv in ordered)


def test_a_domain_with_very_many_records_is_bounded() -> None:
    zone: Zone = {
        "SRV _sip._udp.example.com": [Srv(0, 1, 5060, f"h{i}.example.com") for i in range(1000)],
    }
    for i in range(1000):
        zone[f"A h{i}.example.com"] = [f"10.{i // 250}.{i % 250}.{j}" for j in range(100)]
    locator = Locator.for_uri(sip_uri("sip:example.com;transport=udp"), Random(1).random, PLAIN)
    assert len(run(locator, zone)) <= 17
    assert len(locator.destinations) == MAX_DESTINATIONS


def test_a_dns_that_is_silent_is_told_apart_from_a_name_that_is_not_there() -> None:
    silent = frozenset({"A example.com"})
    locator = Locator.for_uri(sip_uri("sip:example.com:5060"), lambda: 0.0, PLAIN)
    run(locator, {}, silent)
    assert locator.reason == "the DNS did not answer for example.com"
    locator = Locator.for_uri(sip_uri("sip:example.com:5060"), lambda: 0.0, PLAIN)
    run(locator, {})
    assert locator.reason == "example.com has no address"


def test_answers_that_nobody_asked_for_are_ignored() -> None:
    locator = Locator.for_uri(sip_uri("sip:example.com:5060"), lambda: 0.0, PLAIN)
    locator.answer(Query(Kind.A, "evil.example"), ["192.0.2.66"])
    assert not locator.done
    query = locator.next_query()
    assert query == Query(Kind.A, "example.com")
    assert locator.next_query() is None
    locator.answer(query, ["192.0.2.9"])
    locator.answer(query, ["192.0.2.66"])
    assert [shown(place) for place in locator.destinations] == ["UDP 192.0.2.9:5060"]


@pytest.mark.rfc("3263", "5")
@pytest.mark.parametrize(
    ("via", "first_question", "expected"),
    [
        ("SIP/2.0/TCP 192.0.2.5:5070", None, "TCP 192.0.2.5:5070"),
        ("SIP/2.0/TLS [2001:db8::5]", None, "TLS [2001:db8::5]:5061 2001:db8::5"),
        ("SIP/2.0/UDP example.com:5070", "A example.com", "UDP 192.0.2.9:5070"),
        ("SIP/2.0/TLS example.com", "SRV _sips._tcp.example.com", "TLS 192.0.2.1:5061 example.com"),
        ("SIP/2.0/TCP example.com", "SRV _sip._tcp.example.com", "TCP 192.0.2.1:5060"),
    ],
)
def test_responses_whose_flow_is_gone(via: str, first_question: str | None, expected: str) -> None:
    locator = Locator.for_response(parse_via(via), lambda: 0.0, V4)
    asked = run(locator, EXAMPLE | {"A example.com": ["192.0.2.9"]})
    assert (asked or [None])[0] == first_question
    assert shown(locator.destinations[0]) == expected


@pytest.mark.rfc("3261", "18.2.2")
@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("SIP/2.0/UDP 192.0.2.5", ("192.0.2.5", 5060)),
        ("SIP/2.0/UDP 10.0.0.5:5070;received=192.0.2.5", ("192.0.2.5", 5070)),
        ("SIP/2.0/UDP 10.0.0.5:5070;received=192.0.2.5;rport=1024", ("192.0.2.5", 1024)),
        ("SIP/2.0/UDP 10.0.0.5:5070;maddr=192.0.2.6;received=192.0.2.5;rport=1024", ("192.0.2.6", 5070)),
        ("SIP/2.0/TCP 10.0.0.5;maddr=192.0.2.6;received=192.0.2.5;rport=1024", ("192.0.2.5", 5060)),
        ("SIP/2.0/TLS host.example;received=2001:db8::5", ("2001:db8::5", 5061)),
        ("SIP/2.0/UDP host.example", None),
    ],
)
def test_where_a_via_points(via: str, expected: tuple[str, int] | None) -> None:
    assert response_endpoint(parse_via(via)) == (Endpoint(*expected) if expected else None)

"""From the configuration to media: addresses, ports, checks, and what ends with the media of a call."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ringfence.ledger.memory import MemoryLedger
from ringfence.roles.anchors import Anchors, MediaMode
from ringfence.roles.charging import Charging, Limits
from ringfence.roles.media_relay import EmbeddedMedia, Timeouts
from ringfence.service.config import Config
from ringfence.service.media import end_call, media_places, media_ports
from ringfence.service.media_checks import media_can_flow
from ringfence.service.problems import ConfigError
from ringfence.transport.relay import Relay
from ringfence.transport.sockets import address_toward
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone


def config(tmp_path: Path, host: str = "192.0.2.1", **sections: Any) -> Config:
    values = {"domain": {"name": "example.org"}, "listen": [{"transport": "udp", "host": host, "port": 5060}]}
    return Config.from_values(values | sections, tmp_path / "ringfence.toml")


def test_media_are_where_the_node_listens_and_told_as_it_is_known(tmp_path: Path) -> None:
    places = media_places(config(tmp_path))
    assert {version: tuple(vars_of(place)) for version, place in places.items()} == {
        4: ("192.0.2.1", "192.0.2.1")
    }
    places = media_places(config(tmp_path, node={"advertise": ["sip.example.org", "198.51.100.1"]}))
    assert places[4].advertised == "198.51.100.1"
    own = address_toward("192.0.2.1") or "127.0.0.1"
    places = media_places(config(tmp_path, "*", node={"advertise": [own]}))
    assert tuple(vars_of(places[4])) == (own, own)
    places = media_places(config(tmp_path, "*", node={"advertise": ["198.51.100.1"]}))
    assert tuple(vars_of(places[4])) == ("0.0.0.0", "198.51.100.1")
    media = {"address": ["10.0.0.5", "2001:db8::5"], "advertise": ["198.51.100.2"]}
    places = media_places(config(tmp_path, media=media))
    assert tuple(vars_of(places[4])) == ("10.0.0.5", "198.51.100.2")
    assert tuple(vars_of(places[6])) == ("2001:db8::5", "2001:db8::5")


def vars_of(place: Any) -> tuple[str, str]:
    return place.host, place.advertised


def test_workers_share_the_ports(tmp_path: Path) -> None:
    made = config(tmp_path, node={"workers": 3}, media={"ports": [30_000, 30_099]})
    shares = [media_ports(each) for each in made.as_workers()]
    assert [len(share) for share in shares] == [32, 32, 32]
    assert len({port for share in shares for port in share}) == 96
    assert media_ports(config(tmp_path)) == range(30_000, 40_000)


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        ({"relay": "rtpengine"}, "no rtpengine is named"),
        ({"rtpengine": ["127.0.0.1:2223"]}, "udp:address:port"),
        ({"ports": [30_000, 30_002]}, "fewer than four"),
        ({"ports": [80, 30_002]}, "at least 1024"),
        ({"address": ["192.0.2.1", "192.0.2.2"]}, "two addresses of one IP version"),
        ({"advertise": ["sip.example.org"]}, "descriptions of media have no names"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, media: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, media=media)
    assert reason in str(caught.value)


def test_what_check_remarks_on(tmp_path: Path) -> None:
    def found(**sections: Any) -> list[str]:
        return [finding.problem.reason for finding in media_can_flow(config(tmp_path, **sections))]

    assert found(media={"ports": [30_000, 30_099]}) == []
    assert "among those for media" in found(media={"ports": [5000, 5099]})[0]
    assert "there is none" in found(media={"relay": "off"}, nat={"media": "always"})[0]
    assert found(media={"relay": "off"}) == []


async def test_a_call_without_media_is_ended_on_both_sides_and_on_the_bill() -> None:
    network = Network()
    book = MemoryLedger()
    network.services.charging = charging = Charging(book, Limits())
    relay = Relay("127.0.0.1", range(44_300, 44_340))
    plane = EmbeddedMedia({4: relay}, lambda: "t", Timeouts(0.05, 600, 0.01))
    ended = partial(end_call, network.services)
    network.services.anchors = Anchors(plane, MediaMode.ALWAYS, frozenset({4}), ended=ended)
    network.account("alice")
    network.account("bob")
    alice, bob = Phone(network, "alice", "198.51.100.21"), Phone(network, "bob", "198.51.100.22")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(200, body=SDP)
    alice << 200
    alice.begin() >> alice.within("ACK")
    bob << "ACK"
    relay.sessions.copy().pop().idle = 1.0
    for _ in range(200):
        await asyncio.sleep(0.01)
        if not len(plane):
            break
    alice << "BYE"
    bob << "BYE"
    assert alice.request.headers.get("Reason") == 'SIP;cause=408;text="no media"'
    assert not len(charging.calls)
    assert book.events[-1].facts["reason"] == "its media ended"
    plane.close()

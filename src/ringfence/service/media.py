"""From the configuration to the media plane, and to the calls that are led through it. Part of `wiring`."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from functools import partial
from socket import AF_INET6

from ringfence.engine.places import is_numeric
from ringfence.roles.anchors import Anchor, Anchors, MediaMode
from ringfence.roles.hangup import hang_up
from ringfence.roles.media import MediaPlane
from ringfence.roles.media_engine import LOOK, RtpengineMedia
from ringfence.roles.media_relay import EmbeddedMedia, Timeouts
from ringfence.roles.policy import Services
from ringfence.service.addresses import parse_address
from ringfence.service.config import Config
from ringfence.service.metrics import Metrics, Values
from ringfence.transport.driver import Driver
from ringfence.transport.flow import Endpoint
from ringfence.transport.relay import Relay
from ringfence.transport.rtpengine import Rtpengine
from ringfence.transport.sockets import address_toward, own_address

WILDCARD = {4: "0.0.0.0", 6: "::"}  # noqa: S104  (ports are open while a call uses them, and only to its parties)
OTHER_FILES = 1024
"""What a node opens besides media ports, a few connections at least."""
LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(slots=True, frozen=True)
class Place:
    """Where ports for media are, and what parties are told: on all addresses, what they can reach."""

    host: str
    advertised: str


def make_media(config: Config, driver: Driver) -> MediaPlane | None:
    """The media plane that the configuration wants; None for none."""
    section = config.media
    if section.relay == "off":
        return None
    timeouts = Timeouts(section.timeout_seconds, section.hold_timeout_seconds)
    if section.relay == "rtpengine":
        engine = Rtpengine([Endpoint(*parse_address(each[4:])) for each in section.rtpengine])
        return RtpengineMedia(engine, driver.token, replace(timeouts, look=min(LOOK, timeouts.silent)))
    ports = media_ports(config)
    allow_files(len(ports))
    relays = {
        version: Relay(place.host, ports, advertised=place.advertised)
        for version, place in media_places(config).items()
    }
    return EmbeddedMedia(relays, driver.token, timeouts)


def media_ports(config: Config) -> range:
    """The ports of this process: of several workers, each has its share."""
    first, last = config.media.ports
    if config.worker is None:
        return range(first, last + 1)
    share = (last + 1 - first) // config.node.workers // 2 * 2
    return range(first + config.worker * share, first + (config.worker + 1) * share)


def allow_files(ports: int) -> None:
    """Raise what this process may open to what media may need, as far as the system lets it: each port is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ports + OTHER_FILES
    if soft != resource.RLIM_INFINITY:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def make_anchors(config: Config, plane: MediaPlane | None, services: Services) -> Anchors | None:
    """What decides whose media pass the plane; None where none do."""
    if plane is None or config.nat.media == "never":
        return None

    both = config.media.relay == "rtpengine"  # which has the interfaces that it has
    return Anchors(
        plane,
        MediaMode(config.nat.media),
        frozenset({4, 6} if both else media_places(config)),
        refuse=config.nat.unreadable == "refuse",
        ended=partial(end_call, services),
    )


def end_call(services: Services, anchor: Anchor) -> None:
    """Nobody has sent media for long: the call is over, and the bill with it."""
    charging = services.charging
    if charging is None:
        return
    for tag in anchor.up:
        found = charging.calls.find(anchor.call_id, anchor.tag, tag)
        if found is not None:
            live, dialog, _ = found
            hang_up(services, live, dialog, "no media")
            charging.hung_up(live, dialog, services.clock(), "its media ended")


def media_places(config: Config) -> dict[int, Place]:
    """By IP version: the configured address, or the one that the node listens on, or any."""
    hosts = {host for each in config.listeners for host in each.hosts if is_numeric(host)}
    told = (*config.media.advertise, *(name for name in config.node.advertise if is_numeric(name)))
    places = {}
    for version in (4, 6):
        named = [host for host in config.media.address if _version(host) == version]
        listening = [host for host in hosts if _version(host) == version]
        if not listening and not named:
            continue
        host = named[0] if named else listening[0] if len(listening) == 1 else WILDCARD[version]
        if host == WILDCARD[6] and own_address(AF_INET6) in LOOPBACK:
            continue  # a machine without IPv6
        advertised = next((name for name in told if _version(name) == version), host)
        if host in WILDCARD.values() and address_toward(advertised) == advertised:
            host = advertised  # of several addresses the one that is told, so that media come from there
        places[version] = Place(host, advertised)
    return places


def _version(host: str) -> int:
    return 6 if ":" in host else 4


FIGURES = (
    ("ringfence_media_opened", "Media sessions that were opened", "opened"),
    ("ringfence_media_silent", "Media sessions that ended since nobody sent anything", "silent"),
    ("ringfence_media_refused", "Descriptions of media that were refused", "refused"),
    ("ringfence_media_packets", "Media packets relayed", "packets"),
    ("ringfence_media_octets", "Octets of media relayed", "octets"),
    ("ringfence_media_dropped", "Packets at media ports that were dropped", "dropped"),
)


def read_media(metrics: Metrics, plane: MediaPlane) -> None:
    """Add what the media plane has to tell."""
    metrics.gauge(
        "ringfence_media_sessions", "Media sessions now", (), lambda: {(): plane.figures().sessions}
    )
    for name, text, figure in FIGURES:
        metrics.counter(name, text, (), partial(_figure, plane, figure))


def _figure(plane: MediaPlane, name: str) -> Values:
    return {(): getattr(plane.figures(), name)}

"""What the streams of a description are to a relay: whether they can pass it, to where, and what they may carry."""

from __future__ import annotations

from ringfence.engine.places import is_private
from ringfence.message import Message, Response, sdp
from ringfence.message.ip import ip_address
from ringfence.message.sdp_attributes import Direction
from ringfence.transport.relay import Address, Screen
from ringfence.transport.sockets import address_toward


def settles(message: Message) -> bool:
    """Whether a call is up with this message: the 2xx to an INVITE, or its ACK."""
    if isinstance(message, Response):
        return 200 <= message.status < 300 and message.cseq.method == "INVITE"
    return message.cseq.method == "ACK"


def relayable(media: sdp.Media) -> bool:
    """Whether the stream goes over UDP."""
    return "TCP" not in media.protocol.upper().split("/")


def needs_ice(session: sdp.Session) -> bool:
    """Whether whoever made this does nothing without ICE: it has no address but candidates, or is a browser.

    RFC 8829 section 5.1.1 has browsers use ICE, DTLS and feedback in every description, and refuse one without.
    """
    for media in session.media:
        ice = media.has("ice-ufrag") or session.has("ice-ufrag")
        if not ice or media.rejected:
            continue
        address = session.address_of(media)
        if media.protocol.upper() == "UDP/TLS/RTP/SAVPF" or address is None or address[1] == 9:
            return True
    return False


def on_hold(session: sdp.Session) -> bool:
    """Whether a party does not take media, or send it, on any stream."""
    wanted = [media for media in session.media if not media.rejected]
    return not any(
        session.direction_of(media) is Direction.SENDRECV and session.address_of(media) is not None
        for media in wanted
    )


def screen_for(anonymous: bool, media: sdp.Media, partner: sdp.Media | None) -> Screen:
    if not media.protocol.upper().split("/TLS/")[-1].startswith("RTP/"):
        return Screen.ANY
    if not anonymous:
        return Screen.MEDIA
    keyed = partner is not None and bool(
        (media.cryptos and partner.cryptos) or (media.fingerprints and partner.fingerprints)
    )
    return Screen.HIDDEN if media.secure or keyed else Screen.CLEAR


def version_of(host: str) -> int:
    try:
        return ip_address(host.partition("%")[0]).version
    except ValueError:
        return 0


def version(session: sdp.Session, media: sdp.Media) -> int:
    connection = session.connection_of(media)
    if connection is None or connection.unspecified:
        return 0
    return version_of(connection.host)


def is_here(place: str) -> bool:
    """Whether a party's messages come from this machine."""
    try:
        return ip_address(place).is_loopback or address_toward(place) == place
    except ValueError:  # it has a zone, or nothing has come from it yet
        return False


def reachable(address: Address | None, place: str) -> Address | None:
    """The address that media can be sent to before any has come: not a name, nor one in another private network.

    A party with a private address whose messages come from elsewhere is behind NAT. Its address may be in use in our
    own network too, by somebody who must not get its media.
    """
    if address is None:
        return None
    try:
        ip, signalled = ip_address(address[0]), ip_address(place.partition("%")[0])
    except ValueError:
        return None
    if ip.is_loopback and not signalled.is_loopback:
        return address  # for the relay to refuse
    return None if is_private(str(ip)) and not is_private(str(signalled)) else address

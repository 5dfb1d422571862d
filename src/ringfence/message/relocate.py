"""A session description for another place: media through a relay, or with the address that NAT gave.

What names the old place goes: addresses of the session and of each stream, RTCP addresses, ICE candidates,
and the address in ``o=`` when the caller wants that. All else stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.message.errors import LocalError
from ringfence.message.sdp import Attribute, Connection, Session

__all__ = ["relocate"]

ICE = ("candidate", "end-of-candidates", "ice-lite", "ice-mismatch", "ice-options", "ice-pwd", "ice-ufrag")
"""Without candidates ICE can't be done, and half of its attributes would only confuse (RFC 8839 section 4)."""


def relocate(
    session: Session, places: Sequence[tuple[str, int] | None], origin: str | None = None
) -> Session:
    """The description with stream i at ``places[i]``; None leaves a stream at its address, or rejected, as it is.

    RTCP goes to the next port of each place. ``origin`` is the host to write in ``o=``, None leaves that.

    Raises:
        LocalError: There are not as many places as streams.
    """
    if len(places) != len(session.media):
        raise LocalError(f"{len(places)} places for {len(session.media)} streams")
    moved = session.copy()
    if origin is not None:
        moved.origin.address = origin
        moved.origin.addrtype = "IP6" if ":" in origin else "IP4"
    for media, place in zip(moved.media, places, strict=True):
        connection = moved.connection_of(media)
        if media.rejected:
            media.connections = []
        elif place is None or connection is None:
            continue
        else:
            host, media.port = place
            # On hold by address (RFC 3264 section 8.4) stays on hold.
            media.connections = [connection if connection.unspecified else Connection.to(host)]
        media.port_count = None
        media.remove("rtcp", "remote-candidates", "bundle-only", *ICE)
    moved.remove(*ICE)
    # Each stream has a place of its own now (RFC 8843 has them share one).
    moved.attributes = [each for each in moved.attributes if not _is_bundle(each)]
    if all(media.rejected or media.connections for media in moved.media):
        _connect(moved, origin)
    return moved


def _is_bundle(attribute: Attribute) -> bool:
    return attribute.name == "group" and (attribute.value or "").split(" ")[0] == "BUNDLE"


def _connect(session: Session, origin: str | None) -> None:
    """Now that no stream uses the address of the session, write there what the streams have in common."""
    used = [media for media in session.media if media.connections]
    if used:
        session.connection = used[0].connections[0]
        for media in used:
            if media.connections == [session.connection]:
                media.connections = []
    elif session.connection is not None and origin is not None:
        session.connection = Connection.to(origin)

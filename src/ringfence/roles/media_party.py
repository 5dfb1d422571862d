"""What a media plane knows of one party, and how its description is written for the other one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence.message import sdp
from ringfence.message.anonymous import anonymize
from ringfence.message.relocate import relocate
from ringfence.roles.media_streams import relayable
from ringfence.transport.relay import Address


@dataclass(slots=True)
class Member:
    """One party of a session."""

    place: str = ""
    """The host that its messages come from, or go to."""

    anonymous: bool = False
    cname: str = ""
    identity: int = 0
    version: int = 0
    text: str = ""
    """The anonymous description that the other party was last given; it has ``version``."""

    def hide(self, token: Callable[[], str]) -> None:
        """It is anonymous from now on, by names that are made now."""
        if not self.anonymous:
            self.anonymous = True
            self.cname = token()
            self.identity = int.from_bytes(token().encode()[:7], "big")

    def written(self, described: sdp.Session, places: Sequence[Address | None], host: str) -> bytes:
        """Its description with the streams at these places of ours, and ``host`` in ``o=``, not its own address.

        A stream that the relay can't carry would lead to the party: of an anonymous one it is refused.
        """
        if not self.anonymous:
            return relocate(described, places, host).to_bytes()
        copy = described.copy()
        for media in copy.media:
            if not relayable(media):
                media.port = 0
        moved = relocate(copy, places, host)
        origin = sdp.Origin("-", self.identity, self.version, host, "IP6" if ":" in host else "IP4")
        hidden = anonymize(moved, origin, self.cname)
        if (
            str(hidden) != self.text
        ):  # RFC 3264 section 8: "the version in the origin field MUST increment by one"
            self.version += 1
            hidden.origin.version = self.version
            self.text = str(hidden)
        return hidden.to_bytes()

"""Where in a message the session description is, and why it may be out of reach."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.message import Message, PeerError, sdp
from ringfence.message.multipart import Entity
from ringfence.roles.media import Outcome, Rewritten
from ringfence.security.smime import body_of, is_secured

SDP = "application/sdp"

PLAIN = frozenset({"binary", "8bit", "7bit"})
"""Transfer encodings that change nothing (RFC 2045 section 6)."""


@dataclass(slots=True)
class Description:
    """A session description, and the body around it."""

    session: sdp.Session
    message: Message
    part: Entity

    def replaced(self, text: bytes) -> bytes:
        """The whole body with another description in the place of this one. All other parts keep their octets."""
        if self.part.depth == 0:
            return text
        old = self.part.raw
        head = old[: len(old) - len(self.part.body)]
        return self.message.body.replace(old, head + text, 1)


def find(message: Message) -> Description | Rewritten:
    """The description in a message, or the verdict where there is none that can be read."""
    body = message.body
    if not body:
        return Rewritten(body, Outcome.NO_MEDIA)
    headers = message.headers
    if not headers.has("Content-Type"):  # RFC 3261 section 20.15: a phone may guess what we do not
        return Rewritten(body, Outcome.UNREADABLE, "the body has no Content-Type")
    if (headers.get("Content-Encoding") or "identity").lower() != "identity":
        return Rewritten(body, Outcome.UNREADABLE, "the body has a Content-Encoding")
    try:
        found: list[Entity] = []
        secured = _search(body_of(message), found)
        if secured is not None:
            return _out_of_reach(body, secured)
        if not found:
            return Rewritten(body, Outcome.NO_MEDIA)
        part = found[0]
        if len(found) > 1:
            return Rewritten(body, Outcome.UNREADABLE, "there is more than one session description")
        if (part.headers.get("Content-Transfer-Encoding") or "binary").lower() not in PLAIN:
            return Rewritten(body, Outcome.UNREADABLE, "the description has a Content-Transfer-Encoding")
        return Description(sdp.parse(part.body), message, part)
    except PeerError as error:
        return Rewritten(body, Outcome.UNREADABLE, error.reason)


def _search(entity: Entity, found: list[Entity]) -> Entity | None:
    """Collect the descriptions; give the first part that is S/MIME, where one may be inside."""
    if is_secured(entity):
        return entity
    if entity.media_type.essence == SDP:
        found.append(entity)
    for part in entity.parts():
        if (secured := _search(part, found)) is not None:
            return secured
    return None


def _out_of_reach(body: bytes, entity: Entity) -> Rewritten:
    kind = (entity.media_type.params.get("smime-type") or "").strip('"').lower()
    if entity.media_type.type == "multipart" or kind == "signed-data":
        return Rewritten(body, Outcome.SIGNED, "S/MIME: a change would break the signature")
    return Rewritten(body, Outcome.ENCRYPTED, "S/MIME: only the other end can read the description")

"""What a user agent makes of a body: the session description in it, its text, or a refusal (RFC 3261 section 8.2.3)."""

from __future__ import annotations

from collections.abc import Collection

from ringfence.message import Message, PeerError, Request
from ringfence.message.fields import ACCEPT as ACCEPTED
from ringfence.message.fields import CONTENT_ENCODING
from ringfence.message.fields.contact import thousandths
from ringfence.message.multipart import Entity
from ringfence.message.sdp import Session
from ringfence.message.sdp import parse as parse_sdp

SDP = "application/sdp"
ACCEPT = f"{SDP}, application/pkcs7-mime, multipart/signed, message/sip"
"""What an answer to our INVITE may hold: S/MIME is opened before anything else looks at it."""
MULTIPART = frozenset({"multipart/mixed", "multipart/alternative", "multipart/related"})


def check_body(message: Message, accepted: Collection[str]) -> None:
    """Refuse a body that must be understood and is not.

    Raises:
        PeerError: 415 for its type or encoding, 400 for one that is malformed.
    """
    if not message.body:
        return
    unknown = [item for item in message.headers.every(CONTENT_ENCODING) if item.lower() != "identity"]
    if unknown:
        raise PeerError(415, f"the encoding {unknown[0]} is not understood", header="Content-Encoding")
    essence = _not_understood(Entity(message.headers, message.body), accepted)
    if essence is not None:
        raise PeerError(415, f"{essence} is not understood", header="Content-Type")


def _not_understood(entity: Entity, accepted: Collection[str]) -> str | None:
    """The media type in an entity for which it can't be processed; None when it can."""
    if entity.media_type.type != "multipart":
        understood = entity.media_type.essence in accepted or entity.disposition.optional
        return None if understood else entity.media_type.essence
    missing = [_not_understood(part, accepted) for part in entity.parts()]
    # Of alternatives one is enough (RFC 5621 section 6.1): the parts say the same.
    if entity.media_type.subtype == "alternative" and None in missing:
        return None
    return next((essence for essence in missing if essence is not None), None)


def may_go_back(request: Request, media_type: str) -> bool:
    """Whether the response may have a body of this type; without Accept that is SDP (RFC 3261 section 20.1).

    Raises:
        PeerError: 400 when Accept is malformed.
    """
    if not request.headers.has("Accept"):
        return True
    fits = {media_type, f"{media_type.partition('/')[0]}/*", "*/*"}
    return any(
        "".join(item.value.lower().split()) in fits and thousandths(item.params, "Accept") > 0
        for item in request.headers.every(ACCEPTED)
    )


def sdp_of(message: Message) -> Session | None:
    """The session description of a message, None when it has none.

    Raises:
        PeerError: 400 when it is malformed.
    """
    if not message.body:
        return None
    entity = Entity(message.headers, message.body).find(SDP)
    return parse_sdp(entity.content()) if entity is not None else None


def text_of(message: Message) -> tuple[str, str]:
    """The media type and the text of a message for a person; octets that are not of its charset are replaced."""
    entity = Entity(message.headers, message.body)
    for leaf in entity.leaves():
        if leaf.media_type.type == "text":
            entity = leaf
            break
    charset = entity.media_type.params.get("charset") or "utf-8"
    content = entity.content()
    try:
        return entity.media_type.essence, content.decode(charset, "replace")
    except LookupError:
        return entity.media_type.essence, content.decode("utf-8", "replace")

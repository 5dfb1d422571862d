"""What a body may tell of its sender, who has asked for user privacy: header fields alone name nobody then.

A body is for the other party, and what a person writes is that person's own affair. But some kinds of body are written
by devices, and name who has it. Those are taken out, or reduced to what the other side needs. What cannot be read,
since it is encrypted or signed, can be neither: whether it passes is the sender's choice, by ``critical``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ringfence.message import Headers, Message, PeerError, sdp
from ringfence.message.multipart import Entity, join
from ringfence.message.sdp_lines import Attribute
from ringfence.message.sipfrag import parse_fragment
from ringfence.security.privacy import BRIDGED, Privacy
from ringfence.security.smime import body_of, is_secured

NAMING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application/pidf+xml": "tells whose presence or place it is",
        "application/pidf-diff+xml": "tells whose presence or place it is",
        "application/held+xml": "tells a place",
        "text/vcard": "is a business card",
        "text/x-vcard": "is a business card",
        "text/directory": "is a business card",
        "message/sip": "is a whole message, with its From",
        "message/cpim": "has a From of its own",
        "message/external-body": "leads to a server of the user's choice",
        "application/isup": "has the number of the caller",
        "application/qsig": "has the number of the caller",
        "application/dialog-info+xml": "names dialogs and their parties",
        "application/conference-info+xml": "names who takes part",
        "application/reginfo+xml": "names contacts",
        "application/watcherinfo+xml": "names watchers",
        "application/rs-metadata+xml": "names who is recorded",
        "application/resource-lists+xml": "names people",
        "application/vnd.3gpp.ussd+xml": "is for the network of the user",
        "application/emergencycalldata.providerinfo+xml": "tells of the caller's provider",
        "application/emergencycalldata.subscriberinfo+xml": "is a business card",
    }
)
"""Kinds of body that name whoever sends them, and how. ``message/sipfrag`` is reduced to its first line instead."""

FRAGMENT: Final = "message/sipfrag"
SDP: Final = "application/sdp"

_NAMING_LINES: Final = frozenset({"tool", "cname", "label", "msid", "identity", "key-mgmt", "zrtp-hash"})
"""Attributes of a description that no stream needs and that tell of a device or a person."""


class Cleaned(NamedTuple):
    """What became of a body."""

    unmet: str = ""
    """Why it could not be made private; then it is as it was. Empty: it names nobody now."""
    removed: str = ""
    """What was taken out, for people."""


DONE: Final = Cleaned()


def clean(message: Message, asked: frozenset[str], boundary: str) -> Cleaned:
    """Make the body of a message private, in place. ``boundary``: a random one, for a multipart that is made anew.

    A session description loses the lines that name somebody; its addresses are the media plane's part.
    """
    if not message.body or asked.isdisjoint(BRIDGED):
        return DONE
    try:
        entity = body_of(message)
        if _out_of_reach(entity):
            return Cleaned(
                "the body is S/MIME, and says who has signed it or what only the other end can read"
            )
        if Privacy.USER not in asked:
            return DONE
        if (message.headers.get("Content-Encoding") or "identity").lower() != "identity":
            return Cleaned("the body has a Content-Encoding")
        return _clean_entity(message, entity, boundary)
    except PeerError as error:
        return Cleaned(f"the body can't be read: {error.reason}")


def _out_of_reach(entity: Entity) -> bool:
    return is_secured(entity) or any(_out_of_reach(part) for part in entity.parts())


def _clean_entity(message: Message, entity: Entity, boundary: str) -> Cleaned:
    essence = entity.media_type.essence
    if entity.media_type.type == "multipart":
        return _clean_parts(message, entity, boundary)
    if essence in NAMING:
        message.set_body(b"")
        for name in ("Content-Disposition", "Content-Encoding", "Content-Language", "Content-ID"):
            message.headers.remove(name)
        return Cleaned(removed=f"{essence}: it {NAMING[essence]}")
    fresh = _reduced(essence, entity.body)
    if fresh is not None:
        message.set_body(fresh, message.headers.get("Content-Type"))
    return DONE


def _clean_parts(message: Message, entity: Entity, boundary: str) -> Cleaned:
    """A multipart without the parts that name somebody; one that has none keeps its octets."""
    kept: list[Entity] = []
    gone: list[str] = []
    changed = False
    for part in entity.parts():
        essence = part.media_type.essence
        if part.media_type.type == "multipart":
            return Cleaned("a multipart inside a multipart")
        if essence in NAMING:
            gone.append(f"{essence}: it {NAMING[essence]}")
            continue
        fresh = _reduced(essence, part.body)
        if fresh is not None:
            changed = True
            part = _with_content(part, fresh)
        kept.append(part)
    if not gone and not changed:
        return DONE
    if not kept:
        message.set_body(b"")
    elif len(kept) == 1 and gone:
        message.set_body(kept[0].body, kept[0].headers.get("Content-Type") or "text/plain")
    else:
        made = join(kept, boundary, entity.media_type.subtype)
        message.set_body(made.body, str(made.media_type))
    return Cleaned(removed="; ".join(gone))


def _with_content(part: Entity, content: bytes) -> Entity:
    headers = Headers((name, value) for name, value in part.headers if name != "Content-Length")
    head = "".join(f"{line}\r\n" for line in headers.lines).encode("utf-8", "surrogateescape") + b"\r\n"
    return Entity(headers, head + content, len(head), part.depth)


def _reduced(essence: str, body: bytes) -> bytes | None:
    """A description without names, the first line of a fragment; None for what stays as it is."""
    if essence == FRAGMENT:
        start = parse_fragment(body, strict=False).start
        return f"{start}\r\n".encode() if start is not None else b""
    if essence == SDP:
        return _nameless(sdp.parse(body)).to_bytes()
    return None


def _nameless(session: sdp.Session) -> sdp.Session:
    """The lines of a description that name somebody (RFC 3323 section 4.1, RFC 4566 section 5)."""
    session.origin.username = "-"
    session.name = "-"
    session.information = session.uri = None
    session.emails, session.phones = [], []
    session.attributes = _kept(session.attributes)
    for media in session.media:
        media.information = None
        media.attributes = _kept(media.attributes)
    return session


def _kept(attributes: list[Attribute]) -> list[Attribute]:
    return [each for each in attributes if each.name not in _NAMING_LINES and not _names_source(each)]


def _names_source(attribute: Attribute) -> bool:
    """``a=ssrc:1 cname:...`` (RFC 5576), as RTCP has it."""
    return attribute.name == "ssrc" and attribute.value is not None and " cname:" in attribute.value

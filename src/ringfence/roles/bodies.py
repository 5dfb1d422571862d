"""Who could read a message and who could change it, and what its destination demands of that.

A proxy can't open an encrypted body. Of any body it sees what kind it is, and that says what everybody on the way could
do; whose a signature is, it looks at only where a destination wants it to (``roles.signatures``): that is between the
two ends. What nobody on the way can read, nothing of
ours can act on either: the gateway that opens a firewall for the addresses in a session description, the scanner, the
privacy service. That is the price of confidentiality, and it is told rather than hidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from ringfence.message import Message, PeerError, SipUri, Uri
from ringfence.security import cms
from ringfence.security.smime import body_of, is_secured


class Body(StrEnum):
    """How the body of a message is protected, as far as anybody on the way can see."""

    NONE = "no body"
    OPEN = "open"
    SIGNED = "signed"
    ENCRYPTED = "encrypted"


class Rule(NamedTuple):
    """What messages to a destination have to be: ``signed`` (or encrypted), or ``encrypted``."""

    to: str
    """An address (``sip:board@example.org``), a domain, or ``*``."""
    require: Body
    verify: bool = False
    """Whether the signature of a body that is only signed has to be good, too."""

    def covers(self, addresses: Iterable[str]) -> bool:
        """Whether the rule is about one of these addresses, in canonical form."""
        return self.to == "*" or any(self.to in (each, each.rpartition("@")[2]) for each in addresses)

    def allows(self, body: Body) -> bool:
        """Whether a message with such a body may pass; one without any says nothing that could be protected."""
        if body is Body.NONE or body is Body.ENCRYPTED:
            return True
        return body is Body.SIGNED and self.require is Body.SIGNED


def body_kind(message: Message) -> Body:
    """How the body is protected. A body that can't be read is open: nothing protects it.

    The type of the object counts, not what the header fields call it.
    """
    if not message.body:
        return Body.NONE
    try:
        entity = body_of(message)
        if not is_secured(entity):
            return Body.OPEN
        if entity.media_type.type == "multipart":
            return Body.SIGNED if len(entity.parts()) == 2 else Body.OPEN
        content_type, _ = cms.read(entity.content())
    except PeerError:
        return Body.OPEN
    if content_type in (cms.ENVELOPED_DATA, cms.AUTH_ENVELOPED_DATA):
        return Body.ENCRYPTED
    return Body.SIGNED if content_type == cms.SIGNED_DATA else Body.OPEN


class Exposure(NamedTuple):
    """Who could read and who could change a message."""

    hop: bool
    """Whether TLS hid it on the hop that it came or went by."""
    every_hop: bool
    """Whether it must be TLS on every other hop too (``sips:``, RFC 5630)."""
    body: Body

    @property
    def readers(self) -> str:
        """Who could read it."""
        servers = "the servers on the way"
        wire = (
            ""
            if self.hop and self.every_hop
            else " and whoever listens " + ("beyond this hop" if self.hop else "on this hop")
        )
        if self.body is Body.ENCRYPTED:
            return f"header fields: {servers}{wire}; the body: the other end alone"
        return f"all of it: {servers}{wire}"

    @property
    def changers(self) -> str:
        """Who could change it unnoticed."""
        servers = "the servers on the way"
        wire = "" if self.hop and self.every_hop else " and whoever is between them"
        if self.body in (Body.SIGNED, Body.ENCRYPTED):
            sure = "" if self.body is Body.SIGNED else ", where it is signed inside or sealed (AES-GCM)"
            return f"header fields that no copy inside protects: {servers}{wire}; the body: nobody unnoticed{sure}"
        return f"all of it: {servers}{wire}"

    @property
    def limits(self) -> str:
        """What our own services can't do for it; empty when they can do everything."""
        if self.body is Body.ENCRYPTED:
            return "no media relay, no scan for malware, no hiding of addresses in the body"
        if self.body is Body.SIGNED:
            return "no media relay and no hiding of addresses in the body: it would break the signature"
        return ""

    @property
    def facts(self) -> tuple[str, str]:
        """Who could read the body, and who could change it unnoticed, in a word or two for a record."""
        wire = "" if self.hop and self.every_hop else " and listeners"
        return (
            "the other end" if self.body is Body.ENCRYPTED else f"servers{wire}",
            "nobody" if self.body in (Body.SIGNED, Body.ENCRYPTED) else f"servers{wire}",
        )

    def __str__(self) -> str:
        text = f"could read {self.readers}; could change {self.changers}"
        return f"{text}; {self.limits}" if self.limits else text


def exposure_of(message: Message, uri: Uri | None, *, secure: bool) -> Exposure:
    """The verdict on a message that came or goes by a hop. ``uri`` is the Request-URI, of a request."""
    return Exposure(secure, isinstance(uri, SipUri) and uri.secure, body_kind(message))

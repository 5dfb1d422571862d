"""Who is at the other end, and on what evidence.

A From is what the sender wrote. A P-Asserted-Identity is what a server says who authenticated the sender (RFC
3325), and counts only when it comes from our own server over TLS: anybody can send us a packet.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ringfence.client.protection import Protection
from ringfence.message import Message, NameAddr, PeerError, SipUri, Uri
from ringfence.message.fields import P_ASSERTED_IDENTITY
from ringfence.security.canonical import identity_of
from ringfence.security.told import Told, read_word


class Evidence(StrEnum):
    """What speaks for an identity, weakest first."""

    CLAIMED = "claimed"
    """The peer says so itself."""
    CALLED = "called"
    """It is the address that we asked for; who answered there is the network's word."""
    FIRST_CONTACT = "signed, by a certificate that is new to us"
    """It is theirs as far as we know: the first that we saw for the address, and nobody vouches for it."""
    ASSERTED = "asserted by our server"
    """Our own server says so, over TLS (RFC 3325)."""
    PINNED = "signed, by the certificate that we know"
    """The same key as before (RFC 3261 section 23.2)."""
    DOMAIN = "signed by its domain"
    """The domain of the address vouches for it by its own signature."""
    SIGNED = "signed"
    """With a certificate of the address, which an authority that we trust vouches for."""


class Peer(NamedTuple):
    """A peer. ``identity`` is a URI without parameters, ``display`` the name that goes with it."""

    identity: str
    display: str
    evidence: Evidence
    protection: Protection | None = None
    """What end-to-end security says about the message that told us; None: it had none."""

    @property
    def anonymous(self) -> bool:
        """Whether the peer keeps its identity from us (RFC 3323 section 4.1.1.3)."""
        return self.identity.endswith("@anonymous.invalid")

    def __str__(self) -> str:
        name = f"{self.display} " if self.display else ""
        return f"{name}<{self.identity}> ({self.evidence})"


def caller(request: Message, *, trusted: bool) -> Peer:
    """Who sent a request to us. ``trusted``: it came from our own server, over TLS."""
    found = _asserted(request, trusted)
    if found is None and trusted and _is_verified(request):
        return _peer(request.from_, Evidence.ASSERTED)
    return found or _peer(request.from_, Evidence.CLAIMED)


def _is_verified(request: Message) -> bool:
    """Whether our server has found that the From is true, such as by the certificate of another domain's server."""
    word = read_word(request.headers)
    if word is None or word.verdict is not Told.VERIFIED or not word.who:
        return False
    return word.who == str(identity_of(request.from_.uri))


def callee(address: NameAddr, response: Message | None = None, *, trusted: bool = False) -> Peer:
    """Whom we called; with its answer, who the server says answered (RFC 3325 section 9.1)."""
    asserted = _asserted(response, trusted) if response is not None else None
    return asserted or _peer(address, Evidence.CALLED)


def _asserted(message: Message, trusted: bool) -> Peer | None:
    if not trusted:
        return None
    try:
        identities = message.headers.every(P_ASSERTED_IDENTITY)
    except PeerError:
        return None
    # "one or two values"; of a SIP and a tel URI the SIP one can be called back (section 9.1).
    for identity in sorted(identities[:2], key=lambda item: not isinstance(item.uri, SipUri)):
        return _peer(identity, Evidence.ASSERTED)
    return None


def _peer(address: NameAddr, evidence: Evidence) -> Peer:
    return Peer(plain(address.uri), address.display, evidence)


def plain(uri: Uri) -> str:
    """A URI as an identity: without parameters."""
    if not isinstance(uri, SipUri):
        return str(uri)
    return uri.scheme + uri.aor.removeprefix("sip") if uri.user else str(uri)

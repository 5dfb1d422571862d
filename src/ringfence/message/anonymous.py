"""A session description that does not tell who made it, where, or with what (RFC 3323 section 5.2).

What stays is what media need: formats, keys, bandwidths, directions, and the attributes of ``KEPT``. Everything else
goes, attributes that nobody here knows included: an allow list is the only kind that a new phone can't defeat. The
addresses are for ``relocate`` to change, before.
"""

from __future__ import annotations

from typing import Final

from ringfence.message.sdp import Media, Session
from ringfence.message.sdp_attributes import Direction
from ringfence.message.sdp_lines import Attribute, Origin, Timing

__all__ = ["anonymize"]

KEPT: Final = frozenset(
    {
        *(str(direction) for direction in Direction),
        # formats and packets (RFC 4566 section 6, RFC 4585, RFC 5506, RFC 6236, RFC 3890)
        *("rtpmap", "fmtp", "ptime", "maxptime", "framerate", "framesize", "quality", "orient", "imageattr"),
        *(
            "rtcp-fb",
            "rtcp-rsize",
            "rtcp-xr",
            "rtcp-mux",
            "maxprate",
            "silenceSupp",
            "ecan",
            "charset",
            "type",
        ),
        # keys: SDES (RFC 4568), DTLS (RFC 8122, RFC 4145, RFC 8842)
        *("crypto", "fingerprint", "setup", "connection", "tls-id"),
        # streams that belong together (RFC 5888, RFC 8851, RFC 8853), by names that mean nothing outside
        *("mid", "group", "rid", "simulcast", "ssrc-group", "content", "extmap-allow-mixed"),
        # preconditions (RFC 3312) and capabilities (RFC 5939)
        *("curr", "des", "conf", "csup", "creq", "tcap", "pcfg", "acfg"),
    }
)
"""Attributes that pass as they are. Not among them, and not by oversight: ``key-mgmt`` (MIKEY names the parties),
``zrtp-hash`` (ZRTP has a lasting identifier of the phone), ``identity`` (RFC 8827), ``acap`` (it may hold any other).
"""

SDES_EXTENSION: Final = "urn:ietf:params:rtp-hdrext:sdes:"
"""Header extensions that carry what RTCP does (RFC 7941): CNAME, NAME, LOC ..."""

HARMLESS_SDES: Final = ("mid", "rtp-stream-id", "repaired-rtp-stream-id")

NOBODY: Final = "-"


def anonymize(session: Session, origin: Origin, cname: str) -> Session:
    """The description with this ``o=``, and this CNAME in the place of those of its sources (RFC 5576)."""
    hidden = Session(
        origin=origin,
        name=NOBODY,
        connection=session.connection,
        bandwidths=list(session.bandwidths),
        times=[Timing()],
        attributes=_passed(session.attributes, cname),
    )
    hidden.media = [
        Media(
            media.media,
            media.port,
            media.protocol,
            list(media.formats),
            media.port_count,
            connections=list(media.connections),
            bandwidths=list(media.bandwidths),
            attributes=_passed(media.attributes, cname),
        )
        for media in session.media
    ]
    return hidden


def _passed(attributes: list[Attribute], cname: str) -> list[Attribute]:
    passed = []
    for attribute in attributes:
        name, value = attribute
        if name in KEPT or name.startswith("T38") or (name == "extmap" and _harmless(value or "")):
            passed.append(attribute)
        elif name == "ssrc" and value is not None:
            source, _, about = value.partition(" ")
            if about.startswith("cname:"):
                passed.append(Attribute("ssrc", f"{source} cname:{cname}"))
            elif about.startswith("fmtp:"):
                passed.append(attribute)
    return passed


def _harmless(extension: str) -> bool:
    _, _, uri = extension.partition(" ")
    uri = uri.partition(" ")[0]
    return not uri.startswith(SDES_EXTENSION) or uri.removeprefix(SDES_EXTENSION) in HARMLESS_SDES

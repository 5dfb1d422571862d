"""CMS CompressedData (RFC 3274): read, never written.

RFC 8551 section 3.6 has it as a layer of S/MIME that proves nothing and hides nothing. A few octets can unpack to very
many, so what comes out is bounded, and no more than that is ever made.
"""

from __future__ import annotations

import zlib

from ringfence.message.errors import PeerError
from ringfence.security import cms as syntax

MAX_UNPACKED = syntax.MAX_CMS
"""Octets that an object may unpack to: as many as one may have that is not compressed."""

_ZLIB = "1.2.840.113549.1.9.16.3.8"


def unpack(data: bytes) -> bytes:
    """What is inside a CompressedData object, DER or BER.

    Raises:
        PeerError: 400 when it is no such object, or is damaged; 413 when it would be too large; 415 when it is
            compressed by another algorithm than zlib, the only one there is.
    """
    content_type, value = syntax.read(data)
    if content_type != syntax.COMPRESSED_DATA:
        raise PeerError(400, f"the CMS object is not compressed but {syntax.type_name(content_type)}")
    with syntax.malformed():
        algorithm = value["compression_algorithm"]["algorithm"].dotted
        inner = value["encap_content_info"]
        packed = bytes(inner["content"]) if syntax.present(inner["content"]) else b""
    if algorithm != _ZLIB:
        raise PeerError(415, f"the compression {algorithm} is not supported")
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(packed, MAX_UNPACKED + 1)
    except zlib.error:
        raise PeerError(400, "the compressed content is damaged") from None
    if len(found) > MAX_UNPACKED:
        raise PeerError(413, f"the content unpacks to more than {MAX_UNPACKED} octets")
    if not unpacker.eof:
        raise PeerError(400, "the compressed content is cut off")
    return found

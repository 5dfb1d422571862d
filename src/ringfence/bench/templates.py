"""The messages of the load client: written by ``%``, read by a regular expression for each header field."""

from __future__ import annotations

import hashlib
import re

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 20002 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
WITH_SDP = b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%b" % (len(SDP), SDP)
EMPTY = b"Content-Length: 0\r\n\r\n"

REQUEST = (
    b"%b %b SIP/2.0\r\nVia: SIP/2.0/%b %b;branch=z9hG4bK%b%d\r\n%bMax-Forwards: 70\r\nFrom: <%b>;tag=%b\r\n"
    b"To: %b\r\nCall-ID: %b\r\nCSeq: %d %b\r\n%bUser-Agent: bench\r\n%b"
)

FIELD = {
    name: re.compile(rb"\r\n%b[ \t]*:[ \t]*([^\r\n]*)" % name.encode(), re.IGNORECASE)
    for name in ("To", "From", "Via", "Call-ID", "CSeq", "Contact", "Record-Route")
}
_CHALLENGE = re.compile(rb"\r\n(?:Proxy|WWW)-Authenticate[ \t]*:[ \t]*Digest ([^\r\n]*)", re.IGNORECASE)
_PARAMETER = re.compile(rb'(\w+)=(?:"([^"]*)"|([^\s,]+))')
_HASHES = {b"md5": hashlib.md5, b"sha-256": hashlib.sha256}


def header(message: bytes, name: str) -> bytes:
    """The first value of a header field."""
    found = FIELD[name].search(message)
    return found[1] if found else b""


def credentials(
    message: bytes, user: bytes, password: bytes, method: bytes, uri: bytes, cnonce: bytes
) -> bytes:
    """The header field that answers the challenge in a 401 or 407 (RFC 7616 section 3.4)."""
    found = _CHALLENGE.search(message)
    given = {
        name.lower(): quoted or plain
        for name, quoted, plain in _PARAMETER.findall(found[1] if found else b"")
    }
    realm, nonce, algorithm = given[b"realm"], given[b"nonce"], given.get(b"algorithm", b"MD5")
    new = _HASHES[algorithm.lower()]

    def digest(*parts: bytes) -> bytes:
        return new(b":".join(parts)).hexdigest().encode()

    ha1, ha2 = digest(user, realm, password), digest(method, uri)
    answer = digest(ha1, nonce, b"00000001", cnonce, b"auth", ha2)
    return (
        b'%bAuthorization: Digest username="%b", realm="%b", nonce="%b", uri="%b", response="%b", algorithm=%b, '
        b'qop=auth, nc=00000001, cnonce="%b"\r\n'
    ) % (b"Proxy-" if message[8:11] == b"407" else b"", user, realm, nonce, uri, answer, algorithm, cnonce)

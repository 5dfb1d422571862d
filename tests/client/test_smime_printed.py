"""The S/MIME messages of RFC 3261 section 23 and RFC 3893, as they are printed.

Their signatures are no objects, some lines of theirs are wrong, and the lengths are not those of the texts. What can be
read of them is read; it proves nothing, and it is said why.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ringfence.client.certificates import Certificates, Smime
from ringfence.client.secure import Secure
from ringfence.message import PeerError, Request, parse
from ringfence.security.aib import find_aibs, judge_request
from ringfence.security.cms_fit import SignatureFlaw
from ringfence.security.smime import Kind, body_of, open_body
from ringfence.security.tunnel import Compared

SIGNATURE = """\
ghyHhHUujhJhjH77n8HHGTrfvbnj756tbB9HG4VQpfyF467GhIGfHfYT6
4VQpfyF467GhIGfHfYT6jH77n8HHGghyHhHUujhJh756tbB9HGTrfvbnj
n8HHGTrfvhJhjH776tbB9HG4VQbnj7567GhIGfHfYT6ghyHhHUujpfyF4
7GhIGfHfYT64VQbnj756
"""
SIGNATURE_PART = f"""\
Content-Type: application/pkcs7-signature; name=smime.p7s
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=smime.p7s;
   handling=required

{SIGNATURE}"""
SDP = """\
v=0
o=UserA 2890844526 2890844526 IN IP4 here.com
s=Session SDP
c=IN IP4 pc33.atlanta.com
t=0 0
m=audio 49172 RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""
HEAD = """\
INVITE sip:bob@biloxi.com SIP/2.0
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8
To: Bob <sip:bob@biloxi.com>
From: {who};tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Max-Forwards: 70
Date: Thu, 21 Feb 2002 13:02:03 GMT
Contact: <sip:alice@pc33.atlanta.com>
"""
ALICE, ANONYMOUS = "Alice <sip:alice@atlanta.com>", "Anonymous <sip:anonymous@atlanta.com>"
SIGNED = """\
Content-Type: multipart/signed;
  protocol="application/pkcs7-signature";
  micalg=sha1; boundary=boundary42
"""
INNER = HEAD.format(who="Alice <alice@atlanta.com>").replace("<sip:bob@biloxi.com>", "<bob@biloxi.com>")

RFC3261_23_4_2 = f"""\
{HEAD.format(who=ALICE)}{SIGNED}
--boundary42
Content-Type: message/sip

{INNER}Content-Type: application/sdp
Content-Length: 147

{SDP}
--boundary42
{SIGNATURE_PART}
--boundary42-
"""
RFC3261_23_4_3 = f"""\
{HEAD.format(who=ANONYMOUS)}{SIGNED}
--boundary42
Content-Type: application/pkcs7-mime; smime-type=enveloped-data;
     name=smime.p7m
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=smime.p7m
   handling=required
Content-Length: 231

{SIGNATURE}
--boundary42
{SIGNATURE_PART}
--boundary42-
"""
RFC3893_3 = f"""\
{HEAD.format(who=ALICE)}Content-Type: multipart/mixed; boundary=unique-boundary-1

--unique-boundary-1

Content-Type: application/sdp
Content-Length: 147

{SDP}
--unique-boundary-1
{SIGNED}Content-Length: 608

--boundary42
Content-Type: message/sipfrag
Content-Disposition: aib; handling=optional

From: Alice <sip:alice@atlanta.com>
To: Bob <sip:bob@biloxi.com>
Contact: <sip:alice@pc33.atlanta.com>
Date: Thu, 21 Feb 2002 13:02:03 GMT
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE

--boundary42
{SIGNATURE_PART}
--boundary42--

--unique-boundary-1--
"""


def printed(text: str, close: str = "") -> Request:
    """The message, with the length that it has. ``close``: with the boundary that misprint has cut short."""
    text = text.replace("--boundary42-\n", f"--boundary42-{close}\n")
    head, _, body = text.replace("\n", "\r\n").partition("\r\n\r\n")
    message = parse(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert isinstance(message, Request)
    return message


@pytest.fixture
def bob(tmp_path: Path) -> Secure:
    return Secure(Certificates(Smime(directory=tmp_path)), lambda: "b")


@pytest.mark.rfc("3261", "23.4.2")
def test_the_tunnelled_copy(bob: Secure) -> None:
    request = printed(RFC3261_23_4_2, "-")
    opened = open_body(body_of(request))
    assert [layer.kind for layer in opened.layers] == [Kind.SIGNED]
    [signature] = opened.layers[0].signatures
    assert [reason.code for reason in signature.reasons] == [SignatureFlaw.MALFORMED]
    assert not opened.layers[0].intact
    read, protection = bob.open(request)
    assert read.body.startswith(b"v=0\r\no=UserA")
    assert protection is not None
    assert not protection.intact
    assert protection.comparison is not None
    found = {line.name: line.compared for line in protection.comparison.lines}
    assert found["Call-ID"] is found["CSeq"] is found["Date"] is Compared.SAME
    assert found["From"] is Compared.CHANGED  # inside it has no scheme
    assert any("the signature does not count" in warning for warning in protection.warnings)


@pytest.mark.rfc("2046", "5.1.1")
def test_without_the_end_of_its_last_boundary_it_is_no_multipart() -> None:
    """As it is printed, with one hyphen for two: where the last part ends is not known, nor what is signed."""
    with pytest.raises(PeerError, match="no closing delimiter") as caught:
        open_body(body_of(printed(RFC3261_23_4_2)))
    assert caught.value.status == 400


@pytest.mark.rfc("3261", "23.4.3")
def test_the_encrypted_copy(bob: Secure) -> None:
    """What is printed as encrypted is no object: 400, not 493, since no certificate of ours would help."""
    with pytest.raises(PeerError) as caught:
        bob.open(printed(RFC3261_23_4_3, "-"))
    assert caught.value.status == 400


@pytest.mark.rfc("3893", "3")
def test_the_identity_body(bob: Secure) -> None:
    request = printed(RFC3893_3)
    [found] = find_aibs(body_of(request))
    judged = judge_request(found, request, (), time.time())
    assert judged.identity is not None
    assert str(judged.identity.uri) == "sip:alice@atlanta.com"
    assert {str(reason.code) for reason in judged.reasons} >= {"malformed", "stale"}
    _, protection = bob.open(request)
    assert protection is not None
    assert protection.aib is not None
    assert protection.aib.reasons

"""Messages as other programs get them: without secrets, without who is unnamed, and still SIP."""

import pytest

from ringfence.message import Request, parse
from ringfence.service.copies import copy_of, without_secrets

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n"
    b"a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=key-mgmt:mikey AQAFgM0XflABAAAA\r\n"
)
SIGNED = b"Identity: eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl;info=<https://example.org/c.pem>\r\n"


def invite(
    body: bytes = SDP, more: bytes = b"", kind: bytes = b"application/sdp", length: bytes = b""
) -> bytes:
    return (
        b"INVITE sip:bob@example.net SIP/2.0\r\n"
        b"Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n"
        b"From: Alice <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.net>\r\n"
        b"Call-ID: abc@192.0.2.1\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\n"
        b"Contact: <sip:alice@192.0.2.1:40000>\r\n"
        b'Proxy-Authorization: Digest username="alice", response="hunter2", nonce="n0nce"\r\n'
        + more
        + b"Content-Type: "
        + kind
        + b"\r\n"
        + (length or b"Content-Length: ")
        + str(len(body)).encode()
        + b"\r\n\r\n"
        + body
    )


@pytest.mark.parametrize("length", [b"Content-Length: ", b"l:", b"content-length :  "])
def test_secrets_go_and_the_length_is_that_of_what_is_left(length: bytes) -> None:
    copy = without_secrets(invite(more=SIGNED, length=length))
    for secret in (b"hunter2", b"n0nce", b"WVNfX19z", b"asd88fgp", b"AQAFgM0X"):
        assert secret not in copy
    assert SIGNED in copy
    assert b"inline:" + b"A" * 40 + b"|2^20" in copy
    read = parse(copy)
    assert isinstance(read, Request)
    assert (
        int(read.headers.get("Content-Length") or "") == len(read.body) == len(copy.partition(b"\r\n\r\n")[2])
    )
    assert read.body.startswith(b"v=0\r\n")


def test_what_is_sealed_stays_byte_by_byte() -> None:
    body = bytes(range(256)) + b'response="x", k=clear:y'
    for kind in (b"application/pkcs7-mime; smime-type=authEnveloped-data", b"application/x-pkcs7-mime"):
        assert without_secrets(invite(body, kind=kind)).endswith(body)


def test_bytes_that_are_no_text_stay() -> None:
    body = b"\xff\x00\xfe" * 10
    assert without_secrets(invite(body, kind=b"application/octet-stream")).endswith(body)


def test_a_private_message_is_still_sip_and_names_nobody() -> None:
    more = b"User-Agent: alices phone\r\nX-Site: home of alice\r\nSubject: from alice\r\nRoute: <sip:192.0.2.1;lr>\r\n"
    copy = copy_of(parse(invite(more=more)), private=True, call_id="k3y@anonymous.invalid")
    for word in (b"alice", b"192.0.2.", b"bob", b"hunter2", b"abc@", b"v=0"):
        assert word not in copy.lower(), word
    read = parse(copy)
    assert isinstance(read, Request)
    assert (read.method, read.call_id, read.cseq.number, read.body) == (
        "INVITE",
        "k3y@anonymous.invalid",
        7,
        b"",
    )
    assert str(read.from_.uri) == str(read.to.uri) == str(read.target) == "sip:anonymous@anonymous.invalid"

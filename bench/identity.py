"""What a verified caller costs: signing and verifying the Identity header field of RFC 8224, CPU a call.

The budget is 60 us to sign and 150 us to verify. Most of it is the two ECDSA operations, so they are measured
alone as well; what is above them is ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from ringfence.message import Request, parse
from ringfence.security.identity import Signer, sign_request
from ringfence.security.tnauth import credential_from
from ringfence.security.verification import verify_request

CALLS = 3_000
ROUNDS = 5
INFO = "https://cert.example.com/1.pem"
INVITE = b"""\
INVITE sip:alice@example.net SIP/2.0
Via: SIP/2.0/TLS pc33.example.com;branch=z9hG4bKnashds8
Max-Forwards: 70
To: <sip:alice@example.net>
From: <sip:bob@example.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Content-Length: 0

""".replace(b"\n", b"\r\n")


def main() -> None:
    """Print one line for each measure."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self_signed(key)
    now = datetime.now(UTC).timestamp()
    credential = credential_from([certificate], [certificate], now)
    signer = Signer(key, INFO, credential)
    full, compact = signed(signer, now, compact=False), signed(signer, now, compact=True)
    known = {INFO: credential}
    text, algorithm = bytes(300), ec.ECDSA(SHA256())
    signature = key.sign(text, algorithm)
    for name, call in (
        ("ECDSA P-256 sign alone", lambda: key.sign(text, algorithm)),
        ("sign a request", lambda: sign_request(request(), signer, now)),
        ("ECDSA P-256 verify alone", lambda: key.public_key().verify(signature, text, algorithm)),
        ("verify a request, full form", lambda: verify_request(copy(full), known, now)),
        ("verify a request, compact form", lambda: verify_request(copy(compact), known, now)),
        ("parse and copy (in all of the above)", lambda: copy(full)),
    ):
        print(f"{name:44} {best(call):7.2f} us")


def request() -> Request:
    """A request that nobody has read yet."""
    message = parse(INVITE)
    assert isinstance(message, Request)
    return message


def copy(data: bytes) -> Request:
    """A signed request that nobody has read yet."""
    message = parse(data)
    assert isinstance(message, Request)
    return message


def signed(signer: Signer, now: float, *, compact: bool) -> bytes:
    """The request as it leaves the authentication service."""
    message = request()
    made = sign_request(message, signer, now, compact=compact)
    for name, value in made.fields:
        message.headers.add(name, value)
    assert verify_request(message, {INFO: signer.credential}, now).proof is not None
    return message.to_bytes()


def self_signed(key: ec.EllipticCurvePrivateKey, domain: str = "example.com") -> x509.Certificate:
    """A certificate for a domain that this program trusts by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"sip:{domain}")])
    return builder.add_extension(names, critical=False).sign(key, SHA256())


def best(call: Callable[[], object]) -> float:
    """Microseconds of CPU a call, best of several rounds."""
    found = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _ in range(CALLS):
            call()
        found = min(found, (time.process_time() - begin) / CALLS)
    return found * 1e6


if __name__ == "__main__":
    main()

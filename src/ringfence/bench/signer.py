"""The Identity header field of the load client's callers (RFC 8224), from cryptography's primitives alone."""

from __future__ import annotations

import base64
import json
from argparse import Namespace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class Signer:
    """Signs callers of one domain who call one callee."""

    def __init__(self, options: Namespace) -> None:
        key = load_pem_private_key(options.sign_key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key, self._url = key, options.sign_url
        self._domain = options.from_domain or options.domain
        self._callee = f"sip:{options.callee}@{options.domain}"

    def field(self, user: bytes, second: int) -> bytes:
        """The header field of a caller at a time."""
        header = {"alg": "ES256", "typ": "passport", "x5u": self._url}
        claims = {
            "dest": {"uri": [self._callee]},
            "iat": second,
            "orig": {"uri": f"sip:{user.decode()}@{self._domain}"},
        }
        text = b".".join(
            _base64(json.dumps(each, separators=(",", ":")).encode()) for each in (header, claims)
        )
        r, s = decode_dss_signature(self._key.sign(text, ec.ECDSA(SHA256())))
        signature = _base64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return b"Identity: %b.%b;info=<%b>;alg=ES256\r\n" % (text, signature, self._url.encode())


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

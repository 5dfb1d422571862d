"""What the rows with signed callers need: a certificate for us and one for the caller's domain, and a server of it."""

from __future__ import annotations

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

THEIR_DOMAIN = "caller.test"


def make_identities(directory: Path, domain: str) -> None:
    """``ours`` for the domain, ``theirs`` for the callers' one: .pem and .key of each."""
    for name, subject in (("ours", domain), ("theirs", THEIR_DOMAIN)):
        key = ec.generate_private_key(ec.SECP256R1())
        encoding, pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path = directory / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(encoding, pem, serialization.NoEncryption()))
        (directory / f"{name}.pem").write_bytes(self_signed(key, subject).public_bytes(encoding))


def self_signed(key: ec.EllipticCurvePrivateKey, domain: str) -> x509.Certificate:
    """A certificate for a domain that whoever has it trusts by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"sip:{domain}")])
    return builder.add_extension(names, critical=False).sign(key, SHA256())


class CertificateServer:
    """Serves one certificate over https on loopback, to a node that fetches it once."""

    def __init__(self, host: str, certificate: Path, cert: Path, key: Path) -> None:
        body = certificate.read_bytes()

        class Serve(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/pem-certificate-chain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                """Nothing: it would be in the way of the figures."""

        self._server = ThreadingHTTPServer((host, 0), Serve)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

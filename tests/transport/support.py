"""What the transport tests share: a recorder above the pool, messages, and a certificate authority."""

import asyncio
import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringfence.transport.contexts import Contexts, TlsSettings
from ringfence.transport.flow import Flow

PATIENCE = 3.0
"""Seconds to wait for what has to happen."""


class Recorder:
    """Stands above the transport and notes what it is told."""

    def __init__(self, answer: Callable[[bytes, Flow], bytes | None] | None = None) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.opens: list[Flow] = []
        self.ends: list[tuple[Flow, str]] = []
        self.answer = answer
        self._news = asyncio.Event()

    def received(self, data: bytes, flow: Flow) -> None:
        self.messages.append((data, flow))
        response = self.answer(data, flow) if self.answer is not None else None
        if response is not None:
            flow.send(response)
        self._news.set()

    def opened(self, flow: Flow) -> None:
        self.opens.append(flow)
        self._news.set()

    def closed(self, flow: Flow, reason: str) -> None:
        self.ends.append((flow, reason))
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was noted satisfies a condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def message(self, number: int = 1) -> tuple[bytes, Flow]:
        """The message with this number, counted from 1."""
        await self.until(lambda: len(self.messages) >= number)
        return self.messages[number - 1]

    async def end(self, number: int = 1) -> tuple[Flow, str]:
        """The end with this number, counted from 1."""
        await self.until(lambda: len(self.ends) >= number)
        return self.ends[number - 1]


def options(number: int = 1, *lines: str, body: bytes = b"", length: int | None = None) -> bytes:
    """A request with all it needs."""
    head = (
        "OPTIONS sip:b@example.org SIP/2.0",
        f"Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK{number}",
        "Max-Forwards: 70",
        "From: <sip:a@example.org>;tag=1",
        "To: <sip:b@example.org>",
        f"Call-ID: {number}@127.0.0.1",
        f"CSeq: {number} OPTIONS",
        *lines,
        f"Content-Length: {len(body) if length is None else length}",
        "",
        "",
    )
    return "\r\n".join(head).encode() + body


class Authority:
    """Issues certificates into a directory. Its own is ``ca.pem``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {directory.name}")])
        self._count = 0
        builder = self._builder(self._name, self._key, -10, 10)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.root = directory / "ca.pem"
        self.root.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: float, end: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=start))
            .not_valid_after(now + datetime.timedelta(days=end))
        )

    def issue(self, *names: str, expired: bool = False, for_clients: bool = True) -> tuple[Path, Path]:
        """A certificate and its key; names are ``sip:domain``, an address, or a DNS name."""
        self._count += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] * for_clients)]
        certificate = (
            self._builder(subject, key, -9, -1 if expired else 9)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        paths = self._directory / f"{self._count}.pem", self._directory / f"{self._count}.key"
        paths[0].write_bytes(_pem(certificate))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def revoke(self, certificate: Path) -> Path:
        """A revocation list that has this certificate."""
        now = datetime.datetime.now(datetime.UTC)
        serial = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now)
            .next_update(now + datetime.timedelta(days=1))
            .add_revoked_certificate(entry)
            .sign(self._key, hashes.SHA256())
        )
        path = self._directory / "crl.pem"
        path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return path

    def contexts(self, *names: str, **more: object) -> Contexts:
        """Contexts with a certificate for these names, or none, that trust this authority."""
        certificates = (self.issue(*names),) if names else ()
        return Contexts(TlsSettings(certificates, (self.root,), **more))  # type: ignore[arg-type]


def _general(name: str) -> x509.GeneralName:
    if name.startswith("sip:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

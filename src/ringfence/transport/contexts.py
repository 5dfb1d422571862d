"""TLS contexts from files: our certificates by the name that a client asks for, and whom we trust.

``load`` builds everything anew before it replaces anything, so that a broken file leaves the old state. The
connections that live keep the context they were made with.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ringfence.message import LocalError
from ringfence.security.certificates import domain_identities
from ringfence.transport.flow import PeerCertificate

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2); 1.3 has no others.
TLS_RSA_WITH_AES_128_CBC_SHA, which RFC 3261 section 26.2.1 demands, has neither."""

TICKETS = 0
"""Session tickets sent after a TLS 1.3 handshake. Resumption by them saves a server nothing (160 us against
165 in all, since the key exchange is done anyway), and each costs 10 us to make."""


Inquire = Callable[
    [PeerCertificate, "tuple[x509.CertificateRevocationList, ...]"], "str | Coroutine[Any, Any, str]"
]
"""What is wrong with a certificate whose chain is good ("" when nothing is), now or when the answers are there."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What contexts are made of. All files are PEM."""

    certificates: tuple[tuple[Path, Path], ...] = ()
    """(certificate and its chain, private key). The first is shown to clients that ask for no name we have,
    and to servers that we connect to."""
    trust: tuple[Path, ...] = ()
    """Roots that peers' certificates must come from."""
    system_trust: bool = False
    """Whether the operating system's roots are trusted too."""
    client_certificates: Literal["none", "optional", "required"] = "optional"
    """Whether clients are asked for one. One that is shown must be good in any case."""
    verify_servers: bool = True
    """False trusts any server and any name: for laboratories."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    revoked: tuple[Path, ...] = ()
    """Certificate revocation lists."""
    inside: tuple[Path, Path] | None = None
    """The pair that is shown to the servers of ``inside_names`` instead of the first."""
    inside_names: frozenset[str] = frozenset()
    """Nodes of our own network, lower case: they know us by a certificate of our own CA and by no other."""


class Contexts:
    """The TLS contexts in force: ``server`` for connections that we accept, ``client`` for those we make.

    ``websocket`` accepts WSS. It asks for no certificate that is optional: Chromium ends the handshake of a WebSocket
    as soon as it is asked for one.
    """

    __slots__ = (
        "client",
        "crls",
        "inquire",
        "inside",
        "inside_names",
        "roots",
        "server",
        "verify_servers",
        "websocket",
    )

    server: ssl.SSLContext | None
    websocket: ssl.SSLContext | None
    client: ssl.SSLContext
    inside: ssl.SSLContext | None
    inside_names: frozenset[str]
    crls: tuple[x509.CertificateRevocationList, ...]
    verify_servers: bool

    def __init__(self, settings: TlsSettings) -> None:
        self.inquire: Inquire | None = None
        """Asks whether a peer's certificate has been revoked, beside the lists at hand. It outlives ``load``."""
        self.roots: Mapping[str, frozenset[bytes]] = {}
        """Authorities (DER) that alone may vouch for these names, whatever others are trusted."""
        self.load(settings)

    def vouched_for(self, peer: PeerCertificate, name: str | None) -> bool:
        """Whether a certificate comes from an authority that may vouch for this name."""
        roots = self.roots.get(name) if name is not None and self.roots else None
        return roots is None or peer.chain[-1] in roots

    def client_for(self, name: str | None) -> ssl.SSLContext:
        """The context to connect to a server with, by the name that it has to prove."""
        return self.inside if self.inside is not None and name in self.inside_names else self.client

    def load(self, settings: TlsSettings) -> None:
        """Read all files again and use them for connections from now on.

        Raises:
            LocalError: with the file and what is wrong with it; nothing has changed then.
        """
        server = _server_of(settings)
        websocket = server
        if settings.client_certificates == "optional":
            websocket = _server_of(replace(settings, client_certificates="none"))
        client = _client_context(settings, settings.certificates[0] if settings.certificates else None)
        inside = _client_context(settings, settings.inside) if settings.inside is not None else None
        crls = tuple(_read_crl(path) for path in settings.revoked)
        self.server, self.websocket = server, websocket
        self.client, self.inside, self.inside_names = client, inside, settings.inside_names
        self.crls = crls
        self.verify_servers = settings.verify_servers


def _server_of(settings: TlsSettings) -> ssl.SSLContext | None:
    """A context that takes the certificate of the name that is asked for; None without a certificate."""
    servers = [_server_context(settings, *pair) for pair in settings.certificates]
    if len(servers) > 1:
        _choose_by_name(servers, [_names(path) for path, _ in settings.certificates])
    return servers[0] if servers else None


def _server_context(settings: TlsSettings, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = {
        "none": ssl.CERT_NONE,
        "optional": ssl.CERT_OPTIONAL,
        "required": ssl.CERT_REQUIRED,
    }[settings.client_certificates]
    context.num_tickets = TICKETS
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_pair(context, certificate, key)
    return _common(context, settings)


def _client_context(settings: TlsSettings, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # OpenSSL knows no SIP identities: ``tls`` compares by RFC 5922
    context.verify_mode = ssl.CERT_REQUIRED if settings.verify_servers else ssl.CERT_NONE
    if pair is not None and _is_for_clients(pair[0]):
        _load_pair(context, *pair)
    return _common(context, settings)


def _common(context: ssl.SSLContext, settings: TlsSettings) -> ssl.SSLContext:
    newest_old = settings.minimum_version == "1.2"
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if newest_old else ssl.TLSVersion.TLSv1_3
    context.set_ciphers(CIPHERS)
    if settings.system_trust:
        # Not set_default_verify_paths(): OpenSSL's lookup through OSSL_STORE costs each handshake 80 us,
        # since it searches for what may stand above a certificate that comes without a chain.
        paths = ssl.get_default_verify_paths()
        if paths.cafile or paths.capath:
            context.load_verify_locations(paths.cafile, None if paths.cafile else paths.capath)
    for path in settings.trust:
        try:
            context.load_verify_locations(cafile=str(path))
        except OSError as error:  # SSLError is one
            raise LocalError(f"{path}: {_reason(error, 'no certificates in it')}") from error
    return context


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(str(certificate), str(key))
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        what = f"{key} is not its private key" if mismatch else f"it or {key} cannot be read as PEM"
        raise LocalError(f"{certificate}: {what}") from error
    except OSError as error:
        raise LocalError(f"{certificate} or {key}: {error.strerror}") from error


def _choose_by_name(servers: list[ssl.SSLContext], names: list[frozenset[str]]) -> None:
    """Server Name Indication (RFC 6066 section 3): a name that no certificate has gets the first."""
    by_name = {
        name: server for server, group in reversed(list(zip(servers, names, strict=True))) for name in group
    }

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        found = by_name.get((name or "").lower())
        if found is not None:
            connection.context = found

    servers[0].sni_callback = choose


def _is_for_clients(path: Path) -> bool:
    """Whether a certificate may be shown by a client (RFC 5280 section 4.2.1.12).

    Public authorities issue for servers only. Whoever checks the use ends the handshake at such a certificate, but most
    go on without any.
    """
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (OSError, ValueError):
        return True  # what is wrong with the file, loading it says
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def _names(path: Path) -> frozenset[str]:
    """What a certificate file answers for: its SIP domains, and the DNS names beside them."""
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    names = set(domain_identities(certificate).domains)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names.update(name.lower() for name in alternative.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError):
        pass
    return frozenset(names)


def _read_crl(path: Path) -> x509.CertificateRevocationList:
    try:
        return x509.load_pem_x509_crl(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LocalError(f"{path}: {_reason(error, 'not a revocation list')}") from error


def _reason(error: Exception, otherwise: str) -> str:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return error.strerror or otherwise
    return otherwise

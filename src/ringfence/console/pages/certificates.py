"""The certificates that the node uses, and when they end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringfence.console.web import office_of, page, render
from ringfence.service.config import Config

SOON = 30 * 86_400.0
"""A certificate that ends within this time wants attention."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One certificate."""

    use: str
    file: str
    names: tuple[str, ...] = ()
    issuer: str = ""
    until: float = 0.0
    problem: str = ""

    @property
    def left(self) -> float:
        """Seconds until it ends."""
        return self.until - time.time()


@page()
async def show(request: Request) -> Response:
    """All of them."""
    return render(request, "certificates.html", certificates=found(office_of(request).config), soon=SOON)


def found(config: Config) -> list[Shown]:
    """What the configuration names. A file that can't be read is shown with the reason."""
    files = [(use, chain) for use, chain, _ in config.certificate_files()]
    files += [("signing of callers", path) for _, path, _ in config.identity.signers]
    if config.tls.ca is not None:
        files.append(("our authority", config.tls.ca))
    return [_read(use, path) for use, path in files if path.exists() or use == "tls"]


def expiring(config: Config) -> list[Shown]:
    """Those that want attention."""
    return [each for each in found(config) if each.problem or each.left < SOON]


def _read(use: str, path: Path) -> Shown:
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        names = _names(certificate)
    except (OSError, ValueError) as error:
        return Shown(use, str(path), problem=str(error))
    issuer = certificate.issuer.rfc4514_string()
    return Shown(use, str(path), names, issuer, certificate.not_valid_after_utc.timestamp())


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return (certificate.subject.rfc4514_string(),)
    return tuple(str(each.value) for each in extension.value)


ROUTES = (Route("/certificates", show, methods=["GET"]),)

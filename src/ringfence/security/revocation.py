"""Where a certificate says that its revocation list is (RFC 5280 section 4.2.1.13)."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm


def revocation_urls(chain: Iterable[x509.Certificate]) -> list[str]:
    """The https URLs of the lists for these certificates, each once. Roots, and other kinds of URLs, have none."""
    found: dict[str, None] = {}
    for certificate in chain:
        if certificate.issuer == certificate.subject:
            continue
        try:
            points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
            continue
        for point in points:
            for name in point.full_name or ():
                if isinstance(name, x509.UniformResourceIdentifier) and name.value.lower().startswith(
                    "https:"
                ):
                    found[name.value] = None
    return list(found)


def read_list(data: bytes) -> x509.CertificateRevocationList | None:
    """A revocation list in DER or PEM, or None when it is none."""
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_crl(data)
        return x509.load_der_x509_crl(data)
    except (ValueError, UnsupportedAlgorithm):
        return None

"""Where a certificate says that its revocation list is, and whether a list tells its status (RFC 5280 section 6.3).

Read are complete lists of the certificate's own issuer, over https. Not read are indirect lists (of another issuer),
lists of some reasons only, deltas, and OCSP (RFC 6960): what only they would tell stays unknown, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import AuthorityInformationAccessOID


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


def tells(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a list says of this certificate that it is revoked, or by its silence that it is not.

    "If a CRL contains a critical extension that the application cannot process, then the application MUST NOT use that
    CRL to determine the status of certificates" (section 5.2). Who signed it, and when it ends, is judged elsewhere.
    """
    if crl.issuer != certificate.issuer:
        return False
    try:
        critical = [each.value for each in crl.extensions if each.critical]
    except (ValueError, x509.DuplicateExtension):
        return False
    return all(
        isinstance(each, x509.IssuingDistributionPoint) and _in_scope(each, certificate) for each in critical
    )


def _in_scope(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs:
        return False
    if scope.only_contains_ca_certs or scope.only_contains_user_certs:
        return scope.only_contains_ca_certs == _is_authority(certificate)
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def unknown_status(
    chain: Iterable[x509.Certificate], lists: Iterable[x509.CertificateRevocationList]
) -> list[tuple[x509.Certificate, str]]:
    """The certificates whose status nobody could tell with these lists, and why.

    One that names no way to ask has none to be asked: its issuer revokes nothing, or by other means.
    """
    lists = tuple(lists)
    found = []
    for certificate in chain:
        if certificate.issuer == certificate.subject or any(tells(each, certificate) for each in lists):
            continue
        if why := _why_unknown(certificate):
            found.append((certificate, why))
    return found


def _why_unknown(certificate: x509.Certificate) -> str:
    if revocation_urls([certificate]):
        return "its revocation list could not be had, or does not tell"
    try:
        extensions = certificate.extensions
        points = [each.value for each in extensions if isinstance(each.value, x509.CRLDistributionPoints)]
        access = [
            each.value for each in extensions if isinstance(each.value, x509.AuthorityInformationAccess)
        ]
    except (ValueError, x509.DuplicateExtension):
        return "its extensions can't be read"
    if any(point.crl_issuer for each in points for point in each):
        return "its revocation list is an indirect one, of another issuer"
    if points:
        return "its revocation list can't be had over https"
    if any(each.access_method == AuthorityInformationAccessOID.OCSP for all_ in access for each in all_):
        return "its issuer tells it by OCSP alone"
    return ""

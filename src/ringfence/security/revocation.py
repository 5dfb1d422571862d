"""Where a certificate says that its revocation list is, and what a list tells of it (RFC 5280 section 6.3).

Read are complete lists: those of the certificate's own issuer, and indirect ones, whose entries say which issuer they
are about (section 5.3.3), of an issuer that the certificate names (cRLIssuer). A list of some reasons only can revoke;
its silence tells nothing. Deltas are not read: nobody knows what their base would say. Who signed a list, and when it
ends, is judged in ``chains``; OCSP is in ``ocsp``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from ringfence.security.ocsp import responders
from ringfence.security.unreadable import NO_EXTENSION, UNREADABLE


def distribution_points(certificate: x509.Certificate) -> list[x509.DistributionPoint]:
    """Where the lists for a certificate are; none when it does not say, or it can't be read."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value)
    except NO_EXTENSION:
        return []


def revocation_urls(chain: Iterable[x509.Certificate]) -> list[str]:
    """The URLs of the lists for these certificates, each once. Roots, and other kinds of URLs, have none.

    http is good enough for a list, which is signed (section 8).
    """
    found: dict[str, None] = {}
    for certificate in chain:
        if certificate.issuer == certificate.subject:
            continue
        for point in distribution_points(certificate):
            for name in point.full_name or ():
                if isinstance(name, x509.UniformResourceIdentifier) and _is_web(name.value):
                    found[name.value] = None
    return list(found)


def issuer_urls(crl: x509.CertificateRevocationList) -> list[str]:
    """Where the certificate of who signed a list is (section 5.2.7)."""
    try:
        access = crl.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except NO_EXTENSION:
        return []
    return [
        each.access_location.value
        for each in access
        if each.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
        and _is_web(each.access_location.value)
    ]


def _is_web(url: str) -> bool:
    return url.lower().startswith(("https:", "http:"))


def read_list(data: bytes) -> x509.CertificateRevocationList | None:
    """A revocation list in DER or PEM, or None when it is none."""
    try:
        crl = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
        _ = (
            crl.issuer,
            crl.next_update_utc,
        )  # read only when they are asked for; what is wrong has to come out here
        return crl
    except UNREADABLE:
        return None


# ---- what a list is about ----


def tells(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a list says of this certificate that it is revoked, or by its silence that it is not."""
    scope = _scope(crl)
    partial = scope is not None and scope.only_some_reasons is not None
    if partial or not applies(crl, certificate):
        return False
    # Reasons of a point narrow the list that is there as well (section 6.3.3 step d 3).
    return crl.issuer == certificate.issuer or any(
        point.reasons is None for point in _points_naming(crl, scope, certificate)
    )


def applies(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether an entry of a list may be about this certificate.

    "If a CRL contains a critical extension that the application cannot process, then the application MUST NOT use that
    CRL to determine the status of certificates" (section 5.2). Deltas have one.
    """
    scope = _scope(crl)
    direct = crl.issuer == certificate.issuer
    if not direct and not _points_naming(crl, scope, certificate):
        return False
    try:
        critical = [each.value for each in crl.extensions if each.critical]
    except UNREADABLE:
        return False
    known = all(isinstance(each, x509.IssuingDistributionPoint) for each in critical)
    return known and (scope is None or _in_scope(scope, certificate))


def _scope(crl: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    try:
        return crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except NO_EXTENSION:
        return None


def _points_naming(
    crl: x509.CertificateRevocationList,
    scope: x509.IssuingDistributionPoint | None,
    certificate: x509.Certificate,
) -> list[x509.DistributionPoint]:
    """The points where a certificate says that the issuer of this indirect list speaks for its own.

    Issuer and place have to be of the same point (section 6.3.3 steps b 1 and b 2): the issuer's list of another place
    may be silent on this certificate.
    """
    if scope is None or not scope.indirect_crl:
        return []
    by = x509.DirectoryName(crl.issuer)
    return [
        point
        for point in distribution_points(certificate)
        if by in (point.crl_issuer or ()) and (not scope.full_name or _is_of(scope.full_name, point))
    ]


def _is_of(names: Iterable[x509.GeneralName], point: x509.DistributionPoint) -> bool:
    wanted = point.full_name or point.crl_issuer or ()
    return any(name in wanted for name in names)


def _in_scope(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    if scope.only_contains_attribute_certs or scope.relative_name is not None:
        return False
    if scope.full_name and not _shares_a_name(scope.full_name, certificate):
        return False
    if scope.only_contains_ca_certs or scope.only_contains_user_certs:
        return scope.only_contains_ca_certs == _is_authority(certificate)
    return True


def _shares_a_name(names: Iterable[x509.GeneralName], certificate: x509.Certificate) -> bool:
    """Whether a list of one distribution point is that of the certificate (section 6.3.3 step b 2)."""
    points = distribution_points(certificate)
    if not points:
        return x509.DirectoryName(certificate.issuer) in names
    return any(_is_of(names, point) for point in points)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except NO_EXTENSION:
        return False


def is_delta(crl: x509.CertificateRevocationList) -> bool:
    """Whether a list has only what has changed since another one (section 5.2.4)."""
    try:
        return any(isinstance(each.value, x509.DeltaCRLIndicator) for each in crl.extensions)
    except UNREADABLE:
        return False


def revokes(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a list that applies has this certificate among its entries.

    In an indirect list an entry is about the issuer that it, or the last entry that has one, names (section 5.3.3).
    """
    serial = certificate.serial_number
    if crl.get_revoked_certificate_by_serial_number(serial) is None:
        return False
    scope = _scope(crl)
    if scope is None or not scope.indirect_crl:
        return True
    about = [x509.DirectoryName(crl.issuer)]
    for entry in crl:
        with suppress(x509.ExtensionNotFound):  # without one it is about the same as the entry before
            about = list(entry.extensions.get_extension_for_class(x509.CertificateIssuer).value)
        if entry.serial_number == serial and x509.DirectoryName(certificate.issuer) in about:
            return True
    return False


# ---- what nobody has told ----


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
        if why := _why_unknown(certificate, lists):
            found.append((certificate, why))
    return found


def _why_unknown(certificate: x509.Certificate, lists: Iterable[x509.CertificateRevocationList]) -> str:
    points, ways = distribution_points(certificate), responders(certificate)
    if not points and not ways:
        return "" if _readable(certificate) else "its extensions can't be read"
    if any(is_delta(each) and each.issuer == certificate.issuer for each in lists):
        return "its revocation list is a delta, which tells nothing alone"
    if any(applies(each, certificate) for each in lists):
        return "its revocation list is about some reasons only"
    if revocation_urls([certificate]):
        return "its revocation list could not be had, or does not tell"
    if any(point.crl_issuer for point in points):
        return "its revocation list is an indirect one, and not at hand"
    return "its revocation list can't be had over http" if points else "its issuer tells it by OCSP alone"


def _readable(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except x509.ExtensionNotFound:
        return True
    except UNREADABLE:
        return False
    return True

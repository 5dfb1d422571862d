"""The certificates of the domain as files: the private CA, what it has issued, what was revoked.

Beside the CA's certificate there is a directory ``issued`` with a copy of each certificate under its serial
number. It is what `ringfence cert list` and `revoke` know; a certificate that is lost there is still valid.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.cli.failure import Exit, Failure
from ringfence.message import LocalError
from ringfence.roles.directory import file_name
from ringfence.security.authority import SERIAL_OCTETS, Authority, serial_number
from ringfence.security.certificates import WEB_USAGES, domain_identities, judge_domain, user_identities
from ringfence.security.pem import (
    MAX_PEM,
    PrivateKey,
    chain_pem,
    crl_pem,
    key_pem,
    read_chain,
    read_crl,
    read_key,
)
from ringfence.service.config import Config
from ringfence.service.files import write_private

REVOKED_NAME = "revoked.pem"


class Issued(NamedTuple):
    """A certificate that the CA has issued, and the file of its copy."""

    certificate: x509.Certificate
    path: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The users or domains that it speaks for."""
        return user_identities(self.certificate) or domain_identities(self.certificate).domains

    @property
    def serial(self) -> str:
        """The serial number as commands write it."""
        return f"{self.certificate.serial_number:x}"


def new_serial() -> int:
    """A random serial number."""
    return serial_number(os.urandom(SERIAL_OCTETS))


def load_authority(config: Config) -> Authority:
    """The private CA. Raises Failure when its files are not on this machine."""
    ca, key = config.tls.ca, config.tls.ca_key
    if ca is None or key is None or not ca.exists() or not key.exists():
        missing = next(
            (str(path) for path in (ca, key) if path is not None and not path.exists()), "tls.ca_key"
        )
        fix = "run the command where the CA is, or get certificates elsewhere and name them under [tls]"
        raise Failure(Exit.UNAVAILABLE, f"the private CA is not here: no {missing}", fix)
    certificate, *_ = load_chain(ca)
    private = load_key(key)
    if (
        not isinstance(private, ec.EllipticCurvePrivateKey)
        or certificate.public_key() != private.public_key()
    ):
        raise Failure(Exit.BAD_DATA, f"{key} is not the key of {ca}", "restore both from one backup")
    return Authority(certificate, private)


def load_chain(path: Path) -> Sequence[x509.Certificate]:
    """The certificates of a file, of which there is at least one."""
    try:
        return read_chain(_read(path))
    except LocalError as error:
        raise Failure(Exit.BAD_DATA, f"{path}: {error}", "name a PEM file") from None


def load_key(path: Path) -> PrivateKey:
    """The private key of a file."""
    try:
        return read_key(_read(path))
    except LocalError as error:
        raise Failure(Exit.BAD_DATA, f"{path}: {error}", "name a PEM file without a password") from None


def prove(authority: Authority, certificate: x509.Certificate, names: Iterable[str]) -> None:
    """Make sure that a peer who trusts the CA accepts the certificate for each name. Raises Failure.

    The CA may be limited to the domains that it was made for (RFC 5280 section 4.2.1.10).
    """
    for name in names:
        host = f"[{name}]" if ":" in name else name  # as a SIP URI writes an IPv6 address
        judged = judge_domain([certificate], [authority.certificate], time.time(), host, usages=WEB_USAGES)
        if judged.reasons:
            why = "; ".join(reason.detail for reason in judged.reasons)
            fix = "this CA speaks for the names that it was made for: see ringfence cert list"
            raise Failure(Exit.NO, f"nobody would accept a certificate for {name}: {why}", fix)


def save_pair(
    chain_path: Path, key_path: Path, certificate: x509.Certificate, key: PrivateKey | None
) -> None:
    """Write a certificate and its key; None keeps the key that is there.

    The key goes first: whoever reads in between sees the pair differ and keeps the one it has.
    """
    if key is not None:
        write_private(key_path, key_pem(key))
    write_private(chain_path, chain_pem([certificate]))


def record(config: Config, certificate: x509.Certificate) -> None:
    """Keep a copy of an issued certificate."""
    write_private(issued_directory(config) / f"{certificate.serial_number:x}.pem", chain_pem([certificate]))


def publish(config: Config, certificate: x509.Certificate) -> None:
    """Have the node tell whoever wants to encrypt to a user of ours (RFC 6072)."""
    for path in _published(config, certificate):
        write_private(path, chain_pem([certificate]))


def withdraw(config: Config, certificate: x509.Certificate) -> None:
    """Have the node tell nobody any more."""
    for path in _published(config, certificate):
        if path.exists() and load_chain(path)[0].serial_number == certificate.serial_number:
            path.unlink()


def _published(config: Config, certificate: x509.Certificate) -> list[Path]:
    names = (file_name(each) for each in user_identities(certificate))
    return [config.certificates.directory / name for name in names if name is not None]


def issued(config: Config) -> list[Issued]:
    """What the CA has issued, the newest first."""
    paths = issued_directory(config).glob("*.pem")
    found = [Issued(load_chain(path)[0], path) for path in paths]
    return sorted(found, key=lambda each: each.certificate.not_valid_before_utc, reverse=True)


def issued_directory(config: Config) -> Path:
    """Where the copies are."""
    if config.tls.ca is None:
        raise Failure(Exit.UNAVAILABLE, "there is no private CA", "name one as tls.ca in the configuration")
    return config.tls.ca.parent / "issued"


def revocation_path(config: Config) -> Path:
    """The file of the revocation list."""
    return issued_directory(config).parent / REVOKED_NAME


def load_revoked(config: Config) -> x509.CertificateRevocationList | None:
    """The revocation list; None while nothing was revoked."""
    path = revocation_path(config)
    return read_crl(_read(path)) if path.exists() else None


def save_revoked(config: Config, revoked: x509.CertificateRevocationList) -> None:
    """Write the revocation list."""
    write_private(revocation_path(config), crl_pem(revoked))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PEM + 1)

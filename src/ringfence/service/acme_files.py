"""What is kept of an ACME server, in data/acme: the key of the account, the certificate with its key, the last failure.

The certificate and its key are one file, so that a crash between two writes can't leave a pair that does not match.
"""

from __future__ import annotations

import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.message import LocalError
from ringfence.security.authority import new_key
from ringfence.security.pem import chain_pem, check_pair, key_pem, read_chain, read_key
from ringfence.service.config import Config
from ringfence.service.files import write_private

RENEW_AFTER = 2 / 3
"""Of a lifetime: a third is left for a server that is away, and for whoever has to mend something."""

SPREAD = 1 / 30
"""Of a lifetime: certificates that were issued together are renewed this far apart, each at a time of its own."""

LATEST = 9 / 10
"""Of a lifetime: whatever a server suggests, this is late enough."""


def names_of(config: Config) -> tuple[str, ...]:
    """What the certificate is for, the domain first."""
    if config.acme.names:
        return tuple(dict.fromkeys(config.acme.names))
    domains = (config.domain.name, *config.domain.aliases)
    # The nodes of a network know each other by our own CA: under its own name a node goes on showing that.
    hosts = () if config.inside_names else (*config.node.advertise, config.node.name)
    below = tuple(f".{domain}" for domain in domains)
    return tuple(dict.fromkeys((*domains, *(each for each in hosts if each.endswith(below)))))


def account_key(config: Config) -> ec.EllipticCurvePrivateKey:
    """The key of the account, made when there is none. Raises LocalError or OSError."""
    path = config.acme_dir / "account.key"
    if not path.exists():
        write_private(path, key_pem(new_key()))
    key = read_key(path.read_bytes())
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LocalError(f"{path}: the key of an account is one on P-256")
    return key


def current(config: Config) -> x509.Certificate | None:
    """The certificate that is there; None without one, and for a file that can't be read."""
    path = config.acme_pair
    try:
        return None if path is None else read_chain(path.read_bytes())[0]
    except (LocalError, OSError):
        return None


def keep(config: Config, chain: bytes, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Look at what was issued, and put it in its place. Raises LocalError or OSError; the old one stays then."""
    certificates = read_chain(chain)
    leaf = certificates[0]
    check_pair(leaf, key)
    if not is_for(config, leaf):
        raise LocalError(
            f"the certificate that was issued is only for {', '.join(sorted(alternative_names(leaf)))}"
        )
    if leaf.not_valid_after_utc.timestamp() <= time.time():
        raise LocalError("the certificate that was issued has expired already: is the clock right?")
    write_private(config.acme_dir / "certificate.pem", key_pem(key) + chain_pem(certificates))
    failure_file(config).unlink(missing_ok=True)
    return leaf


def alternative_names(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names and the addresses of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    found = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return frozenset(found | {str(address) for address in names.get_values_for_type(x509.IPAddress)})


def is_for(config: Config, certificate: x509.Certificate) -> bool:
    """Whether a certificate is for all names that are wanted."""
    return alternative_names(certificate).issuperset(names_of(config))


def renewal_due(certificate: x509.Certificate, suggested: float | None = None) -> float:
    """When to renew, in seconds since 1970: when the server suggests it, else after two thirds of the lifetime."""
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    lifetime = end - begin
    if suggested is not None:
        return min(suggested, begin + LATEST * lifetime)
    share = certificate.serial_number % 1000 / 1000  # random, and the same after a restart
    return begin + (RENEW_AFTER + SPREAD * share) * lifetime


def failure_file(config: Config) -> Path:
    """Why the last attempt failed; its date is that of the attempt. It is gone after one that succeeds."""
    return config.acme_dir / "failure.txt"


def last_failure(config: Config) -> tuple[str, float] | None:
    """The reason and the time of the last attempt, if it failed."""
    path = failure_file(config)
    try:
        return path.read_text(encoding="utf-8").strip(), path.stat().st_mtime
    except (OSError, UnicodeDecodeError):
        return None


def note_failure(config: Config, reason: str) -> None:
    """Keep the reason, as far as the disk lets us."""
    try:
        write_private(failure_file(config), f"{reason}\n".encode())
    except OSError:
        return  # the reason is in the log, and this may be what is wrong

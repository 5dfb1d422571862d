"""Whose certificates an agent knows: its own, those of people it has met, and the authorities that it trusts.

A certificate of somebody else comes from a file of the directory, or from a message of theirs. Where no authority
vouches for it, the first one that is seen for an address is believed and kept, and every other one after it is not
until its user agrees (RFC 3261 section 23.2): a change is what an attack would look like.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message import LocalError, SipUri, Uri
from ringfence.security.certificates import user_identities
from ringfence.security.chains import Judged, fingerprint, judge_chain, time_flaws
from ringfence.security.cms_enveloped import DecryptionKey, Keyring, encryption_flaw
from ringfence.security.cms_signed import Signatory
from ringfence.security.pem import (
    MAX_PEM,
    PrivateKey,
    chain_pem,
    check_pair,
    key_file_flaw,
    read_chain,
    read_crl,
    read_key_or_agreement,
)
from ringfence.security.smime_signer import USAGES, Pinned, Speaks, pin_of, pinned, speaks_for
from ringfence.security.unreadable import UNREADABLE
from ringfence.transport.inquiry import Revocation

MAX_FILES = 2_000
"""Certificates that are read from the directory: more people than anybody calls."""

SUFFIXES = frozenset({".pem", ".cer", ".crt"})
"""Of the files that are read there."""

MAX_OF_ADDRESS = 8
"""Certificates of one address that are kept: it has a few devices, and each message to it is encrypted to all."""

_UNSAFE = re.compile(r"[^A-Za-z0-9.@+_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Smime:
    """What an agent signs, encrypts and verifies with. All are files of PEM; certificates and lists may be DER."""

    certificate: Path | None = None
    """Our certificate, with those between it and its root behind it."""
    key: Path | None = None
    """Its private key, which nobody else may read."""
    directory: Path | None = None
    """Certificates of others, one file or more for each. New ones are kept there; without it, until the agent ends."""
    trust: tuple[Path, ...] = ()
    """Authorities that may vouch for people."""
    revoked: tuple[Path, ...] = ()
    """Lists of revoked certificates."""
    revocation: Revocation = Revocation.TRY
    """What is done about the lists and OCSP responders that certificates name: asked, or required to answer, or not."""
    fetch_from: tuple[str, ...] = ()
    """Networks that are asked although they are not public, such as ``10.0.0.0/8``."""


class Met(NamedTuple):
    """What a certificate that somebody showed is to us."""

    pinned: Pinned
    vouched: bool
    """Whether an authority that we trust stands behind it."""

    @property
    def accepted(self) -> bool:
        """Whether it is believed without asking anybody."""
        return self.vouched or self.pinned is not Pinned.CHANGED


class Certificates:
    """The keys and certificates of one agent.

    ``keep``: whether certificates of others that are met are written to the directory.

    Raises:
        LocalError: when a file can't be used, or others can read the key.
    """

    def __init__(self, settings: Smime, *, keep: bool = True) -> None:
        self.own: Signatory | None = None
        self.keyrings: tuple[Keyring, ...] = ()
        self.anchors = tuple(each for path in settings.trust for each in _chain(path))
        self.revocation = tuple(
            read_crl(_pem(_read(path), x509.load_der_x509_crl)) for path in settings.revoked
        )
        self._directory = settings.directory if keep else None
        self._known: dict[str, list[x509.Certificate]] = {}
        self._revoked: set[str] = set()
        """Fingerprints of those that an authority has taken back; the directory may still have them."""
        if settings.certificate is not None:
            self._load_own(settings.certificate, settings.key or settings.certificate.with_suffix(".key"))
        if settings.directory is not None and settings.directory.is_dir():
            self._load_others(settings.directory)

    def _load_own(self, path: Path, key_path: Path) -> None:
        leaf, *chain = _chain(path)
        try:
            flaw = key_file_flaw(key_path.stat().st_mode)
        except OSError as error:
            raise LocalError(f"{key_path}: {error.strerror}") from None
        if flaw is not None:
            raise LocalError(f"{key_path}: {flaw}")
        key = read_key_or_agreement(_read(key_path))
        check_pair(leaf, key)
        if isinstance(key, PrivateKey):
            self.own = Signatory(key, leaf, tuple(chain))
        if isinstance(key, DecryptionKey):
            self.keyrings = (Keyring(key, leaf),)

    def _load_others(self, directory: Path) -> None:
        found = (path for path in sorted(directory.iterdir()) if path.suffix in SUFFIXES)
        for path in list(found)[:MAX_FILES]:
            for certificate in _chain(path):
                # One for no address speaks for nobody, and still tells whether a signature is good.
                for address in user_identities(certificate) or ("",):
                    self._known.setdefault(address.lower(), []).append(certificate)

    # -- whom we know ----------------------------------------------------------------------------------

    def shown(self) -> list[x509.Certificate]:
        """What others need to encrypt to us."""
        return [] if self.own is None else [self.own.certificate, *self.own.chain]

    def recipients(self, address: Uri, now: float) -> list[x509.Certificate]:
        """The certificates of an address that can be encrypted to, the newest first."""
        known = self._known.get(_key(address), ())
        fit = [
            each
            for each in reversed(known)
            if encryption_flaw(each) is None
            and not time_flaws(each, now)
            and fingerprint(each) not in self._revoked
        ]
        return fit[:MAX_OF_ADDRESS]

    def every(self) -> list[x509.Certificate]:
        """All that we know, for signatures that carry none."""
        return [each for known in self._known.values() for each in known]

    def meet(
        self, address: Uri, certificate: x509.Certificate, now: float, chain: Sequence[x509.Certificate] = ()
    ) -> Met | None:
        """Somebody showed a certificate for an address: compare it with what we know, and keep it if it may be.

        None: it does not speak for the address, is out of date, or has been revoked.
        """
        if (
            fingerprint(certificate) in self._revoked
            or time_flaws(certificate, now)
            or speaks_for(certificate, address) is not Speaks.USER
        ):
            return None
        met = Met(
            pinned(certificate, map(pin_of, self._known.get(_key(address), ()))),
            self.vouched_for([certificate, *(each for each in chain if each != certificate)], now),
        )
        if met.accepted and met.pinned is not Pinned.SAME:
            self.accept(address, certificate)
        return met

    def vouched_for(self, chain: Sequence[x509.Certificate], now: float) -> bool:
        """Whether an authority that we trust stands behind the first of these."""
        return not self.judged(chain, now).reasons

    def judged(self, chain: Sequence[x509.Certificate], now: float) -> Judged:
        """The path from the first of these to an authority that we trust, and what is wrong with it."""
        return judge_chain(chain, self.anchors, now, self.revocation, usages=USAGES)

    def forget(self, certificate: x509.Certificate) -> None:
        """Believe a certificate no longer: its authority has taken it back. Its file stays, for people to look at."""
        if len(self._revoked) < MAX_FILES:
            self._revoked.add(fingerprint(certificate))

    def accept(self, address: Uri, certificate: x509.Certificate) -> None:
        """Believe a certificate from now on: its user has compared the fingerprint.

        Raises:
            LocalError: when it can't be written to the directory.
        """
        known = self._known.setdefault(_key(address), [])
        if certificate in known:
            return
        known.append(certificate)
        del known[:-MAX_OF_ADDRESS]
        if self._directory is not None:
            _write(self._directory / f"{_UNSAFE.sub('_', _key(address).removeprefix('sip:'))}.pem", known)


def _key(address: Uri) -> str:
    return address.aor.lower() if isinstance(address, SipUri) else str(address)


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return read_chain(_pem(_read(path), x509.load_der_x509_certificate))
    except LocalError as error:
        raise LocalError(f"{path}: {error}") from None


def _pem(data: bytes, load: Callable[[bytes], x509.Certificate | x509.CertificateRevocationList]) -> bytes:
    """Binary files, often named .cer or .crl, as PEM."""
    if data[:1] != b"\x30":
        return data
    try:
        return load(data).public_bytes(Encoding.PEM)
    except UNREADABLE:
        return data


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PEM + 1)
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from None


def _write(path: Path, certificates: Iterable[x509.Certificate]) -> None:
    """Replace a file, wholly or not at all; nobody else learns whom we know."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(descriptor, "wb") as file:  # mkstemp gives mode 0600
            file.write(chain_pem(certificates))
        os.replace(name, path)
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from None

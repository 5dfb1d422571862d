"""The certificates of our users, as files of one directory: what the certificate service gives out (RFC 6072).

A file for each address, named after it: ``alice@example.org.pem``. It is read when somebody asks, so that a certificate
that was issued or taken back counts at once; a file that is as it was is not read again.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message import LocalError
from ringfence.security.certificates import user_identities
from ringfence.security.chains import time_flaws
from ringfence.security.pem import MAX_PEM, read_chain

MAX_KEPT = 10_000
"""Certificates kept in memory, half a kilobyte each."""

_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}").fullmatch


class _Kept(NamedTuple):
    changed: int
    certificate: x509.Certificate | None


class Directory:
    """The directory of one node."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def find(self, address: str, now: float) -> bytes | None:
        """The certificate (DER) of an address-of-record of ours, or None when there is none that is good now.

        One that is for somebody else is never given, whatever its file is called.
        """
        name = file_name(address)
        if name is None:
            return None
        path = self._path / name
        try:
            changed = path.stat().st_mtime_ns
            kept = self._kept.get(name)
            if kept is None or kept.changed != changed:
                kept = _Kept(changed, _read(path, address))
        except OSError:
            self._kept.pop(name, None)
            return None
        self._kept[name] = kept
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        certificate = kept.certificate
        if certificate is None or time_flaws(certificate, now):
            return None
        return certificate.public_bytes(Encoding.DER)


def _read(path: Path, address: str) -> x509.Certificate | None:
    with path.open("rb") as file:
        data = file.read(MAX_PEM + 1)
    try:
        certificate = read_chain(data)[0]
    except LocalError:
        return None
    return certificate if address.lower() in {each.lower() for each in user_identities(certificate)} else None


def file_name(address: str) -> str | None:
    """The name of the file of an address; None for one that can't have any, such as one with a slash in it."""
    plain = address.removeprefix("sip:").lower()
    return f"{plain}.pem" if _NAME(plain) else None

"""What ``cryptography`` raises over a certificate or revocation list that it can't read, when it is read or asked.

Three of these are no ValueError, so whoever only expects that is undone by a certificate of version 4, by an extension
that is there twice, or by a name of a kind that is not supported. Anybody can send such a certificate.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE: Final[tuple[type[Exception], ...]] = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

NO_EXTENSION: Final[tuple[type[Exception], ...]] = (x509.ExtensionNotFound, *UNREADABLE)
"""For an extension that is not there, or can't be read."""

"""S/MIME objects and keys that others have published, from the files in ``objects/``."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path

from cryptography import x509

_FOLDER = Path(__file__).parent / "objects"
_OBJECT = re.compile(r"^\|>(.+)\n((?:\|[^<>].*\n)+)\|<", re.MULTILINE)


@cache
def published(source: str) -> dict[str, bytes]:
    """The objects of one source, by their names."""
    text = (_FOLDER / f"{source}.txt").read_text(encoding="ascii")
    return {name: base64.b64decode(lines.replace("|", "")) for name, lines in _OBJECT.findall(text)}


def certificates(source: str) -> dict[str, x509.Certificate]:
    """The certificates of one source that can be read."""
    found = {}
    for name, data in published(source).items():
        if name.endswith(".cer"):
            try:
                found[name] = x509.load_der_x509_certificate(data)
            except ValueError:
                continue
    return found

"""G.711 against values of the standard and digests of another implementation's whole tables."""

import hashlib

import pytest

from ringfence.client.media.g711 import LAWS, PCMA, PCMU, Law

ALL_SAMPLES = b"".join(sample.to_bytes(2, "little", signed=True) for sample in range(-0x8000, 0x8000))
ALL_CODES = bytes(range(256))

# SHA-256 of what audioop of CPython 3.11 (lin2ulaw, ulaw2lin, lin2alaw, alaw2lin) made of the two lines
# above.
TABLES = [
    (
        PCMU,
        "81d633c9e6972a18c74a58720b96cb8ca0bdd096d4060b646dd708c3b846019a",
        "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
    ),
    (
        PCMA,
        "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b",
        "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
    ),
]


@pytest.mark.parametrize(("law", "encoded", "decoded"), TABLES, ids=["PCMU", "PCMA"])
@pytest.mark.rfc("3551", "4.5.14")
def test_every_sample_and_every_code(law: Law, encoded: str, decoded: str) -> None:
    assert hashlib.sha256(law.encode(ALL_SAMPLES)).hexdigest() == encoded
    assert hashlib.sha256(law.decode(ALL_CODES)).hexdigest() == decoded


@pytest.mark.parametrize(
    ("law", "code", "sample"),
    [(PCMU, 0x00, -32124), (PCMU, 0x80, 32124), (PCMU, 0xFF, 0), (PCMA, 0xD5, 8), (PCMA, 0x2A, -32256)],
)
def test_values_of_the_standard(law: Law, code: int, sample: int) -> None:
    assert int.from_bytes(law.decode(bytes([code])), "little", signed=True) == sample


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_silence_and_stability(law: Law) -> None:
    assert law.encode(bytes(4)) == law.silence * 2
    once = law.decode(law.encode(ALL_SAMPLES))
    assert law.decode(law.encode(once)) == once
    assert law.encode(b"") == law.decode(b"") == b""

"""PASSporT tokens (RFC 8225): signed JSON that says who calls whom, when, and with which media keys.

A token is a JWS in compact serialization (RFC 7515) with exactly one algorithm, ES256. ``parse`` judges only
the form and the limits, before any cryptography; ``flaws_of`` judges header and claims by the rules of the
token's type; ``verify`` adds time and signature, and answers with every reason, never with a bare no. Whether
the claims fit the SIP request is judged in ``identity``, and whether the key may speak for the caller in
``tnauth``.

The signature of a full-form token is checked over the octets as received, so that another implementation's
JSON order does no harm. What we write ourselves follows RFC 8225 section 9 to the octet.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ringfence.message.errors import LocalError, PeerError
from ringfence.security.canonical import Kind, Party, claimed_number
from ringfence.security.claims import Claims, canonical_json
from ringfence.security.reasons import Reason, Reasons

MAX_TOKEN = 16384
"""Longest token in characters: one with ten fingerprints has 2000, an rcd card or a div-o chain some more."""

MAX_CONTAINERS = 128
"""Most JSON objects and arrays in one part. It bounds the depth as well, before the JSON parser recurses."""

MAX_PARTIES = 64
"""Most destinations in one token: calls have one, a meshed conference some."""

FRESHNESS = 60.0
"""Seconds that a token's iat may differ from now (RFC 8224 section 6.2 step 4 recommends sixty)."""

_SIGNATURE_OCTETS = 64
_KINDS: tuple[Kind, ...] = ("tn", "uri")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*").fullmatch
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_PADDING = (b"", b"=", b"==", b"===")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = (frozenset(_DIGITS), frozenset(_DIGITS), frozenset(_DIGITS[::16]), frozenset(_DIGITS[::4]))
"""The digits that the last octets of base64url can end in, by the length modulo 4: their spare bits are zero."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,15}").fullmatch
_LAST_SECOND = 10**15 - 1
"""An iat of more digits is no time, and too large for the arithmetic of clocks."""

# RFC 8225 section 4.2 asks for deterministic ECDSA where it is at hand.
_DETERMINISTIC = ec.ECDSA(SHA256(), deterministic_signing=True)
_RANDOMISED = ec.ECDSA(SHA256())

MAX_HEADERS = 512
"""Headers of tokens that are remembered as read, one for each signer and type: some 400 bytes each."""

SUPPORTED_TYPES = frozenset({"shaken", "div", "div-o", "rcd", "rph"})
"""``ppt`` values that this file knows the required claims of (RFC 8588, RFC 8946, RFC 9795, RFC 8443)."""


class Flaw(StrEnum):
    """What can be wrong with a token."""

    ALGORITHM = "algorithm"
    TYPE = "type"
    CRITICAL = "critical"
    CREDENTIAL_URL = "x5u"
    CLAIM = "claim"
    STALE = "stale"
    FUTURE = "future"
    KEY = "key"
    SIGNATURE = "signature"


class Passport:
    """A parsed token. ``signing_input`` is what is signed; empty in the compact form until rebuilt.

    ``iat`` is None, ``orig`` and ``div`` are None, and ``dest`` is empty when the claim is missing or
    malformed.
    """

    __slots__ = ("claims", "compact", "dest", "div", "header", "iat", "orig", "signature", "signing_input")

    def __init__(
        self, header: Claims, claims: Claims, signing_input: bytes, signature: bytes, *, compact: bool
    ) -> None:
        self.header = header
        self.claims = claims
        self.signing_input = signing_input
        self.signature = signature
        self.compact = compact
        self.iat = _seconds(claims.get("iat"))
        self.orig = _party(claims.get("orig"))
        self.dest = _parties(claims.get("dest"))
        self.div = _party(claims.get("div"))  # where a retargeted call was for (RFC 8946 section 3)

    @property
    def ppt(self) -> str | None:
        """The PASSporT type, or None for a baseline token (RFC 8225 section 8.1)."""
        value = self.header.get("ppt")
        return value if isinstance(value, str) else None

    @property
    def x5u(self) -> str:
        """Where the certificate is (RFC 8225 section 4.3)."""
        value = self.header.get("x5u")
        return value if isinstance(value, str) else ""

    def rebuilt(self, header: Claims, claims: Claims) -> Passport:
        """A compact token with what was left out, rebuilt from the message (RFC 8225 section 7)."""
        return Passport(header, claims, _signing_input(header, claims), self.signature, compact=True)


def _seconds(value: object) -> int | None:
    # The full form in RFC 8224 section 4.1.1 is signed with a string of digits; so do some signers.
    if isinstance(value, str):
        return int(value) if _NUMBER(value) else None
    return value if type(value) is int and -_LAST_SECOND <= value <= _LAST_SECOND else None


def _party(value: object) -> Party | None:
    """Exactly one identity: ``orig`` and ``div``."""
    if not isinstance(value, dict) or ("tn" in value) == ("uri" in value):
        return None
    kind: Kind = "tn" if "tn" in value else "uri"
    name = value[kind]
    return _named(kind, name) if isinstance(name, str) else None


def _named(kind: Kind, name: str) -> Party:
    return Party(kind, name if kind == "uri" else claimed_number(name))


def _parties(value: object) -> tuple[Party, ...]:
    """A list of identities: ``dest``. The div-o example of RFC 8946 section 5 has a bare string for a
    list."""
    if not isinstance(value, dict):
        return ()
    found: list[Party] = []
    for kind in _KINDS:
        names = value.get(kind, ())
        for name in (
            (names,) if isinstance(names, str) else names if isinstance(names, list | tuple) else (None,)
        ):
            if not isinstance(name, str) or len(found) == MAX_PARTIES:
                return ()
            found.append(_named(kind, name))
    return tuple(found)


# ---- writing ----


def _signing_input(header: Mapping[str, Any], claims: Mapping[str, Any]) -> bytes:
    return b"%b.%b" % (_head(tuple(header.items())), _base64url(canonical_json(claims)))


@lru_cache(64)
def _head(members: tuple[tuple[str, Any], ...]) -> bytes:
    """The header of our own tokens, which is the same in all of one type."""
    return _base64url(canonical_json(dict(members)))


def _base64url(text: str) -> bytes:
    return b2a_base64(text.encode(), newline=False).rstrip(b"=").translate(_TO_URL)


_TO_URL = bytes.maketrans(b"+/", b"-_")


def sign(
    key: ec.EllipticCurvePrivateKey,
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    deterministic: bool = True,
) -> str:
    """The full form of a token: ``header.claims.signature``.

    Raises:
        LocalError: when the key is not on P-256 or the claims can't be serialized.
    """
    if not isinstance(key.curve, ec.SECP256R1):
        raise LocalError(f"ES256 needs a P-256 key, this one is on {key.curve.name}")
    signed = _signing_input(header, claims)
    r, s = decode_dss_signature(key.sign(signed, _DETERMINISTIC if deterministic else _RANDOMISED))
    raw = b2a_base64(r.to_bytes(32, "big") + s.to_bytes(32, "big"), newline=False)
    return (signed + b"." + raw.rstrip(b"=").translate(_TO_URL)).decode()


def compact(token: str) -> str:
    """The compact form of a full token (RFC 8225 section 7). Only for tokens without extension claims."""
    return ".." + token.rpartition(".")[2]


# ---- reading ----


def parse(token: str) -> Passport:
    """Read a full or compact token.

    Raises:
        PeerError: 438 when it is no token or over a limit. Nothing is known yet of its signature.
    """
    if len(token) > MAX_TOKEN:
        raise _invalid(f"longer than {MAX_TOKEN} characters")
    parts = token.split(".")
    if len(parts) != 3:
        raise _invalid("not three parts separated by periods")
    head, body, tail = parts
    signature = _octets(tail, "signature")
    if not head and not body:
        return Passport({}, {}, b"", signature, compact=True)
    header, claims = _header(head), _json(body, "payload")
    return Passport(header, claims, f"{head}.{body}".encode(), signature, compact=False)


def _invalid(why: str) -> PeerError:
    return PeerError(438, f"Invalid PASSporT: {why}", header="Identity")


def _octets(text: str, part: str) -> bytes:
    # RFC 7515 section 2: base64url without padding, white space or other characters. The check of the spare
    # bits keeps one token from having several spellings, which would slip through a replay cache.
    if not _BASE64URL(text):
        raise _invalid(f"the {part} is not base64url")
    try:
        raw = a2b_base64(text.encode("ascii").translate(_TO_STANDARD) + _PADDING[-len(text) % 4])
    except Base64Error:
        raise _invalid(f"the {part} is not base64url") from None
    if text and text[-1] not in _LAST[len(text) % 4]:
        raise _invalid(f"the {part} is not base64url in its one spelling")
    return raw


@lru_cache(MAX_HEADERS)
def _header(text: str) -> Claims:
    """The header of a token: the same in all that a signer makes. Nobody changes what this gives."""
    return _json(text, "header")


def _json(text: str, part: str) -> Claims:
    raw = _octets(text, part)
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:
        raise _invalid(f"the {part} has more than {MAX_CONTAINERS} objects and arrays")
    try:
        value = _decode(raw.decode())
    except ValueError as error:
        raise _invalid(f"the {part} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise _invalid(f"the {part} is not a JSON object")
    return value


def _no_repeats(pairs: list[tuple[str, Any]]) -> Claims:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Two readers may take different ones of two equal names: RFC 8225 section 9 forbids them.
        raise ValueError("a member name stands twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


_decode = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant).decode


def flaws_of(passport: Passport) -> Reasons:
    """What is wrong with header and claims, whatever the signature says (RFC 8225 sections 4, 5 and 8)."""
    header, reasons = passport.header, []
    if header.get("alg") != "ES256":
        # Never act on the token's own word: none, HS256 with our public key, RS256 are one attack.
        reasons.append(Reason(Flaw.ALGORITHM, f"alg is {header.get('alg')!r:.40}, only ES256 is accepted"))
    if header.get("typ") != "passport":
        reasons.append(Reason(Flaw.TYPE, f"typ is {header.get('typ')!r:.40}, not passport"))
    if not passport.x5u:
        reasons.append(Reason(Flaw.CREDENTIAL_URL, "x5u is missing"))
    if "ppt" in header and passport.ppt not in SUPPORTED_TYPES:
        reasons.append(Reason(Flaw.TYPE, f"the PASSporT type {header['ppt']!r:.40} is not supported"))
    if "crit" in header and header["crit"] != ["ppt"]:
        reasons.append(Reason(Flaw.CRITICAL, "the header has critical extensions that are not understood"))
    reasons += [Reason(Flaw.CLAIM, text) for text in _claim_flaws(passport)]
    return tuple(reasons)


def _claim_flaws(passport: Passport) -> list[str]:
    wrong: list[str] = []
    claims = passport.claims
    if passport.orig is None:
        wrong.append("orig is not one tn or uri")
    if not passport.dest:
        wrong.append("dest is not a list of tn and uri")
    if passport.iat is None:
        wrong.append("iat is not an integer")
    if "mky" in claims and not _is_mky(claims["mky"]):
        wrong.append("mky is not a list of alg and dig")
    return wrong + _type_flaws(passport.ppt, passport)


def _is_mky(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("alg"), str) and isinstance(item.get("dig"), str)
        for item in value
    )


def _type_flaws(ppt: str | None, passport: Passport) -> list[str]:
    claims = passport.claims
    wrong: list[str] = []
    if ppt == "shaken":  # RFC 8588 sections 4 and 5
        if claims.get("attest") not in ("A", "B", "C"):
            wrong.append("attest is not A, B or C")
        if not isinstance(claims.get("origid"), str) or not _UUID(claims["origid"]):
            wrong.append("origid is not a UUID")
    if ppt in ("div", "div-o"):  # RFC 8946 sections 3 and 5
        if passport.div is None:
            wrong.append("div is not one tn or uri")
        if ppt == "div" and "opt" in claims:
            wrong.append("a div token must not have opt")
        if ppt == "div-o" and not isinstance(claims.get("opt"), str):
            wrong.append("opt is not a token")
    if ppt == "rcd" and (
        not isinstance(claims.get("rcd"), dict) or not isinstance(claims["rcd"].get("nam"), str)
    ):
        wrong.append("rcd has no nam")  # RFC 9795 section 5.1
    if ppt == "rph" and not isinstance(claims.get("rph"), dict):
        wrong.append("rph is no object")  # RFC 8443 section 3; what its auth holds is judged in priorities
    return wrong


def verify(passport: Passport, key: object, *, now: float, freshness: float = FRESHNESS) -> Reasons:
    """Every reason not to believe the token; empty when it is good.

    ``key`` is the public key of the certificate; ``now`` and ``freshness`` are seconds.
    """
    return flaws_of(passport) + time_flaws(passport.iat, now, freshness) + signature_flaws(passport, key)


def time_flaws(iat: int | None, now: float, freshness: float = FRESHNESS) -> Reasons:
    """Whether a time of issue is too old, or too far ahead of our clock (RFC 8224 section 6.2 step 4)."""
    if iat is None:
        return ()
    if now - iat > freshness:
        return (Reason(Flaw.STALE, f"issued {now - iat:.0f} s ago, {freshness:.0f} s are allowed"),)
    if iat - now > freshness:
        return (
            Reason(Flaw.FUTURE, f"issued {iat - now:.0f} s in the future, {freshness:.0f} s are allowed"),
        )
    return ()


def signature_flaws(passport: Passport, key: object) -> Reasons:
    """Whether the signature is an ES256 signature by ``key`` over the token (RFC 7518 section 3.4)."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return (Reason(Flaw.KEY, "the certificate has no P-256 key, which ES256 needs"),)
    raw = passport.signature
    if len(raw) != _SIGNATURE_OCTETS:
        return (Reason(Flaw.SIGNATURE, f"the signature has {len(raw)} octets, not {_SIGNATURE_OCTETS}"),)
    encoded = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(encoded, passport.signing_input, _RANDOMISED)
    except InvalidSignature:
        return (Reason(Flaw.SIGNATURE, "the signature does not match"),)
    return ()

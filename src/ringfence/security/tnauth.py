"""STIR certificates (RFC 8226): for which numbers and domains a certificate may sign.

A certificate is read once, when it is fetched, into a ``Credential``: its key, its scope and what is wrong
with its chain. Verifying a call is then one signature and a few comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from asn1crypto import core  # type: ignore[import-untyped]
from cryptography import x509

from ringfence.message.errors import LocalError, PeerError
from ringfence.security.canonical import Party
from ringfence.security.certificates import domain_identities
from ringfence.security.chains import fingerprint, judge_chain, read_certificates, subject_text
from ringfence.security.claims import canonical_json
from ringfence.security.reasons import Reason, Reasons
from ringfence.security.unreadable import NO_EXTENSION, UNREADABLE

TN_AUTHORIZATION_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
JWT_CLAIM_CONSTRAINTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.27")
ENHANCED_CLAIM_CONSTRAINTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.33")
"""The same with claims that must not be there (RFC 9118 section 4)."""

MAX_TN_ENTRIES = 10000
"""Most entries of one list: some carriers list their blocks one by one; longer lists come by reference."""


class ScopeFlaw(StrEnum):
    """Why a certificate does not speak for an identity."""

    NUMBER = "number"
    DOMAIN = "domain"
    CLAIM = "claim constraint"


# RFC 8226 section 9 and appendix A: DEFINITIONS EXPLICIT TAGS.
class _TelephoneNumberRange(core.Sequence):  # type: ignore[misc]
    _fields = [("start", core.IA5String), ("count", core.Integer)]  # noqa: RUF012


class _TNEntry(core.Choice):  # type: ignore[misc]
    _alternatives = [  # noqa: RUF012
        ("spc", core.IA5String, {"explicit": 0}),
        ("range", _TelephoneNumberRange, {"explicit": 1}),
        ("one", core.IA5String, {"explicit": 2}),
    ]


class _TNAuthorizationList(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _TNEntry


class _Names(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.IA5String


class _Values(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.UTF8String


class _Permitted(core.Sequence):  # type: ignore[misc]
    _fields = [("claim", core.IA5String), ("permitted", _Values)]  # noqa: RUF012


class _PermittedList(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Permitted


class _JWTClaimConstraints(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012
        ("must_include", _Names, {"explicit": 0, "optional": True}),
        ("permitted_values", _PermittedList, {"explicit": 1, "optional": True}),
        ("must_exclude", _Names, {"explicit": 2, "optional": True}),
    ]


class NumberScope(NamedTuple):
    """A TN Authorization List: provider codes, ranges as (first, last, length), and single numbers."""

    providers: frozenset[str]
    ranges: tuple[tuple[int, int, int], ...]
    singles: frozenset[str]

    def lists(self, number: str) -> bool:
        """Whether the number stands in the list, alone or in a range."""
        if number in self.singles:
            return True
        if not number.isdecimal():
            return False
        value, length = int(number), len(number)
        return any(length == size and first <= value <= last for first, last, size in self.ranges)


class ClaimConstraints(NamedTuple):
    """JWT Claim Constraints (RFC 8226 section 8), or the enhanced ones (RFC 9118)."""

    must_include: frozenset[str]
    permitted: Mapping[str, frozenset[str]]
    must_exclude: frozenset[str] = frozenset()

    def flaws(self, claims: Mapping[str, Any]) -> Iterator[Reason]:
        """Which of them the claims break."""
        for name in sorted(self.must_include - claims.keys()):
            yield Reason(ScopeFlaw.CLAIM, f"the certificate demands the claim {name}")
        for name in sorted(self.must_exclude & claims.keys()):
            yield Reason(ScopeFlaw.CLAIM, f"the certificate does not permit the claim {name}")
        for name, values in self.permitted.items():
            if name in claims and _as_text(claims[name]) not in values:
                yield Reason(ScopeFlaw.CLAIM, f"the certificate does not permit this {name}")


def _as_text(value: object) -> str:
    """A claim as constraints can have it: text as it is, anything else as JSON (RFC 8225 section 9)."""
    if isinstance(value, str):
        return value
    try:
        return canonical_json({"": value})[4:-1]
    except LocalError:
        return ""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a verifier knows of one signer. ``problems`` are its chain's; its end is checked on each use."""

    key: object
    subject: str
    fingerprint: str
    not_before: float
    not_after: float
    domains: frozenset[str]
    numbers: tuple[NumberScope, ...]
    """The list of each certificate of the path that has one, the signer's own first."""
    own_numbers: bool
    """Whether the signer's own certificate has a list."""
    constraints: tuple[ClaimConstraints, ...]
    problems: Reasons

    def covers(self, party: Party, *, providers: frozenset[str] | None = None) -> Reasons:
        """Why the certificate does not speak for this identity; empty when it does.

        A service provider code names numbers that only an industry database knows (RFC 8226 section 9), so it
        is taken as covering any number. ``providers`` limits the codes that are believed in this way.
        """
        if party.kind == "uri":
            return self._covers_domain(party.value)
        if not self.own_numbers:
            return (Reason(ScopeFlaw.NUMBER, f"{self.subject} has no telephone number authorization list"),)
        for scope in self.numbers:
            codes = scope.providers if providers is None else scope.providers & providers
            if not codes and not scope.lists(party.value):
                return (Reason(ScopeFlaw.NUMBER, f"{self.subject} has no authority over +{party.value}"),)
        return ()

    def _covers_domain(self, uri: str) -> Reasons:
        # RFC 8224 section 8.4: the domain of the identity takes the place of the server's hostname.
        domain = uri.partition(":")[2].rpartition("@")[2]
        if domain in self.domains:
            return ()
        known = ", ".join(sorted(self.domains)[:4]) or "no domain"
        return (Reason(ScopeFlaw.DOMAIN, f"{self.subject} speaks for {known}, not for {domain}"),)

    def claim_flaws(self, claims: Mapping[str, Any]) -> Reasons:
        """Which constraints of the certificate the claims break (RFC 8226 section 8)."""
        return tuple(reason for each in self.constraints for reason in each.flaws(claims))


def number_scope(data: bytes) -> NumberScope:
    """Read a DER TN Authorization List: the extension, or what its URL gave (RFC 8226 sections 9 and 10.1).

    Raises:
        ValueError: when it is malformed, empty, or over the limit.
    """
    providers: set[str] = set()
    ranges: list[tuple[int, int, int]] = []
    singles: set[str] = set()
    entries = _load(_TNAuthorizationList, data)
    if not 0 < len(entries) <= MAX_TN_ENTRIES:
        raise ValueError(f"{len(entries)} telephone number entries")
    for entry in entries:
        value = entry.chosen.native
        if entry.name == "spc":
            providers.add(str(value))
        elif entry.name == "one":
            singles.add(_number(value))
        else:
            ranges.append(_range(_number(value["start"]), value["count"]))
    return NumberScope(frozenset(providers), tuple(ranges), frozenset(singles))


_WRITTEN = re.compile(r"\+?([0-9]{1,15})(?:-\+?([0-9]{1,15}))?").fullmatch


def write_numbers(numbers: Iterable[str]) -> bytes:
    """A TN Authorization List (RFC 8226 section 9) of numbers such as ``+12155550100``, and of ranges such as
    ``+12155550100-12155550199``, in DER.

    Raises:
        LocalError: for none, too many, or what is neither.
    """
    entries = []
    for text in numbers:
        match = _WRITTEN(text)
        if match is None:
            raise LocalError(
                f"{text} is no number such as +12155550100, and no range such as +12155550100-12155550199"
            )
        first, last = match[1], match[2] or match[1]
        if len(first) != len(last) or int(last) < int(first):
            raise LocalError(
                f"{text} is no range: both ends have as many digits, and the first is the lower one"
            )
        count = int(last) - int(first) + 1
        if count == 1:
            entries.append(_TNEntry("one", first))
        else:
            entries.append(_TNEntry("range", _TelephoneNumberRange({"start": first, "count": count})))
    if not 0 < len(entries) <= MAX_TN_ENTRIES:
        raise LocalError(f"a list has 1 to {MAX_TN_ENTRIES} entries, not {len(entries)}")
    made: bytes = _TNAuthorizationList(entries).dump()
    return made


def _number(value: str) -> str:
    if not 1 <= len(value) <= 15 or value.strip("0123456789#*"):
        raise ValueError(f"{value[:20]!r} is no telephone number")
    return value


def _range(start: str, count: int) -> tuple[int, int, int]:
    # "count MUST NOT make the number increase in length", and goes with digits only.
    if not start.isdecimal() or count < 2 or int(start) + count >= 10 ** len(start):
        raise ValueError(f"{start} and {count} are no telephone number range")
    return int(start), int(start) + count - 1, len(start)


def claim_constraints(data: bytes) -> ClaimConstraints:
    """Read the DER JWT Claim Constraints extension, or the enhanced one.

    Raises:
        ValueError: when it is malformed.
    """
    value = _load(_JWTClaimConstraints, data).native
    permitted = {item["claim"]: frozenset(item["permitted"]) for item in value["permitted_values"] or ()}
    include, exclude = (frozenset(value[name] or ()) for name in ("must_include", "must_exclude"))
    return ClaimConstraints(include, permitted, exclude)


def _load(kind: type[Any], data: bytes) -> Any:
    try:
        value = kind.load(data, strict=True)
        value.native  # noqa: B018  (reads the whole value, so that every error comes out here)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"malformed extension: {str(error)[:80]}") from None
    return value


def credential_from(
    data: bytes | Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: float,
    revocation: Iterable[x509.CertificateRevocationList] = (),
    *,
    listed: bytes | None = None,
    list_issuers: Sequence[x509.Certificate] = (),
) -> Credential:
    """Read a fetched chain, leaf first, and judge it once.

    ``listed`` is the TN Authorization List that the certificate gives by reference, ``list_issuers`` as in
    ``judge_chain``.

    Raises:
        PeerError: 436 when the data holds no certificate, 437 when its key or extensions can't be read.
    """
    chain = read_certificates(data) if isinstance(data, bytes) else list(data)
    leaf = chain[0]
    try:
        key = leaf.public_key()
        judged = judge_chain(chain, anchors, now, revocation, list_issuers=list_issuers)
        scopes = [number_list_of(item) for item in judged.path]
        own = listed if listed is not None else scopes[0]
        limits = [_extension(leaf, oid) for oid in (JWT_CLAIM_CONSTRAINTS, ENHANCED_CLAIM_CONSTRAINTS)]
        return Credential(
            key=key,
            subject=subject_text(leaf),
            fingerprint=fingerprint(leaf),
            not_before=leaf.not_valid_before_utc.timestamp(),
            not_after=leaf.not_valid_after_utc.timestamp(),
            domains=frozenset(domain_identities(leaf).domains),
            numbers=tuple(number_scope(scope) for scope in (own, *scopes[1:]) if scope is not None),
            own_numbers=own is not None,
            constraints=tuple(claim_constraints(raw) for raw in limits if raw is not None),
            problems=judged.reasons,
        )
    except UNREADABLE as error:
        raise PeerError(437, f"unsupported certificate: {str(error)[:100]}", header="Identity") from None


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    assert isinstance(value, x509.UnrecognizedExtension)  # cryptography has no type for these two
    return value.value


def number_list_of(certificate: x509.Certificate) -> bytes | None:
    """The TN Authorization List in a certificate, in DER."""
    return _extension(certificate, TN_AUTHORIZATION_LIST)


def tn_list_url(certificate: x509.Certificate) -> str | None:
    """Where the list of numbers is, when it is given by reference (RFC 8226 section 10.1); HTTPS only."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except NO_EXTENSION:
        return None
    for item in access:
        name = item.access_location
        if item.access_method == _STIR_TN_LIST and isinstance(name, x509.UniformResourceIdentifier):
            return name.value if name.value.lower().startswith("https:") else None
    return None


_STIR_TN_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.14")

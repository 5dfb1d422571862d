"""Canonical identities: the one spelling of a caller or callee that a signature covers (RFC 8224 section 8).

A URI is either a telephone number (a ``tel`` URI, ``user=phone``, or a user part with a leading ``+``) or an
address-of-record. Both ends must reach the same text from whatever spelling the message carries, so this file
is pure text work: no look-up, no state. What a domain knows of its own dial plan is an argument.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from ringfence.message import grammar
from ringfence.message.uri import OtherUri, SipUri, TelUri, Uri

# E.164: at most 15 digits, and no country code starts with 0.
_E164 = re.compile(r"[1-9][0-9]{1,14}").fullmatch
# RFC 8224 section 8.3: tn-spec = 1*tn-char; tn-char = "#" / "*" / DIGIT.
_NOT_TN = re.compile(r"[^0-9#*]+")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# A user part that can be read as a number: digits and RFC 3966 visual separators behind a plus sign.
_PLUS_NUMBER = re.compile(r"\+[0-9][0-9\-.()]*").fullmatch
_DIGITS = re.compile(r"[0-9*#][0-9*#\-.()]*").fullmatch
# What a signer may have left standing in a claim: a plus sign and visual separators (RFC 3966 section 5.1.1).
_WRITTEN_NUMBER = re.compile(r"\+?[0-9*#][0-9*#\-.() ]*").fullmatch
# Digits without any label that may be taken for a number: with fewer they are as likely an extension of a company.
_UNLABELLED = re.compile(r"[1-9][0-9]{7,14}").fullmatch


Kind = Literal["tn", "uri"]


class Party(NamedTuple):
    """One identity claim (RFC 8225 section 5.2.1): a ``tn`` or a ``uri``, already canonical."""

    kind: Kind
    value: str

    def __str__(self) -> str:
        return f"+{self.value}" if self.kind == "tn" and _E164(self.value) else self.value


class NumberPlan(NamedTuple):
    """How local numbers of this domain become E.164 numbers (RFC 8224 section 8.3, second step)."""

    country_code: str = ""
    national_prefix: str = ""
    international_prefix: str = ""
    bare_digits: bool = False
    """Whether an all-digit user part without ``user=phone`` is a number (section 8.1 leaves it to policy)."""


NO_PLAN = NumberPlan()


def canonical_number(text: str, plan: NumberPlan = NO_PLAN) -> str:
    """The digits, ``*`` and ``#`` of a telephone number, in E.164 form without ``+`` where that can be told.

    A number without ``+`` is converted with the prefixes of ``plan``; what can't be converted, such as 112,
    is left as it is. The result is empty when the text holds no digit.
    """
    digits = _NOT_TN.sub("", text)
    if text.lstrip().startswith("+") or "*" in digits or "#" in digits:
        return digits
    if plan.international_prefix and digits.startswith(plan.international_prefix):
        return digits[len(plan.international_prefix) :]
    if plan.country_code and plan.national_prefix and digits.startswith(plan.national_prefix):
        return plan.country_code + digits[len(plan.national_prefix) :]
    return digits


def canonical_uri(uri: SipUri) -> str:
    """``scheme:user@host``, lower case, needless escapes resolved (RFC 8224 section 8.5, RFC 3986 6.2.2)."""
    if uri.user is None:
        return f"{uri.scheme}:{uri.host}".lower()
    user = _ESCAPE.sub(_unescaped, uri.user.lower()) if "%" in uri.user else uri.user.lower()
    return f"{uri.scheme}:{user}@{uri.host.lower()}"


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    # The hexadecimal digits of an escape that stays are upper case (RFC 3986 section 6.2.2.1).
    return character.lower() if character in _UNRESERVED else match[0].upper()


def identity_of(uri: Uri, plan: NumberPlan = NO_PLAN, *, destination: bool = False) -> Party:
    """The identity that a From, To, P-Asserted-Identity or Request-URI names (RFC 8224 section 8.1).

    A caller's SIP URI whose number does not come out as a valid E.164 number is taken whole, as a URI. With
    ``destination`` it stays a number, since service numbers such as ``*67`` are called (section 8.3).
    """
    number = telephone_number(uri, plan)
    if number and (destination or isinstance(uri, TelUri) or _E164(number)):
        return Party("tn", number)
    if isinstance(uri, SipUri):
        return Party("uri", canonical_uri(uri))
    if isinstance(uri, OtherUri):
        return Party("uri", f"{uri.scheme}:{uri.rest}")
    return Party("uri", str(uri))


def readings_of(uri: Uri, plan: NumberPlan = NO_PLAN, *, destination: bool = False) -> tuple[Party, ...]:
    """What an address may stand for in the token of somebody else, its canonical identity first.

    Many trunks write numbers as bare digits, without ``user=phone`` or a plus sign, and sign them as numbers. "A
    verification service implementation could infer from the type of credential that signed a request that the
    signature must be over a telephone number" (section 8.1). So such an address may be either, and the token says
    which; its signer must then have authority over the number.
    """
    first = identity_of(uri, plan, destination=destination)
    if first.kind == "tn" or not isinstance(uri, SipUri) or not (uri.user or "").isdecimal():
        return (first,)
    number = canonical_number(uri.user or "", plan)
    return (first, Party("tn", number)) if _UNLABELLED(number) else (first,)


def claimed_number(text: str) -> str:
    """The number that a claim of somebody else names. Digits alone are right (section 8.3); some leave in what stood in
    the address, and mean the same number. What is no number stays as it is."""
    return canonical_number(text) if _WRITTEN_NUMBER(text) else text


def telephone_number(uri: Uri, plan: NumberPlan = NO_PLAN) -> str | None:
    """The canonical number when the URI is labelled as one, else None."""
    if isinstance(uri, TelUri):
        return canonical_number(uri.number, plan) or None
    if not isinstance(uri, SipUri) or uri.user is None:
        return None
    # telephone-subscriber parameters such as ";ext=" are no part of the number.
    user = grammar.unescape(uri.user).partition(";")[0]
    labelled = (uri.params.get("user") or "").lower() == "phone"
    if labelled or _PLUS_NUMBER(user) or (plan.bare_digits and _DIGITS(user)):
        return canonical_number(user, plan) or None
    return None

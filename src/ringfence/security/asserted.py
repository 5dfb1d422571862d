"""P-Asserted-Identity and P-Preferred-Identity (RFC 3325, RFC 5876): who calls, on the network's word.

Inside the trust domain the header field is believed; at the border it is decided anew. Two functions hold the
two crossings, ``enter`` and ``leave``, each a table of few rows. They return what the header fields become;
``apply`` writes that. Nothing here authenticates: the identities of the caller are an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from ringfence.message.address import NameAddr
from ringfence.message.errors import PeerError
from ringfence.message.fields import P_ASSERTED_IDENTITY, P_PREFERRED_IDENTITY, PRIVACY
from ringfence.message.headers import Headers
from ringfence.message.message import Message, Request
from ringfence.message.uri import SipUri, TelUri, Uri
from ringfence.security.canonical import NO_PLAN, NumberPlan, identity_of
from ringfence.security.reasons import Reason, Reasons

# RFC 5876 section 3.2: these can't be challenged, so nobody can have authenticated them.
UNASSERTABLE = frozenset({"ACK", "CANCEL"})

ANONYMOUS_HOST = "anonymous.invalid"
"""The host of an anonymous From (RFC 3323 section 4.1.1.3): it names nobody, so anybody may use it."""


class Change(StrEnum):
    """What became of an asserted or preferred identity, and why."""

    IGNORED = "ignored value"
    UNTRUSTED = "from outside"
    METHOD = "method"
    NOT_OWNED = "not the caller's"
    PRIVACY = "privacy"
    POLICY = "policy"


class Asserted(NamedTuple):
    """The P-Asserted-Identity that the message goes on with (empty: none), and what was changed."""

    values: tuple[NameAddr, ...]
    reasons: Reasons


def usable(values: Iterable[NameAddr]) -> tuple[tuple[NameAddr, ...], Reasons]:
    """Keep what RFC 5876 section 4.5 lets stand: one SIP or SIPS URI and one tel URI, the first of each."""
    kept: dict[str, NameAddr] = {}
    ignored: list[Reason] = []
    for value in values:
        kind = "tel" if isinstance(value.uri, TelUri) else "sip" if isinstance(value.uri, SipUri) else None
        if kind is None or kind in kept:
            why = "of an unexpected scheme" if kind is None else f"a second {kind} URI"
            ignored.append(Reason(Change.IGNORED, f"{value.uri!s:.60} is {why}"))
        else:
            kept[kind] = value
    return tuple(kept.values()), tuple(ignored)


def enter(
    message: Message,
    *,
    trusted: bool,
    identities: Sequence[NameAddr] = (),
    strict: bool = True,
    plan: NumberPlan = NO_PLAN,
) -> Asserted:
    """What a message that enters is asserted to come from (RFC 3325 sections 5 and 6).

    ``trusted`` says that the neighbour is inside the trust domain. ``identities`` are those of the caller
    that this element has authenticated itself, the default one first; empty when it has authenticated nobody.

    Raises:
        PeerError: 403 when ``strict`` and the preferred identity is not the caller's, 400 when malformed.
    """
    if isinstance(message, Request) and message.method in UNASSERTABLE:
        return Asserted((), _present(message, Change.METHOD, f"{message.method} can't carry an identity"))
    if trusted and message.headers.count("P-Asserted-Identity"):
        return Asserted(*usable(message.headers.every(P_ASSERTED_IDENTITY)))
    removed = _present(message, Change.UNTRUSTED, "removed what a node outside the trust domain asserted")
    if not identities:
        return Asserted((), removed)
    hints, ignored = usable(message.headers.every(P_PREFERRED_IDENTITY))
    chosen = [_owned(hint.uri, identities, plan) for hint in hints]
    if hints and None in chosen:
        wrong = next(hint.uri for hint, own in zip(hints, chosen, strict=True) if own is None)
        detail = f"{wrong!s:.60} is not an identity of the caller"
        if strict:
            raise PeerError(403, detail, header="P-Preferred-Identity")
        removed += (Reason(Change.NOT_OWNED, detail),)
    wanted = [own for own in chosen if own is not None] or list(identities)
    return Asserted(usable(wanted)[0], removed + ignored)


def _present(message: Message, code: Change, detail: str) -> Reasons:
    return (Reason(code, detail),) if message.headers.count("P-Asserted-Identity") else ()


def _owned(uri: Uri, identities: Iterable[NameAddr], plan: NumberPlan) -> NameAddr | None:
    wanted = _key(uri, plan)
    return next((own for own in identities if _key(own.uri, plan) == wanted), None)


def _key(uri: Uri, plan: NumberPlan) -> tuple[str, str]:
    # sip and sips name the same person (RFC 5630 section 3.3), and the user part has a case in RFC 3261.
    if isinstance(uri, SipUri) and identity_of(uri, plan).kind == "uri":
        return "uri", uri.aor
    return identity_of(uri, plan)


def privacy_values(headers: Headers) -> frozenset[str]:
    """The priv-values of the Privacy header field, lower case (RFC 3323 section 4.2).

    Raises:
        PeerError: 400 when it is malformed: nobody may guess what the caller wanted kept private.
    """
    return frozenset(word for values in headers.every(PRIVACY) for word in values)


def leave(message: Message, *, trusted: bool, keep_by_default: bool = True) -> Asserted:
    """What a message that leaves may still assert (RFC 3325 section 7).

    ``trusted`` says that the next node is inside the trust domain. ``keep_by_default`` is the policy for
    callers who said nothing about privacy; the RFC recommends keeping.

    Raises:
        PeerError: 400 when a P-Asserted-Identity or the Privacy is malformed.
    """
    values, ignored = usable(message.headers.every(P_ASSERTED_IDENTITY))
    if trusted or not values:
        return Asserted(values, ignored)
    wishes = privacy_values(message.headers)
    if "id" in wishes:
        return Asserted((), (*ignored, Reason(Change.PRIVACY, "the caller asked for id privacy")))
    if "none" in wishes or keep_by_default:
        return Asserted(values, ignored)
    return Asserted(
        (), (*ignored, Reason(Change.POLICY, "this domain tells identities only to trusted nodes"))
    )


def apply(headers: Headers, asserted: Asserted) -> None:
    """Write the decision. The preferred identity is for the first trusted proxy only, so it always goes."""
    headers.remove("P-Preferred-Identity")
    kept = [str(value) for value in asserted.values]
    if headers.values("P-Asserted-Identity") == kept:
        return  # what is not changed goes on as it was received
    headers.remove("P-Asserted-Identity")
    for value in kept:
        headers.add("P-Asserted-Identity", value)

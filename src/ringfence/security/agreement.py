"""Security agreement (RFC 3329): how a phone and its first hop choose their protection, whoever is between.

The server lists what it can, in clear. The client takes the best of it, turns that on, and says the list back under
its protection. A list that was shortened on the way comes back short, and the server refuses: an attacker would have
to break the weakest mechanism of all while the phone waits. Where that mechanism is digest, which covers no header
field, the list goes into the digest itself (``d-ver``).

The lists are static: neither side's depends on the other's. Only ``ipsec-3gpp`` adds numbers of one phone to the
server's (`roles.hops` keeps them); without it nothing is kept between the steps.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from ringfence.message import LocalError, Message, PeerError
from ringfence.message.fields import PROXY_REQUIRE, REQUIRE
from ringfence.message.fields.security_agreement import SECURITY_VERIFY, Mechanism, parse_mechanism
from ringfence.message.params import Params
from ringfence.security.credentials import Credentials
from ringfence.security.digest import AUTH, Algorithm, octets, request_digest
from ringfence.security.reasons import Reason

OPTION = "sec-agree"
FIELDS = ("Security-Client", "Security-Server", "Security-Verify")

MAX_MECHANISMS = 9
"""In one list: the preferences of ours are tenths, which must differ. Six mechanisms are registered."""

_REQUIRING = ((REQUIRE, "Require"), (PROXY_REQUIRE, "Proxy-Require"))
_BLANKS = re.compile(r"[ \t\r\n]+")


class Name(StrEnum):
    """The mechanisms of RFC 3329 sections 2.2 and 6.1 and appendix A."""

    TLS = "tls"
    DIGEST = "digest"
    IPSEC_IKE = "ipsec-ike"
    IPSEC_MAN = "ipsec-man"
    IPSEC_3GPP = "ipsec-3gpp"


class AgreementFlaw(StrEnum):
    """Why an agreement did not come about."""

    MISSING = "no list came back"
    DIFFERENT = "another list came back"
    UNPROVEN = "the digest does not cover the list"


# ---- lists ----


def tls_mechanism(port: int = 5061) -> Mechanism:
    """TLS; on another port than 5061 the list says which, as an extension parameter (section 2.2)."""
    return Mechanism(Name.TLS, Params((("port", str(port)),)) if port != 5061 else Params())


def digest_mechanism(algorithm: Algorithm, qop: str = AUTH) -> Mechanism:
    """Digest with what section 2.2 protects against bidding down."""
    return Mechanism(Name.DIGEST, Params((("d-alg", str(algorithm)), ("d-qop", qop))))


def ipsec_mechanism(name: Name, port: int | None) -> Mechanism:
    """A mechanism of IPsec; which port it protects is out of the scope of RFC 3329 (section 2.4), so the list says it,
    as an extension parameter. What ``ipsec-3gpp`` has besides is for one phone alone."""
    return Mechanism(name, Params((("port", str(port)),)) if port is not None else Params())


def make_list(mechanisms: Sequence[Mechanism]) -> tuple[Mechanism, ...]:
    """The list of a server, the preferred mechanism first, each with a ``q`` of its own.

    Raises:
        LocalError: when it is empty or too long.
    """
    if not 0 < len(mechanisms) <= MAX_MECHANISMS:
        raise LocalError(f"a security agreement has 1 to {MAX_MECHANISMS} mechanisms")
    ranked = zip(mechanisms, range(len(mechanisms), 0, -1), strict=True)
    return tuple(
        Mechanism(each.name, Params((("q", f"0.{tenths}"), *each.params.without("q"))))
        for each, tenths in ranked
    )


def list_text(mechanisms: Iterable[Mechanism]) -> str:
    """A list as one header field value."""
    return ", ".join(map(str, mechanisms))


def read_list(values: Iterable[str]) -> tuple[Mechanism, ...]:
    """The list of a server, as a client reads it.

    Raises:
        PeerError: 494 when there is none, it can't be read, or two mechanisms have one preference, which "is an
            error" (section 2.2).
    """
    try:
        found = tuple(parse_mechanism(value) for value in values)
    except PeerError as error:
        raise PeerError(494, error.reason, header="Security-Server") from None
    if not 0 < len(found) <= MAX_MECHANISMS:
        raise PeerError(494, f"{len(found)} security mechanisms are listed", header="Security-Server")
    if len({each.preference for each in found}) < len(found):
        raise PeerError(494, "two security mechanisms have the same preference", header="Security-Server")
    return found


def choose(offered: Iterable[Mechanism], known: Callable[[Mechanism], bool]) -> Mechanism | None:
    """The mechanism "with the highest q value among all the mechanisms that are known to the client" (2.3.1)."""
    return max(filter(known, offered), key=lambda each: each.preference, default=None)


# ---- messages ----


def requires(message: Message) -> bool:
    """Whether a request asks for the agreement (section 2.3.1).

    Raises:
        PeerError: 400 when its Require or Proxy-Require is malformed.
    """
    headers = message.headers
    return any(
        name in headers.names and any(option.lower() == OPTION for option in headers.every(field))
        for field, name in _REQUIRING
    )


def strip(message: Message) -> None:
    """Take the agreement off a request that goes on: it was for this hop alone (section 2.3.1)."""
    headers = message.headers
    for field, name in _REQUIRING:
        if name not in headers.names:
            continue
        kept = [option for option in headers.every(field) if option.lower() != OPTION]
        headers.remove(name)
        if kept:
            headers.add(name, ", ".join(kept))
    for name in FIELDS:
        headers.remove(name)


# ---- what comes back ----


def list_flaw(message: Message, own: Sequence[Mechanism]) -> Reason | None:
    """Why the Security-Verify of a request is not our list, or None.

    The mechanisms must be the same in the same order, and their parameters too, to the byte; only blanks do not
    count, and the ``d-ver`` that a client adds.

    Raises:
        PeerError: 400 when it is malformed.
    """
    found = returned(message)
    if not found:
        return Reason(AgreementFlaw.MISSING, "there is no Security-Verify")
    if found == tuple(own):
        return None
    return Reason(AgreementFlaw.DIFFERENT, f"Security-Verify is {list_text(found)[:120]}")


def returned(message: Message) -> tuple[Mechanism, ...]:
    """The list that a request says back, without the ``d-ver`` of it.

    Raises:
        PeerError: 400 when it is malformed.
    """
    return tuple(
        Mechanism(each.name, each.params.without("d-ver")) if each.name == Name.DIGEST else each
        for each in message.headers.every(SECURITY_VERIFY)
    )


def proof(credentials: Credentials, ha1: str, method: str, values: Iterable[str], body: bytes = b"") -> str:
    """The ``d-ver`` for these credentials over a list as it stood in Security-Server (section 2.2).

    The grammar's ``security-server`` is the header field with its name.
    """
    return _digest_over(f"Security-Server: {', '.join(values)}", credentials, ha1, method, body)


def proof_flaw(
    message: Message, own: Sequence[Mechanism], credentials: Credentials | None, ha1: str | None, method: str
) -> Reason | None:
    """Why the digest of a request does not prove that its sender saw our list, or None.

    Taken over the value alone it is accepted too: the text can be read that way, and it binds as much. Without
    credentials that were right nothing is proven.
    """
    if credentials is None or ha1 is None:
        return Reason(AgreementFlaw.UNPROVEN, "nobody has authenticated by digest")
    given = [
        each.params.get("d-ver") or ""
        for each in message.headers.every(SECURITY_VERIFY)
        if each.name == Name.DIGEST
    ]
    text = list_text(own)
    expected = (
        _digest_over(form, credentials, ha1, method, message.body)
        for form in (f"Security-Server: {text}", text)
    )
    right = any(
        hmac.compare_digest(value.encode(), octets(each)) for value in expected for each in given if each
    )
    return (
        None if right else Reason(AgreementFlaw.UNPROVEN, "the d-ver of Security-Verify is missing or wrong")
    )


def _digest_over(text: str, credentials: Credentials, ha1: str, method: str, body: bytes) -> str:
    # "All linear white spaces in the Security-Server header field MUST be replaced by a single SP" (section 2.2).
    return request_digest(credentials, ha1, method, body, covering=_BLANKS.sub(" ", text).strip())


def returned_list(values: Iterable[str], proof_text: str | None = None) -> str:
    """Security-Verify: the list of the server as it came, with the ``d-ver`` where digest was chosen."""
    mirrored = []
    for value in values:
        mechanism = parse_mechanism(value)
        digest = mechanism.name == Name.DIGEST and proof_text is not None
        mirrored.append(f'{value};d-ver="{proof_text}"' if digest else value)
    return ", ".join(mirrored)

"""``verstat``: how a network tells a phone whether the caller's identity was verified (3GPP TS 24.229 section 7.2A.20).

It is a parameter of the URI in P-Asserted-Identity or From, defined for telephone numbers. We write it to addresses
too, where it says the same. It is believed by whoever receives it, so what comes from outside must lose it first.
"""

from __future__ import annotations

from enum import StrEnum

from ringfence.message.address import NameAddr
from ringfence.message.grammar import unescape
from ringfence.message.params import Params
from ringfence.message.uri import SipUri, TelUri, Uri

NAME = "verstat"


class Verstat(StrEnum):
    """The values of the standard."""

    PASSED = "TN-Validation-Passed"
    FAILED = "TN-Validation-Failed"
    NONE = "No-TN-Validation"


def verstat_of(uri: Uri) -> str | None:
    """The value that a URI carries, whichever of the two places it stands in."""
    if not isinstance(uri, SipUri | TelUri):
        return None
    inner = (uri.user or "").split(";")[1:] if isinstance(uri, SipUri) else []
    found = [text.partition("=")[2] for text in inner if _is_verstat(text)]
    found += [value or "" for name, value in uri.params if _is_verstat(name)]
    return found[0] if found else None


def with_verstat(address: NameAddr, value: Verstat) -> NameAddr:
    """The address with this value and no other."""
    uri = without_verstat(address.uri)
    if isinstance(uri, TelUri):
        uri = TelUri(uri.number, uri.params.with_(NAME, value))
    elif isinstance(uri, SipUri):
        if (uri.params.get("user") or "").lower() == "phone" and uri.user is not None:
            # The user part is a telephone-subscriber, and this is one of its parameters (RFC 3261 19.1.6).
            uri = _with_user(uri, f"{uri.user};{NAME}={value}")
        else:
            uri = uri.replace(params=uri.params.with_(NAME, value))
    return NameAddr(uri, address.display, address.params)


def without_verstat(uri: Uri) -> Uri:
    """The URI with no word on its own verification."""
    if verstat_of(uri) is None:
        return uri
    if isinstance(uri, TelUri):
        return TelUri(uri.number, _cleaned(uri.params))
    assert isinstance(uri, SipUri)  # no other kind has a verstat
    user = uri.user
    if user is not None:
        first, *rest = user.split(";")
        user = ";".join([first, *(text for text in rest if not _is_verstat(text))])
    return _with_user(uri.replace(params=_cleaned(uri.params)), user)


def _cleaned(params: Params) -> Params:
    return Params(tuple(item for item in params if not _is_verstat(item[0])))


def _is_verstat(text: str) -> bool:
    name = text.partition("=")[0]
    return (unescape(name) if "%" in name else name).lower() == NAME


def _with_user(uri: SipUri, user: str | None) -> SipUri:
    return SipUri(
        uri.scheme, user, uri.host, uri.port, uri.params, password=uri.password, headers=uri.headers
    )

"""Short proofs that a text came from us: what we hand to peers in routes and want to see again unchanged.

A *dialog token* stands in each Record-Route of ours. A request inside a dialog carries it back in its Route, so
that we need not remember dialogs to know that this one was set up through us: without it, anybody could add a
To tag and a Route to a request and have it relayed (the open relay of most SIP proxies). Whoever is in a dialog with
a user of ours holds its token, too; so beside it stands a *way token* for each of the two, which says where its
requests come from or go to: one call to a user of ours must not let a stranger relay anything. A *flow token* names
the connection that a request or a registration came over (RFC 5626 section 5.2).
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b
from typing import Any

_MAC_OCTETS = 9
"""72 bits, 18 hexadecimal digits: a guess costs an attacker a request each, so 2**72 requests."""

TO_ONE_PLACE = frozenset({"2", "3"})
"""How a way token begins that names the target."""

WATCHED = "4"
"""How a way token begins that names the source alone, of a user who may not call everybody."""


def dialog_token(key: bytes, call_id: str, tag: str) -> str:
    """The proof that a dialog was set up through the holder of ``key`` (at most 64 bytes).

    ``tag`` is the From tag of the request that began it, so that the proof tells who of the two is the caller.
    """
    return _mac(key, b"dialog", f"{call_id}\0{tag}")


def check_dialog_token(key: bytes, call_id: str, tag: str, token: str) -> bool:
    """Whether the token is the one for this Call-ID and the caller's tag."""
    return token.isascii() and hmac.compare_digest(dialog_token(key, call_id, tag), token)


def way_token(key: bytes, proof: str, sender: str, source: str, target: str, *, watched: bool = False) -> str:
    """The proof that ``sender``, one of the two in the dialog of ``proof``, may send from ``source`` to ``target``.

    Either may be empty: then it may be any place. ``watched``: there are places that the sender may not call.
    """
    bound = ("3" if source else "2") if target else ((WATCHED if watched else "1") if source else "0")
    return bound + _mac(key, b"way", f"{proof}\0{sender}\0{bound}\0{source}\0{target}")


def check_way_token(key: bytes, proof: str, sender: str, source: str, target: str, token: str) -> bool:
    """Whether the token allows this way."""
    bound = token[:1]
    watched = bound == WATCHED
    expected = way_token(
        key,
        proof,
        sender,
        source if watched or bound in {"1", "3"} else "",
        target if bound in TO_ONE_PLACE else "",
        watched=watched,
    )
    return token.isascii() and hmac.compare_digest(expected, token)


def flow_token(key: bytes, flow: str) -> str:
    """Name a flow by its key, provably by us; safe in the user part of a URI."""
    text = flow.encode("utf-8")
    mac = blake2b(text, key=key, digest_size=_MAC_OCTETS, person=b"flow").digest()
    return urlsafe_b64encode(mac + text).decode("ascii").rstrip("=")


def open_flow_token(key: bytes, token: str) -> str | None:
    """The flow key inside a token of ours; None for any other text."""
    try:
        data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        text = data[_MAC_OCTETS:].decode("utf-8")
    except (ValueError, UnicodeDecodeError):
        return None
    mac = blake2b(data[_MAC_OCTETS:], key=key, digest_size=_MAC_OCTETS, person=b"flow").digest()
    return text if text and hmac.compare_digest(mac, data[:_MAC_OCTETS]) else None


def loop_hash(key: bytes, uri: str, flow: str, routes: list[str]) -> str:
    """The second half of a proxy's branch: what a request would have to keep to be looping (RFC 5393 section 4.2.1)."""
    return _mac(key, b"loop", "\0".join((uri, flow, *routes)) if routes else f"{uri}\0{flow}")


def _mac(key: bytes, purpose: bytes, text: str) -> str:
    keyed = _keyed(key, purpose).copy()
    keyed.update(text.encode("utf-8", "surrogateescape"))
    return keyed.hexdigest()  # type: ignore[no-any-return]


@lru_cache(64)
def _keyed(key: bytes, purpose: bytes) -> Any:
    """A hash that has taken the key already: to make one takes longer than what we hash with it.

    The octet behind the key has the key's own block hashed here, and not for each text anew.
    """
    keyed = blake2b(key=key, digest_size=_MAC_OCTETS, person=purpose)
    keyed.update(b"\0")
    return keyed

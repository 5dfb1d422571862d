"""What a PASSporT says, as JSON in its one deterministic form (RFC 8225 sections 4, 5 and 9)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ringfence.message.errors import LocalError
from ringfence.security.canonical import Party

Claims = dict[str, Any]


def header_for(x5u: str, ppt: str | None = None) -> Claims:
    """The protected header of a token that we sign (RFC 8225 section 4)."""
    header: Claims = {"alg": "ES256", "typ": "passport", "x5u": x5u}
    if ppt is not None:
        header["ppt"] = ppt
    return header


def claims_for(
    orig: Party,
    dest: Iterable[Party],
    iat: int,
    media_keys: Iterable[tuple[str, str]] = (),
    extra: Mapping[str, Any] | None = None,
) -> Claims:
    """The claims set (RFC 8225 section 5). ``media_keys`` are (algorithm, digest) pairs of the SDP."""
    wanted: dict[str, list[str]] = {}
    for kind, name in sorted(set(dest)):
        wanted.setdefault(kind, []).append(name)
    claims: Claims = {"dest": wanted, "iat": iat, "orig": {orig.kind: orig.value}}
    keys = mky_of(media_keys)
    if keys:
        claims["mky"] = keys
    if extra:
        claims.update(extra)
    return claims


def mky_of(media_keys: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The ``mky`` claim: no colons, no repeats, sorted by algorithm and digest (RFC 8225 section 5.2.2)."""
    pairs = {(algorithm.lower(), digest.replace(":", "").upper()) for algorithm, digest in media_keys}
    return [
        {"alg": alg, "dig": dig} for alg, dig in sorted(pairs, key=lambda pair: (pair[0] + pair[1]).encode())
    ]


def canonical_json(value: Mapping[str, Any]) -> str:
    """The deterministic serialization of RFC 8225 section 9.

    Raises:
        LocalError: for a number that is no integer, a claim name that is not ASCII, or no JSON at all.
    """
    _check_json(value)
    return _encode(value)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _check_json(value: object) -> None:
    # Types, not isinstance: this walks every claim of every token that is signed.
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            if type(name) is not str or not name.isascii():
                raise LocalError(f"claim name {name!r} is not ASCII text (RFC 8225 section 5)")
            _check_json(member)
    elif isinstance(value, list | tuple):
        for member in value:
            _check_json(member)
    else:
        raise LocalError(f"{value!r} has no place in a token (RFC 8225 section 9)")

"""Dialogs that are named in a message: Replaces, Join, Target-Dialog, and Refer-To with a Replaces inside.

Each side knows a private call by other names. Whoever is told of a dialog by somebody on the other side is told the
name that it knows it by itself (RFC 3891 section 3).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from ringfence.message import Headers, NameAddr, Request, SipUri
from ringfence.message.fields import JOIN, REFER_TO, REPLACES, TARGET_DIALOG, DialogName
from ringfence.roles.bridge.bridges import Bridges

FIELDS: Final = (REPLACES, JOIN, TARGET_DIALOG)

NAMING: Final = frozenset({"Replaces", "Join", "Target-Dialog", "Refer-To"})


def translated(headers: Headers, bridges: Bridges, receiver: str) -> list[tuple[str, str]]:
    """The fields of a message that name dialogs, for the address-of-record ``receiver``.

    Raises:
        PeerError: 400 when one can't be read.
    """
    if NAMING.isdisjoint(headers.names):
        return []
    fields = [
        (each.name, _written(other_name(name, bridges, receiver), each.name))
        for each in FIELDS
        for name in headers.every(each)
    ]
    return fields + [("Refer-To", _referred(value, bridges)) for value in headers.every(REFER_TO)]


def translate_in_place(request: Request, bridges: Bridges) -> None:
    """The same for a request that is forwarded as it is, but names a private call."""
    headers = request.headers
    if "Replaces" not in headers.names and "Join" not in headers.names:
        return
    uri = request.target
    receiver = uri.aor if isinstance(uri, SipUri) else str(uri)
    for each in (REPLACES, JOIN):
        name = headers.first(each)
        if name is not None:
            other = other_name(name, bridges, receiver)
            if other is not name:
                headers.set(each.name, _written(other, each.name))


def other_name(name: DialogName, bridges: Bridges, receiver: str) -> DialogName:
    """The name of the same call in the other dialog; itself when it is none of ours, or the receiver's own."""
    found = bridges.named(name)
    if found is None:
        return name
    pair, party, ours_first = found
    leg, other = pair.leg(party), pair.leg(party.other)
    known = leg.dialog.remote_uri.uri
    if receiver and isinstance(known, SipUri) and known.aor == receiver:
        return name  # the receiver is the party of this dialog
    # Our tag stands for the other party, whose own tag is the remote one of its dialog.
    ours, theirs = other.dialog.remote_tag, other.dialog.local_tag
    tags = (ours, theirs) if ours_first else (theirs, ours)
    return DialogName(other.dialog.call_id, *tags, name.params)


def _written(name: DialogName, field: str) -> str:
    to_name, from_name = ("local-tag", "remote-tag") if field == "Target-Dialog" else ("to-tag", "from-tag")
    rest = name.params.without(to_name, from_name)
    return f"{name.call_id};{to_name}={name.to_tag};{from_name}={name.from_tag}{rest}"


def _referred(value: NameAddr, bridges: Bridges) -> str:
    uri = value.uri
    if not isinstance(uri, SipUri) or "replaces" not in uri.headers.lower():
        return str(value)
    items = []
    for name, text in uri.header_items():
        if name.lower() == "replaces":
            named = REPLACES.parse(text)
            other = other_name(named, bridges, uri.aor)
            if other is not named:
                text = _written(other, "Replaces")
        items.append(f"{quote(name, safe='')}={quote(text, safe='')}")
    return str(NameAddr(uri.replace(headers="&".join(items)), value.display, value.params))

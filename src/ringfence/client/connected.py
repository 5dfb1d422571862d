"""Connected identity (RFC 4916): who has answered, and who is there after a transfer.

A response cannot say it so that anybody could check it. So whoever is called sends a request back, an UPDATE with its
own address in From: its server knows whose that is and asserts it, its domain signs it where it leaves, and the server
of the caller verifies it like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringfence.client.peer import Evidence, caller
from ringfence.message import NameAddr, Request, Uri, parse_uri
from ringfence.security.canonical import identity_of
from ringfence.security.connected import takes_from_change

if TYPE_CHECKING:
    from ringfence.client.call import Call
    from ringfence.transport.flow import Flow

STRENGTH = {evidence: place for place, evidence in enumerate(Evidence)}


def may_announce(call: Call, invite: Request) -> bool:
    """Whether a caller wants to know who has answered, and may be told (RFC 4916 section 4.2).

    Whoever keeps its identity private tells nothing: an anonymous From would only say that.
    """
    if call.desk.account.privacy or "UPDATE" not in call.peer_methods:
        return False
    return takes_from_change(invite.headers)


def introduce_ourselves(call: Call) -> None:
    """From now on requests of ours name who we are, where the caller has asked for somebody else (section 4.4.1)."""
    dialog, own = call.dialog, call.desk.account.aor
    if dialog is not None and _person(own) != _person(dialog.local_uri.uri):
        dialog.local_uri = NameAddr(own, call.desk.account.display)


def note_identity(call: Call, request: Request, flow: Flow) -> None:
    """Show who is at the other end, by a request inside the dialog that we accept (section 4.4.2).

    A claim does not take the place of something better, unless it is about somebody else.
    """
    peer, known = caller(request, trusted=call.desk.trusted(flow)), call.peer
    better = STRENGTH[peer.evidence] > STRENGTH[known.evidence]
    changed = better or _person(parse_uri(peer.identity)) != _person(parse_uri(known.identity))
    if changed:
        call.peer = peer
        call.tell("connected", peer=peer.identity, display=peer.display, evidence=peer.evidence)


def _person(uri: Uri) -> str:
    """Who an address stands for: sip and sips name the same one (RFC 5630 section 3.3)."""
    value = identity_of(uri).value
    return f"sip:{value[5:]}" if value.startswith("sips:") else value

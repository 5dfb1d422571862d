"""The section about what is not shown to those outside. As in `sections`, docstrings are the documentation."""

from __future__ import annotations

from typing import Literal

from ringfence.roles.hiding import Hiding
from ringfence.service.sections import Section


class HidingSection(Section):
    """Topology hiding: what messages tell of the way behind this node (Via, Record-Route) is taken off."""

    toward: Literal["strangers", "everybody", "nobody"] = "strangers"
    """strangers: whoever is neither a user of ours nor a peer with `trusted = true`. everybody: users of ours, too, so
    that one phone does not see where the other is."""
    contact: bool = False
    """The address in Contact, too: a phone is reached by a sealed address at this node. What is signed over the header
    fields of a call end to end (S/MIME tunnels, RFC 3261 section 23.4) then says that Contact was changed."""
    call_id: bool = False
    """The Call-ID of calls that leave, too: many phones put their address into it. Replaces and Join of transfers to
    outside then name a call that the other side does not know."""


def make_hiding(section: HidingSection, key: bytes) -> Hiding | None:
    """The policy that roles read; None: everything is shown."""
    if section.toward == "nobody":
        return None
    return Hiding(
        key, everybody=section.toward == "everybody", contact=section.contact, call_id=section.call_id
    )

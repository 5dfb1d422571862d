"""Records to test with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringfence.store import Account, Binding

NOW = 1_700_000_000.0
ALICE = "sip:alice@example.org"
BOB = "sip:bob@example.org"


def account(name: str = "alice", /, **fields: Any) -> Account:
    return Account(
        **{
            "aor": f"sip:{name}@example.org",
            "user": name,
            "realm": "example.org",
            "credentials": {"SHA-512-256": "5" * 64, "SHA-256": "2" * 64},
            **fields,
        }
    )


def binding(aor: str = ALICE, contact: str = "sip:alice@192.0.2.1:5060", **fields: Any) -> Binding:
    defaults = {"expires_at": NOW + 3600, "call_id": "a84b4c76e66710", "cseq": 1, "updated": NOW}
    return Binding(aor=aor, contact=contact, **{**defaults, **fields})


def only(*bindings: Binding) -> Callable[[tuple[Binding, ...]], tuple[Binding, ...]]:
    """The decision to have these bindings, whatever was there."""
    return lambda _: bindings


FULL = Binding(
    aor=ALICE,
    contact="sips:alice@192.0.2.1:5061;transport=tls;ob",
    expires_at=NOW + 599.25,
    call_id="a84b4c76e66710@pc33.example.org",
    cseq=2**31 - 1,
    updated=NOW,
    q=0.7,
    params=';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1;x="a\\"b"',
    path=("<sip:edge1.example.org;lr;ob>", "<sip:edge2.example.org;lr>"),
    instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>",
    reg_id=1,
    flow="TLS/192.0.2.9:5061/192.0.2.1:40000",
    received="TLS 192.0.2.1:40000",
    worker="w1",
    user_agent="Phone é \udcff \x00",
    public_gruu="urn:uuid:00000000-0000-1000-8000-000A95A0E128",
    temporary_gruu="7f3a9c",
)
"""Every field away from its default; the User-Agent with what UTF-8 and PostgreSQL can't hold."""

"""What a node needs to sign for its users and to verify callers (RFC 8224). Made by ``service/wiring``."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from ringfence.guard.reputation import Reputation
from ringfence.message import Uri
from ringfence.roles.signers import Signers
from ringfence.security.canonical import NumberPlan, Party
from ringfence.security.findings import Policy
from ringfence.security.identity import Signer, authority_flaws, credential_time_flaws
from ringfence.security.passport import FRESHNESS
from ringfence.security.replay import ReplayWindow
from ringfence.security.tunnel import MAX_AGE


class Refuse(StrEnum):
    """Which callers from outside are answered with the code that RFC 8224 section 6.2.2 names."""

    NOBODY = "mark"
    """Phones are told, that is all."""
    INVALID = "invalid"
    """Those whose signature is not for this call: forged, replayed, out of date."""
    UNVERIFIED = "refuse"
    """Everybody who does not prove who it is."""


class Unproven(StrEnum):
    """What happens to a value of Resource-Priority from outside that no valid ``rph`` covers (RFC 8443 section 4.2)."""

    REMOVE = "remove"
    """It is taken off, and the call is an ordinary one."""
    MARK = "mark"
    """It stays, and the phone is told."""
    KEEP = "keep"
    """Nobody looks at it."""


@dataclass(slots=True)
class Verification:
    """The verification service."""

    signers: Signers
    refuse: Refuse = Refuse.INVALID
    rules: Policy = field(default_factory=Policy)
    replay: ReplayWindow = field(default_factory=lambda: ReplayWindow(2 * FRESHNESS))
    """Twice the freshness: a token may come that much before and after its time."""
    bodies: ReplayWindow = field(default_factory=lambda: ReplayWindow(2 * MAX_AGE))
    """The same for authenticated identity bodies."""
    unproven_priority: Unproven = Unproven.REMOVE


@dataclass(slots=True)
class Signing:
    """The authentication service."""

    signers: tuple[Signer, ...]
    """Each certificate with its key; at least one."""
    secret: bytes
    """Key of the ``origid`` of our users."""
    attest: bool = True
    """Whether calls of telephone numbers are signed with SHAKEN attestation."""
    divert: bool = False
    """Whether a call that a user of ours has forwarded to another domain gets a ``div`` (RFC 8946)."""
    rules: Policy = field(default_factory=Policy)

    @property
    def plan(self) -> NumberPlan:
        """How local numbers are read."""
        return self.rules.plan

    def signer_for(self, party: Party, source: Uri | None, now: float) -> Signer:
        """Who signs for an identity. One whose certificate lists a number goes before one that speaks for all numbers
        of a provider or a domain; else the order counts. The first, when none can: it knows the reasons.
        """
        first = self.signers[0]
        if len(self.signers) == 1:
            return first
        able = [
            each
            for each in self.signers
            if not authority_flaws(each.credential, party, source, by_domain=each.numbers_by_domain)
            and not credential_time_flaws(each.credential, int(now))
        ]
        for each in able:
            if party.kind == "uri" or any(scope.lists(party.value) for scope in each.credential.numbers):
                return each
        return able[0] if able else first

    def origin(self, name: str) -> str:
        """The ``origid`` of a user or peer (RFC 8588 section 5): it traces calls to one origin, and names nobody."""
        digest = hashlib.blake2b(name.encode(), key=self.secret, digest_size=16, person=b"origid").digest()
        return str(uuid.UUID(bytes=digest, version=4))


class Treatment(StrEnum):
    """What happens to a stranger whom the callee does not know."""

    ACCEPT = "accept"
    MARK = "mark"
    """The phone is told."""
    CHALLENGE = "challenge"
    """470 Consent Needed (RFC 5360), until the callee or the owner has allowed the caller."""
    REFUSE = "refuse"


@dataclass(slots=True)
class Strangers:
    """How callers from outside are received."""

    reputation: Reputation
    verified: Treatment = Treatment.ACCEPT
    unverified: Treatment = Treatment.MARK

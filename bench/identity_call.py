"""What verified and signed callers cost a call through the node: the same call with and without, in turns in one run.

    python bench/identity_call.py

A call is the eight messages of ``bench/call.py``. Where a signature is verified the caller is of another domain, and
the certificate is known: it is fetched once an hour. Where one is made the caller is a user of ours. The log line of
each caller from outside is in the price. All go by flows such as those of TLS: over UDP a signature also
makes a request
too long for a datagram (RFC 3261 section 18.1.1), which is another matter.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from itertools import count

import call as plain
from cryptography.hazmat.primitives.asymmetric import ec
from identity import self_signed

from ringfence.guard.reputation import Reputation
from ringfence.message import Request, parse
from ringfence.roles.bound import bind
from ringfence.roles.call import Authenticated
from ringfence.roles.identity import Signing, Strangers, Verification
from ringfence.roles.policy import ChallengeMode, Services
from ringfence.roles.signers import Anchors, Signers
from ringfence.security.identity import Signer, sign_request
from ringfence.security.tnauth import credential_from
from ringfence.service.logs import configure
from ringfence.store.memory import MemoryStore
from ringfence.store.records import Account, Binding
from ringfence.transport.driver import Driver
from ringfence.transport.fetch import Fetcher, web_context
from ringfence.transport.flow import Endpoint

URL = "https://example.com/identity.pem"
CALLS, ROUNDS = 200, 15
_numbers = count(1)


class SecureWire(plain.Wire):
    """A flow that has authenticated once speaks for its user, as those by TLS do."""

    __slots__ = ()
    transport, reliable, secure = "TLS", True, True


class Case:
    """One kind of call, on a node of its own; ``invite`` makes the first message of a call."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, invite: Callable[[int], bytes]) -> None:
        self.name = name
        self.invite = invite
        self.caller, self.callee = (SecureWire(Endpoint("127.0.0.1", port)) for port in (7001, 7002))
        self.driver: Driver = plain.node(loop, self.caller, self.callee)
        self.services: Services = self.driver._on_request.__self__.services  # type: ignore[attr-defined]
        contact, until = "sip:callee@127.0.0.1:7002;transport=tls", time.time() + 9e5
        binding = Binding("sip:callee@bench.test", contact, until, "x", 1, time.time())
        self.services.bindings.hold(binding.aor, (binding,), 0)  # type: ignore[attr-defined]  # see has_user
        self.spent: list[float] = []

    def run(self) -> None:
        """Some calls; keeps the microseconds that one took."""
        invites = {number: self.invite(number) for number in (next(_numbers) for _ in range(CALLS))}
        plain.SPENT[0] = 0
        for number, invite in invites.items():
            plain.call(self.driver, self.caller, self.callee, number, invite)
        self.spent.append(plain.SPENT[0] / CALLS / 1000)

    def verifies(self, signer: Signer) -> Case:
        """Callers are verified, and looked up among those who have been reported."""
        fetcher = Fetcher(web_context(system_trust=False), _nowhere)
        signers = Signers(fetcher, Anchors(), pinned={URL: signer.credential})
        self.services.verification = Verification(signers)
        self.services.strangers = Strangers(Reputation(MemoryStore().opinions))
        return self

    def has_user(self) -> Case:
        """The caller is a user of ours, on a flow that has authenticated."""
        account = Account("sip:user0001@bench.test", "user0001", "bench.test")
        self.services.accounts.hold(account)  # type: ignore[attr-defined]  # the store is in memory
        self.services.policy.challenge = ChallengeMode.FIRST
        bind(self.caller, Authenticated(account, "flow"))
        return self

    def signs(self, signer: Signer) -> Case:
        """What leaves is signed."""
        self.services.signing = Signing((signer,), b"secret")
        return self


async def _nowhere(_host: str) -> tuple[str, ...]:
    return ()


def from_outside(number: int) -> bytes:
    """A caller of example.com, unsigned."""
    data = plain.request("INVITE", "sip:callee@bench.test", number, "1", body=plain.SDP)
    return data.replace(b"user0001@bench.test", b"user0001@example.com")


def to_outside(number: int) -> bytes:
    """A call of a user of ours to somewhere else."""
    return plain.request("INVITE", "sip:callee@127.0.0.1:7002;transport=tls", number, "1", body=plain.SDP)


def signed_by(signer: Signer) -> Callable[[int], bytes]:
    """A caller of example.com with its domain's signature."""

    def invite(number: int) -> bytes:
        request = parse(from_outside(number))
        assert isinstance(request, Request)
        for name, value in sign_request(request, signer, time.time()).fields:
            request.headers.add(name, value)
        return request.to_bytes()

    return invite


def main() -> None:
    """Print one line for each case, with what it adds to the first of its group."""
    configure(level="info", console=False, stream=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    loop = asyncio.new_event_loop()
    theirs, ours = make_signer("example.com"), make_signer("bench.test")
    groups = (
        [
            Case("from outside, not looked at", loop, from_outside),
            Case("from outside, unsigned", loop, from_outside).verifies(theirs),
            Case("from outside, signed", loop, signed_by(theirs)).verifies(theirs),
        ],
        [
            Case("to outside, not signed", loop, to_outside).has_user(),
            Case("to outside, signed", loop, to_outside).has_user().signs(ours),
        ],
    )
    for _ in range(ROUNDS):
        for group in groups:
            for case in group:
                case.run()
    for base, *others in groups:
        for case in (base, *others):
            # The best of each: what else runs on the machine only ever adds.
            mine, its = min(case.spent), min(base.spent)
            print(f"{case.name:30} {mine:6.0f} us a call, {mine - its:+5.0f} us, {mine / its:5.2f} times")


def make_signer(domain: str) -> Signer:
    """A key with a certificate for a domain that it trusts by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self_signed(key, domain)
    return Signer(key, URL, credential_from([certificate], [certificate], time.time()))


if __name__ == "__main__":
    main()

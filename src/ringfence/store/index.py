"""Records in memory, found by dict. The read half of both stores: `memory` adds nothing to it but the write
half, `sql` keeps it equal to the database.

Everything is held, not a part of it: an address that nobody has is then known not to exist without asking the
database, in the same time as one that exists, and a flood of unknown names costs no query. A lookup is one
dict hit and one comparison, since the soonest expiry stands beside the bindings. All methods belong to the
event loop's thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from math import inf
from typing import NamedTuple

from ringfence.store.ports import Counts, Decision
from ringfence.store.records import Account, Binding


class AccountIndex:
    """Accounts by address-of-record, by digest user and realm, and by alias."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._users: dict[tuple[str, str], Account] = {}
        self._aliases: dict[str, tuple[str, ...]] = {}

    def find(self, user: str, realm: str) -> Account | None:
        """See `ports.Accounts.find`."""
        return self._users.get((user, realm))

    def by_aor(self, aor: str) -> Account | None:
        """See `ports.Accounts.by_aor`."""
        return self._accounts.get(aor)

    def by_alias(self, address: str) -> tuple[Account, ...]:
        """See `ports.Accounts.by_alias`."""
        return tuple(self._accounts[aor] for aor in self._aliases.get(address, ()))

    def count(self) -> int:
        """See `ports.Accounts.count`."""
        return len(self._accounts)

    def list(self, after: str = "", limit: int = 1000) -> tuple[Account, ...]:
        """See `ports.Accounts.list`."""
        page = nsmallest(limit, (aor for aor in self._accounts if aor > after))
        return tuple(self._accounts[aor] for aor in page)

    def hold(self, account: Account) -> None:
        """Put an account in place of what was held for its address-of-record."""
        self.drop(account.aor)
        self._accounts[account.aor] = account
        self._users[account.user, account.realm] = account
        for alias in account.aliases:
            self._aliases[alias] = tuple(sorted({*self._aliases.get(alias, ()), account.aor}))

    def drop(self, aor: str) -> None:
        """Hold the account no longer, if it was held."""
        account = self._accounts.pop(aor, None)
        if account is None:
            return
        key = (account.user, account.realm)
        # Another account may have taken the user name over in the same reload.
        if self._users.get(key) is account:
            del self._users[key]
        for alias in account.aliases:
            rest = tuple(other for other in self._aliases.get(alias, ()) if other != aor)
            if rest:
                self._aliases[alias] = rest
            else:
                self._aliases.pop(alias, None)

    def keep_only(self, aors: Iterable[str]) -> None:
        """Drop every account that is not of these addresses-of-record."""
        for aor in self._accounts.keys() - set(aors):
            self.drop(aor)


class Registration(NamedTuple):
    """What one address-of-record has. `revision` is that of the transaction that stored it."""

    bindings: tuple[Binding, ...]
    soonest: float
    revision: int


NOTHING = Registration((), inf, 0)


class BindingIndex:
    """Bindings by address-of-record, by flow and by temporary GRUU index."""

    def __init__(self) -> None:
        self._registrations: dict[str, Registration] = {}
        self._flows: dict[str, tuple[str, ...]] = {}
        self._gruus: dict[str, str] = {}
        self._bindings = 0

    def lookup(self, aor: str, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.lookup`."""
        held = self._registrations.get(aor)
        if held is None:
            return ()
        if now < held.soonest:
            return held.bindings
        return tuple([binding for binding in held.bindings if now < binding.expires_at])

    def by_flow(self, flow: str) -> tuple[Binding, ...]:
        """See `ports.Bindings.by_flow`."""
        aors = self._flows.get(flow, ())
        return tuple(b for aor in aors for b in self._registrations[aor].bindings if b.flow == flow)

    def by_temporary_gruu(self, index: str, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.by_temporary_gruu`."""
        aor = self._gruus.get(index)
        if aor is None:
            return ()
        return tuple(binding for binding in self.lookup(aor, now) if binding.temporary_gruu == index)

    def counts(self) -> Counts:
        """See `ports.Bindings.counts`."""
        return Counts(len(self._registrations), self._bindings)

    def list(self, now: float, after: str = "", limit: int = 1000) -> tuple[Binding, ...]:
        """See `ports.Bindings.list`."""
        page = nsmallest(limit, (aor for aor in self._registrations if aor > after))
        return tuple(binding for aor in page for binding in self.lookup(aor, now))

    def held(self, aor: str) -> Registration:
        """What is held for an address-of-record, expired bindings included."""
        return self._registrations.get(aor, NOTHING)

    def hold(self, aor: str, bindings: tuple[Binding, ...], revision: int) -> None:
        """Put these bindings, ordered as `decided` does, in place of all that the address-of-record had."""
        self._forget(aor)
        if not bindings:
            return
        soonest = min(binding.expires_at for binding in bindings)
        self._registrations[aor] = Registration(bindings, soonest, revision)
        self._bindings += len(bindings)
        for binding in bindings:
            if binding.flow:
                carried = self._flows.get(binding.flow, ())
                if aor not in carried:
                    self._flows[binding.flow] = (*carried, aor)
            if binding.temporary_gruu:
                self._gruus[binding.temporary_gruu] = aor

    def keep_only(self, aors: Iterable[str]) -> None:
        """Drop the bindings of every address-of-record that is not one of these."""
        for aor in self._registrations.keys() - set(aors):
            self._forget(aor)

    def _forget(self, aor: str) -> None:
        held = self._registrations.pop(aor, None)
        if held is None:
            return
        self._bindings -= len(held.bindings)
        for binding in held.bindings:
            rest = tuple(other for other in self._flows.get(binding.flow, ()) if other != aor)
            if rest:
                self._flows[binding.flow] = rest
            else:
                self._flows.pop(binding.flow, None)
            if self._gruus.get(binding.temporary_gruu) == aor:
                del self._gruus[binding.temporary_gruu]


def living(bindings: Iterable[Binding], now: float) -> tuple[Binding, ...]:
    """Those that have not expired. A binding ends at the moment that `expires_at` names."""
    return tuple(binding for binding in bindings if now < binding.expires_at)


def decided(aor: str, decide: Decision, current: tuple[Binding, ...]) -> tuple[Binding, ...]:
    """The outcome of a decision over the bindings of an address-of-record, in the order they are to be tried.

    Raises:
        ValueError: It has a binding of another address-of-record. What `decide` raises passes through.
    """
    wanted = tuple(sorted(decide(current), key=_preference))
    for binding in wanted:
        if binding.aor != aor:
            raise ValueError(f"a binding of {binding.aor} can't be kept under {aor}")
    return wanted


def _preference(binding: Binding) -> tuple[float, float, str]:
    # RFC 3261 section 16.6: targets in order of q. The last part only makes the order the same everywhere.
    return (-binding.q, -binding.updated, binding.contact)

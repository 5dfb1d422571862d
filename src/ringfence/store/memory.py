"""The ports in memory, for tests and the demo. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ringfence.store.balances import MemoryBalances
from ringfence.store.bans import BanIndex
from ringfence.store.errors import RecordExists, RecordMissing
from ringfence.store.index import AccountIndex, BindingIndex, decided, living
from ringfence.store.opinions import OpinionIndex
from ringfence.store.ports import Decision, Store
from ringfence.store.records import Account, Administrator, Ban, Binding, Opinion


class MemoryBindings(BindingIndex):
    """See `ports.Bindings`. Nothing is awaited inside a change, so changes can't mix."""

    async def change(self, aor: str, decide: Decision, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.change`."""
        current = self.lookup(aor, now)
        wanted = decided(aor, decide, current)
        if wanted != current:
            self.hold(aor, wanted, 0)
        return self.lookup(aor, now)

    async def purge(self, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.purge`."""
        expired: list[Binding] = []
        for aor, held in sorted(self._registrations.items()):
            if held.soonest <= now:
                expired += (binding for binding in held.bindings if binding.expires_at <= now)
                self.hold(aor, living(held.bindings, now), 0)
        return tuple(expired)


class MemoryAccounts(AccountIndex):
    """See `ports.Accounts`."""

    def __init__(self, bindings: MemoryBindings, opinions: MemoryOpinions, balances: MemoryBalances) -> None:
        super().__init__()
        self._balances = balances
        self._bindings = bindings
        self._opinions = opinions

    async def add(self, account: Account) -> None:
        """See `ports.Accounts.add`."""
        if self.by_aor(account.aor) is not None:
            raise RecordExists(f"there is an account {account.aor} already")
        self._claim_user(account)
        self.hold(account)

    async def update(self, account: Account) -> None:
        """See `ports.Accounts.update`."""
        if self.by_aor(account.aor) is None:
            raise RecordMissing(f"there is no account {account.aor}")
        self._claim_user(account)
        self.hold(account)

    async def remove(self, aor: str) -> None:
        """See `ports.Accounts.remove`."""
        if self.by_aor(aor) is None:
            raise RecordMissing(f"there is no account {aor}")
        self.drop(aor)
        self._bindings.hold(aor, (), 0)
        self._opinions.forget_callee(aor)
        self._balances.balances.pop(aor, None)

    def _claim_user(self, account: Account) -> None:
        holder = self.find(account.user, account.realm)
        if holder is not None and holder.aor != account.aor:
            raise RecordExists(f"{holder.aor} has the user {account.user} in the realm {account.realm}")


class MemoryOpinions(OpinionIndex):
    """See `ports.Opinions`."""

    async def put(self, wanted: Iterable[Opinion]) -> None:
        """See `ports.Opinions.put`."""
        wanted = tuple(wanted)
        for key in self.surplus(wanted):
            self.drop(key)
        for opinion in wanted:
            self.hold(opinion)

    async def remove(self, caller: str, callee: str = "") -> int:
        """See `ports.Opinions.remove`."""
        callees = (callee,) if callee else tuple(self._by_caller.get(caller, ()))
        return sum(self.drop((caller, each)) for each in callees)

    async def purge(self, now: float) -> int:
        """See `ports.Opinions.purge`."""
        return sum(map(self.drop, self.expired(now)))


class MemoryBans(BanIndex):
    """See `ports.Bans`."""

    async def put(self, ban: Ban) -> None:
        """See `ports.Bans.put`."""
        self.hold(ban)

    async def remove(self, network: str) -> bool:
        """See `ports.Bans.remove`."""
        return self.drop(network)

    async def purge(self, before: float) -> int:
        """See `ports.Bans.purge`."""
        return sum(map(self.drop, self.ended(before)))


class MemoryAdministrators:
    """See `ports.Administrators`."""

    def __init__(self) -> None:
        self._administrators: dict[str, Administrator] = {}

    def find(self, name: str) -> Administrator | None:
        """See `ports.Administrators.find`."""
        return self._administrators.get(name)

    def list(self) -> tuple[Administrator, ...]:
        """See `ports.Administrators.list`."""
        return tuple(self._administrators[name] for name in sorted(self._administrators))

    async def add(self, administrator: Administrator) -> None:
        """See `ports.Administrators.add`."""
        if administrator.name in self._administrators:
            raise RecordExists(f"there is an administrator {administrator.name} already")
        self._administrators[administrator.name] = administrator

    async def update(self, administrator: Administrator) -> None:
        """See `ports.Administrators.update`."""
        if administrator.name not in self._administrators:
            raise RecordMissing(f"there is no administrator {administrator.name}")
        self._administrators[administrator.name] = administrator

    async def remove(self, name: str) -> None:
        """See `ports.Administrators.remove`."""
        if self._administrators.pop(name, None) is None:
            raise RecordMissing(f"there is no administrator {name}")


class MemoryStore:
    """See `ports.Store`."""

    def __init__(self) -> None:
        self.bindings = MemoryBindings()
        self.opinions = MemoryOpinions()
        self.balances = MemoryBalances()
        self.accounts = MemoryAccounts(self.bindings, self.opinions, self.balances)
        self.bans = MemoryBans()
        self.administrators = MemoryAdministrators()

    async def refresh(self) -> None:
        """See `ports.Store.refresh`. No other process can change these records."""

    def on_written(self, tell: Callable[[], None]) -> None:
        """See `ports.Store.on_written`. There is nobody to be told."""

    async def close(self) -> None:
        """See `ports.Store.close`. The records stay readable."""


_PROVED: type[Store] = MemoryStore  # by the type checker

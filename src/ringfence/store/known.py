"""Accounts that an authority elsewhere has vouched for, for as long as its word holds, in front of the stored ones.

What is stored beside them (`ringfence user add`) gives an address its rights and aliases; its password counts for
nothing while an authority is asked. An account that nobody has asked about lately is found all the same, so that it
can be called; only whoever has proved it is let in, and that is the authority's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ringfence.store.ports import Accounts, Reading
from ringfence.store.records import Account

MAX_KNOWN = 200_000
"""Accounts that are remembered, about 100 MB. The oldest word is forgotten first: its user is asked again."""


class KnownAccounts:
    """See `ports.Accounts`. ``seconds``: how long the word of the authority holds."""

    def __init__(self, stored: Accounts, seconds: float, clock: Callable[[], float]) -> None:
        self._stored = stored
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, tuple[Account, float]] = {}

    def vouch(self, account: Account) -> Account:
        """The authority has just said that somebody is this account. Gives the account as it is known from now on:
        the one that was known already, where they are equal, so that its flows stay bound to it."""
        known = self._known.pop(account.aor, None)
        if known is not None and known[0] == account:
            account = known[0]
        elif len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[account.aor] = (account, self._clock() + self._seconds)
        return account

    def forget(self, aor: str) -> None:
        """The authority has refused the account."""
        self._known.pop(aor, None)

    def vouched(self, aor: str) -> Account | None:
        """The account, while the word of the authority holds."""
        known = self._known.get(aor)
        return known[0] if known is not None and known[1] > self._clock() else None

    def by_aor(self, aor: str) -> Reading[Account | None]:
        """See `ports.Accounts.by_aor`."""
        return self.vouched(aor) or self._stored.by_aor(aor)

    def stored(self, aor: str) -> Reading[Account | None]:
        """What is kept here of an address, whatever the authority says."""
        return self._stored.by_aor(aor)

    def find(self, user: str, realm: str) -> Reading[Account | None]:
        """See `ports.Accounts.find`."""
        return self._stored.find(user, realm)

    def by_alias(self, address: str) -> Reading[tuple[Account, ...]]:
        """See `ports.Accounts.by_alias`."""
        return self._stored.by_alias(address)

    def count(self) -> Reading[int]:
        """See `ports.Accounts.count`: those that are stored here."""
        return self._stored.count()

    def list(self, after: str = "", limit: int = 1000) -> Reading[tuple[Account, ...]]:
        """See `ports.Accounts.list`: those that are stored here."""
        return self._stored.list(after, limit)

    async def add(self, account: Account) -> None:
        """See `ports.Accounts.add`."""
        await self._stored.add(account)

    async def update(self, account: Account) -> None:
        """See `ports.Accounts.update`."""
        await self._stored.update(account)

    async def remove(self, aor: str) -> None:
        """See `ports.Accounts.remove`."""
        self.forget(aor)
        await self._stored.remove(aor)


def _proved(accounts: KnownAccounts) -> Iterable[Accounts]:  # by the type checker
    yield accounts

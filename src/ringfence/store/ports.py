"""What the rest of Ringfence asks of storage, whatever is behind it.

A read gives its value at once where the records are in this process's memory (`memory`, `sql`), and an
awaitable where they are across a network. A caller that serves both writes

    found = accounts.find(user, realm)
    if isawaitable(found):
        found = await found

so that the common case schedules nothing. A write is always awaited and returns when it is durable: what a
REGISTER was answered 200 for survives kill -9. Every method that is awaited may raise `StoreError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from ringfence.store.balances import Balances
from ringfence.store.records import Account, Administrator, Ban, Binding, Opinion

T = TypeVar("T")

Reading: TypeAlias = T | Awaitable[T]
"""A value now, or later."""

Decision: TypeAlias = Callable[[tuple[Binding, ...]], Iterable[Binding]]
"""From the bindings an address-of-record has, the bindings it shall have. A pure function: when another process
changed the same address meanwhile it is called again, in another thread. What it raises, `change` raises."""


class Accounts(Protocol):
    """The subscribers of the domains served."""

    def find(self, user: str, realm: str) -> Reading[Account | None]:
        """The account that a digest of this user name and realm is checked against, disabled or not."""

    def by_aor(self, aor: str) -> Reading[Account | None]:
        """The account of an address-of-record in canonical text."""

    def by_alias(self, address: str) -> Reading[tuple[Account, ...]]:
        """The accounts that have the address among their aliases, in order of their addresses-of-record."""

    def count(self) -> Reading[int]:
        """How many accounts there are."""

    def list(self, after: str = "", limit: int = 1000) -> Reading[tuple[Account, ...]]:
        """A page of accounts in order of address-of-record, beginning behind `after`."""

    async def add(self, account: Account) -> None:
        """Store a new account. Raises `RecordExists` when its aor, or its user in its realm, is taken."""

    async def update(self, account: Account) -> None:
        """Replace the account of the same aor. Raises `RecordMissing`, or `RecordExists` as `add` does."""

    async def remove(self, aor: str) -> None:
        """Remove an account with its bindings and opinions. Raises `RecordMissing`."""


class Counts(NamedTuple):
    """How much is registered, expired bindings that have not been purged included."""

    addresses: int
    bindings: int


class Bindings(Protocol):
    """The location service (RFC 3261 section 10): which contacts an address-of-record has now."""

    def lookup(self, aor: str, now: float) -> Reading[tuple[Binding, ...]]:
        """The bindings that have not expired, highest q first, among equals the most recently updated."""

    def by_flow(self, flow: str) -> Reading[tuple[Binding, ...]]:
        """All bindings that a flow carries, of any address: they end when it does (RFC 5626 section 7)."""

    def by_temporary_gruu(self, index: str, now: float) -> Reading[tuple[Binding, ...]]:
        """The bindings that a temporary GRUU of this index leads to; none when it is no longer valid."""

    def counts(self) -> Reading[Counts]:
        """How much is registered."""

    def list(self, now: float, after: str = "", limit: int = 1000) -> Reading[tuple[Binding, ...]]:
        """The bindings of up to `limit` addresses-of-record, in their order, beginning behind `after`."""

    async def change(self, aor: str, decide: Decision, now: float) -> tuple[Binding, ...]:
        """Replace the bindings of one address-of-record by what `decide` makes of those it has, all or none.

        Changes of one address are decided in the order in which they were asked for, each on the outcome of
        the one before (RFC 3261 section 10.3). They become visible when they are durable. Gives the
        bindings as `lookup` does. Raises `StoreBusy` when the queue of writes is full.
        """

    async def purge(self, now: float) -> tuple[Binding, ...]:
        """Remove the bindings that have expired, and give them, for whoever has to tell of it."""


class Elsewhere(Bindings, Protocol):
    """Bindings that a SQL store leaves to another server."""

    written: Callable[[], None] | None
    """Called when a change by this process has become durable."""

    async def close(self) -> None:
        """Let go of the server."""


class Opinions(Protocol):
    """What callees think of callers. All of it is in this process's memory, so that a read is no waiting."""

    def about(self, caller: str, now: float) -> tuple[Opinion, ...]:
        """The opinions on a caller that have not expired, of all callees."""

    def count(self) -> int:
        """How many there are, expired ones that have not been purged included."""

    def list(self, now: float, after: tuple[str, str] = ("", ""), limit: int = 1000) -> tuple[Opinion, ...]:
        """A page in order of caller and callee, beginning behind `after`."""

    async def put(self, wanted: Iterable[Opinion]) -> None:
        """Store opinions, each in place of the one that its callee had of its caller. The oldest of a callee
        who has too many go."""

    async def remove(self, caller: str, callee: str = "") -> int:
        """Remove the opinion of one callee on a caller, or of all callees. Gives how many there were."""

    async def purge(self, now: float) -> int:
        """Remove what has expired. Gives how many there were."""


class Bans(Protocol):
    """Which networks are shut out. All of it is in this process's memory."""

    @property
    def version(self) -> int:
        """Another number after each change, of this process or another."""

    def all(self) -> tuple[Ban, ...]:
        """Every ban, those that have ended and are not purged included."""

    async def put(self, ban: Ban) -> None:
        """Store a ban, in place of the one before of its network."""

    async def remove(self, network: str) -> bool:
        """Remove the ban of a network. Gives whether there was one."""

    async def purge(self, before: float) -> int:
        """Remove the bans that have ended before this time. Gives how many there were."""


class Administrators(Protocol):
    """Who may sign in to the console."""

    def find(self, name: str) -> Reading[Administrator | None]:
        """The administrator of that name."""

    def list(self) -> Reading[tuple[Administrator, ...]]:
        """All administrators in order of name."""

    async def add(self, administrator: Administrator) -> None:
        """Store a new administrator. Raises `RecordExists`."""

    async def update(self, administrator: Administrator) -> None:
        """Replace the administrator of the same name. Raises `RecordMissing`."""

    async def remove(self, name: str) -> None:
        """Remove an administrator. Raises `RecordMissing`."""


class Store(Protocol):
    """One storage with all its records."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def bindings(self) -> Bindings: ...

    @property
    def opinions(self) -> Opinions: ...

    @property
    def bans(self) -> Bans: ...

    @property
    def administrators(self) -> Administrators: ...

    @property
    def balances(self) -> Balances: ...

    async def refresh(self) -> None:
        """See what other processes have changed since. To be called every `REFRESH_SECONDS` while serving."""

    def on_written(self, tell: Callable[[], None]) -> None:
        """Call this after each change of bindings by this process has become durable."""

    async def close(self) -> None:
        """Finish the writes that are waiting and let go of the storage."""


REFRESH_SECONDS = 0.5
"""How often a node looks for what other processes changed, so that `ringfence user` acts within a second."""

"""Records and where they live: accounts, registrations, opinions, administrators; in memory or in SQL.

`ports` says what may be asked, `records` what is kept. `MemoryStore` and `database.Database` answer.
The latter is not imported here: a program without a database need not wait 0.2 s for SQLAlchemy and Alembic.
"""

from ringfence.store.errors import RecordExists, RecordMissing, SchemaError, StoreBusy, StoreError
from ringfence.store.memory import MemoryStore
from ringfence.store.passwords import hash_password, verify_password
from ringfence.store.ports import (
    REFRESH_SECONDS,
    Accounts,
    Administrators,
    Bans,
    Bindings,
    Counts,
    Decision,
    Opinions,
    Reading,
    Store,
)
from ringfence.store.records import (
    DEFAULT_METHODS,
    HA1_LENGTHS,
    Account,
    Administrator,
    AdministratorRole,
    Ban,
    Binding,
    Opinion,
    Rights,
)

__all__ = [
    "DEFAULT_METHODS",
    "HA1_LENGTHS",
    "REFRESH_SECONDS",
    "Account",
    "Accounts",
    "Administrator",
    "AdministratorRole",
    "Administrators",
    "Ban",
    "Bans",
    "Binding",
    "Bindings",
    "Counts",
    "Decision",
    "MemoryStore",
    "Opinion",
    "Opinions",
    "Reading",
    "RecordExists",
    "RecordMissing",
    "Rights",
    "SchemaError",
    "Store",
    "StoreBusy",
    "StoreError",
    "hash_password",
    "verify_password",
]

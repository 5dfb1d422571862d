"""The tables, as the newest migration leaves them. A test holds the two equal.

Every row carries the revision of the transaction that wrote it, and `store_revision` has the newest. Other
processes read what is above the revision they know, so they reload what changed and not everything. The
update of `store_revision` is the first statement of every write: it is also the lock that puts writers of
several processes in one order, in SQLite and in PostgreSQL alike.

A registration is one row with all bindings of an address-of-record as one JSON document, since that is the
unit RFC 3261 section 10.3 wants replaced as a whole; and one row is one durable page where a row per contact
is several.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

store_revision = Table(
    "store_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1
    Column("value", BigInteger, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("aor", String, primary_key=True),
    Column("username", String, nullable=False),
    Column("realm", String, nullable=False),
    Column("ha1_sha512_256", String(64)),
    Column("ha1_sha256", String(64)),
    Column("ha1_md5", String(32)),
    Column("aliases", Text, nullable=False),  # JSON list
    Column("rights", Text, nullable=False),  # JSON object
    Column("display_name", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
    UniqueConstraint("username", "realm"),
)

registrations = Table(
    "registrations",
    metadata,
    Column("aor", String, primary_key=True),
    Column("bindings", Text, nullable=False),  # JSON list of objects; never empty, the row goes instead
    Column("soonest", Double, nullable=False, index=True),  # when the first of them expires
    Column("revision", BigInteger, nullable=False, index=True),
)

opinions = Table(
    "opinions",
    metadata,
    Column("caller", String, primary_key=True),
    Column("callee", String, primary_key=True),
    Column("wanted", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("given", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

bans = Table(
    "bans",
    metadata,
    Column("network", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),  # 0: without an end
    Column("by", String, nullable=False),
    Column("times", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

administrators = Table(
    "administrators",
    metadata,
    Column("name", String, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String, nullable=False),
    Column("created", Double, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("name", String, primary_key=True),
    Column("administrator", String, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the token, in hex
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("aor", String, primary_key=True),
    Column("amount", BigInteger, nullable=False),  # millionths of the currency
)

reservations = Table(
    "reservations",
    metadata,
    Column("call", String, primary_key=True),
    Column("writer", String, nullable=False, index=True),
    Column("account", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("session", String, nullable=False),
)

ledger_events = Table(
    "ledger_events",
    metadata,
    Column("writer", String, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # canonical JSON
    Column("hash", LargeBinary(32), nullable=False),
    # Rows come in order of their key and are found by it: one tree to write to instead of two.
    sqlite_with_rowid=False,
)

ledger_checkpoints = Table(
    "ledger_checkpoints",
    metadata,
    Column("writer", String, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # the last event it covers
    Column("body", Text, nullable=False),  # canonical JSON
    Column("signature", LargeBinary(64), nullable=False),
)

"""Accounts, registrations, administrators, and the revision that orders their changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create the first schema."""
    store_revision = op.create_table(
        "store_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store_revision"),
    )
    op.bulk_insert(store_revision, [{"id": 1, "value": 0}])
    op.create_table(
        "accounts",
        sa.Column("aor", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("realm", sa.String(), nullable=False),
        sa.Column("ha1_sha512_256", sa.String(64)),
        sa.Column("ha1_sha256", sa.String(64)),
        sa.Column("ha1_md5", sa.String(32)),
        sa.Column("aliases", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("aor", name="pk_accounts"),
        sa.UniqueConstraint("username", "realm", name="uq_accounts_username_realm"),
    )
    op.create_index("ix_accounts_revision", "accounts", ["revision"])
    op.create_table(
        "registrations",
        sa.Column("aor", sa.String(), nullable=False),
        sa.Column("bindings", sa.Text(), nullable=False),
        sa.Column("soonest", sa.Double(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("aor", name="pk_registrations"),
    )
    op.create_index("ix_registrations_revision", "registrations", ["revision"])
    op.create_index("ix_registrations_soonest", "registrations", ["soonest"])
    op.create_table(
        "administrators",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_administrators"),
    )

"""Balances of prepaid accounts, and what calls that go on have set aside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "balances",
        sa.Column("aor", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("aor", name="pk_balances"),
    )
    op.create_table(
        "reservations",
        sa.Column("call", sa.String(), nullable=False),
        sa.Column("writer", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("call", name="pk_reservations"),
    )
    op.create_index("ix_reservations_writer", "reservations", ["writer"])

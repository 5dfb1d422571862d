"""The sections about recording and charging calls. As in `sections`, the docstring below a key is its documentation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ringfence.service.sections import Section
from ringfence.service.values import Count, FilePath, Seconds


class Ledger(Section):
    """The record of calls: append-only, chained and signed, so that any change of it is found."""

    enabled: bool = True
    """False: no call is recorded, and limits on calls are not kept. For benchmarks, and nodes behind another one."""
    required: bool = True
    """A call whose start can't be made durable is answered 503. False: it is connected, and may never be charged."""
    database: Annotated[str, Field(repr=False, examples=["postgresql://ringfence@db.example.org/ledger"])] = (
        ""
    )
    """A SQLAlchemy URL; empty: SQLite in data_dir, in a file of its own. It may hold a password and is not shown."""
    key: FilePath | None = None
    """The Ed25519 key that signs checkpoints; default: ledger.key in data_dir, made when it is first needed. Its public
    half, ledger.pub beside it, is all that verifying needs."""
    witness: FilePath | None = None
    """Where checkpoints are copied to, so that a ledger whose end was cut off is noticed; default: ledger.witness in
    data_dir. It belongs on another disk or machine."""
    checkpoint_events: Annotated[int, Field(ge=1, le=10_000)] = 256
    """A checkpoint is signed after so many events,"""
    checkpoint_seconds: Seconds = 2.0
    """or so long after the first event that none covers."""
    keep_days: Annotated[int | None, Field(ge=1, le=36_500)] = None
    """How long events are kept. The node removes older ones itself, by whole checkpoints, and says so in the ledger,
    so that what is left still verifies. None: until somebody removes them (`ringfence ledger prune`)."""
    max_calls: Count = 100_000
    """Calls at a time. One more is answered 503. How many an account may make is said with the account."""
    max_call_seconds: Seconds = 14_400.0
    """A call that lasts longer is ended by the node, with a BYE to each side."""

"""What can go wrong in storage. Driver exceptions are translated into these once, in `connect`."""

from __future__ import annotations

from ringfence.message.errors import RingfenceError


class StoreError(RingfenceError):
    """The storage did not do what was asked, and changed nothing. The text says why, never a secret."""


class StoreBusy(StoreError):
    """More writes are waiting than the storage takes; the peer should try again later (503, Retry-After)."""


class SchemaError(StoreError):
    """The database has not the schema that this version of the code works on."""


class RecordExists(StoreError):
    """An account or administrator of that name is stored already."""


class RecordMissing(StoreError):
    """No account or administrator of that name is stored."""

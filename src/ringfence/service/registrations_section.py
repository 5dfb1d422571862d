"""The section about where registrations are kept. As in `sections`, docstrings are the documentation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ringfence.service.sections import Section


class Registrations(Section):
    """Where phones are registered, when that is not the database: for several nodes that serve the same users."""

    redis: Annotated[
        str,
        Field(
            repr=False,
            pattern=r"^(|(redis|rediss|unix)://.+)$",
            examples=["rediss://ringfence:secret@redis.example.org:6379/0"],
        ),
    ] = ""
    """Redis or Valkey, with the extra `ringfence[redis]`; empty: the database. It may hold a password, which is not
    shown or logged. How much survives a power cut is that server's `appendonly` and `appendfsync`."""
    cluster: bool = False
    """The address is that of a node of a cluster, which tells of the others."""

    @property
    def options(self) -> dict[str, Any]:
        """As ``Database.open`` takes them."""
        return {"redis": self.redis, "cluster": self.cluster}

"""The section [shared] of ringfence.toml. As in `sections`, docstrings are the documentation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ringfence.service.sections import Section


class Shared(Section):
    """What several nodes of the domain count together, through Redis or Valkey: docs/scale.md. Each goes on alone while
    the server is gone."""

    redis: Annotated[
        str,
        Field(
            repr=False,
            pattern=r"^(|(redis|rediss|unix)://.+)$",
            examples=["rediss://ringfence:secret@redis.example.org:6379/0"],
        ),
    ] = ""
    """The server, with the extra `ringfence[redis]`; empty: each node counts alone. It may be that of
    `registrations.redis`. It may hold a password, which is not shown or logged."""
    cluster: bool = False
    """The address is that of a node of a cluster, which tells of the others."""
    bans: bool = True
    """Whether whom one node bans, all ban."""
    rates: bool = True
    """Whether the rates of accounts, destinations and prefixes, and guesses at passwords, are counted together: among
    nodes of the same role, since a request passes nodes of several."""
    calls: bool = True
    """Whether calls at a time and the limits of [fraud] are those of an account at all nodes of the same role."""

"""The sections about accounts that are kept elsewhere, and what they may do. As in `sections`, the docstring below a
key is its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.sections import Section
from ringfence.service.values import FilePath, Host, HostPort, Many, OptionalHostPort, Seconds
from ringfence.store.records import DEFAULT_MAX_CALLS, DEFAULT_MAX_SECONDS, Rights

Prefixes = Annotated[Many[str], Field(examples=[("sip:", "tel:+358")])]
CallCount = Annotated[int, Field(ge=0, le=1_000_000)]
CallSeconds = Annotated[int, Field(ge=0, le=86_400 * 7)]


class _RightsSection(Section):
    """What users may do."""

    allow: Prefixes = ("sip:", "sips:")
    """What they may call: how its address begins."""
    deny: Prefixes = ()
    """What they may not."""
    max_calls: CallCount = DEFAULT_MAX_CALLS
    """Calls at a time."""
    max_seconds: CallSeconds = DEFAULT_MAX_SECONDS
    """Of one call."""
    prepaid: bool = False
    """Whether their calls need credit: see [charging]."""

    def rights(self) -> Rights:
        """The same as a record."""
        return Rights(
            allow=self.allow,
            deny=self.deny,
            max_calls=self.max_calls,
            max_seconds=self.max_seconds,
            prepaid=self.prepaid,
        )


class AccountsSection(_RightsSection):
    """Who knows the passwords. The other keys are the rights of users of whom `ringfence user` has stored nothing."""

    source: Literal["database", "radius", "diameter"] = "database"
    """database: those that `ringfence user` has stored. radius: the servers of [[radius]] are asked about each digest
    (RFC 5090). diameter: those of [diameter] (RFC 4740). What is stored of a user then gives its rights and aliases."""
    nonces: Literal["node", "server"] = "node"
    """Who makes the nonces of challenges. server: those of RADIUS (RFC 5090 section 2.1.5) or Diameter do, and are
    asked for each challenge, so that whoever sends requests without credentials costs them a question."""
    cache_seconds: Seconds = 300.0
    """How long a TLS connection speaks for a user after the server has vouched for it. Digests are always asked
    about."""


class Profile(_RightsSection):
    """A set of rights that a RADIUS server can name in Filter-Id. One that is not here refuses the user."""

    name: Annotated[str, Field(min_length=1, max_length=253, examples=["national"])]
    """Its name."""


class Radius(Section):
    """A RADIUS server that is told of calls (RFC 2866), or asked about passwords (RFC 5090). The first that answers is
    used; the others are for when it does not."""

    server: OptionalHostPort = ""
    """Its accounting port, "address:port"; empty: it is not told of calls."""
    authentication: OptionalHostPort = ""
    """Its authentication port, where accounts.source is radius."""
    digest: Literal["rfc5090", "sterman"] = "rfc5090"
    """How digests are put: as RFC 5090 says, or as the draft before it, which is what rlm_digest of FreeRADIUS 3
    reads."""
    secret: Annotated[FilePath, Field(examples=[Path("radius.secret")])]
    """A file with the secret that is shared with it, readable by nobody else."""
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 2.0
    """For one answer."""
    tries: Annotated[int, Field(ge=1, le=10)] = 2
    """How often it is asked before the next server is."""

    @model_validator(mode="after")
    def _is_used(self) -> Self:
        if not self.server and not self.authentication:
            raise PydanticCustomError(
                "radius_port",
                "a RADIUS server needs a port",
                {"fix": 'write server = "192.0.2.53:1813", or authentication = "192.0.2.53:1812"'},
            )
        return self


class DiameterServer(Section):
    """A Diameter server or agent (RFC 6733). The first that is connected is used; the others are for when it is not."""

    server: Annotated[HostPort, Field(examples=["192.0.2.54:5868"])]
    """Its address, "address:port": 5868 is that of TLS, 3868 that of plain TCP."""
    name: Annotated[Host, Field(examples=["aaa.example.org"])]
    """Its DiameterIdentity, which its certificate has to prove and its Origin-Host to be."""
    transport: Literal["tls", "tcp"] = "tls"
    """tcp: neither hidden nor proved. Only on a network that is protected by other means (RFC 6733 section 13.1)."""
    trust: FilePath | None = None
    """A file with the root that its certificate comes from; default: [tls] ca. We show the certificate of [tls]."""


class Diameter(Section):
    """How we speak Diameter, to the servers of [[diameter_server]]."""

    host: Host | None = None
    """Our DiameterIdentity; default: node.name."""
    realm: Host | None = None
    """Our realm, and that of the servers; default: domain.name."""
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 4.0
    """For one answer. A request that has none is sent to another server once."""
    watchdog_seconds: Annotated[float, Field(ge=6, le=300)] = 30.0
    """How long a connection may be quiet before it is asked whether it lives (Tw of RFC 3539)."""
    rating_group: Annotated[int | None, Field(ge=0, le=4_294_967_295)] = None
    """For credit servers that grant by Multiple-Services-Credit-Control (RFC 8506 section 8.16): the rating group
    of our calls. None: units stand outside of it, unless the server answers with it."""
    service_context: Annotated[str, Field(max_length=200, examples=["sip@example.org"])] = ""
    """Service-Context-Id of credit control (RFC 8506 section 8.42): what the server knows this service by; empty:
    "sip@" and the realm."""

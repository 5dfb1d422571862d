"""The sections about programs that are shown what passes the node. As in `sections`, the docstring below a key is its
documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.sections import Section
from ringfence.service.values import FilePath, Host, Port


class Hep(Section):
    """Every message is sent to Homer, heplify-server or another program that takes HEP version 3: without credentials
    and keys, and without who asked for privacy. See docs/looking-in.md."""

    server: Annotated[Host | Literal[""], Field(examples=["homer.example.org"])] = ""
    """Where to: a name or an address. Empty: nothing is sent."""
    port: Annotated[Port, Field(examples=[9060])] = 9060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    """How. Over udp and tcp whoever is on the way reads everything; udp loses messages without a word."""
    capture_id: Annotated[int, Field(ge=0, le=0xFFFF_FFFF)] = 2001
    """Tells this node from others there."""
    password: Annotated[FilePath | None, Field(examples=[Path("hep.password")])] = None
    """A file whose first line is the password of the server (the authentication key of HEP), readable by nobody
    else. It is sent as it is: use tls."""
    trust: FilePath | None = None
    """A root that its certificate may come from besides those of the operating system: a file of PEM."""
    private: Literal["hide", "link", "omit"] = "hide"
    """What is sent of private calls: hide: messages that name nobody and don't tell which belong together; link: the
    same, with a keyed hash in place of the Call-ID, so that those of one call can be found; omit: nothing."""

    @model_validator(mode="after")
    def _can_be_trusted(self) -> Self:
        if self.trust is not None and self.transport != "tls":
            raise PydanticCustomError(
                "hep_trust", "hep.trust is for tls only", {"fix": 'write transport = "tls", or leave it out'}
            )
        return self


class Otel(Section):
    """Calls are told to an OpenTelemetry collector as traces: a span for each INVITE, one below it for each branch and
    each wait for a database, an AAA server or a certificate. Needs the extra: pip install 'ringfence[otel]'."""

    endpoint: Annotated[str, Field(max_length=2000, examples=["http://127.0.0.1:4318/v1/traces"])] = ""
    """Where traces go by OTLP over HTTP: https, or http on this machine. Empty: no trace is made."""
    sample: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """The part of calls that is traced."""
    call_id: Literal["hash", "plain", "omit"] = "hash"
    """What stands for the Call-ID: a hash with a key of this node, the Call-ID (phones write their address into it),
    or nothing. Of private calls nothing, whatever is written here."""
    headers: Annotated[FilePath | None, Field(examples=[Path("otel.headers")])] = None
    """A file with header fields that the collector wants, one a line, such as Authorization: Bearer ..., readable by
    nobody else."""
    trust: FilePath | None = None
    """The root that its certificate has to come from; without one those that the library brings."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.endpoint:
            return self
        try:
            target = urlsplit(self.endpoint)
            host, _ = target.hostname or "", target.port
        except ValueError:
            host = ""
        here = host in ("localhost", "127.0.0.1", "::1")
        good = bool(host) and (target.scheme == "https" or (target.scheme == "http" and here))
        if not good or target.username is not None or target.fragment:
            raise PydanticCustomError(
                "otel_endpoint",
                "a collector needs an https URL, or an http URL of this machine, without a user name",
                {"fix": 'write endpoint = "http://127.0.0.1:4318/v1/traces"'},
            )
        return self

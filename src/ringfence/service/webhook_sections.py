"""The sections about web servers that are told of calls. As in `sections`, the docstring below a key is its
documentation."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.sections import Section
from ringfence.service.values import FilePath, Many


class Webhook(Section):
    """A web server that is told of calls as they happen: each event of the ledger is posted to it as JSON, signed, in
    order, and again until it answers 2xx. Private callers are not named to it."""

    url: Annotated[str, Field(max_length=2000, examples=["https://hooks.example.org/calls"])]
    """Where to: https, or http on this machine. A redirect is not followed."""
    secret: Annotated[FilePath, Field(examples=[Path("webhook.secret")])]
    """A file with the secret that the server checks signatures with, readable by nobody else. One that begins with
    whsec_ is base64."""
    events: Many[Literal["start", "answer", "stop", "alert"]] = ("start", "answer", "stop", "alert")
    """What it is told."""
    trust: FilePath | None = None
    """A root that its certificate may come from besides those of the operating system: a file of PEM."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        try:
            target = urlsplit(self.url)
            host, _ = target.hostname or "", target.port
        except ValueError:
            host = ""
        good = bool(host) and (target.scheme == "https" or (target.scheme == "http" and _is_here(host)))
        if not good or target.username is not None or target.fragment:
            raise PydanticCustomError(
                "webhook_url",
                "a webhook needs an https URL, or an http URL of this machine, without a user name",
                {"fix": 'write url = "https://hooks.example.org/calls"'},
            )
        return self


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

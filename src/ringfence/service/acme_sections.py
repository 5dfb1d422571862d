"""The section about certificates from an ACME server. As in `sections`, docstrings below keys document them."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.addresses import all_addresses
from ringfence.service.sections import Section
from ringfence.service.values import FilePath, Host, Many, Port

_MAIL = re.compile(r"[^@\s,;?]+@[^@\s,;?]+")


def _directory(text: str) -> str:
    """RFC 8555 section 6.1: ACME is spoken over https."""
    try:
        target = urlsplit(text)
        good = target.scheme == "https" and bool(target.hostname) and target.username is None
        _ = target.port
    except ValueError:
        good = False
    if text and not good:
        raise PydanticCustomError("acme_directory", "expected the https URL of an ACME directory")
    return text


def _own_address(text: str) -> str:
    if text != "*":
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise PydanticCustomError("acme_host", "expected an address of this machine, or *") from None
    return text


def _mail(text: str) -> str:
    if not _MAIL.fullmatch(text):
        raise PydanticCustomError("acme_contact", 'expected a mail address such as "admin@example.org"')
    return text


class Acme(Section):
    """A certificate for this node from an ACME server (RFC 8555): of a public authority such as Let's Encrypt, or
    of one of your own such as step-ca. It is renewed by itself (docs/certificates.md)."""

    directory: Annotated[
        str,
        AfterValidator(_directory),
        Field(max_length=2000, examples=["https://acme-v02.api.letsencrypt.org/directory"]),
    ] = ""
    """The URL of the server's directory. Empty: off."""
    agree_to_terms: bool = False
    """Whether its terms of service are agreed to. A server that has any issues nothing before."""
    contact: Annotated[
        Many[Annotated[str, AfterValidator(_mail)]], Field(examples=[("admin@example.org",)])
    ] = ()
    """Mail addresses that it may write to. It is told when the account is made."""
    names: Annotated[Many[Host], Field(max_length=100, examples=[("example.org", "sip.example.org")])] = ()
    """What the certificate is for; each has to be proved. Empty: the domain, its aliases, and of `node.advertise` and
    `node.name` what lies in them, but for a node of a network with several, which its neighbours know by our own CA."""
    challenge: Literal["http-01", "dns-01"] = "http-01"
    """How a name is proved. http-01: the server asks for http://NAME/.well-known/acme-challenge/... on port 80. dns-01:
    it asks for a TXT record that `dns_command` publishes."""
    host: Annotated[str, AfterValidator(_own_address)] = "*"
    """Where http-01 is answered, while a certificate is issued and not otherwise: an address; "*": all of them."""
    port: Port = 80
    """The port for that. The server asks on 80: another one is for whoever redirects or forwards."""
    dns_command: Annotated[Many[str], Field(examples=[("/etc/ringfence/acme-dns",)])] = ()
    """A program for dns-01. Called with "add" or "remove", the name of the record and its text; when "add" ends, the
    name servers have to have the record."""
    ca: FilePath | None = None
    """The root that the server's own certificate comes from, a file of PEM; none: those of the operating system."""
    profile: Annotated[str, Field(max_length=100, examples=["shortlived"])] = ""
    """Which of the server's kinds of certificates is asked for; empty: its default."""
    eab_kid: Annotated[str, Field(max_length=1000)] = ""
    """Where the server wants accounts bound to one that you have with it (external account binding): the key's name."""
    eab_key: FilePath | None = None
    """That key: a file of base64url, readable by nobody else."""

    @property
    def enabled(self) -> bool:
        """Whether there is a server to ask."""
        return bool(self.directory)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to answer http-01 on."""
        return all_addresses() if self.host == "*" else (self.host,)

    @property
    def place(self) -> str:
        """The name of the directory with this server's account and certificate: another server is another account."""
        digest = hashlib.sha256(self.directory.encode()).hexdigest()[:8]
        return f"{urlsplit(self.directory).hostname}.{digest}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.challenge == "dns-01" and not self.dns_command:
            raise PydanticCustomError(
                "acme_dns",
                "dns-01 needs a program that publishes the record",
                {"fix": 'write dns_command = ["/etc/ringfence/acme-dns"], or challenge = "http-01"'},
            )
        if bool(self.eab_kid) != (self.eab_key is not None):
            raise PydanticCustomError(
                "acme_eab", "eab_kid and eab_key go together", {"fix": "write both, or neither"}
            )
        return self

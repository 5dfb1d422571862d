"""The kinds of values that a configuration has: hosts, networks, paths, times, and how each is read."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from ringfence.message import PeerError, sip_uri
from ringfence.security.certificates import is_dns_name
from ringfence.service.addresses import parse_address

T = TypeVar("T")

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_STEP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _host(text: str) -> str:
    name = text.lower().rstrip(".")
    if _HOST_NAME.fullmatch(name):
        return name
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        raise PydanticCustomError("host", "expected a host name or an address") from None


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise PydanticCustomError(
            "network", 'expected an address or a network such as "192.0.2.0/24"'
        ) from None


def _address(text: str) -> str:
    try:
        parse_address(text)
    except ValueError:
        raise PydanticCustomError("address", 'expected "address:port" such as "127.0.0.1:9090"') from None
    return text


def _optional_address(text: str) -> str:
    return text and _address(text)


def _step(text: str) -> str:
    if not _STEP.fullmatch(text):
        raise PydanticCustomError("step", 'expected "package.module:function"')
    return text


def node_uri(text: str) -> str:
    """A node of our own network by its name: a SIP URI that is reached over TLS, or nothing."""
    if not text:
        return text
    try:
        uri = sip_uri(text)
    except PeerError:
        raise PydanticCustomError(
            "node_uri", "expected a SIP URI such as sip:core.example.org:5061"
        ) from None
    if uri.transport not in (None, "TLS") or uri.user or uri.headers or not is_dns_name(uri.host):
        raise PydanticCustomError(
            "node_uri", "expected the name of a node, over TLS: sip:core.example.org:5061"
        )
    return text


def _path(value: object, info: ValidationInfo) -> Path:
    """A path from the file's own directory, wherever the node is started from."""
    if not isinstance(value, str | Path) or not str(value):
        raise PydanticCustomError("path", "expected a path in quotes")
    base: Path = (info.context or {}).get("directory", Path())
    return base / Path(value).expanduser()


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Many = Annotated[tuple[T, ...], BeforeValidator(_listed)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
HostPort = Annotated[str, AfterValidator(_address)]
OptionalHostPort = Annotated[str, AfterValidator(_optional_address)]
Step = Annotated[str, AfterValidator(_step)]
Port = Annotated[int, Field(ge=0, le=65535, examples=[5061])]
Seconds = Annotated[float, Field(gt=0, le=86400 * 366)]
Count = Annotated[int, Field(ge=1, le=100_000_000)]

"""Resource-Priority and Accept-Resource-Priority (RFC 4412 section 3)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field

# r-value = namespace "." r-priority, each a token without a dot
_PART: Final = grammar.TOKEN.replace(".", "")
_value = re.compile(rf"({_PART})\.({_PART})").fullmatch


class ResourcePriority(NamedTuple):
    """A namespace (``wps``, ``ets``, ``dsn``) and a priority of it, in lower case."""

    namespace: str
    priority: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.priority}"


def parse_resource_priority(text: str) -> ResourcePriority:
    """Read one r-value.

    Raises:
        PeerError: 400 when it is malformed.
    """
    match = _value(text)
    if match is None:
        raise PeerError(400, f"not namespace.priority: {text[:40]!r}")
    return ResourcePriority(match[1].lower(), match[2].lower())


RESOURCE_PRIORITY: Final = field("Resource-Priority", parse_resource_priority, many=True)
ACCEPT_RESOURCE_PRIORITY: Final = field(
    "Accept-Resource-Priority", parse_resource_priority, many=True, empty=True
)

"""Security-Client, Security-Server and Security-Verify (RFC 3329 section 2.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ringfence.message.fields.contact import thousandths
from ringfence.message.fields.field import field
from ringfence.message.fields.valued import parse_valued
from ringfence.message.params import NO_PARAMS, Params


class Mechanism(NamedTuple):
    """A security mechanism (``tls``, ``digest``, ``ipsec-3gpp``), in lower case, with its parameters."""

    name: str
    params: Params = NO_PARAMS

    @property
    def preference(self) -> int:
        """The ``q`` value in thousandths; 1000 when there is none."""
        return thousandths(self.params)

    def __str__(self) -> str:
        return f"{self.name}{self.params}"


def parse_mechanism(text: str) -> Mechanism:
    """Read one sec-mechanism.

    Raises:
        PeerError: 400 when it is malformed.
    """
    value, params = parse_valued(text)
    mechanism = Mechanism(value.lower(), params)
    _ = mechanism.preference
    return mechanism


SECURITY_CLIENT: Final = field("Security-Client", parse_mechanism, many=True)
SECURITY_SERVER: Final = field("Security-Server", parse_mechanism, many=True)
SECURITY_VERIFY: Final = field("Security-Verify", parse_mechanism, many=True)

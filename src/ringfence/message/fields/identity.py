"""Identity, the outer grammar alone (RFC 8224 section 4; RFC 4474 section 9 before it).

The PASSporT inside, and whether it is true, is read by ``security.identity``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.params import NO_PARAMS, Params, parse_params

# Identity = signed-identity-digest SEMI ident-info *( SEMI ident-info-params ), where the digest is base64 (and
# base64url, which JWS uses) with dots, or the quoted string of RFC 4474, and ident-info is info=<absoluteURI>.
_token = re.compile(r'("?)([A-Za-z0-9+/=._\-]+)\1').fullmatch
# As nearly every signer writes it, in one look.
_USUAL: Final = re.compile(
    r"([A-Za-z0-9._\-]+);info=<([^<>\s,\"]+)>;alg=(ES256)(?:;ppt=(\"?)([A-Za-z][A-Za-z0-9\-]*)\4)?"
).fullmatch
_PARAMS: Final = Params((("alg", "ES256"),))
_INFO: Final = re.compile(r"[ \t]*+;[ \t]*+info[ \t]*+=[ \t]*+<([^<>]*+)>", re.IGNORECASE)


class Identity(NamedTuple):
    """The token, where its certificate is, and the parameters (``alg``, ``ppt``)."""

    token: str
    info: str
    params: Params = NO_PARAMS

    def __str__(self) -> str:
        return f"{self.token};info=<{self.info}>{self.params}"


def parse_identity(text: str) -> Identity:
    """Read one Identity.

    ``info`` is empty for the header field of RFC 4474, which has its URI in Identity-Info.

    Raises:
        PeerError: 400 when it is malformed.
    """
    usual = _USUAL(text)
    if usual is not None:
        token, info, _, _, ppt = usual.groups()
        return Identity(token, info, _PARAMS if ppt is None else Params((*_PARAMS.items, ("ppt", ppt))))
    head, semicolon, rest = text.partition(";")
    # Long tokens get folded on the way, as the RFCs print them: white space in one is never part of it.
    match = _token("".join(head.split()) if head.count(".") == 2 else head.rstrip(" \t"))
    if match is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    rest = semicolon + rest
    infos = _INFO.findall(rest)
    if len(infos) > 1:
        raise PeerError(400, "the parameter info stands twice")
    info = "".join(infos[0].split()) if infos else ""
    return Identity(match[2], info, parse_params(_INFO.sub("", rest)))


IDENTITY: Final = field("Identity", parse_identity, compact="y")

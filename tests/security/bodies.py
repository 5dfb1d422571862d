"""Bodies that others send and we do not."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.message.multipart import Entity, make_entity
from ringfence.security.cms_signed import Signatory, sign
from ringfence.security.smime import CAPABILITIES


def opaque_body(entity: Entity, signatories: Sequence[Signatory], now: float) -> Entity:
    """An application/pkcs7-mime with the body inside the signature (RFC 8551 section 3.5.2)."""
    data = sign(entity.raw, signatories, now, detached=False, capabilities=CAPABILITIES)
    return make_entity("application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", data)

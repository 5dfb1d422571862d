"""Info packages and feature capabilities: Info-Package, Recv-Info (RFC 6086), Feature-Caps (RFC 6809)."""

from __future__ import annotations

from typing import Final

from ringfence.message.fields.field import field
from ringfence.message.fields.valued import parse_star, parse_valued

INFO_PACKAGE: Final = field("Info-Package", parse_valued)
RECV_INFO: Final = field("Recv-Info", parse_valued, many=True, empty=True)
FEATURE_CAPS: Final = field("Feature-Caps", parse_star, many=True)

"""Geolocation-Routing and Geolocation-Error (RFC 6442 section 4); Geolocation itself is in ``links``."""

from __future__ import annotations

from typing import Final

from ringfence.message.fields.field import field
from ringfence.message.fields.valued import valued

GEOLOCATION_ROUTING: Final = field(
    "Geolocation-Routing", valued(r"(?i:yes|no)|[A-Za-z0-9\-.!%*_+`'~]+", "yes or no")
)
GEOLOCATION_ERROR: Final = field("Geolocation-Error", valued("[0-9]{3}", "a code of three digits"))

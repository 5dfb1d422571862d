"""One value type for why something was not accepted.

A security check answers with every reason it found, not with the first exception: a person who debugs a call
needs them all, and policy decides which of them matter.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Reason(NamedTuple):
    """``code`` is for programs and stays stable; ``detail`` is one sentence for a person."""

    code: StrEnum
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


Reasons = tuple[Reason, ...]

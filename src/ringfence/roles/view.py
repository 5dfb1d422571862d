"""Which ends of the way of one request are outside (see ``roles.hiding``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

CALLER_OUTSIDE: Final = "r"
CALLEE_OUTSIDE: Final = "e"
CALL_ID_MASKED: Final = "c"


@dataclass(slots=True, frozen=True)
class View:
    """Who is shown nothing of what is behind us."""

    from_outside: bool
    to_outside: bool
    masked: bool = False
    """Whether the one outside knows the call by another Call-ID."""

    @property
    def marks(self) -> str:
        """The same, with the sender as the caller, for a Record-Route."""
        caller = CALLER_OUTSIDE if self.from_outside else ""
        callee = CALLEE_OUTSIDE if self.to_outside else ""
        return caller + callee + (CALL_ID_MASKED if self.masked else "")

    @classmethod
    def read(cls, marks: str, *, by_caller: bool) -> Self:
        """The view of a request of the caller, or of the callee, in the dialog that has these marks."""
        caller, callee = CALLER_OUTSIDE in marks, CALLEE_OUTSIDE in marks
        masked = CALL_ID_MASKED in marks
        return cls(caller, callee, masked) if by_caller else cls(callee, caller, masked)

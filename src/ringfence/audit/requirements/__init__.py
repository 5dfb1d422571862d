"""The nine requirements of "SIP Call Security in an Open IP Network" (Rantapuska, 2003), one file for each."""

from __future__ import annotations

from ringfence.audit.finding import Requirement
from ringfence.audit.requirements import (
    accounting,
    anonymity,
    attacks,
    authorization,
    confidentiality,
    identification,
    integrity,
    privacy,
    spam,
)

REQUIREMENTS: tuple[Requirement, ...] = (
    identification.REQUIREMENT,
    anonymity.REQUIREMENT,
    authorization.REQUIREMENT,
    accounting.REQUIREMENT,
    integrity.REQUIREMENT,
    confidentiality.REQUIREMENT,
    privacy.REQUIREMENT,
    spam.REQUIREMENT,
    attacks.REQUIREMENT,
)

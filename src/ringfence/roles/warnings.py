"""Warning values of RFC 5630: why a request can't be kept secure, or must be."""

from __future__ import annotations

from ringfence.message.fields.warning import WarningValue
from ringfence.roles.policy import Policy


def sips_not_allowed(policy: Policy) -> tuple[str, str]:
    """The header field for a ``sips`` request to one who can only be reached without TLS (RFC 5630 section 5.3)."""
    return "Warning", str(WarningValue(380, policy.domain, "SIPS Not Allowed"))


def sips_required(policy: Policy) -> tuple[str, str]:
    """The header field for a ``sip`` request to one who can't be reached by TLS now, and wants nothing else."""
    return "Warning", str(WarningValue(381, policy.domain, "SIPS Required"))

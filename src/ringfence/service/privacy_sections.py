"""The section about privacy. As in `sections`, the docstring below a key is its documentation."""

from __future__ import annotations

from ringfence.roles.bridge.bridges import MAX_BRIDGES
from ringfence.service.sections import Section
from ringfence.service.values import Count


class PrivacySection(Section):
    """The privacy service: callers and callees who ask for it are not named to the other side (docs/privacy.md)."""

    enabled: bool = True
    """False: nothing is done for header, session and user privacy. Who says that it is critical gets 500 then."""
    refuse_unmet: bool = False
    """What can't be kept private is refused, as if everybody said that it is critical."""
    max_calls: Count = MAX_BRIDGES
    """Private calls and subscriptions at a time, each of which takes some kilobytes. One more is answered 503."""

"""How programs that look for victims give themselves away, in the bytes of a request that nobody has read yet.

A name in User-Agent is no proof of anything, since whoever wants to can change it. It costs a scanner one line, and the
owner nothing: most don't.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

SCANNERS = (
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sundayddr",
    "sipcli",
    "sip-scan",
    "sipscan",
    "pplsip",
    "siparmyknife",
    "iwar",
    "vaxsipuseragent",
    "vaxipuseragent",
    "sipsak-scan",
    "smap",
    "voipbuster-scan",
    "gulp",
    "zmeu",
    "masscan",
    "nmap",
)
"""What a User-Agent begins with, in lower case. SIPp, sipsak and the libraries of real phones are not among them: their
owners use them."""


def make_matcher(names: Iterable[str]) -> Callable[[bytes], object]:
    """A function that says whether the bytes of a request are from one of these programs.

    The name stands at the start of User-Agent, or is the display name of From, as that of SIPVicious is.
    """
    chosen = b"|".join(re.escape(name.encode("utf-8")) for name in names)
    if not chosen:
        return lambda _data: None
    return re.compile(
        rb'\n(?:user-agent[ \t]*:[ \t]*(?:%b)\b|(?:from|f)[ \t]*:[ \t]*"?(?:%b)\b)' % (chosen, chosen),
        re.IGNORECASE,
    ).search

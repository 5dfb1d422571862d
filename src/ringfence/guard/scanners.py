"""How programs that look for victims give themselves away, in the bytes of a request that nobody has read yet.

A name in User-Agent is no proof of anything, since whoever wants to can change it. It costs a scanner one line, and the
owner nothing: most don't.
"""

from __future__ import annotations

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


SPELLINGS = (b"\nUser-Agent", b"\nuser-agent", b"\nFrom", b"\nf:")
"""How the two header fields begin, with the line break before them. To look for these four takes a tenth of the time of
a regular expression that knows every spelling."""

LONGEST = 80
"""Octets of a header line that are looked at."""


def make_matcher(names: Iterable[str]) -> Callable[[bytes], bool]:
    """A function that says whether the bytes of a request are from one of these programs.

    The name stands at the start of User-Agent, or is the display name of From, as that of SIPVicious is.
    """
    chosen = tuple(name.lower().encode("utf-8") for name in names)

    def matches(data: bytes) -> bool:
        for spelling in SPELLINGS:
            at = data.find(spelling)
            if at >= 0:
                value = data[at : at + LONGEST].partition(b":")[2].lstrip(b' \t"').lower()
                if value.startswith(chosen) and _is_whole(value, chosen):
                    return True
        return False

    return matches


def _is_whole(value: bytes, names: tuple[bytes, ...]) -> bool:
    """Whether a name ends where a word does: "smap" is not "smapper"."""
    return any(value.startswith(name) and not value[len(name) : len(name) + 1].isalnum() for name in names)

"""What a user agent asks of the privacy service, and what it does itself (RFC 3323 sections 4.1 and 4.2).

For ``user`` privacy it leaves out what names it: From, User-Agent, the Subject that a person typed stays that person's
choice. The rest takes a server. ``critical`` has that server refuse what it can't do; without any server nothing can be
asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from ringfence.message import Headers, LocalError
from ringfence.security.privacy import ANONYMOUS, OPTION, Privacy

Wanted = Privacy | str | Iterable[Privacy | str]
"""One value, several, or a text such as ``user;critical``."""

NO_PRIVACY: frozenset[Privacy] = frozenset()


def wanted(privacy: Wanted) -> frozenset[Privacy]:
    """The values that are meant.

    Raises:
        LocalError: for one that there is not, and for ``none`` beside others.
    """
    texts = privacy.replace(";", ",").split(",") if isinstance(privacy, str) else privacy
    try:
        values = frozenset(Privacy(text.strip().lower()) for text in texts if text.strip())
    except ValueError as error:
        known = ", ".join(Privacy)
        raise LocalError(f"no such privacy: {error.args[0].partition(' ')[0]}; there are {known}") from None
    if Privacy.NONE in values and len(values) > 1:
        raise LocalError("privacy none stands alone (RFC 3323 section 4.2)")
    if values == {Privacy.CRITICAL}:
        raise LocalError("critical is for other values: write user,critical")
    return values


def fields(values: frozenset[Privacy], *, answer: bool = False) -> list[tuple[str, str]]:
    """The header fields that ask for it, in a request or, where nothing can be critical, in an answer."""
    asked = [value for value in Privacy if value in values and not (answer and value is Privacy.CRITICAL)]
    if not asked:
        return []
    if Privacy.USER in values and Privacy.ID not in values:
        asked.insert(
            -1 if asked[-1] is Privacy.CRITICAL else len(asked), Privacy.ID
        )  # nor may others name us
    found = [("Privacy", ";".join(asked))]
    if Privacy.CRITICAL in values and not answer:
        found.append(("Proxy-Require", OPTION))  # whoever does not know of it fails the request (section 4.3)
    return found


def disguise(headers: Headers, tag: str) -> None:
    """Take off a request outside any dialog what names its sender, if that asks for ``user`` privacy."""
    if Privacy.USER not in (headers.get("Privacy") or ""):
        return
    headers.set("From", f"{ANONYMOUS};tag={tag}")
    headers.remove("User-Agent")

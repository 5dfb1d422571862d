"""A message as it may leave the node for other programs: whole SIP, without secrets, without who wants to be unnamed.

Other than the text of a trace this is read by parsers (Wireshark, Homer): Content-Length fits what is left of the body,
and where a private party stood there is a stand-in that SIP's grammar takes. Bytes that are no text stay as they are.
"""

from __future__ import annotations

import re
from base64 import b64encode

from ringfence.message import Message
from ringfence.security.asserted import ANONYMOUS_HOST
from ringfence.security.privacy import LEVELS, Treatment, treatment_of
from ringfence.service.logs import PRIVATE, REDACTED, redact, redact_identities

COUNTS = frozenset({"CSeq", "RAck", "Max-Forwards"})
"""What the privacy service replaces and that names nobody."""

NOBODY = f"sip:anonymous@{ANONYMOUS_HOST}"
PRIVATE_CALL = f"private@{ANONYMOUS_HOST}"
"""The Call-ID of every private call, where they are not to be told apart."""

STAND_INS = {
    "Via": f"SIP/2.0/UDP {ANONYMOUS_HOST};branch=z9hG4bKprivate",
    "From": f"<{NOBODY}>;tag=private",
    "To": f"<{NOBODY}>",
    "Contact": f"<{NOBODY}>",
    "Call-ID": PRIVATE_CALL,
}
"""Header fields that every parser wants, where a private party must not be seen."""

STAND_IN_HOSTS = ("192.0.2.1", "2001:db8::1")
"""Where private parties seem to be: addresses for documentation, which nobody has (RFC 5737, RFC 3849)."""

_LENGTH = re.compile(r"(?im)^(Content-Length|l)([ \t]*:[ \t]*)[0-9]+")
_CREDENTIALS = re.compile(rf"(?im)^((?:Proxy-)?Authorization[ \t]*:[ \t]*){re.escape(REDACTED)}")
_NO_CREDENTIALS = r'\1Digest username="redacted", response="redacted"'
"""Wireshark takes what is no scheme with parameters for malformed."""

_KEY = re.compile(rf"(?i)\b(a=crypto:\d+ (\S+) inline:){re.escape(REDACTED)}")
_SEALED = re.compile(r"(?im)^(?:Content-Type|c)[ \t]*:[ \t]*application/(?:x-)?pkcs7-mime")


def copy_of(message: Message, *, private: bool = False, call_id: str = PRIVATE_CALL) -> bytes:
    """The message as other programs may have it. `call_id` stands for the Call-ID of a private one."""
    if private:
        return _without_names(message, call_id)
    return without_secrets(message.to_bytes())


def without_secrets(data: bytes) -> bytes:
    """A message without credentials and without the keys of its media; S/MIME stays, its Content-Length is right."""
    start, blank, body = data.partition(b"\r\n\r\n")
    head = _CREDENTIALS.sub(_NO_CREDENTIALS, redact(_text(start)))
    if body and _SEALED.search(head) is None:
        left = _bytes(_KEY.sub(_zeros, redact(_text(body))))
        if len(left) != len(body):
            head = _LENGTH.sub(rf"\g<1>\g<2>{len(left)}", head)
        body = left
    return _bytes(head) + blank + body


def _zeros(crypto: re.Match[str]) -> str:
    """A key of zeros in place of one that was taken out: to Wireshark one of another length is malformed."""
    octets = 46 if "256" in crypto[2] else 38 if "192" in crypto[2] else 30
    return crypto[1] + b64encode(bytes(octets)).decode()


def _without_names(message: Message, call_id: str) -> bytes:
    start = redact_identities(redact(_text(message.to_bytes().partition(b"\r\n")[0])))
    lines = [start.replace(f":{PRIVATE}", f":anonymous@{ANONYMOUS_HOST}")]
    for name, value in message.headers:
        if name == "Call-ID":
            lines.append(f"Call-ID: {call_id}")
        elif name in STAND_INS:
            lines.append(f"{name}: {STAND_INS[name]}")
        elif name in COUNTS or treatment_of(name, LEVELS) is Treatment.KEEP:
            lines.append(f"{name}: {redact(value)}")
    lines = [each for each in lines if not each.startswith(("Content-Length:", "Content-Type:"))]
    return _bytes("\r\n".join([*lines, "Content-Length: 0", "", ""]))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

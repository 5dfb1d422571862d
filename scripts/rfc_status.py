#!/usr/bin/env python3
"""Write docs/rfc-status.md: which clauses of which RFCs are held by which tests, from the marks on the tests.

python scripts/rfc_status.py            # write the file
python scripts/rfc_status.py --print    # to the terminal
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
TARGET = ROOT / "docs" / "rfc-status.md"

INTRODUCTION = """\
# Which clauses are held by tests

Made by `scripts/rfc_status.py` from the marks `@pytest.mark.rfc("3261", "17.1.1.2")` on the tests; a test fails when
this page is out of date. A clause that is listed has a test that fails when the code stops obeying it, in the files
named. A clause that is not listed may be obeyed as well: nothing here says so.

`pytest -m rfc` runs all of them.
"""

TITLES = {
    "1847": "multipart/signed and multipart/encrypted",
    "2045": "MIME: the format of bodies",
    "2046": "MIME: media types",
    "2308": "negative caching of DNS",
    "2617": "HTTP digest authentication, the older",
    "2782": "SRV records",
    "3261": "SIP",
    "3262": "reliable provisional responses",
    "3263": "locating SIP servers",
    "3264": "offer and answer with SDP",
    "3311": "UPDATE",
    "3323": "privacy",
    "3324": "network asserted identity: requirements",
    "3325": "asserted identity in trusted networks",
    "3326": "Reason",
    "3327": "Path",
    "3329": "security agreement",
    "3420": "message/sipfrag",
    "3428": "MESSAGE",
    "3515": "REFER",
    "3550": "RTP",
    "3551": "RTP profile for audio and video",
    "3581": "rport",
    "3605": "RTCP port in SDP",
    "3608": "Service-Route",
    "3665": "basic call flows",
    "3711": "SRTP",
    "3840": "capabilities of user agents",
    "3841": "caller preferences",
    "3853": "S/MIME with AES in SIP",
    "3891": "Replaces",
    "3892": "Referred-By",
    "3893": "authenticated identity body (AIB)",
    "3903": "PUBLISH",
    "3966": "tel URIs",
    "4028": "session timers",
    "4317": "offer and answer examples",
    "4320": "non-INVITE transactions, corrected",
    "4412": "Resource-Priority",
    "4474": "Identity, the older",
    "4475": "torture test messages",
    "4488": "REFER without a subscription",
    "4566": "SDP, the older",
    "4568": "SRTP keys in SDP",
    "4733": "DTMF in RTP",
    "4916": "connected identity",
    "4961": "symmetric RTP",
    "5083": "authenticated-enveloped data in CMS",
    "5118": "torture test messages for IPv6",
    "5234": "ABNF",
    "5280": "X.509 certificates",
    "5360": "consent",
    "5389": "STUN, the older",
    "5393": "loops and forking, bounded",
    "5407": "race conditions in dialogs",
    "5589": "transfer",
    "5621": "bodies in SIP",
    "5626": "Outbound",
    "5627": "GRUUs",
    "5630": "sips",
    "5652": "CMS",
    "5658": "double Record-Route",
    "5754": "SHA-2 in CMS",
    "5761": "RTP and RTCP on one port",
    "5876": "asserted identity, updated",
    "5922": "domain certificates in SIP",
    "5923": "connection reuse",
    "5924": "extended key usage for SIP",
    "5954": "IPv6 in URIs, corrected",
    "6026": "INVITE transactions, corrected",
    "6072": "certificate management for SIP",
    "6086": "INFO",
    "6140": "registering many numbers",
    "6141": "re-INVITE and target refresh",
    "6442": "location conveyance",
    "6455": "WebSocket",
    "6665": "event notification",
    "6761": "special domain names, such as localhost",
    "6809": "Feature-Caps",
    "6878": "Resource-Priority: registries",
    "7022": "RTCP canonical names",
    "7044": "History-Info",
    "7118": "SIP over WebSocket",
    "7315": "3GPP P- headers",
    "7329": "Session-ID, the older",
    "7339": "overload control",
    "7340": "STIR: the problem",
    "7433": "User-to-User",
    "7515": "JWS",
    "7519": "JWT",
    "7616": "digest authentication",
    "7914": "scrypt",
    "7984": "IPv6 and IPv4 for SIP",
    "7989": "Session-ID",
    "8197": "607 Unwanted",
    "8217": "when name-addr needs brackets",
    "8224": "Identity",
    "8225": "PASSporT",
    "8226": "certificates of telephone numbers",
    "8443": "PASSporT: Resource-Priority",
    "8550": "S/MIME 4.0 certificates",
    "8551": "S/MIME 4.0",
    "8555": "ACME",
    "8588": "PASSporT: SHAKEN",
    "8591": "S/MIME in messaging",
    "8606": "ISUP location in Reason",
    "8688": "608 Rejected",
    "8760": "digest with SHA-256 and SHA-512-256",
    "8787": "location source",
    "8862": "media security, best practice",
    "8866": "SDP",
    "8898": "OAuth tokens in SIP",
    "8946": "PASSporT: div",
    "9060": "STIR certificate delegation",
    "9110": "HTTP",
    "9111": "HTTP caching",
    "9773": "when to renew, by ACME",
}


def marks(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The number and section of every mark in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rfc":
            values = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if len(values) != 2 or not all(isinstance(value, str) for value in values):
                raise ValueError(f'line {node.lineno}: write rfc("NUMBER", "SECTION")')
            yield str(values[0]), str(values[1])


def held() -> dict[str, dict[str, set[str]]]:
    """Files by section by RFC."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted(TESTS.rglob("*.py")):
        for number, section in marks(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            found[number][section].add(path.relative_to(TESTS).with_suffix("").as_posix())
    return found


def page() -> str:
    """The whole page."""
    found = held()
    lines = [INTRODUCTION]
    for number in sorted(found, key=int):
        sections = found[number]
        lines += [
            f"## RFC {number}: {TITLES.get(number, '')}".rstrip(": "),
            "",
            "| section | tests |",
            "|---|---|",
        ]
        for section in sorted(sections, key=_in_order):
            lines.append(f"| {section} | {', '.join(f'`{file}`' for file in sorted(sections[section]))} |")
        lines.append("")
    return "\n".join(lines)


def _in_order(section: str) -> list[tuple[int, str]]:
    """2 before 10, and both before A."""
    return [(int(part), "") if part.isdigit() else (1_000, part) for part in re.split(r"[.\s]", section)]


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(page())
    else:
        TARGET.write_text(page(), encoding="utf-8")

"""The reports, of an audit whose server has tried to get something into them."""

from __future__ import annotations

import io
import json
import re
from xml.etree import ElementTree

import pytest
from rich.console import Console

from ringfence.audit.finding import Finding, Fix, Judged, Probe, Report, Requirement, Result, Shown, Verdict
from ringfence.audit.line import Crossed, Place
from ringfence.audit.report_html import page
from ringfence.audit.report_json import SCHEMA, facts
from ringfence.audit.report_junit import junit
from ringfence.audit.report_text import render
from ringfence.audit.run import CHARACTERS, shown
from ringfence.audit.site import Site
from ringfence.engine.places import Endpoint

HOSTILE = '<script>alert("x")</script>\x1b[2J]]>&amp;\x00'


async def never(site: Site) -> Verdict:
    raise AssertionError("a report asks nobody")


def finding(name: str, result: Result, weight: int = 1) -> Finding:
    probe = Probe(
        name, f"Title of {name}", "RFC 3261 section 1", "It means.", Fix("a = 1", "b", "c"), never, weight
    )
    return Finding(
        probe, Verdict(result, HOSTILE), (Shown(0.5, False, "udp 127.0.0.1:5060", HOSTILE),), 3, 0.25
    )


def report(*results: Result) -> Report:
    findings = tuple(finding(f"probe-{'abcdef'[place]}", result) for place, result in enumerate(results))
    judged = Judged(Requirement(8, "Spam resistance", "No forged calls.", ()), findings)
    return Report(
        "sip:x", "example.org", ("udp 127.0.0.1:5060",), 1_795_000_000.0, 12.5, (judged,), HOSTILE, ("Note.",)
    )


ALL = report(Result.PASS, Result.WEAK, Result.FAIL, Result.UNSEEN)


def test_a_score_is_the_share_that_holds_by_weight() -> None:
    assert ALL.score == 50
    assert report(Result.PASS, Result.PASS).score == 100
    assert report(Result.UNSEEN).score is None
    heavy = Judged(ALL.judged[0].requirement, (finding("a", Result.FAIL, 3), finding("b", Result.PASS, 1)))
    assert heavy.score == 25
    nearly = Judged(ALL.judged[0].requirement, tuple(finding("a", Result.PASS, 3) for _ in range(99)))
    almost = Judged(nearly.requirement, (*nearly.findings, finding("b", Result.WEAK)))
    assert almost.score == 99, "100 says that all of it holds"


def test_json_has_a_schema_and_everything() -> None:
    found = json.loads(json.dumps(facts(ALL)))
    assert found["schema"] == SCHEMA == "ringfence.audit/1"
    assert found["counts"] == {"pass": 1, "weak": 1, "fail": 1, "not observable": 1}
    assert (found["good"], found["score"], found["software"]) == (False, 50, HOSTILE)
    assert found["started"] == "2026-11-18T11:06:40+00:00"
    first = found["requirements"][0]["findings"][0]
    assert (first["probe"], first["result"], first["fix"]["kamailio"]) == ("probe-a", "pass", "b")
    assert first["evidence"][0]["text"] == HOSTILE


def test_junit_can_be_read_and_counts_right() -> None:
    root = ElementTree.fromstring(junit(ALL))
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    assert [case.get("name") for case in suite] == ["probe-a", "probe-b", "probe-c", "probe-d"]
    assert [case[0].tag for case in suite] == ["system-out", "system-out", "failure", "skipped"]


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    text = page(ALL)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


def test_the_page_is_well_formed_and_can_be_walked() -> None:
    text = page(ALL)
    body = text[text.index("<body") : text.index("</html>")]
    root = ElementTree.fromstring(
        re.sub(r"<(br|hr)>", r"<\1/>", body.replace(" open>", ">")).replace("\x00", "").replace("\x1b", "")
    )
    assert root.find(".//main") is not None
    links = {link.get("href") for link in root.iter("a")}
    ids = {f"#{each.get('id')}" for each in root.iter() if each.get("id")}
    assert links <= ids
    assert all(image.get("aria-label") for image in root.iter("svg"))
    assert text.count(" open>") == 2, "what is weak or has failed is open"


def test_the_terminal_shows_no_control_characters_and_evidence_when_asked() -> None:
    def printed(*, evidence: bool) -> str:
        out = io.StringIO()
        Console(file=out, width=120).print(render(ALL, evidence=evidence))
        return out.getvalue()

    assert "\x1b[2J" not in printed(evidence=True)
    assert "udp 127.0.0.1:5060" in printed(evidence=True)
    assert "  0.500" not in printed(evidence=False)
    assert "score 50 of 100: 1 pass, 1 weak, 1 fail, 1 not observable, in 12 s" in printed(evidence=False)


@pytest.mark.parametrize(
    ("data", "gone"),
    [
        (b'Authorization: Digest username="a", response="0123456789abcdef"\r\n', "0123456789abcdef"),
        (b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0c2VjcmV0\r\n", "c2VjcmV0"),
    ],
)
def test_evidence_has_no_credentials(data: bytes, gone: str) -> None:
    text = shown(Crossed(1.0, True, Place("UDP", Endpoint("127.0.0.1", 5060), "x"), data), 0.5).text
    assert gone not in text


def test_evidence_is_short_and_harmless() -> None:
    place = Place("UDP", Endpoint("127.0.0.1", 5060), "x")
    long = shown(Crossed(1.0, True, place, b"a" * 100_000), 0.5).text
    assert len(long) < CHARACTERS + 50
    assert "100000 octets" in long
    assert "\x1b" not in shown(Crossed(1.0, True, place, b"\x1b[2J\xff"), 0.5).text

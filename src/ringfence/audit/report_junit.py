"""A report for build servers: the XML of JUnit, a suite for each requirement and a case for each probe.

What is weak counts as passed there, with the remark in its output; what could not be seen, as skipped.
"""

from __future__ import annotations

from xml.etree import ElementTree

from ringfence.audit.finding import Finding, Judged, Report, Result


def junit(report: Report) -> bytes:
    """The XML."""
    root = ElementTree.Element(
        "testsuites", name=f"ringfence audit {report.target}", time=f"{report.seconds:.3f}"
    )
    for judged in report.judged:
        root.append(_suite(judged))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return data + b"\n"


def _suite(judged: Judged) -> ElementTree.Element:
    results = [each.verdict.result for each in judged.findings]
    suite = ElementTree.Element(
        "testsuite",
        name=f"{judged.requirement.number} {judged.requirement.name}",
        tests=str(len(results)),
        failures=str(results.count(Result.FAIL)),
        errors="0",
        skipped=str(results.count(Result.UNSEEN)),
        time=f"{sum(each.seconds for each in judged.findings):.3f}",
    )
    for finding in judged.findings:
        suite.append(_case(judged, finding))
    return suite


def _case(judged: Judged, finding: Finding) -> ElementTree.Element:
    probe, verdict = finding.probe, finding.verdict
    group = f"audit.{judged.requirement.name.lower().replace(' ', '-')}"
    case = ElementTree.Element("testcase", classname=group, name=probe.name, time=f"{finding.seconds:.3f}")
    if verdict.result is Result.FAIL:
        failure = ElementTree.SubElement(case, "failure", type=probe.clause, message=_clean(verdict.detail))
        failure.text = _clean("\n".join([probe.meaning, "", *_exchange(finding)]))
    elif verdict.result is Result.UNSEEN:
        ElementTree.SubElement(case, "skipped", message=_clean(verdict.detail))
    else:
        output = ElementTree.SubElement(case, "system-out")
        output.text = _clean(f"{verdict.result}: {verdict.detail}")
    return case


def _exchange(finding: Finding) -> list[str]:
    lines = []
    for each in finding.evidence:
        lines += [f"{'>' if each.outward else '<'} {each.place} {each.seconds:.3f}", each.text, ""]
    return lines


def _clean(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(each if each in "\t\n" or each >= " " else "?" for each in text)

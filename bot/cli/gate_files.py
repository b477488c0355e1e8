"""A gate's verdict for programs: JSON, and JUnit XML as Jenkins, GitLab and GitHub's test reporters read it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

from bot.cli.gate_report import Told, sentence
from bot.cli.gate_report import text as report
from diagnostics import paired
from diagnostics.regression import Pair, by_tag, power_facts

FORMAT: Final = 1
EXCERPT: Final = 500
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(told: Told) -> dict[str, Any]:
    """Everything, as plain JSON."""
    found = told.found
    result, rule = found.result, found.plan.rule
    look = result.look
    return {
        "format": FORMAT,
        "verdict": found.word,
        "sentence": sentence(told),
        "reason": found.reason,
        "service": told.service,
        "golden_set": told.golden_set,
        "baseline": {**found.plan.baseline.plain(), "passed": found.passed("baseline"),
                     "weighted": _rounded(found.weighted("baseline"))},
        "candidate": {**found.plan.candidate.plain(), "passed": found.passed("candidate"),
                      "weighted": _rounded(found.weighted("candidate"))},
        "items": {
            "chosen": told.of, "asked": look.asked, "compared": look.pairs, "lost": look.lost, "won": look.won,
            "not_judged": found.not_judged,
        },
        "drop": {"points": round(100 * look.drop, 2), "interval": [round(100 * edge, 2) for edge in result.interval],
                 "confidence": paired.CONFIDENCE},
        "test": {"name": paired.TEST, "p_value": result.p_value, "alpha": rule.alpha},
        "power": power_facts(result, rule),
        "stopped": found.stopped or ("early" if result.early else ""),
        "moved": found.named.plain() if found.named else None,
        "errors": {side: dict(errors) for side, errors in found.errors.items()},
        "tags": by_tag(found.pairs),
        "results": [_item(pair) for pair in found.pairs],
        "cost": {"tokens": found.tokens, "usd": found.usd},
        **found.marking,
    }  # fmt: skip


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _item(pair: Pair) -> Mapping[str, Any]:
    told: dict[str, Any] = {"id": pair.item.id, "result": pair.word, "tags": list(pair.item.tags)}
    if pair.why:
        told["why"] = pair.why
    if pair.word == "lost":
        told["answer"] = pair.answer(pair.candidate)[:EXCERPT]
    return told


def junit(told: Told, *, failed: bool, redact: Callable[[str], str] = str) -> str:
    """One test for the verdict, and one for each item. Items fail only where the verdict does: a test reporter must
    not turn a pipeline red that the gate lets pass. ``redact`` takes secrets out of each text."""
    found = told.found
    suites = ET.Element("testsuites", {"name": "pagerunner gate"})
    name = f"{told.service}.gate"
    verdict = ET.Element("testcase", {"classname": name, "name": "verdict", "time": "0"})
    if failed:
        kind = "failure" if found.word == "worse" else "error"
        _add(verdict, kind, report(told), message=f"{told.title}. {sentence(told)}", type=found.word)
    else:
        _add(verdict, "system-out", report(told))
    cases = [verdict, *(_case(pair, name, failed=failed and found.word == "worse") for pair in found.pairs)]
    suite = ET.SubElement(suites, "testsuite", {"name": name, "time": "0", **_counts(cases)})
    suite.extend(cases)
    for element in suite.iter():
        element.text = _xml(redact(element.text)) if element.text else element.text
        for key, value in element.attrib.items():
            element.set(key, _xml(redact(value)))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(pair: Pair, name: str, *, failed: bool) -> ET.Element:
    case = ET.Element("testcase", {"classname": name, "name": pair.item.id, "time": "0"})
    if pair.word == "lost" and failed:
        answered = f"question: {pair.item.input[:EXCERPT]}\nanswer: {pair.answer(pair.candidate)[:EXCERPT]}"
        _add(case, "failure", answered, message=f"passed with the baseline; {pair.why}", type="lost")
    elif pair.word == "not_compared":
        _add(case, "skipped", "", message=pair.why or "not compared")
    elif pair.why or pair.word == "lost":
        _add(case, "system-out", pair.why)
    return case


def _add(case: ET.Element, kind: str, text: str, **attributes: str) -> None:
    ET.SubElement(case, kind, attributes).text = text


def _xml(text: str) -> str:
    """Without characters that XML 1.0 cannot hold; the rest is escaped when it is written."""
    return _NOT_XML.sub("\ufffd", text)


def _counts(cases: list[ET.Element]) -> dict[str, str]:
    found = {"tests": str(len(cases))}
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        found[plural] = str(sum(case.find(kind) is not None for case in cases))
    return found

"""JUnit XML: the night as any CI reads it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from simsearch.bench.judging.metrics import METRICS, metric_words
from simsearch.bench.outputs import contents, words
from simsearch.bench.records import Finding, Result, Story
from simsearch.console import safe

NO_XML = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
RUN = "measured"  # the test case that stands for the run of a cell


def junit_xml(story: Story) -> str:
    """Return the night as JUnit XML: a suite a recipe, a case a cell and judged metric, and one for the cell's own run.

    Failures are what is worse and indexes that break their promise, errors are cells that failed otherwise, skipped
    is what was dropped or has no counterpart. The times are seconds, and stand at the cells' runs. A night that did
    not pass for no cell's fault has an error of its own.
    """
    root = ET.Element("testsuites", name="simsearch bench")
    suites: dict[str, ET.Element] = {}
    state = contents.states(story)
    recipes: dict[str, str] = {}
    for result in contents.results(story):
        name = result.cell.name
        recipes[name] = result.cell.recipe
        suite = _suite(root, suites, result.cell.recipe, story)
        _run(suite, result, state[name])
        if state[name] in (contents.NEW, contents.UNPAIRED):
            _uncompared(suite, result, state[name])
    for finding in story.verdict.findings:  # nothing that the gate says is left out
        _finding(_suite(root, suites, recipes.get(finding.cell, finding.cell.split(" ")[0]), story), finding)
    outcome = contents.outcome(story)
    if outcome != "pass" and (outcome == "abandoned" or not [*root.iter("failure"), *root.iter("error")]):
        _tell(_case(_suite(root, suites, "night", story), "night", "verdict"), "error", words.sentence(story), outcome)
    for element in [*suites.values(), root]:
        _count(element)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, suites: dict[str, ET.Element], recipe: str, story: Story) -> ET.Element:
    if recipe not in suites:
        night = story.night
        suite = ET.SubElement(root, "testsuite", name=_text(recipe), timestamp=_text(night.started))
        properties = ET.SubElement(suite, "properties")
        about = {"verdict": words.sentence(story), "commit": night.commit, "machine": night.machine, **night.versions}
        for name, value in about.items():
            ET.SubElement(properties, "property", name=_text(name), value=_text(value or "unknown"))
        suites[recipe] = suite
    return suites[recipe]


def _run(suite: ET.Element, result: Result, state: str) -> None:
    case = _case(suite, result.cell.name, RUN, sum(result.seconds.values()))
    if state == contents.BROKEN:
        _tell(case, "failure", words.failure(result), "broken")
    elif state == contents.FAILED:
        _tell(case, "error", words.failure(result), "failed")
    elif state == contents.DROPPED:
        ET.SubElement(case, "skipped", message="dropped for time")


def _uncompared(suite: ET.Element, result: Result, state: str) -> None:
    why = "new: nothing to compare it with" if state == contents.NEW else "no counterpart in the accepted night"
    for figure in result.figures:
        if contents.known(figure) and METRICS[figure.metric].judged:
            ET.SubElement(_case(suite, result.cell.name, metric_words(*figure.key)), "skipped", message=why)


def _finding(suite: ET.Element, finding: Finding) -> None:
    if METRICS[finding.metric].judged is None and not finding.worse:
        return
    case = _case(suite, finding.cell, words.metric(finding))
    moved = words.moved(finding)
    if not finding.worse:
        ET.SubElement(case, "system-out").text = _text(moved)
        return
    lines = [f"{words.metric(finding)} {moved}", words.cause(finding.cause)]
    for what, _, losers in contents.lost(finding.cause):
        lines += [f"{what} {loser.name}: {words.loser(loser, finding.cause)}" for loser in losers]
    _tell(case, "failure", "\n".join(_text(line) for line in lines), "worse")


def _case(suite: ET.Element, cell: str, name: str, seconds: float = 0.0) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_text(cell), name=_text(name), time=f"{seconds:.3f}")


def _tell(case: ET.Element, kind: str, text: str, type_: str) -> None:
    lines = [_text(line) for line in text.split("\n")]
    ET.SubElement(case, kind, message="; ".join(lines[:2]), type=type_).text = "\n".join(lines)


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        element.set(name, str(len(list(element.iter(kind)))))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _text(value: str) -> str:
    """Return text that XML can hold: control characters are written as escapes, what is no character is a mark."""
    return NO_XML.sub("\ufffd", safe(value))

"""How simulated calls went: lines for people, and JUnit XML for programs that run tests."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from app.simulation.verdict import Check

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold, escaped or not."""


@dataclass(frozen=True, slots=True)
class Result:
    """A case that was played."""

    file: str
    name: str
    checks: Sequence[Check]
    seconds: float
    error: str | None = None
    """Why it could not be played."""

    @property
    def good(self) -> bool:
        """Whether everything was as expected."""
        return self.error is None and all(one.got is None for one in self.checks)


def lines(results: Sequence[Result], seconds: float) -> Iterable[str]:
    """The table: a line for each case, and under it what was not so."""
    for one in results:
        yield f"{'pass' if one.good else 'FAIL'}  {one.seconds:5.1f} s  {one.file}  {one.name}"
        yield from (f"      {line}" for line in _details(one))
    bad = sum(not one.good for one in results)
    yield f"{len(results) - bad} passed, {bad} failed in {seconds:.1f} s"


def _details(one: Result) -> Iterable[str]:
    if one.error is not None:
        yield f"not played: {one.error}"
    for check in one.checks:
        if check.got is not None:
            yield f"expected {check.expected}"
            yield f"     got {check.got}"
        elif check.skipped is not None:
            yield f" skipped {check.expected}: {check.skipped}"


def junit(results: Sequence[Result]) -> str:
    """JUnit XML: a suite for each file, a case for each call."""
    root = Xml.Element("testsuites")
    for file in dict.fromkeys(one.file for one in results):
        cases = [one for one in results if one.file == file]
        suite = Xml.SubElement(root, "testsuite", _suite(file, cases))
        for one in cases:
            _case(suite, one)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(file: str, cases: Sequence[Result]) -> dict[str, str]:
    failed = sum(not one.good and one.error is None for one in cases)
    return {
        "name": _clean(file),
        "tests": str(len(cases)),
        "failures": str(failed),
        "errors": str(sum(one.error is not None for one in cases)),
        "skipped": "0",
        "time": f"{sum(one.seconds for one in cases):.3f}",
    }


def _case(suite: Xml.Element, one: Result) -> None:
    named = {"classname": _clean(one.file), "name": _clean(one.name), "time": f"{one.seconds:.3f}"}
    case = Xml.SubElement(suite, "testcase", named)
    if one.error is not None:
        Xml.SubElement(case, "error", {"message": _clean(one.error)})
    failed = [check for check in one.checks if check.got is not None]
    if failed:
        first = _clean(f"{failed[0].expected}; got {failed[0].got}")
        failure = Xml.SubElement(case, "failure", {"message": first, "type": "expectation"})
        failure.text = _clean("\n".join(f"expected {c.expected}\ngot {c.got}" for c in failed))
    skipped = [check for check in one.checks if check.skipped is not None]
    if skipped:
        out = Xml.SubElement(case, "system-out")
        out.text = _clean("\n".join(f"skipped {c.expected}: {c.skipped}" for c in skipped))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

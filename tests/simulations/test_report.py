"""The report of simulated calls, for people and for programs."""

from xml.etree import ElementTree as Xml

from app.simulation.report import Result, junit, lines
from app.simulation.verdict import Check

GOOD = Result("a.yaml", "good", [Check("x"), Check("the judge finds: y", skipped="no key")], 1.25)
BAD = Result("a.yaml", 'bad <&"> \x00', [Check("x"), Check('hears "a<b"', "c & d\x1b")], 2.0)
BROKEN = Result("b.yaml", "broken", [], 0.5, "the line failed")


def test_junit_is_what_programs_read() -> None:
    """Words of a call are in it, which may be anything: the XML must be well-formed."""
    root = Xml.fromstring(junit([GOOD, BAD, BROKEN]))

    first, second = root.findall("testsuite")
    good, bad = first.findall("testcase")
    failure, out, error = bad.find("failure"), good.find("system-out"), second.find("*/error")
    assert (first.get("tests"), first.get("failures"), first.get("errors")) == ("2", "1", "0")
    assert (second.get("tests"), second.get("errors")) == ("1", "1")
    assert bad.get("name") == 'bad <&"> \N{REPLACEMENT CHARACTER}'
    assert failure is not None
    assert failure.text == 'expected hears "a<b"\ngot c & d\N{REPLACEMENT CHARACTER}'
    assert out is not None
    assert out.text == "skipped the judge finds: y: no key"
    assert error is not None
    assert error.get("message") == "the line failed"


def test_the_table_tells_expected_and_got() -> None:
    """And that something was skipped: nobody looked is not the same as all is well."""
    told = "\n".join(lines([GOOD, BAD, BROKEN], 3.0))

    assert "pass    1.2 s  a.yaml  good" in told
    assert "skipped the judge finds: y: no key" in told
    assert 'expected hears "a<b"\n           got c & d' in told
    assert "not played: the line failed" in told
    assert told.endswith("1 passed, 2 failed in 3.0 s")

"""The backlog: whatever comes, nothing is lost without being counted, and order is kept."""

from collections import Counter

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.call.facts import Weight
from app.services.store.backlog import Backlog
from app.services.store.changes import Appended, Change, Closed, NewCall, Opened
from tests.services.stored import MOMENT

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["kept", "figure"]), st.integers(0, 3)),
        st.tuples(st.just("take"), st.integers(1, 5)),
    ),
    max_size=120,
)


def opened(ticket: int, call_id: str) -> Opened:
    """A row."""
    call = NewCall(call_id=call_id, conversation_id="c", direction="inbound", created_at=MOMENT)
    return Opened(ticket, call, "{}")


@given(steps, st.integers(0, 8))
def test_every_fact_is_written_or_in_a_gap(told: list[tuple[str, int]], most: int) -> None:
    """Numbers are unique, gaps add up, and the row comes before its facts before its end."""
    backlog = Backlog(most)
    ticket, seqs, out = 0, Counter[int](), list[Change]()
    for what, number in told:
        if what == "take":
            out += backlog.take(number)
            backlog.settle()
            continue
        ticket += 1
        if not seqs[number]:
            backlog.add(opened(ticket, f"call_{number}"))
            ticket += 1
        seqs[number] += 1
        backlog.add(
            Appended(ticket, f"call_{number}", seqs[number], 0, "warning", "{}", Weight(what))
        )
    for number in seqs:
        ticket += 1
        backlog.add(Closed(ticket, f"call_{number}", "done", MOMENT, "{}", None))
    while backlog.waiting:
        out += backlog.take(7)
        backlog.settle()

    assert len(backlog) == 0
    for number, count in seqs.items():
        _is_whole(out, f"call_{number}", count)
    gaps = [one for one in out if isinstance(one, Appended) and one.type == "record.gap"]
    assert sum(orjson.loads(gap.data)["dropped"] for gap in gaps) == backlog.dropped


def _is_whole(out: list[Change], call_id: str, count: int) -> None:
    mine = [one for one in out if (one.call if isinstance(one, Opened) else one).call_id == call_id]
    facts = [one for one in mine if isinstance(one, Appended)]
    lost = [orjson.loads(one.data)["dropped"] for one in facts if one.type == "record.gap"]
    assert isinstance(mine[0], Opened)
    assert isinstance(mine[-1], Closed)
    assert len({one.seq for one in facts}) == len(facts)
    assert len(facts) - len(lost) + sum(lost) == count


def test_few_large_facts_are_many() -> None:
    """The bound is memory; a tool may answer a quarter of a megabyte."""
    backlog = Backlog(100, most_bytes=250)
    for seq in range(1, 5):
        backlog.add(Appended(seq, "call_1", seq, 0, "warning", "x" * 100, Weight.KEPT))

    assert (len(backlog), backlog.dropped) == (2, 2)
    assert [type(one).__name__ for one in backlog.take(9)] == ["Appended"] * 3
    backlog.settle()
    backlog.add(Appended(5, "call_1", 5, 0, "warning", "x" * 250, Weight.KEPT))
    assert backlog.dropped == 2


def test_records_over_the_bound_wait_without_what_is_in_them() -> None:
    """The end of a call is never let go of; its record can be told again from the facts."""
    backlog = Backlog(100, most_bytes=250)
    for ticket in range(1, 5):
        backlog.add(Closed(ticket, f"call_{ticket}", "done", MOMENT, "x" * 100, None))

    records = [one.record for one in backlog.take(9) if isinstance(one, Closed)]
    backlog.settle()
    assert records == ['{"unwritable":"too_many_waiting"}'] * 2 + ["x" * 100] * 2
    backlog.add(Closed(5, "call_5", "done", MOMENT, "x" * 250, None))
    assert [one.record for one in backlog.take(9) if isinstance(one, Closed)] == ["x" * 250]

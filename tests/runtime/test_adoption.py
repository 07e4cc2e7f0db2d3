"""Taking over a call: what another process knew of it, by whatever clock."""

from datetime import UTC, datetime, timedelta

from app.call.facts import Fact
from app.call.report import Report
from app.runtime.adoption import adopted, remembered
from app.services.store.calls import CallRow, StoredFact

TOLD = [
    StoredFact(1, 0, "call.created", {"direction": "inbound"}),
    StoredFact(2, 60_000, "call.stream_started", {"stream": 1, "stream_sid": "MZ1"}),
]


def row(created_at: datetime) -> CallRow:
    """A live call of nobody's."""
    return CallRow(
        call_id="call_1",
        call_sid="CA1",
        conversation_id="conv_1",
        resumed_from=None,
        direction="inbound",
        from_number="+14155550100",
        to_number="+15005550006",
        status="live",
        end_reason=None,
        created_at=created_at,
        answered_at=None,
        ended_at=None,
        owner=None,
        lease_until=None,
        resume_count=1,
        config_version=None,
        custom_data=None,
        record=None,
        expires_at=None,
        erased=False,
        told_seq=0,
        followed_up=False,
    )


def test_the_story_does_not_go_back_on_a_machine_whose_clock_is_behind() -> None:
    """The call would have ended before it began, and every deadline of it would be an hour off."""
    call = adopted(row(datetime.now(UTC) + timedelta(hours=1)), TOLD, lambda *_: None)

    call.tell(call.now_ms(), "call.ended", {"reason": "stream_lost"})

    assert call.report.ended_at_ms is not None
    assert call.report.ended_at_ms >= 60_000


def test_what_was_written_after_the_call_is_remembered_in_the_next() -> None:
    """W65, C10: who phones again after an exchange of texts need not tell it once more."""
    at = "2026-11-21T18:00:00.000Z"
    told = {"id": "SM1", "via": "sms", "at": at}
    report = Report()
    report.learn(Fact("text.received", 0, {**told, "text": "Still at nine?"}))
    report.learn(Fact("text.answered", 0, {**told, "text": "Yes, at nine."}))
    report.learn(Fact("text.answered", 0, {**told, "text": "No."}))

    assert [(one.role, one.text) for one in remembered(report)] == [
        ("user", "Still at nine?"),
        ("assistant", "Yes, at nine."),
    ]


def test_the_time_in_which_nobody_had_the_call_counts() -> None:
    """The caller was on the line all the while."""
    call = adopted(row(datetime.now(UTC) - timedelta(seconds=90)), TOLD, lambda *_: None)

    assert call.now_ms() >= 90_000


TRANSFER = StoredFact(3, 61_000, "transfer.started", {"target": "desk", "mode": "warm"})
RINGS = StoredFact(4, 62_000, "transfer.ringing", {"leg_sid": "CA2"})
DIALLED = StoredFact(5, 63_000, "transfer.dialling", {"target": "desk", "token_digest": "d"})


def test_a_person_who_was_still_being_asked_is_not_asked_for_ever() -> None:
    """S17: the record said ``ringing`` of a call that was over."""
    kept: list[tuple[str, int, Fact]] = []
    told = [*TOLD, TRANSFER, RINGS]

    call = adopted(row(datetime.now(UTC)), told, lambda *one: kept.append(one))

    assert [x.outcome for x in call.report.transfers] == ["interrupted"]
    ((call_id, seq, fact),) = kept
    assert (call_id, seq, fact.type) == ("call_1", 5, "transfer.ended")


def test_a_transfer_whose_result_the_carrier_tells_stays_under_way() -> None:
    """The two may be talking."""
    kept: list[tuple[str, int, Fact]] = []
    told = [*TOLD, TRANSFER, RINGS, DIALLED]

    call = adopted(row(datetime.now(UTC)), told, lambda *one: kept.append(one))

    assert call.report.transfers[-1].open
    assert kept == []

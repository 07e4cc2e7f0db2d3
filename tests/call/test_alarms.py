"""The moments a call waits for, as data."""

from app.call.alarms import Alarm, Alarms


def test_the_earliest_moment_counts() -> None:
    """The runner keeps one timer."""
    alarms = Alarms()
    assert alarms.next_ms is None

    alarms.set(Alarm.MEDIA, 900)
    alarms.set(Alarm.OWED, 500)
    assert alarms.next_ms == 500
    alarms.clear(Alarm.OWED)
    assert alarms.next_ms == 900
    alarms.clear_all()
    assert alarms.next_ms is None


def test_setting_an_alarm_again_moves_it() -> None:
    """At most one moment per name."""
    alarms = Alarms()
    alarms.set(Alarm.OWED, 500)
    alarms.set(Alarm.OWED, 800)

    assert alarms.due(799) == []
    assert alarms.due(800) == [Alarm.OWED]


def test_what_is_due_comes_in_order_and_once() -> None:
    """A late wake must decide as two punctual ones would have."""
    alarms = Alarms()
    alarms.set(Alarm.OWED, 300)
    alarms.set(Alarm.MEDIA, 100)
    alarms.set(Alarm.STALL, 300)
    alarms.set(Alarm.STOP, 301)

    assert alarms.due(300) == [Alarm.MEDIA, Alarm.STALL, Alarm.OWED]
    assert alarms.due(300) == []
    assert alarms.next_ms == 301


def test_clearing_what_was_never_set_is_harmless() -> None:
    """Components let go without asking."""
    alarms = Alarms()
    alarms.clear(Alarm.STOP)

    assert not alarms.is_set(Alarm.STOP)

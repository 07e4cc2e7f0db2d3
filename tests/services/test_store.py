"""The store of records: what comes out, and what it lets go of."""

from app.services.store import MOST_RECORDS, MemoryStore


def test_a_record_comes_out_as_it_went_in() -> None:
    """Nobody who reads a record may change the one that is kept."""
    store = MemoryStore()
    store.put({"call_id": "call_1", "turns": [{"text": "Grüße"}], "failure": None})

    found = store.get("call_1")
    assert found == {"call_id": "call_1", "turns": [{"text": "Grüße"}], "failure": None}
    found["turns"] = []
    assert store.get("call_1") != found
    assert store.get("call_2") is None


def test_the_oldest_records_are_let_go_of() -> None:
    """A month of calls must not be a month of memory; the last word on a call counts."""
    store = MemoryStore()
    for number in range(MOST_RECORDS + 1):
        store.put({"call_id": f"call_{number}", "status": "in_progress"})
    store.put({"call_id": "call_1", "status": "completed"})

    assert store.get("call_0") is None
    assert store.get("call_1") == {"call_id": "call_1", "status": "completed"}

"""The tools of the example agent: plain typed functions, as an operator would write them."""

_HOURS = {
    "saturday": "from 9 in the morning until noon",
    "sunday": "closed",
}


def opening_hours(day: str) -> str:
    """Say when the practice is open on a day of the week, given in English."""
    day = day.strip().lower()
    return f"{day.capitalize()}: {_HOURS.get(day, 'from 8 in the morning until 7 in the evening')}"

"""A number's menu: row C12, with literal values."""

import pytest

from app.call import line_menu
from app.call.line_menu import Choice, LineMenu
from app.call.plan import CallPlan, Memory
from app.call.prompts import IN_LANGUAGE, greeting, verbatim

FRENCH = Choice("Tapez 2.", "fr-FR", "accueil")
MENU = LineMenu({"1": Choice("Press 1.", "en-US"), "2": FRENCH})


@pytest.mark.parametrize(
    ("pressed", "wanted"), [("2", FRENCH), ("7", None), ("", None), (None, None)]
)
def test_only_a_key_that_is_offered_chooses(pressed: str | None, wanted: Choice | None) -> None:
    """C12: nothing, or another key, is no choice."""
    assert line_menu.chosen(MENU, pressed) == wanted


def test_where_there_is_no_menu_nothing_is_chosen() -> None:
    """C12: whatever a URL says."""
    assert line_menu.chosen(None, "2") is None


def test_the_model_is_told_the_language() -> None:
    """C12: and nothing where none was chosen."""
    (told,) = line_menu.memories("fr-FR")

    assert told == Memory("system", line_menu.CHOSEN.format(language="fr-FR"))
    assert line_menu.memories("") == ()


def test_the_greeting_is_said_in_the_language_that_was_chosen() -> None:
    """C12: it is written in one of them."""
    asked = greeting(CallPlan("Hello.", language="fr-FR"))

    assert asked is not None
    assert asked.instructions == verbatim("Hello.") + IN_LANGUAGE.format(language="fr-FR")

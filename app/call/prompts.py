"""What we ask the model to say on occasions that the operator did not write a text for."""

from app.call.plan import CallPlan
from app.protocol.commands import CreateResponse

GREETING = "greeting"
"""The purpose of the first words of a call."""
RESUMED = CreateResponse(
    "resume",
    "The connection to you was interrupted for a moment. If your last sentence was cut off or "
    "the caller waits for an answer, go on from where the caller stopped hearing you. Do not "
    "greet again and do not mention technology.",
)
IN_LANGUAGE = " Speak {language}: what is written in another language you translate."
MOST_QUOTED = 200
"""Characters of a sentence that broke off; its end is what counts."""


def resumed(broke_off: str) -> CreateResponse:
    """The first words on a new line; ``broke_off`` is what was heard of a sentence that was cut."""
    if not broke_off:
        return RESUMED
    last = broke_off[-MOST_QUOTED:].partition(" ")[2] if len(broke_off) > MOST_QUOTED else broke_off
    return CreateResponse(
        RESUMED.purpose,
        f'{RESUMED.instructions} The last they heard of you was: "{last}". Go on right after '
        "these words and repeat none of them.",
    )


TRY_AGAIN = CreateResponse("nudge")


def verbatim(words: str) -> str:
    """Instructions to say an operator's text as it stands.

    Quoted as prose is: what escapes a character in code is read aloud by a speech model.
    """
    return f'Say exactly this, word for word, and nothing else: "{words}"'


def greeting(plan: CallPlan) -> CreateResponse | None:
    """The first words of the call; None when the caller speaks first."""
    if not plan.greeting:
        return None
    words = verbatim(plan.greeting) if plan.greeting_verbatim else plan.greeting
    if plan.language:
        words += IN_LANGUAGE.format(language=plan.language)
    return CreateResponse(GREETING, words, tools=False)


def first_words(plan: CallPlan) -> CreateResponse:
    """To somebody who was called and says nothing."""
    return greeting(plan) or CreateResponse(
        GREETING,
        "The person you called has picked up and says nothing. Greet them, say who you are and "
        "why you call, in two short sentences.",
        tools=False,
    )


def opening(plan: CallPlan, *, spoken: bool = False) -> CreateResponse | None:
    """The first words of a stream; None when the caller speaks first. ``spoken``: they have been
    told something already, and somebody who was called waits for the rest."""
    if plan.returns_to_listen:
        return None
    if plan.returning:
        return welcome_back(plan.returning)
    if plan.speaks_after_ms is None:
        return greeting(plan)
    return first_words(plan) if spoken else None


def welcome_back(why: str) -> CreateResponse:
    """The caller is with the agent again, after an attempt to put them through."""
    return CreateResponse(
        "returned",
        f"The caller is back with you: {why}. Tell them so in one short sentence, in their "
        "language, and offer to help. Do not greet again.",
        tools=False,
    )

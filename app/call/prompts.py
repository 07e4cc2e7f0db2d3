"""What we ask the model to say on occasions that the operator did not write a text for."""

from app.call.plan import CallPlan
from app.protocol.commands import CreateResponse

RESUMED = CreateResponse(
    "resume",
    "The connection to you was interrupted for a moment. If your last sentence was cut off or "
    "the caller waits for an answer, go on from where the caller stopped hearing you. Do not "
    "greet again and do not mention technology.",
)
TRY_AGAIN = CreateResponse("nudge")


def greeting(plan: CallPlan) -> CreateResponse | None:
    """The first words of the call; None when the caller speaks first."""
    if not plan.greeting:
        return None
    if plan.greeting_verbatim:
        words = f'Say exactly this, word for word, and nothing else: "{plan.greeting}"'
    else:
        words = plan.greeting
    return CreateResponse("greeting", words, tools=False)


def welcome_back(why: str) -> CreateResponse:
    """The caller is with the agent again, after an attempt to put them through."""
    return CreateResponse(
        "returned",
        f"The caller is back with you: {why}. Tell them so in one short sentence, in their "
        "language, and offer to help in another way. Do not greet again.",
        tools=False,
    )

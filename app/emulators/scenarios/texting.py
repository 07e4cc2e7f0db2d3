"""Text messages in a call: one that arrives, the caller's answer, and one that does not arrive."""

from app.emulators.scenario import Expect, Reply, ToolUse
from app.emulators.scenarios.stage import CALLER, HEAD, SAYS, Play, Stage, script
from app.emulators.twilio_messages import Arrival

_HELLO_HZ, _SENDS_HZ, _TOLD_HZ, _READS_HZ, _AGAIN_HZ, _FAILED_HZ = 440, 600, 800, 1200, 1600, 2400
_ADDRESS = "12 Main Street"
_UNREACHABLE = 30003


def _send(text: str) -> Reply:
    return Reply("One moment.", 200, _SENDS_HZ, tools=[ToolUse("send_sms", {"text": text})])


async def _exchange(s: Stage) -> None:
    call = await s.dial()
    await s.caller.hears(_HELLO_HZ, 400)
    await s.caller.say(SAYS)
    await s.caller.hears(_TOLD_HZ, 400)
    await s.twilio.post.bring(CALLER, call.to, _ADDRESS)
    await s.caller.hears(_READS_HZ, 400)
    s.twilio.post.arrivals = {CALLER: Arrival("undelivered", _UNREACHABLE, after_ms=300)}
    await s.caller.say(SAYS)
    await s.caller.hears(_AGAIN_HZ, 400)
    await s.caller.hears(_FAILED_HZ, 400)
    await s.caller.hang_up()
    record = await s.ended(call)

    heard = s.caller.heard
    s.hears("it is on its way", heard, _TOLD_HZ, 400)
    s.hears("the caller's address", heard, _READS_HZ, 400)
    s.hears("that the second did not arrive", heard, _FAILED_HZ, 400)
    s.equal("messages sent", [one["body"] for one in s.twilio.messages], ["Where?", "Thanks."])
    texts = [(one["direction"], one["status"], one["error_code"]) for one in record["sms"]]
    s.equal(
        "messages on record",
        texts,
        [
            ("outbound", "delivered", None),
            ("inbound", "received", None),
            ("outbound", "undelivered", _UNREACHABLE),
        ],
    )


PLAYS = (
    Play(
        "sms",
        "the agent writes, the caller answers in writing, a second message fails (30003)",
        f"{HEAD}\nsms: {{to: [caller]}}\n",
        script(
            Reply("Hello.", 400, _HELLO_HZ),
            _send("Where?"),
            Reply("It is on its way.", 400, _TOLD_HZ),
            Expect(message_contains=f"[SMS] {_ADDRESS}"),
            Reply("Main Street, then.", 400, _READS_HZ),
            _send("Thanks."),
            Reply("Sent.", 400, _AGAIN_HZ),
            Expect(message_contains="has not arrived"),
            Reply("It did not arrive.", 400, _FAILED_HZ),
        ),
        _exchange,
    ),
)

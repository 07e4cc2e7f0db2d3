"""Runs TwiML as Twilio does: one verb after the other, until none is left or the call is over.

Rule: the interpreter knows verbs and nothing of REST, callers or clocks beyond its pace;
whoever wants something else of the call cancels it and begins another run.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from xml.etree.ElementTree import Element

from app.emulators.carrier_limits import not_simulated
from app.emulators.phone_sounds import busy, keys
from app.emulators.phone_wav import silent
from app.emulators.twilio_call import Fetch, Inline, Source
from app.emulators.twilio_dial import dial, refer
from app.emulators.twilio_enqueue import enqueue
from app.emulators.twilio_media import EmulatedStream
from app.emulators.twilio_run import Ended, Run, Step, http_method, number, repeats
from app.emulators.twilio_sound import sound_of
from app.emulators.twilio_tape import message
from app.emulators.twilio_twiml import Document, parse, words_of
from app.emulators.twilio_upgrade import unacceptable_url
from app.emulators.twilio_webhooks import TWIML_TYPES
from app.emulators.twilio_words import (
    APPLICATION_ERROR,
    TRIAL_NOTICE,
    StreamEnd,
    Violation,
    monotonic_ms,
    remember,
)
from app.protocol.units import BYTES_PER_MS, FRAME_BYTES, FRAME_MS, MULAW_SILENCE

_DOCUMENT_LIMIT = 500
"""Redirects in a circle end the call."""
_PARAMETER_LIMIT_CHARACTERS = 500
_GATHER_TIMEOUT_S = 5
_UNANSWERED = frozenset({"Reject", "Pause"})
"""Verbs that leave a ringing call ringing."""


async def interpret(run: Run, source: Source) -> Ended:
    """Run documents from ``source`` on until the call is over; cancelling stops the verb.

    A cancelled <Connect> leaves its stream to whoever cancelled.
    """
    for _ in range(_DOCUMENT_LIMIT):
        page = await _load(run, source)
        if isinstance(page, Document):
            step = await _perform(run, page)
        else:
            step = page
        if step is None:
            return Ended("end_of_twiml")
        if isinstance(step, Ended):
            return step
        source = step
    return await _application_error(run)


async def _load(run: Run, source: Source) -> Document | Step:
    """The document of a source; where there is none, the fallback or the end."""
    call = run.call
    if isinstance(source, Inline):
        text, base_url, fault = source.twiml, None, None
    else:
        form = {**call.form(), **source.extra}
        webhooks = run.carrier.webhooks
        reply = await webhooks.send(source.url, form, call.requests, method=source.method)
        text, base_url, fault = reply.body, source.url, reply.error
        if fault is None and text.strip() and reply.content_type not in TWIML_TYPES:
            fault = 12300
    if fault is None:
        remember(call.twiml, text)
        page = parse(text, base_url)
        if isinstance(page, Document):
            run.base_url = base_url
            for violation in page.violations:
                call.complain(violation)
            return page
        call.complain(page)
        fault = page.code
    else:
        call.complain(Violation(fault, f"no TwiML from {base_url}"))
    return await _fall_back(run, source, fault)


async def _fall_back(run: Run, source: Source, code: int) -> Step:
    call = run.call
    failed_url = source.url if isinstance(source, Fetch) else ""
    if call.fallback_url is None or failed_url == call.fallback_url:
        return await _application_error(run)
    return Fetch(call.fallback_url, extra={"ErrorCode": str(code), "ErrorUrl": failed_url})


async def _application_error(run: Run) -> Ended:
    if run.call.phone is None:
        run.call.said.append(APPLICATION_ERROR)
    else:
        await run.say(APPLICATION_ERROR)
    return Ended("error", "failed" if run.call.answered_at_ms is None else "completed")


async def _perform(run: Run, page: Document) -> Step:
    if run.carrier.faults.trial_account and TRIAL_NOTICE not in run.call.said:
        _answer(run)
        run.call.said.append(TRIAL_NOTICE)
    for verb in page.verbs:
        if run.call.phone is not None:
            for sentence in not_simulated(verb, _KNOWN):
                run.note(sentence)
        act = _VERBS.get(verb.tag)
        if act is None:
            continue
        if verb.tag not in _UNANSWERED:
            _answer(run)
        remember(run.call.executed, verb.tag)
        run.call.pulse.beat()
        owed = run.call.pending_action
        step = await act(run, verb)
        run.call.pending_action = owed  # By the queue that this document is heard in, if any.
        if step is not None:
            return step
    return None


def _answer(run: Run) -> None:
    if run.call.answered_at_ms is None:
        run.call.answered_at_ms = monotonic_ms()
        run.call.status = "in-progress"


async def _connect(run: Run, verb: Element) -> Step:
    noun = verb.find("Stream")
    if run.carrier.faults.trial_account:
        return None
    if noun is None:
        run.call.complain(Violation(12200, "<Connect> without a <Stream>"))
        return run.action(verb)
    if run.carrier.faults.connect_action_at_end:
        run.owe_action(verb)
    stream = _stream(run, noun)
    run.call.left_by_person = False
    run.call.streams.append(stream)
    refused = unacceptable_url(stream.url) or await stream.dial(
        run.carrier.webhooks.origin, run.carrier.auth_token
    )
    if refused is not None:
        stream.refused = refused
        run.call.complain(refused)
        run.report_stream(stream, "stream-error", str(refused))
        return run.action(verb)
    run.report_stream(stream, "stream-started")
    over = await stream.run()
    if over is StreamEnd.STAY:
        await run.stay()
    run.report_over(stream)
    return Ended("stream") if over is StreamEnd.HANG_UP else run.action(verb)


def _stream(run: Run, noun: Element) -> EmulatedStream:
    """The stream a <Stream> noun asks for; complains about what Twilio would not take."""
    call = run.call
    url = run.resolve(noun.get("url", "")) or ""
    if not noun.get("url", "").startswith(("http:", "https:")):
        url = url.replace("https:", "wss:", 1)
    if noun.get("track", "inbound_track") != "inbound_track":
        call.complain(Violation(31941, "<Connect><Stream> takes the inbound track only"))
    if noun.get("connectorName"):
        call.complain(Violation(31940, "no connector of this name is installed"))
    parameters: dict[str, str] = {}
    for parameter in noun.findall("Parameter"):
        name, value = parameter.get("name", ""), parameter.get("value", "")
        if not name or len(name) + len(value) >= _PARAMETER_LIMIT_CHARACTERS:
            call.complain(Violation(12200, f"<Parameter name={name!r}> is empty or too long"))
        parameters[name] = value
    return EmulatedStream(
        account_sid=call.account_sid,
        call_sid=call.call_sid,
        url=url,
        name=noun.get("name"),
        status_callback=noun.get("statusCallback"),
        status_method=http_method(noun.get("statusCallbackMethod")),
        parameters=parameters,
        voice=call.voice,
        faults=run.carrier.faults,
        pulse=call.pulse,
        complain=call.complain,
        keep_audio=call.keep_audio,
        phone=call.phone,
    )


async def _say(run: Run, verb: Element) -> Step:
    await run.say(words_of(verb), times=repeats(verb))
    return None


async def _play(run: Run, verb: Element) -> Step:
    digits = verb.get("digits")
    if digits is None:
        await _play_file(run, words_of(verb), repeats(verb))
        return None
    remember(run.call.played_digits, digits)
    key_ms = run.carrier.pace.key_ms
    await run.sound(keys(digits, key_ms), len(digits) * key_ms)
    return None


async def _play_file(run: Run, url: str, times: int) -> None:
    """Let a phone hear what is there; a call goes on where nothing is."""
    if run.call.phone is None:
        for _ in range(times):
            remember(run.call.played, url)
            await run.take(run.carrier.pace.say_ms_per_character)
        return
    mulaw = await sound_of(run.carrier.webhooks, run.resolve(url) or url)
    if isinstance(mulaw, Violation):
        run.call.complain(mulaw)
        run.note(f"Not played: {mulaw}.")
        return
    for _ in range(times):
        remember(run.call.played, url)
        await run.sound(mulaw, 0)


async def _pause(run: Run, verb: Element) -> Step:
    await run.take(number(verb, "length", 1) * 1000 * run.carrier.pace.pause_factor)
    return None


async def _redirect(run: Run, verb: Element) -> Step:
    return run.fetch(words_of(verb), verb.get("method"))


async def _hangup(_run: Run, _verb: Element) -> Step:
    return Ended("hangup")


async def _reject(run: Run, verb: Element) -> Step:
    """Refuse a ringing call; a call that was answered before cannot be refused any more."""
    if run.call.answered_at_ms is not None:
        return Ended("hangup")
    await run.sound(busy(), 0)
    return Ended("reject", "busy" if verb.get("reason") == "busy" else "no-answer")


async def _start(run: Run, verb: Element) -> Step:
    run.call.recordings += [dict(noun.attrib) for noun in verb.findall("Recording")]
    return None


async def _leave(run: Run, _verb: Element) -> Step:
    return None if run.call.queue is None else Ended("leave")


async def _only_note(_run: Run, _verb: Element) -> Step:
    return None


async def _record(run: Run, verb: Element) -> Step:
    """Take down what the caller says, until they are silent, press a key, or for long enough."""
    call = run.call
    callback = run.resolve(verb.get("recordingStatusCallback", "")) or ""
    tape, heard = message(call.account_sid, call.call_sid, callback)
    call.tapes.append(tape)
    call.dictation = heard
    try:
        key = await _dictated(run, verb, heard)
    finally:
        call.dictation = None
        tape.finish()
        if silent(bytes(heard)):
            tape.status = "absent"
        run.report_tape(tape)
    extra = {"RecordingUrl": tape.form()["RecordingUrl"], "RecordingSid": tape.sid}
    extra |= {"RecordingDuration": str(tape.duration_s), "Digits": key}
    return run.action(verb, extra)


async def _dictated(run: Run, verb: Element, heard: bytearray) -> str:
    """The key that ended it; empty where silence or its length did."""
    call, finish = run.call, verb.get("finishOnKey", "1234567890*#")
    most_bytes = int(number(verb, "maxLength", 3600) * 1000 * BYTES_PER_MS)
    patience_ms = number(verb, "timeout", 5) * 1000 * run.carrier.pace.pause_factor
    quiet_since_ms = monotonic_ms()
    while len(heard) < most_bytes and monotonic_ms() - quiet_since_ms < patience_ms:
        call.pulse.beat()
        await asyncio.sleep(FRAME_MS / 1000)
        if call.phone is None:
            heard += call.voice.frame() or bytes([MULAW_SILENCE]) * FRAME_BYTES
        if not silent(bytes(heard[-FRAME_BYTES:])):
            quiet_since_ms = monotonic_ms()
        while not call.inputs.empty():
            given = call.inputs.get_nowait()
            if given.kind == "digit" and given.text in finish:
                return given.text
    return ""


async def _gather(run: Run, verb: Element) -> Step:
    """Collect keys or words, over the prompt if the caller is quick."""
    prompting = asyncio.create_task(_prompt(run, verb), name="gather prompt")
    begun = asyncio.Event()
    listening = asyncio.create_task(_collect(run, verb, begun), name="gather input")
    try:
        await asyncio.wait({prompting, listening}, return_when=asyncio.FIRST_COMPLETED)
        given = await listening if begun.is_set() else {}
    finally:
        prompting.cancel()
        listening.cancel()
        await asyncio.wait({prompting, listening})
    empty_counts = verb.get("actionOnEmptyResult", "false").lower() == "true"
    if not given and not empty_counts:
        return None
    given = given or {"Digits": ""}
    if verb.get("action"):
        return run.action(verb, given)
    return run.fetch(run.base_url or "", verb.get("method"), given)


async def _prompt(run: Run, verb: Element) -> None:
    for spoken in verb:
        act = _VERBS.get(spoken.tag)
        if act is not None:
            await act(run, spoken)
    timeout_s = number(verb, "timeout", _GATHER_TIMEOUT_S)
    await run.take(timeout_s * 1000 * run.carrier.pace.pause_factor)


async def _collect(run: Run, verb: Element, begun: asyncio.Event) -> dict[str, str]:
    """The form fields of what the caller gave; ``begun`` is set by the first of it."""
    finish = verb.get("finishOnKey", "#")
    wanted = int(number(verb, "numDigits", 0))
    between_s = number(verb, "timeout", _GATHER_TIMEOUT_S) * run.carrier.pace.pause_factor
    digits = ""
    first = await run.call.inputs.get()
    while first.kind == "digit" and "dtmf" not in verb.get("input", "dtmf"):
        first = await run.call.inputs.get()
    begun.set()
    if first.kind == "speech":
        return {"SpeechResult": first.text, "Confidence": "0.9"}
    key = first.text
    with contextlib.suppress(TimeoutError):
        while key not in finish:
            digits += key
            if wanted and len(digits) >= wanted:
                break
            async with asyncio.timeout(between_s):
                key = (await run.call.inputs.get()).text
    return {"Digits": digits, "FinishedOnKey": key if key in finish else ""}


_VERBS: dict[str, Callable[[Run, Element], Awaitable[Step]]] = {
    "Connect": _connect,
    "Dial": dial,
    "Enqueue": enqueue,
    "Gather": _gather,
    "Hangup": _hangup,
    "Leave": _leave,
    "Pause": _pause,
    "Play": _play,
    "Record": _record,
    "Redirect": _redirect,
    "Refer": refer,
    "Reject": _reject,
    "Say": _say,
    "Start": _start,
    "Stop": _only_note,
}
_KNOWN = frozenset(_VERBS)

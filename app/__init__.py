"""Patchline answers phone calls with an AI and puts callers through to people.

Twilio brings the caller's audio on one WebSocket, OpenAI Realtime speaks on another, and
fifty times a second somebody decides what happens next. Here deciding, waiting and talking
live on different floors:

    machine.handle(event, now_ms) -> commands      decide: pure, synchronous
    machine.deadline_ms() -> int | None            when it wants to be woken
    machine.wake(now_ms) -> commands               that moment came

Words
    call      one telephone call: one CallSid, any number of streams, one conversation
    line      one WebSocket leg: the caller line (Twilio), the model line (OpenAI)
    event     something that happened: what the machine is told
    command   something the machine wants: what it answers
    runner    the live half of one stream: feeds the machine, carries its commands out
    record    the story of a call; outlives every runner
    playout   the ledger of what was sent to the caller and what was heard
    transfer  moving the caller to a person
    tool call the model's function call
    frame     20 ms of audio; a JSON text on a wire is a message
    Session, response and item are OpenAI's words, stream and mark are Twilio's; for nothing else.

Floors (imports run downwards only)

    main -> http -> runtime -> transports | services | tools -> call -> audio -> protocol
      '-- settings, agents             (these three never import each other)
    local -> emulators -> audio, protocol.units only   (never imported by the server)

A line of code about ... belongs in ...
    a number of the audio format                     `app/protocol/units.py`
    a new event or command                           `app/protocol/events.py`,
                                                     `app/protocol/commands.py`
    what Twilio's socket says                        `app/protocol/twilio_stream.py`
    what Twilio's webhooks say, what is signed       `app/protocol/twilio_webhooks.py`,
                                                     `app/protocol/twilio_signature.py`
    what we answer Twilio with                       `app/protocol/twiml.py`
    what the Realtime socket says                    `app/protocol/realtime.py`
    in what other servers differ                     `app/protocol/dialect.py`,
                                                     `app/transports/transcode.py`
    mu-law, tones                                    `app/audio/mulaw.py`, `app/audio/tones.py`
    where an event goes; a moment that came          `app/call/machine.py`
    … which components there are, which phase it is  `app/call/parts.py`
    … a model line comes or goes                     `app/call/connecting.py`
    … caller and model converse                      `app/call/dialogue.py`
    … the stream ends, or the call is taken away     `app/call/departure.py`
    when somebody wants to be woken                  `app/call/alarms.py`
    interrupting: clear, truncate, mute              `app/call/barge_in.py`
    how much was heard; echoes of cleared marks      `app/call/playout.py`
    one response at a time; what is audible          `app/call/responses.py`
    caller audio before the model is ready; gaps     `app/call/hearing.py`
    agent audio before the caller is there           `app/call/overture.py`
    keys the caller presses                          `app/call/digits.py`
    what a tool call is answered with                `app/call/toolbook.py`
    putting through, hanging up                      `app/call/transfer.py`,
                                                     `app/call/farewell.py`
    saying something before doing it                 `app/call/announcement.py`
    how a stream is waited for and left              `app/call/leaving.py`
    opening the model again, and giving up           `app/call/model_link.py`
    how long the caller may listen to nothing        `app/call/patience.py`
    whether the model is still there at all          `app/call/pulse.py`
    which model errors matter                        `app/call/faults.py`
    what we ask the model to say                     `app/call/prompts.py`
    who said what, as heard                          `app/call/transcript.py`
    telling a new model line what was said           `app/call/conversation.py`
    figures and end reasons of a call                `app/call/report.py`
    reading a call along                             `app/call/captions.py`
    a call's policies, as plain values               `app/call/plan.py`
    what an operator may write                       `app/agents/document.py`,
                                                     `app/agents/values.py`
    how a document is read and its mistakes told     `app/agents/load.py`,
                                                     `app/agents/problems.py`
    sockets: back-pressure, keepalive, closing       `app/transports/caller.py`,
                                                     `app/transports/model.py`,
                                                     `app/transports/outbox.py`
    taking the media socket over from uvicorn        `app/transports/takeover.py`
    a tool's signature, limits, failures             `app/tools/registry.py`,
                                                     `app/tools/parameters.py`
    the tools every agent has                        `app/tools/builtin.py`
    Twilio's REST API                                `app/services/twilio_rest.py`
    keeping records                                  `app/services/store.py`
    tasks, the alarm, one stream's life              `app/runtime/runner.py`
    effects and what goes wrong in them              `app/runtime/effects.py`
    live calls, capacity, draining                   `app/runtime/book.py`
    whose stream is whose: one-time tokens           `app/runtime/invitations.py`
    how a transfer ended, once for each              `app/runtime/dials.py`
    one call over all its streams, its record        `app/runtime/live_call.py`
    the TwiML of a line                              `app/runtime/scripts.py`
    who reads a call along                           `app/runtime/readers.py`,
                                                     `app/http/reading.py`
    flight logs and replaying them                   `app/runtime/flight_log.py`,
                                                     `app/runtime/replay.py`
    what /metrics tells                              `app/runtime/metrics.py`
    who may ask                                      `app/http/guard.py`
    Twilio's routes, the media door, the operator's  `app/http/voice.py`, `app/http/media.py`,
                                                     `app/http/api.py`
    the softphone: what is served, under which rules `app/http/pages.py`
    … the page itself, its sound and its sentences   `app/http/static`
    the first page: what runs, and who may see it    `app/http/home.py`, `app/front_page.py`
    … its steps: asked, judged, worded               `app/http/checklist.py`, `app/http/steps.py`,
                                                     `app/http/advice.py`
    … whether other computers would play their part  `app/services/checks.py`
    how a refusal is worded over HTTP                `app/http/problems.py`
    the record as clients are told of it             `app/http/record.py`
    how long and how large a request may be          `app/http/wire.py`
    a setting; which address can be meant            `app/settings.py`, `app/addresses.py`
    personal data in logs                            `app/log.py`
    whose fault something is                         `app/errors.py`
    what knows everybody                             `app/main.py`, `app/assembly.py`
    uvicorn, signals                                 `app/server.py`
    what takes the place of a missing account        `app/standins.py`, `app/companions.py`
    a command to type                                `app/__main__.py`
    what a Realtime server can do                    `app/doctor.py`, `app/doctor_visit.py`
    drawing a call, finding its record               `app/show.py`, `app/records.py`
    the local model's ears, wits and voice           `app/local/ports.py`
    the local Twilio, the local OpenAI, the demo     `app/emulators/twilio.py`,
                                                     `app/emulators/realtime.py`,
                                                     `app/emulators/demo.py`
    a call from the terminal, what is said in it     `app/emulators/terminal_call.py`,
                                                     `app/emulators/terminal_steps.py`
    the local carrier, what its phones may say       `app/emulators/carrier.py`,
                                                     `app/emulators/phone_socket.py`

Three walks. A frame: caller line -> machine -> AppendAudio -> model line, one string passed by
reference. An interruption: speech started -> barge_in asks playout what was heard -> clear,
truncate, mute, with no await in between. A transfer: tool call -> announcement heard -> REST ->
the stream stops, the runner ends, the record stays -> the dial result comes by webhook.
"""

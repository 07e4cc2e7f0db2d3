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
    jobs -> services | protocol                        (a process of its own; voice has its client)
    local -> emulators -> audio, protocol.units only   (never imported by the server)

A line of code about ... belongs in ...
    a number of the audio format                     `app/protocol/units.py`
    a new event or command                           `app/protocol/events.py`,
                                                     `app/protocol/commands.py`
    what Twilio's socket says                        `app/protocol/twilio_stream.py`
    what Twilio's webhooks say, what is signed       `app/protocol/twilio_webhooks.py`,
                                                     `app/protocol/twilio_signature.py`
    what we answer Twilio with                       `app/protocol/twiml.py`,
    … headers of a SIP address                       `app/protocol/sip_headers.py`
    what the Realtime socket says, and is told       `app/protocol/realtime_server_events.py`,
                                                     `app/protocol/realtime_client_events.py`
    in what other servers differ                     `app/protocol/dialect.py`,
                                                     `app/transports/transcode.py`
    mu-law, tones                                    `app/audio/mulaw.py`, `app/audio/tones.py`
    sound files, what is heard under the speech      `app/audio/sound_file.py`,
                                                     `app/audio/made.py`, `app/audio/mixing.py`
    where an event goes; a moment that came          `app/call/machine.py`
    … which components there are, which phase it is  `app/call/parts.py`
    … a model line comes or goes                     `app/call/connecting.py`
    … caller and model converse                      `app/call/dialogue.py`
    … the stream ends, or the call is taken away     `app/call/departure.py`
    when somebody wants to be woken                  `app/call/alarms.py`
    what is heard behind the speech, and when        `app/call/background.py`,
    … while a tool works; while on hold              `app/call/meanwhile.py`, `app/call/hold.py`,
    … who puts the caller on hold                    `app/call/holding.py`
    who is muted, and by whose order                 `app/call/mute.py`, `app/call/muting.py`
    interrupting: clear, truncate, mute              `app/call/barge_in.py`
    what must not be said: which rules, what follows `app/call/guardrails.py`,
                                                     `app/call/guarding.py`
    … a list of words                                `app/call/blocklist.py`
    … as the operator writes it; who is asked        `app/agents/guardrails.py`, `app/judging.py`,
                                                     `app/call/verdicts.py`
    … whether it may be; what only seems one         `app/call/attempts.py`,
                                                     `app/audio/presence.py`
    how much was heard; echoes of cleared marks      `app/call/playout.py`
    one response at a time; what is audible          `app/call/responses.py`
    caller audio before the model is ready; gaps     `app/call/hearing.py`
    agent audio before the caller is there           `app/call/overture.py`
    a caller who never pauses: noise                 `app/call/noise.py`
    keys the caller presses: a turn                  `app/call/digits.py`
    … something that was asked for                   `app/call/keypad.py`
    … who is told of it, and who is not              `app/call/keying.py`
    … what they sound like                           `app/call/key_tones.py`
    keys that we press                               `app/call/presses.py`,
                                                     `app/audio/dtmf.py`
    … who wants them, and is told                    `app/call/pressing.py`
    menus of calls we place                          `app/call/menus.py`,
                                                     `app/call/navigating.py`
    what a tool call is answered with                `app/call/toolbook.py`
    a call we placed: who speaks first; machines     `app/call/answering.py`
    putting through, hanging up                      `app/call/transfer.py`,
                                                     `app/call/farewell.py`
    … who can be had now, and why not                `app/call/openness.py`
    … in the agent's place; how that ended           `app/runtime/turned_away.py`
    … where that is: headers, tasks, programs asked  `app/call/ways.py`, `app/call/whereto.py`,
                                                     `app/runtime/ways.py`
    … redirected, or given back to who handed it us  `app/runtime/putting_through.py`
    … what it was about, for whoever takes it        `app/http/context.py`
    … to a person who is asked first                 `app/call/warm.py`, `app/call/reaching.py`,
                                                     `app/runtime/side_calls.py`,
                                                     `app/http/side_calls.py`
    saying something before doing it                 `app/call/announcement.py`
    what the operator orders, in its turn            `app/call/orders.py`, `app/call/obeying.py`
    how a stream is waited for and left              `app/call/leaving.py`
    opening the model again, and giving up           `app/call/model_link.py`
    another line beside it, and when to change over  `app/call/line_swap.py`
    … for another agent, who then goes on            `app/call/handoff.py`,
                                                     `app/call/handing_over.py`
    … a line that fails again and again              `app/call/failing.py`
    … what is heard while nobody could speak         `app/call/comfort.py`
    how long a call may last, and what it may cost   `app/call/limits.py`,
                                                     `app/call/winding_up.py`,
                                                     `app/call/prices.py`
    a caller who says nothing, and is reminded       `app/call/silence.py`,
                                                     `app/call/reminding.py`
    how long the caller may listen to nothing        `app/call/patience.py`
    whether the model is still there at all          `app/call/pulse.py`
    which model errors matter                        `app/call/faults.py`
    what we ask the model to say                     `app/call/prompts.py`
    who said what, as heard                          `app/call/transcript.py`
    telling a new model line what was said           `app/call/conversation.py`
    … what becomes known from events and commands    `app/call/chronicle.py`
    … the story they come to, its end reasons        `app/call/report.py`
    … the record, as it is told                      `app/call/record.py`
    what is known about a call, one by one           `app/call/facts.py`
    what the operator's programs are told of a call  `app/call/notices.py`
    what a call came to: what is asked, and believed `app/call/analysis.py`,
                                                     `app/services/analyst.py`
    reading a call along                             `app/call/captions.py`
    what was sent, played and heard, in order        `app/call/timeline.py`
    a call's policies, as plain values               `app/call/plan.py`
    texts with places: {{name}}                      `app/call/templates.py`,
    … what a call fills in, and where                `app/call/filling.py`,
                                                     `app/runtime/values.py`
    what an operator may write                       `app/agents/document.py`,
                                                     `app/agents/targets.py`,
                                                     `app/agents/dtmf.py`,
                                                     `app/agents/values.py`,
                                                     `app/agents/sounds.py`,
                                                     `app/agents/timeouts.py`,
                                                     `app/agents/limits.py`
    … several agents, and what holds for each        `app/agents/layers.py`,
                                                     `app/agents/offers.py`
    … the names in its texts                         `app/agents/templating.py`
    how a document is read and its mistakes told     `app/agents/load.py`,
                                                     `app/agents/problems.py`
    sockets: back-pressure, keepalive, closing       `app/transports/caller.py`,
                                                     `app/transports/model.py`,
                                                     `app/transports/outbox.py`
    taking the media socket over from uvicorn        `app/transports/takeover.py`
    a tool's signature, limits, failures             `app/tools/registry.py`,
                                                     `app/tools/parameters.py`
    … that is an HTTP API; its schema, its answer    `app/tools/http_tools.py`,
                                                     `app/tools/schemas.py`,
                                                     `app/tools/paths.py`
    … that a server offers                           `app/tools/mcp_tools.py`
    … as the operator writes it, and made of that    `app/agents/tooling.py`, `app/tool_kinds.py`
    a tool that is built in: a name, a schema, a row `app/call/built_in.py`,
                                                     `app/tools/builtin.py`, `app/built_ins.py`
    Twilio's REST API                                `app/services/twilio_rest.py`,
    … where it is not configured                     `app/services/no_carrier.py`
    a POST to an address somebody else chose         `app/services/webhook_post.py`
    work that outlives a process: what can be asked  `app/jobs/port.py`, `app/jobs/client.py`
    … which step follows which                       `app/jobs/workflows.py`
    … what follows a call, and who is told of it      `app/jobs/aftermath.py`,
                                                     `app/jobs/texting.py`,
                                                     `app/services/store/afterwards.py`,
                                                     `app/http/webhooks.py`
    … calling once, never twice                      `app/jobs/dial.py`, `app/jobs/pace.py`
    … who may be called, and when                    `app/jobs/destinations.py`,
                                                     `app/jobs/hours.py`
    hours of the week, and whether it is within them `app/hours.py`
    numbers that are costly, or not to be disturbed  `app/number_kinds.py`
    whose call it is: number, country, hour          `app/call/reception.py`,
    … as the operator writes it                      `app/agents/numbers.py`
    … a program that is asked who calls              `app/call/lookup.py`, `app/before_call.py`,
    … before anything is opened                      `app/runtime/reception.py`
    a menu for callers, before anybody answers       `app/call/line_menu.py`
    callers who wait for a place, where it is full   `app/call/lobby.py`, `app/runtime/lobby.py`,
                                                     `app/http/lobby.py`
    … what a receiver can check                      `app/jobs/signing.py`
    … who does it, who is dead, what is taken over   `app/jobs/lease.py`, `app/jobs/engine.py`
    … its ids, its database, its process             `app/jobs/ids.py`, `app/jobs/database.py`,
                                                     `app/jobs/process.py`, `app/jobs_child.py`
    the tables, their migrations, the database       `app/services/store/schema.py`,
                                                     `app/services/store/migrate.py`,
                                                     `app/services/store/database.py`
    … writing facts; what is let go of first         `app/services/store/writer.py`,
                                                     `app/services/store/backlog.py`
    … finding, reading, erasing calls                `app/services/store/calls.py`
    … which process holds a call; invitations        `app/services/store/leases.py`
    … what is told of a call that nobody holds yet   `app/services/store/waiting.py`
    … the call that a client's key stands for        `app/services/store/keys.py`
    … all of it, in one process                      `app/services/store/archive.py`
    how long calls are kept                          `app/runtime/retention.py`
    asking another process                           `app/services/bus.py`,
                                                     `app/services/no_bus.py`
    waiting for the database as long as callers may  `app/runtime/deadline.py`
    which process a request belongs to               `app/runtime/routing.py`
    a caller who phones again                        `app/runtime/continuing.py`
    what a call is to find out, and what fits it     `app/call/forms.py`
    … what is noted of it while they talk            `app/call/noted.py`, `app/runtime/forms.py`
    documents that the agent looks things up in      `app/runtime/knowledge.py`,
    … as the operator names them                     `app/agents/knowledge.py`
    … read into passages; quoted                     `app/tools/documents.py`,
                                                     `app/tools/knowledge.py`
    … searched: which words, which answer best       `app/services/store/knowledge.py`,
                                                     `app/call/wording.py`
    a reminder that the agent notes                  `app/runtime/reminders.py`
    a text message: sent, watched, received          `app/runtime/texting.py`,
                                                     `app/tools/texts.py`,
                                                     `app/http/messages.py`
    … a code that is sent and keyed in               `app/runtime/verification.py`
    … what Twilio says of it                         `app/protocol/twilio_messages.py`
    … when the agent speaks of it; in the record     `app/call/texts.py`, `app/call/sms.py`
    … who wants none                                 `app/services/store/opt_outs.py`
    … how long it may be                             `app/protocol/segments.py`
    what is written when the call is over            `app/runtime/correspondence.py`,
    … how it is told, what a model is asked of it    `app/call/written.py`,
                                                     `app/call/correspondence.py`
    … how it is answered, once                       `app/jobs/answering.py`
    … a page for it, and who may read it             `app/runtime/links.py`,
                                                     `app/http/link_page.py`
    when the call is recorded; what became of it     `app/call/recording.py`,
                                                     `app/call/recorded.py`,
                                                     `app/runtime/recording.py`
    … what Twilio says of it, its sound              `app/protocol/twilio_recordings.py`,
                                                     `app/services/recording_media.py`,
                                                     `app/http/recordings.py`, `app/recordings.py`
    … as the operator writes it                      `app/agents/recording.py`
    a call-back that the agent promises              `app/runtime/callbacks.py`,
                                                     `app/tools/callback.py`
    … what both promise is noted, hung up or not     `app/runtime/promises.py`
    what the operator may do with a live call        `app/http/commands.py`
    … what of its Realtime session, until when       `app/http/session_changes.py`,
                                                     `app/call/session_changing.py`,
                                                     `app/protocol/session_changes.py`
    … how an order reaches it, once or not at all    `app/runtime/commanding.py`,
                                                     `app/runtime/wishes.py`,
                                                     `app/runtime/once.py`
    a call that nobody holds: asked for, fetched     `app/runtime/custody.py`,
                                                     `app/runtime/adoption.py`
    tasks, the alarm, one stream's life              `app/runtime/runner.py`
    a tool that waits for a person                   `app/runtime/approvals.py`,
                                                     `app/http/approvals.py`
    effects and what goes wrong in them              `app/runtime/effects.py`
    a call we place: what was ordered, what comes    `app/runtime/orders.py`,
    … of it until somebody picks up                  `app/runtime/outbound.py`,
                                                     `app/runtime/queue.py`,
                                                     `app/http/outbound.py`,
                                                     `app/http/picked_up.py`
    … in the words of call-center-ai                 `app/http/call_center_ai.py`
    … as tools of other programs' models, by MCP     `app/http/mcp_calls.py`,
                                                     `app/http/mcp_protocol.py`,
                                                     `app/http/mcp.py`
    live calls: who enters, how each one ends        `app/runtime/book.py`
    … what a call meets, which agent answers it      `app/runtime/line.py`,
                                                     `app/runtime/roster.py`,
    … made of the document, again when it changes    `app/editions.py`, `app/reloading.py`
    what Twilio asks about a call and is told        `app/runtime/signalling.py`
    how many calls, whether new ones may come        `app/runtime/capacity.py`
    ending a process without cutting anybody off     `app/runtime/draining.py`
    what is known of a call that is over             `app/runtime/ended.py`
    what the model costs today, in all processes     `app/runtime/spending.py`,
                                                     `app/services/store/costs.py`,
                                                     `app/http/costs.py`
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
    … what clients may put to it                     `app/http/kept.py`
    … calls listed, told, erased, put data to        `app/http/records.py`,
                                                     `app/runtime/records.py`
    … what may be asked about them                   `app/http/queries.py`
    … as they happen; in others' words               `app/http/events.py`, `app/http/exports.py`
    how long and how large a request may be, how     `app/http/wire.py`, `app/http/room.py`
    many connections there may be
    which settings there are                         `app/settings.py`
    what a setting may be; which address is meant    `app/setting_values.py`, `app/addresses.py`
    personal data in logs                            `app/log.py`
    whose fault something is                         `app/errors.py`
    what knows everybody                             `app/main.py`, `app/assembly.py`
    what starts with the application, how it ends    `app/lifetime.py`
    uvicorn, signals                                 `app/server.py`
    what takes the place of a missing account        `app/standins.py`, `app/companions.py`
    a command to type                                `app/__main__.py`
    what keeps calls from coming in, and the fix     `app/line_doctor.py`,
    … the account's numbers                          `app/line_numbers.py`, `app/http/numbers.py`
    what a Realtime server can do                    `app/doctor.py`, `app/doctor_visit.py`
    drawing a call, finding its record               `app/show.py`, `app/records.py`
    the local model's ears, wits and voice           `app/local/ports.py`
    … what in them nobody foresaw                    `app/local/foreign.py`
    … how long they may wait for servers             `app/local/budget.py`
    … decoders made before a call lives              `app/local/spares.py`
    a program that speaks, ended when nobody listens `app/emulators/voice_program.py`
    the local Twilio, the local OpenAI, the demo     `app/emulators/twilio.py`,
                                                     `app/emulators/realtime.py`,
                                                     `app/emulators/demo.py`
    … killed in its middle; what it is judged by     `app/emulators/demo_kill.py`,
                                                     `app/emulators/demo_verdict.py`
    … in scenarios: what has to be heard, by ear     `app/emulators/scenarios`
    … what it records, and how that is fetched       `app/emulators/twilio_tape.py`,
                                                     `app/emulators/twilio_recordings.py`
    a call from the terminal, what is said in it     `app/emulators/terminal_call.py`,
                                                     `app/emulators/terminal_steps.py`
    a simulated call: its file, read with its faults `app/simulation/cases.py`,
                                                     `app/simulation/load.py`
    … where it happens, what stands in for tools     `app/simulation/lanes.py`
    … several at a time; was it as expected; told    `app/simulation/run.py`,
                                                     `app/simulation/verdict.py`,
                                                     `app/simulation/report.py`
    … its caller and line, its scripted model        `app/emulators/simulation.py`,
                                                     `app/emulators/simulated_model.py`
    the local carrier, what its phones may say       `app/emulators/carrier.py`,
                                                     `app/emulators/phone_socket.py`
    … what becomes of text messages there            `app/emulators/twilio_messages.py`

Three walks. A frame: caller line -> machine -> AppendAudio -> model line, one string passed by
reference. An interruption: speech started -> barge_in asks playout what was heard -> clear,
truncate, mute, with no await in between. A transfer: tool call -> announcement heard -> REST ->
the stream stops, the runner ends, the record stays -> the dial result comes by webhook.
"""

// What the page says when something is not as it should be: what happened, and the way on.

const MEANWHILE = "Until then the call works with typed words, keys and captions.";
const HERE = `http://localhost${location.port ? `:${location.port}` : ""}/phone`;

const MICROPHONE = {
  insecure:
    `Browsers give the microphone only to pages on localhost, and this one is on ${location.host}. ` +
    `Open ${HERE} on the machine that Patchline runs on.`,
  NotAllowedError:
    "This page may not use the microphone. Allow it with the icon beside the address, or in the " +
    `system's privacy settings, and try again. ${MEANWHILE}`,
  NotFoundError: `No microphone was found. Plug one in and try again. ${MEANWHILE}`,
  NotReadableError:
    `Another program holds the microphone, or the system refuses it. Close that program and try ` +
    `again. ${MEANWHILE}`,
  microphone_gone: `The microphone was unplugged. Plug it in and try again. ${MEANWHILE}`,
  microphone_silent:
    "The microphone gives nothing but silence. Is it switched off, or is another one meant? " +
    MEANWHILE,
};

export const SOUND = {
  suspended: "The browser holds the sound back until you ask for it.",
  no_audio:
    "This browser found nothing to play sound on, so nothing will be heard. The call goes on with " +
    "typed words, keys and captions.",
};

export const LATE = {
  hidden: "This tab is in the background and was held up: keep it in sight while you talk.",
  busy: "The sound was held up: this machine is busy, or it was asleep.",
};

export const REPLACED = "This phone was opened in another tab or window, which has the line now.";
export const LOST = "The line was lost, and the call with it.";
export const TAKEN = "Another tab or window took the line, which ended this call.";
export const NO_VOICE =
  "Nothing is installed that could say it for you: apt-get install flite, or espeak-ng.";
export const ASKING = "Your browser asks whether this page may use the microphone.";
export const OVER = "The call is over.";

// By the end reasons of the server's records (docs, "end reason").
export const ENDINGS = {
  caller_hangup: "You hung up.",
  assistant_hangup: "The agent hung up.",
  transferred: "You were put through to a person, and that conversation is over.",
  operator_ended: "The operator of this server ended the call.",
  max_duration: "The call lasted as long as calls may, so the agent ended it.",
  guardrail: "What was said is against the rules of this line, so the call ended.",
  cost_limit: "The call, or the day, cost as much as the operator allows, so the call ended.",
  silence_timeout: "You said nothing for a long time, so the agent ended the call.",
  voicemail_left: "A machine answered and was told the message.",
  ivr: "A menu answered, and the agent found no way through it.",
  voicemail_hangup: "A machine or a fax answered, so the agent hung up.",
  busy: "Whoever was called was talking to somebody else.",
  no_answer: "Nobody picked up.",
  rejected: "This number may not be called.",
  closed_hours: "The line is closed at this hour, and you were told so.",
  blocked: "This number takes no calls from where you call.",
  canceled: "The call was taken back before anybody picked up.",
  dial_failed: "The call could not be placed.",
  transfer_failed: "Nobody answered where you were to be put through, so the call ended.",
  left_queue: "You hung up while you waited for a place.",
  capacity:
    "The server has as many calls as it takes at once (MAX_CONCURRENT_CALLS), so this one ended. " +
    "Try again in a moment.",
  model_failed:
    "The model could not be reached, or was lost in the middle of the call, so the call ended. " +
    "Try again; what went wrong is in the server's log.",
  carrier_failed:
    "The carrier failed, or what the server asked of it did, so the call ended. Try again; what " +
    "went wrong is in the server's log.",
  stream_lost: "The sound of the call broke off without a word, so the call ended. Try again.",
  server_shutdown: "The server was told to end during the call. Try again when it is back.",
};

// By the reasons the local carrier has of its own.
export const CARRIER_ENDINGS = {
  busy: "The line was busy.",
  "no-answer": "Nobody answered.",
  canceled: "The call was given up before it was answered.",
  failed: "The carrier could not put the call through.",
  error: "The carrier could not use the server's answer, so the call ended.",
  stream: "The sound of the call broke off, so the call ended.",
  refer: "The call was handed on to another telephone.",
  carrier_closed: "The local carrier was told to end during the call.",
};

const CALLERS = { caller: "You hung up.", person: "The person hung up." };
const PERSONS = { caller: "The caller hung up.", person: "You hung up." };

// Who put the receiver down. That the agent's side did may be a goodbye or a failure.
export function hungUp(phone, by, reason) {
  const who = phone === "person" ? PERSONS : CALLERS;
  return (by === "carrier" ? CARRIER_ENDINGS[reason] : who[by]) ?? OVER;
}

export const NO_CAPTIONS = "There are no captions for this call; the sound is not affected.";

export function microphoneSentence(name) {
  return MICROPHONE[name] ?? `The microphone could not be opened (${name}). ${MEANWHILE}`;
}

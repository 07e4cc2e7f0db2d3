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
export const NO_VOICE =
  "Nothing is installed that could say it for you: apt-get install flite, or espeak-ng.";
export const ASKING = "Your browser asks whether this page may use the microphone.";
export const NO_CAPTIONS = "There are no captions for this call; the sound is not affected.";

export function microphoneSentence(name) {
  return MICROPHONE[name] ?? `The microphone could not be opened (${name}). ${MEANWHILE}`;
}

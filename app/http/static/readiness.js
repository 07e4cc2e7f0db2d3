// Getting microphone and loudspeaker ready, as far as there are any; what is missing is said,
// with a button that tries again, and holds nothing up.

import * as sentences from "./sentences.js";

const ASKING_AFTER_MS = 700;

export class Readiness {
  #sound;
  #notices;
  #raw;
  #changed;
  #goOn = () => {};

  // `raw` tells whether the microphone is wanted as it is; `changed` is called when something
  // came or went.
  constructor(sound, notices, raw, changed) {
    this.#sound = sound;
    this.#notices = notices;
    this.#raw = raw;
    this.#changed = changed;
    sound.addEventListener("trouble", ({ detail }) => this.#trouble(detail.code));
    sound.addEventListener("microphone", () => notices.hide("microphone"));
    sound.addEventListener("handset", changed);
  }

  // Call this first thing in a click.
  async prepare() {
    this.#notices.hide("microphone", "sound");
    this.#sound.wake();
    const wrong = await this.#ask();
    await this.#sound.begin();
    if (wrong !== null) this.#without(wrong);
  }

  // Whoever waits in `prepare` for an answer waits no longer.
  giveUp() {
    this.#goOn();
  }

  async #ask() {
    const asked = this.#sound.listen(this.#raw());
    // The answer may come when the person has long decided to go on without.
    asked.then(this.#changed);
    const without = new Promise((resolve) => (this.#goOn = () => resolve(null)));
    const action = { label: "Go on without", run: () => this.#goOn() };
    const showing = setTimeout(
      () => this.#notices.show("asking", sentences.ASKING, { action }),
      ASKING_AFTER_MS,
    );
    const wrong = await Promise.race([asked, without]);
    clearTimeout(showing);
    this.#notices.hide("asking");
    return wrong;
  }

  #trouble(code) {
    if (code in sentences.SOUND) {
      const action = { label: "Turn the sound on", run: () => this.#soundAgain() };
      this.#notices.show("sound", sentences.SOUND[code], { action });
      this.#changed();
    } else {
      this.#without(code);
    }
  }

  async #soundAgain() {
    if (await this.#sound.retry()) this.#notices.hide("sound");
    this.#changed();
  }

  #without(name) {
    const again = { label: "Try the microphone again", run: () => this.#microphoneAgain() };
    const action = name === "insecure" ? null : again;
    this.#notices.show("microphone", sentences.microphoneSentence(name), { action });
    this.#changed();
  }

  async #microphoneAgain() {
    this.#sound.wake();
    const wrong = await this.#sound.listen(this.#raw());
    if (wrong === null) this.#notices.hide("microphone");
    else this.#without(wrong);
    this.#changed();
  }
}

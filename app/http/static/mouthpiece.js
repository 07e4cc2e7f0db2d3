// What the caller says, cut into frames of exactly 160 bytes: 20 ms each, none longer or
// shorter, none skipped while the line is open. Muted, the frames are silence: a telephone line
// never pauses.

import { FRAME_BYTES, SILENCE, encode } from "./g711.js";

export class Mouthpiece {
  #frame = new Uint8Array(FRAME_BYTES);
  #filled = 0;
  #send;
  open = false;
  muted = false;

  constructor(send) {
    this.#send = send;
  }

  // A line that opens begins with a whole frame.
  setOpen(open) {
    this.open = open;
    this.#filled = 0;
  }

  speak(samples) {
    if (!this.open) return;
    for (let n = 0; n < samples.length; n++) {
      this.#put(this.muted ? SILENCE : encode(samples[n]));
    }
  }

  #put(code) {
    this.#frame[this.#filled++] = code;
    if (this.#filled < FRAME_BYTES) return;
    this.#send(this.#frame);
    this.#frame = new Uint8Array(FRAME_BYTES);
    this.#filled = 0;
  }
}

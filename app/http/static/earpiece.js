// What is still to be heard. As on a real line, what arrives faster than it can be heard waits
// here; a mark comes back when everything before it was heard, at once when nothing waits; a
// clear throws away what waits and brings every mark back, in order.
//
// Rule: positions are counted in bytes of audio, never in time. It knows no clock: whoever owns
// one (the audio device, or a timer where there is none) pulls.

import { DECODED } from "./g711.js";

export class Earpiece {
  #chunks = [];
  #offset = 0; // bytes of the first chunk that were heard
  #arrived = 0;
  #heard = 0;
  #marks = []; // {name, at}
  #returnMark;

  constructor(returnMark) {
    this.#returnMark = returnMark;
  }

  play(bytes) {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#arrived += bytes.length;
  }

  mark(name) {
    if (this.#heard >= this.#arrived) this.#returnMark(name);
    else this.#marks.push({ name, at: this.#arrived });
  }

  clear() {
    this.#silence();
    this.#returnDue();
  }

  // The stream is over: nobody waits for its marks any more.
  drop() {
    this.#marks = [];
    this.#silence();
  }

  // Hears up to `samples.length` bytes, decoded into `samples`; silence where there is nothing.
  pull(samples) {
    let filled = 0;
    while (filled < samples.length && this.#chunks.length > 0) {
      filled += this.#copy(samples, filled);
    }
    samples.fill(0, filled);
    this.#heard += filled;
    this.#returnDue();
  }

  // Everything that waits, for another earpiece to go on with.
  leave() {
    const chunks = this.#chunks.map((chunk, n) => (n === 0 ? chunk.slice(this.#offset) : chunk));
    const marks = this.#marks.map(({ name, at }) => ({ name, at: at - this.#heard }));
    this.drop();
    return { chunks, marks };
  }

  // What another earpiece left goes before what arrived here meanwhile.
  take({ chunks, marks }) {
    const length = chunks.reduce((total, chunk) => total + chunk.length, 0);
    const later = this.#marks.map(({ name, at }) => ({ name, at: at + length }));
    const sooner = marks.map(({ name, at }) => ({ name, at: at + this.#heard }));
    const rest = this.#chunks.map((chunk, n) => (n === 0 ? chunk.slice(this.#offset) : chunk));
    this.#chunks = [...chunks, ...rest];
    this.#offset = 0;
    this.#marks = [...sooner, ...later];
    this.#arrived += length;
    this.#returnDue();
  }

  #copy(samples, from) {
    const chunk = this.#chunks[0];
    const count = Math.min(samples.length - from, chunk.length - this.#offset);
    for (let n = 0; n < count; n++) samples[from + n] = DECODED[chunk[this.#offset + n]];
    this.#offset += count;
    if (this.#offset === chunk.length) {
      this.#chunks.shift();
      this.#offset = 0;
    }
    return count;
  }

  #silence() {
    this.#chunks = [];
    this.#offset = 0;
    this.#heard = this.#arrived;
  }

  #returnDue() {
    while (this.#marks.length > 0 && this.#marks[0].at <= this.#heard) {
      this.#returnMark(this.#marks.shift().name);
    }
  }
}

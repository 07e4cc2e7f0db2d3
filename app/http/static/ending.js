// How a call ended, in one sentence. Two know something of it: the carrier who put the receiver
// down, and at once; the server why, a moment earlier or later. That another tab took the line
// only the page knows: to the server its caller hung up.
//
// Rule: why comes before who, for a machine also hangs up where it failed; but who hung up on a
// person only the carrier knows. Nobody's shorthand is shown, and what nobody told is not made up.

import * as sentences from "./sentences.js";

const TOLD = "The call ended: ";
const WITH_A_PERSON = "transferred";

export class Ending {
  #show;
  #calls = 0;
  #reason = null;
  #who = null;
  #taken = null;

  // `show` is given an id, the same for all of a call, and the sentence as it is now.
  constructor(show) {
    this.#show = show;
  }

  // Another call: what comes is about that.
  begin() {
    this.#calls++;
    this.#reason = this.#who = this.#taken = null;
  }

  // What the server says, as "The call ended: REASON".
  why(text) {
    this.#reason = text.startsWith(TOLD) ? text.slice(TOLD.length) : text;
    this.#tell();
  }

  // What the carrier says, as a sentence.
  who(sentence) {
    this.#who = sentence;
    this.#tell();
  }

  // What the page knows, as a sentence: the line went to another tab.
  taken(sentence) {
    this.#taken = sentence;
    this.#tell();
  }

  #tell() {
    const why = sentences.ENDINGS[this.#reason];
    const whoFirst = why === undefined || this.#reason === WITH_A_PERSON;
    const [first, then] = whoFirst ? [this.#who, why] : [why, this.#who];
    this.#show(`end-${this.#calls}`, this.#taken ?? first ?? then ?? sentences.OVER);
  }
}

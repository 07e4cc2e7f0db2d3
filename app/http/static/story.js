// What the server tells about a call, as server-sent events. The page asks as soon as a CallSid
// is known, which may be before the server knows the call: it asks again for a while.

const AGAIN_MS = 500;
const MOST_TRIES = 20;
const AFTERMATH_MS = 4000;

export class Story {
  #take;
  #silent;
  #source = null;
  #again = null;
  #callSid = null;

  // `take` gets every event; `silent` is called when there is no story to be had.
  constructor(take, silent) {
    this.#take = take;
    this.#silent = silent;
  }

  // A call that is followed already goes on being followed.
  follow(callSid) {
    if (callSid === this.#callSid) return;
    this.stop();
    this.#callSid = callSid;
    this.#open(`/phone/events?${new URLSearchParams({ callSid })}`, MOST_TRIES);
  }

  // The call is over; the last words may still be on their way.
  finish() {
    const source = this.#source;
    setTimeout(() => {
      if (this.#source === source) this.stop();
    }, AFTERMATH_MS);
  }

  stop() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = null;
  }

  #open(url, tries) {
    const source = new EventSource(url);
    this.#source = source;
    source.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      this.#take(event);
      if (event.kind === "end") this.stop();
    };
    source.onerror = () => {
      // CONNECTING: the browser tries again by itself. CLOSED: it was refused.
      if (source.readyState !== EventSource.CLOSED || this.#source !== source) return;
      if (tries === 0) this.#silent();
      else this.#again = setTimeout(() => this.#open(url, tries - 1), AGAIN_MS);
    };
  }
}

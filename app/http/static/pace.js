// Whether frames come when they should. A page in the background, a busy machine, a laptop that
// slept: the person is told, because the agent hears it as a stutter.

const LATE_MS = 400;

export class Pace {
  #last = null;
  #tell;

  // `tell` is given "hidden" or "busy".
  constructor(tell) {
    this.#tell = tell;
  }

  restart() {
    this.#last = null;
  }

  frame(now) {
    const late = this.#last !== null && now - this.#last > LATE_MS;
    this.#last = now;
    if (late) this.#tell(document.hidden ? "hidden" : "busy");
  }
}

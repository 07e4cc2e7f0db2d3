// The socket to the local carrier: one telephone line, kept open. Fires an event per message,
// and "up", "down" {sentence, wait_s} and "replaced".
//
// Rule: who was replaced by another tab does not fight for the line; everybody else comes back,
// after 1, 2, 4 and at most 8 seconds, with a ticket asked for anew: a server that was started
// again has another one.

const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 8;
const MOST_UNSENT_BYTES = 64 * 1024;
const REPLACED = 4000;

export class Line extends EventTarget {
  #name;
  #setup;
  #socket = null;
  #wait_s = FIRST_WAIT_S;
  #retry = null;

  // `setup` asks the server for {line, ticket} and throws an Error with a sentence.
  constructor(name, setup) {
    super();
    this.#name = name;
    this.#setup = setup;
  }

  get up() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  async open() {
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = null;
    try {
      const { line, ticket } = await this.#setup();
      this.#connect(`${line}?${new URLSearchParams({ ticket, line: this.#name })}`);
    } catch (fault) {
      this.#down(fault.message);
    }
  }

  send(event, rest = {}) {
    if (this.up) this.#socket.send(JSON.stringify({ event, ...rest }));
  }

  // A frame that cannot leave in time is worth nothing later.
  sendAudio(bytes) {
    if (!this.up || this.#socket.bufferedAmount > MOST_UNSENT_BYTES) return;
    const payload = btoa(String.fromCharCode(...bytes));
    this.#socket.send(`{"event":"media","media":{"payload":"${payload}"}}`);
  }

  #connect(url) {
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => this.dispatchEvent(new CustomEvent("up"));
    socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#closed(code);
    };
  }

  #heard(message) {
    if (message.event === "ready") this.#wait_s = FIRST_WAIT_S;
    this.dispatchEvent(new CustomEvent(message.event, { detail: message }));
  }

  #closed(code) {
    if (code === REPLACED) this.dispatchEvent(new CustomEvent("replaced"));
    else this.#down("The local telephone line does not answer. Is Patchline still running?");
  }

  #down(sentence) {
    const wait_s = this.#wait_s;
    this.#wait_s = Math.min(2 * wait_s, LONGEST_WAIT_S);
    this.#retry = setTimeout(() => this.open(), wait_s * 1000);
    this.dispatchEvent(new CustomEvent("down", { detail: { sentence, wait_s } }));
  }
}

export function bytesOf(payload) {
  return Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
}

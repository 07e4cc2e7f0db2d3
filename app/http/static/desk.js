// The page as a thing to look at: which buttons there are in which state, and what they are
// called. Decides nothing.

export const State = Object.freeze({
  DOWN: "down", // no line to the carrier
  IDLE: "idle",
  PREPARING: "preparing", // the microphone is being asked for
  CALLING: "calling", // our webhook is being asked
  LIVE: "live", // talking to the agent
  BETWEEN: "between", // in a call, and talking to nobody: what comes next is up to the carrier
  DIALLING: "dialling", // a person is being called
  BRIDGED: "bridged", // talking to the person
  RINGING: "ringing", // the person's phone rings
});

const STATUS = {
  caller: {
    down: "No line",
    idle: "Ready",
    preparing: "Getting ready …",
    calling: "Calling …",
    live: "Talking",
    between: "One moment …",
    dialling: "Putting you through …",
    bridged: "Talking to a person",
  },
  person: {
    down: "No line",
    idle: "Waiting for a call",
    preparing: "Getting ready …",
    ringing: "Ringing",
    between: "One moment …",
    bridged: "Talking",
  },
};
const IN_CALL = new Set(["preparing", "calling", "live", "between", "dialling", "bridged"]);
const KEYS_IN = new Set(["calling", "live", "between", "dialling", "bridged"]);
const FLOOR_DB = -60;

export class Desk {
  #began = null;
  #ticking = null;
  #blinking = null;
  #title = document.title;

  constructor(line) {
    this.line = line;
    document.body.dataset.line = line;
    if (line === "person") this.#bePerson();
  }

  get(id) {
    return document.getElementById(id);
  }

  announce(text) {
    this.get("announcer").textContent = text;
  }

  show(state, { voice, status }) {
    const person = this.line === "person";
    const talking = state === State.LIVE || state === State.BRIDGED;
    document.body.dataset.state = state;
    this.get("status").textContent = status ?? STATUS[this.line][state] ?? "";
    this.#button(state, person);
    this.get("answer").hidden = this.get("decline").hidden = state !== State.RINGING;
    this.get("mute").disabled = !IN_CALL.has(state);
    this.get("mute").hidden = state === State.RINGING;
    const they = person ? "Caller" : "Agent";
    this.get("meter-they-name").textContent = !person && state === State.BRIDGED ? "Person" : they;
    for (const key of document.querySelectorAll("[data-key]")) key.disabled = !KEYS_IN.has(state);
    this.get("say").disabled = !talking || voice === "none" || voice === undefined;
    this.get("send").disabled = state !== State.LIVE;
    this.get("raw").disabled = IN_CALL.has(state);
    this.#time(talking || state === State.BETWEEN || state === State.DIALLING);
    this.#blink(state === State.RINGING);
  }

  levels(you, they) {
    this.get("meter-you").style.setProperty("--level", share(you));
    this.get("meter-they").style.setProperty("--level", share(they));
  }

  #button(state, person) {
    const call = this.get("call");
    const inCall = IN_CALL.has(state);
    call.hidden = state === State.RINGING || (person && !inCall);
    call.disabled = state === State.DOWN;
    call.classList.toggle("hang-up", inCall);
    const leave = state === State.PREPARING ? "Cancel" : "Hang up";
    call.textContent = inCall ? leave : "Call";
  }

  #bePerson() {
    document.title = this.#title = "The person's phone – Patchline";
    this.get("who").textContent = "You are the person";
    this.get("tagline").textContent = "The phone that rings when the agent puts a caller through";
    this.get("empty").textContent = "Keep this tab open. When the agent puts a caller through, it rings here.";
    this.get("talk-title").textContent = "What happened";
  }

  #time(running) {
    const time = this.get("time");
    time.hidden = !running;
    if (running === (this.#ticking !== null)) return;
    clearInterval(this.#ticking);
    this.#ticking = null;
    if (!running) return;
    this.#began = performance.now();
    const show = () => (time.textContent = clock(performance.now() - this.#began));
    show();
    this.#ticking = setInterval(show, 500);
  }

  #blink(ringing) {
    clearInterval(this.#blinking);
    document.title = ringing ? "☎ Ringing – Patchline" : this.#title;
    if (!ringing || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    let on = true;
    this.#blinking = setInterval(() => {
      on = !on;
      document.title = on ? "☎ Ringing – Patchline" : this.#title;
    }, 1000);
  }
}

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// Loudness as the ear has it: -60 dBFS is nothing, 0 dBFS all.
function share(rms) {
  const db = rms > 0 ? 20 * Math.log10(rms) : FLOOR_DB;
  return Math.max(0, Math.min(1, 1 - db / FLOOR_DB)).toFixed(3);
}

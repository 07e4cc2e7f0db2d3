// The telephone: joins line, sound, captions and desk. Decides what happens when, and nothing
// else; every state change goes through `#enter`.
//
//   down <-> idle -> preparing -> calling -> live -> between -> dialling -> bridged -> idle
//   a phone that rings: idle -> ringing -> preparing -> between -> live or bridged -> idle

import { Captions } from "./captions.js";
import { Desk, State } from "./desk.js";
import { Ending } from "./ending.js";
import { keypad } from "./keypad.js";
import { Line, bytesOf } from "./line.js";
import { Notices } from "./notices.js";
import { Pace } from "./pace.js";
import { Readiness } from "./readiness.js";
import * as sentences from "./sentences.js";
import { askSetup, showRungs } from "./setup.js";
import { Sound } from "./sound.js";
import { Story } from "./story.js";
import { Typed } from "./typed.js";

const HUNG_UP_WITHIN_MS = 3000;
const RINGING = { hz: [440, 554], onMs: 900, offMs: 1800 };

class Telephone {
  #name = new URLSearchParams(location.search).get("line") === "person" ? "person" : "caller";
  #desk = new Desk(this.#name);
  #notices = new Notices(this.#desk.get("notices"));
  #sound = new Sound();
  #line = new Line(this.#name, () => this.#askSetup());
  #captions = new Captions(this.#desk.get("captions"), (text) => this.#desk.announce(text));
  #ending = new Ending((id, text) => this.#captions.take({ kind: "note", id, text }));
  #story = new Story(
    (event) => this.#told(event),
    () => this.#notices.show("captions", sentences.NO_CAPTIONS, { hint: true }),
  );
  #readiness = new Readiness(
    this.#sound,
    this.#notices,
    () => this.#desk.get("raw").checked,
    () => this.#soundChanged(),
  );
  #pace = new Pace((why) => this.#late(why));
  #state = State.DOWN;
  #attempt = 0; // of getting ready: a cancelled one must not dial
  #callSid = null;
  #voice;
  #rungs = [];
  #endTone = () => {};

  start() {
    this.#listenToLine();
    this.#listenToSound();
    this.#listenToPerson();
    this.#enter(State.DOWN, "Connecting …");
    this.#line.open();
  }

  // --- what the carrier says

  #listenToLine() {
    const answers = {
      ready: (message) => this.#ready(message),
      down: (fault) => this.#down(fault),
      replaced: () => this.#replaced(),
      calling: ({ callSid }) => this.#calling(callSid),
      start: ({ callSid }) => this.#streaming(callSid),
      media: ({ media }) => this.#sound.play(bytesOf(media.payload)),
      mark: ({ mark }) => this.#sound.mark(mark.name),
      clear: () => this.#sound.clear(),
      stop: () => this.#stopped(),
      said: ({ text }) => this.#told({ kind: "note", id: `said-${performance.now()}`, text }),
      ring: (message) => this.#ring(message),
      "ringing-over": () => this.#over("The caller is gone."),
      dialling: ({ to }) => this.#dialling(to),
      bridged: () => this.#bridged(),
      sms: (message) => this.#sms(message),
      hungup: (message) => this.#hungUp(message),
      problem: ({ code, sentence }) => this.#problem(code, sentence),
    };
    for (const [event, answer] of Object.entries(answers)) {
      this.#line.addEventListener(event, ({ detail }) => answer(detail));
    }
  }

  #ready({ number, voice }) {
    this.#voice = voice;
    this.#desk.get("number").textContent = number ? `Your number is ${number}` : "";
    const silent = voice === "none";
    this.#desk.get("no-voice").hidden = !silent;
    this.#desk.get("no-voice").textContent = silent ? sentences.NO_VOICE : "";
    this.#notices.hide("line", "replaced");
    if (this.#state === State.DOWN) this.#enter(State.IDLE);
  }

  #down({ sentence, wait_s }) {
    const lost = this.#callSid !== null;
    if (lost) this.#captions.note(sentences.LOST);
    this.#leaveCall();
    this.#enter(State.DOWN);
    const action = { label: "Try now", run: () => this.#line.open() };
    this.#notices.show("line", `${sentence} Trying again in ${wait_s} s.`, { action });
  }

  #replaced() {
    if (this.#callSid !== null) this.#ending.taken(sentences.TAKEN);
    this.#leaveCall();
    this.#enter(State.DOWN, "In another tab");
    const action = { label: "Take the line back", run: () => this.#line.open() };
    this.#notices.show("replaced", sentences.REPLACED, { action });
  }

  #calling(callSid) {
    this.#callSid = callSid;
    this.#enter(State.CALLING);
    this.#story.follow(callSid);
  }

  #streaming(callSid) {
    this.#callSid = callSid;
    this.#desk.get("empty").hidden = true;
    this.#story.follow(callSid);
    this.#enter(State.LIVE);
    this.#openSound(true);
  }

  #stopped() {
    this.#openSound(false);
    this.#sound.drop();
    if (this.#state === State.LIVE) this.#enter(State.BETWEEN);
  }

  // That it rings over there is heard from the carrier, as on any telephone.
  #dialling(to) {
    this.#captions.note(`Putting you through to ${to} …`);
    this.#enter(State.DIALLING);
  }

  #bridged() {
    this.#captions.note(this.#name === "person" ? "The caller is on the line." : "You are through.");
    this.#enter(State.BRIDGED);
    this.#openSound(true);
  }

  #ring({ callSid, from, to, sentence = `${from} calls ${to}` }) {
    this.#callSid = callSid;
    this.#enter(State.RINGING, sentence);
    this.#endTone = this.#sound.tone(RINGING.hz, RINGING.onMs, RINGING.offMs);
    this.#desk.get("answer").focus();
    this.#desk.announce(`${sentence}. Answer or decline.`);
  }

  #sms(message) {
    this.#desk.get("empty").hidden = true;
    this.#captions.sms(message);
  }

  #hungUp({ by, reason }) {
    this.#ending.who(sentences.hungUp(this.#name, by, reason));
    this.#over(null);
  }

  #problem(code, sentence) {
    if (code === "replaced") return;
    const busy = { label: "Hang up the other call", run: () => this.#hangUpOther() };
    this.#notices.show(`problem-${code}`, sentence, { action: code === "busy" ? busy : null });
    if (this.#state === State.CALLING || this.#state === State.PREPARING) this.#over(null);
  }

  #hangUpOther() {
    this.#line.send("hangup");
    this.#notices.hide("problem-busy");
  }

  // --- what is heard and said

  #listenToSound() {
    const answers = {
      frame: ({ bytes }) => this.#frame(bytes),
      mark: ({ name }) => this.#line.send("mark", { mark: { name } }),
      levels: ({ microphone, earpiece }) => this.#desk.levels(microphone, earpiece),
    };
    for (const [event, answer] of Object.entries(answers)) {
      this.#sound.addEventListener(event, ({ detail }) => answer(detail));
    }
  }

  #frame(bytes) {
    this.#pace.frame(performance.now());
    this.#line.sendAudio(bytes);
  }

  #openSound(on) {
    this.#pace.restart();
    this.#sound.setOpen(on);
  }

  // Between calls the microphone is tried, and let go again.
  #soundChanged() {
    if (this.#state === State.IDLE || this.#state === State.DOWN) this.#sound.stopListening();
    this.#showYou();
  }

  #late(why) {
    this.#notices.show("late", sentences.LATE[why], { hint: true });
  }

  // --- what the person does

  #listenToPerson() {
    const desk = this.#desk;
    const on = (id, event, run) => desk.get(id).addEventListener(event, run);
    on("call", "click", (event) => this.#pressedCall(event));
    on("answer", "click", () => this.#answer());
    on("decline", "click", () => this.#decline());
    on("mute", "click", () => this.#mute(desk.get("mute").ariaPressed !== "true"));
    on("wake", "click", () => this.#turnRingingOn());
    new Typed(desk, (text) => this.#line.send("say", { text }), () => this.#callSid);
    keypad(desk.get("telephone"), (digit) => this.#press(digit));
  }

  #pressedCall(event) {
    // The second half of a double click would hang up what the first half began.
    if (event.detail > 1) return;
    if (this.#state === State.IDLE) this.#dial();
    else this.#hangUp();
  }

  async #dial() {
    this.#desk.get("empty").hidden = true;
    if (!(await this.#getReady())) return;
    this.#enter(State.CALLING);
    this.#line.send("dial");
  }

  async #answer() {
    this.#desk.get("empty").hidden = true;
    this.#desk.get("telephone").focus(); // the button goes, and keys may be asked for
    if (!(await this.#getReady())) return;
    this.#enter(State.BETWEEN); // before it is talked, something may be said and asked
    this.#line.send("answer");
  }

  #decline() {
    this.#line.send("decline");
    this.#over("You declined.");
  }

  // False when it was cancelled meanwhile.
  async #getReady() {
    const attempt = ++this.#attempt;
    this.#story.stop();
    this.#captions.clear(); // the entries of two calls have the same ids
    this.#ending.begin();
    this.#notices.hide("late", "captions");
    this.#notices.hideAll("problem-");
    this.#enter(State.PREPARING);
    await this.#readiness.prepare();
    this.#showYou();
    return attempt === this.#attempt;
  }

  #hangUp() {
    if (this.#state === State.PREPARING) return this.#cancel();
    const attempt = this.#attempt;
    this.#line.send("hangup");
    this.#openSound(false);
    this.#sound.drop();
    setTimeout(() => {
      const waiting = this.#state !== State.IDLE && this.#state !== State.DOWN;
      if (waiting && attempt === this.#attempt) this.#hungUp({ by: this.#name });
    }, HUNG_UP_WITHIN_MS);
  }

  // Nothing was dialled yet; but what rang still rings.
  #cancel() {
    if (this.#callSid === null) this.#over(null);
    else this.#decline();
  }

  #mute(on) {
    const mute = this.#desk.get("mute");
    mute.ariaPressed = String(on);
    mute.textContent = on ? "Muted" : "Mute";
    this.#sound.setMuted(on);
  }

  #press(digit) {
    this.#line.send("dtmf", { dtmf: { digit } });
    this.#desk.announce(`${digit} pressed`);
  }

  async #turnRingingOn() {
    this.#sound.wake();
    await this.#sound.begin();
    this.#showYou();
    if (this.#sound.hasAudio) this.#sound.tone(RINGING.hz, 300, 60_000);
  }

  // --- states

  #enter(state, status) {
    this.#endTone();
    this.#endTone = () => {};
    this.#state = state;
    this.#desk.show(state, { voice: this.#voice, status });
    this.#showYou();
  }

  #over(sentence) {
    if (sentence !== null) this.#captions.note(sentence);
    this.#leaveCall();
    this.#enter(this.#line.up ? State.IDLE : State.DOWN);
    // In a call servers may have failed or come back; without an answer the old list stands.
    this.#askSetup().catch(() => {});
  }

  #leaveCall() {
    this.#attempt++;
    this.#readiness.giveUp();
    this.#openSound(false);
    this.#sound.drop();
    this.#sound.stopListening();
    this.#desk.levels(0, 0);
    this.#mute(false);
    this.#story.finish();
    this.#callSid = null;
    this.#showYou();
  }

  #told(event) {
    this.#desk.get("empty").hidden = true;
    if (event.kind === "end") this.#ending.why(event.text);
    else this.#captions.take(event);
  }

  // --- what runs here

  async #askSetup() {
    const setup = await askSetup();
    this.#rungs = setup.rungs;
    this.#showYou();
    return setup;
  }

  #showYou() {
    const atRest = [State.DOWN, State.IDLE, State.PREPARING, State.RINGING].includes(this.#state);
    const mayRing = this.#name !== "person" || this.#sound.hasAudio;
    this.#desk.get("wake").hidden = mayRing || this.#state === State.RINGING;
    showRungs(this.#desk.get("rungs"), this.#rungs, atRest ? yourself() : this.#you());
  }

  #you() {
    if (!this.#sound.hasAudio) return { rung: "captions only", sentence: "No sound: type, or press keys." };
    if (this.#sound.hasMicrophone) return { rung: "microphone", sentence: "Speak, type, or press keys." };
    return { rung: "no microphone", sentence: "You hear the agent. Type, or press keys." };
  }
}

function yourself() {
  return { rung: "this browser", sentence: "The microphone is asked for when a call begins." };
}

new Telephone().start();

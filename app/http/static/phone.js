// The telephone: joins line, sound, captions and desk. Decides what happens when, and nothing
// else; every state change goes through `#enter`.
//
//   down <-> idle -> preparing -> calling -> live -> between -> dialling -> bridged -> idle
//   the person's phone: idle -> ringing -> preparing -> bridged -> idle

import { Captions } from "./captions.js";
import { Desk, State } from "./desk.js";
import { keypad } from "./keypad.js";
import { Line, bytesOf } from "./line.js";
import { Notices } from "./notices.js";
import { Pace } from "./pace.js";
import * as sentences from "./sentences.js";
import { askSetup, refusal, showRungs } from "./setup.js";
import { Sound } from "./sound.js";
import { Story } from "./story.js";

const ASKING_AFTER_MS = 700;
const HUNG_UP_WITHIN_MS = 3000;
const RINGING = { hz: [440, 554], onMs: 900, offMs: 1800 };
const RINGBACK = { hz: [425], onMs: 1000, offMs: 3000 };

class Telephone {
  #name = new URLSearchParams(location.search).get("line") === "person" ? "person" : "caller";
  #desk = new Desk(this.#name);
  #notices = new Notices(this.#desk.get("notices"));
  #sound = new Sound();
  #line = new Line(this.#name, () => this.#askSetup());
  #captions = new Captions(this.#desk.get("captions"), (text) => this.#desk.announce(text));
  #story = new Story(
    (event) => this.#told(event),
    () => this.#notices.show("captions", sentences.NO_CAPTIONS, { hint: true }),
  );
  #pace = new Pace((why) => this.#late(why));
  #state = State.DOWN;
  #attempt = 0; // of getting ready: a cancelled one must not dial
  #callSid = null;
  #voice;
  #rungs = [];
  #withoutMicrophone = () => {};
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
    this.#enter(State.LIVE);
    this.#openSound(true);
  }

  #stopped() {
    this.#openSound(false);
    this.#sound.drop();
    if (this.#state === State.LIVE) this.#enter(State.BETWEEN);
  }

  #dialling(to) {
    this.#captions.note(`Putting you through to ${to} …`);
    this.#enter(State.DIALLING);
    this.#endTone = this.#sound.tone(RINGBACK.hz, RINGBACK.onMs, RINGBACK.offMs);
  }

  #bridged() {
    this.#captions.note(this.#name === "person" ? "The caller is on the line." : "You are through.");
    this.#enter(State.BRIDGED);
    this.#openSound(true);
  }

  #ring({ callSid, from, to }) {
    this.#callSid = callSid;
    this.#enter(State.RINGING, `${from} calls ${to}`);
    this.#endTone = this.#sound.tone(RINGING.hz, RINGING.onMs, RINGING.offMs);
    this.#desk.get("answer").focus();
    this.#desk.announce(`${from} calls. Answer or decline.`);
  }

  #sms(message) {
    this.#desk.get("empty").hidden = true;
    this.#captions.sms(message);
  }

  #hungUp({ by, reason }) {
    const who = { caller: "You hung up", agent: "The agent hung up", person: "The person hung up" };
    const mine = this.#name === "person" ? { caller: "The caller hung up", person: "You hung up" } : {};
    const sentence = mine[by] ?? who[by] ?? "The call is over";
    this.#over(reason && by === "carrier" ? `${sentence}: ${reason}` : `${sentence}.`);
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
      handset: () => this.#showYou(),
      microphone: () => this.#notices.hide("microphone"),
      trouble: ({ code }) => this.#trouble(code),
    };
    for (const [event, answer] of Object.entries(answers)) {
      this.#sound.addEventListener(event, ({ detail }) => answer(detail));
    }
  }

  #frame(bytes) {
    this.#pace.frame(performance.now());
    this.#line.sendAudio(bytes);
  }

  #trouble(code) {
    this.#showYou();
    if (code === "suspended" || code === "no_audio") {
      const action = { label: "Turn the sound on", run: () => this.#turnSoundOn() };
      this.#notices.show("sound", sentences.SOUND[code], { action });
    } else {
      this.#withoutIt(code);
    }
  }

  async #turnSoundOn() {
    if (await this.#sound.retry()) this.#notices.hide("sound");
    this.#showYou();
  }

  #withoutIt(name) {
    const again = { label: "Try the microphone again", run: () => this.#listenAgain() };
    const action = name === "insecure" ? null : again;
    this.#notices.show("microphone", sentences.microphoneSentence(name), { action });
    this.#showYou();
  }

  async #listenAgain() {
    this.#sound.wake();
    const wrong = await this.#sound.listen(this.#desk.get("raw").checked);
    if (wrong === null) this.#notices.hide("microphone");
    else this.#withoutIt(wrong);
    if (this.#state === State.IDLE) this.#sound.stopListening();
    this.#showYou();
  }

  #openSound(on) {
    this.#pace.restart();
    this.#sound.setOpen(on);
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
    on("typed", "submit", (event) => this.#submitted(event));
    on("send", "click", () => this.#sendText());
    keypad(desk.get("telephone"), (digit) => this.#press(digit));
  }

  #pressedCall(event) {
    // The second half of a double click would hang up what the first half began.
    if (event.detail > 1) return;
    if (this.#state === State.IDLE) this.#dial();
    else this.#hangUp();
  }

  async #dial() {
    this.#captions.clear();
    this.#desk.get("empty").hidden = true;
    if (!(await this.#getReady())) return;
    this.#enter(State.CALLING);
    this.#line.send("dial");
  }

  async #answer() {
    this.#desk.get("empty").hidden = true;
    if (await this.#getReady()) this.#line.send("answer");
  }

  #decline() {
    this.#line.send("decline");
    this.#over("You declined.");
  }

  // Microphone and loudspeaker, as far as there are any. False when it was cancelled meanwhile.
  async #getReady() {
    const attempt = ++this.#attempt;
    this.#clearNotices();
    this.#enter(State.PREPARING);
    this.#sound.wake();
    const wrong = await this.#askForMicrophone(attempt);
    await this.#sound.begin();
    if (attempt !== this.#attempt) return false;
    if (wrong !== null) this.#withoutIt(wrong);
    this.#showYou();
    return true;
  }

  async #askForMicrophone(attempt) {
    const asked = this.#sound.listen(this.#desk.get("raw").checked);
    // The answer may come when the person has long decided to go on without, or to leave.
    asked.then(() => this.#microphoneCame(attempt));
    const without = new Promise((resolve) => (this.#withoutMicrophone = () => resolve(null)));
    const action = { label: "Go on without", run: () => this.#withoutMicrophone() };
    const showing = setTimeout(
      () => this.#notices.show("asking", sentences.ASKING, { action, hint: false }),
      ASKING_AFTER_MS,
    );
    const wrong = await Promise.race([asked, without]);
    clearTimeout(showing);
    this.#notices.hide("asking");
    return wrong;
  }

  #microphoneCame(attempt) {
    const over = this.#state === State.IDLE || this.#state === State.DOWN;
    if (over || attempt !== this.#attempt) this.#sound.stopListening();
    this.#showYou();
  }

  #hangUp() {
    const attempt = this.#attempt;
    const dialled = this.#state !== State.PREPARING || this.#name === "person";
    if (dialled) this.#line.send("hangup");
    if (!dialled) return this.#over(null);
    this.#openSound(false);
    this.#sound.drop();
    setTimeout(() => {
      const waiting = this.#state !== State.IDLE && this.#state !== State.DOWN;
      if (waiting && attempt === this.#attempt) this.#over("You hung up.");
    }, HUNG_UP_WITHIN_MS);
  }

  #mute(on) {
    const mute = this.#desk.get("mute");
    mute.ariaPressed = String(on);
    mute.textContent = on ? "Muted" : "Mute";
    this.#sound.setMuted(on);
  }

  #press(digit) {
    if (this.#state !== State.LIVE) return;
    this.#line.send("dtmf", { dtmf: { digit } });
    this.#desk.announce(`${digit} pressed`);
  }

  async #turnRingingOn() {
    this.#sound.wake();
    await this.#sound.begin();
    this.#showYou();
    if (this.#sound.hasAudio) this.#sound.tone(RINGING.hz, 300, 60_000);
  }

  #submitted(event) {
    event.preventDefault();
    if (!this.#desk.get("say").disabled) this.#say();
    else if (!this.#desk.get("send").disabled) this.#sendText();
  }

  #say() {
    const text = this.#takeWords();
    if (text === "") return;
    this.#line.send("say", { text });
    this.#desk.get("words").value = "";
  }

  async #sendText() {
    const text = this.#takeWords();
    if (text === "") return;
    const problem = this.#desk.get("typed-problem");
    try {
      const body = JSON.stringify({ callSid: this.#callSid, text });
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("/phone/text", { method: "POST", headers, body });
      if (answer.ok) this.#desk.get("words").value = "";
      else problem.textContent = await refusal(answer);
    } catch {
      problem.textContent = "The server does not answer: the words were not sent.";
    }
  }

  #takeWords() {
    this.#desk.get("typed-problem").textContent = "";
    return this.#desk.get("words").value.trim();
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
  }

  #leaveCall() {
    this.#attempt++;
    this.#withoutMicrophone();
    this.#openSound(false);
    this.#sound.drop();
    this.#sound.stopListening();
    this.#desk.levels(0, 0);
    this.#mute(false);
    this.#story.finish();
    this.#callSid = null;
    this.#showYou();
  }

  #clearNotices() {
    this.#notices.hide("microphone", "sound", "late", "captions");
    this.#notices.hideAll("problem-");
  }

  #told(event) {
    this.#desk.get("empty").hidden = true;
    this.#captions.take(event);
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

// Microphone and loudspeaker, and what to do where there is none. Three ways down, each of them
// announced, none of them the end of a call:
//
//   microphone and loudspeaker -> loudspeaker only (silence is said) -> neither (a timer hears)
//
// Rule: `handset` always is something that takes messages; who it is may change during a call,
// and what waited to be heard moves along.

const RESUME_MS = 2000;
const LEAVE_MS = 500;
const SILENT_S = 4;
const LEVELS_PER_S = 20;

export class Sound extends EventTarget {
  #context = null;
  #node = null;
  #timer = null;
  #handset = null;
  #stream = null;
  #turn = 0; // of asking for the microphone: an answer that comes too late is not taken
  #source = null;
  #marks = []; // names the handset has and did not return
  #open = false;
  #muted = false;
  #silentLevels = 0;
  #leaving = null;

  get hasMicrophone() {
    return this.#stream !== null;
  }

  get hasAudio() {
    return this.#handset !== null && this.#handset === this.#node?.port;
  }

  // Call this first thing in a click: browsers let sound begin in answer to one only.
  wake() {
    const Context = globalThis.AudioContext;
    if (!Context || !globalThis.AudioWorkletNode) return;
    if (this.#context === null) {
      this.#context = new Context({ latencyHint: "interactive" });
      this.#context.addEventListener("statechange", () => this.#contextChanged());
    }
    this.#context.resume().catch(() => {});
  }

  // The loudspeaker, within 2 s, else the timer. Fires "trouble" with what is the matter.
  async begin() {
    const why = await this.#openSpeaker();
    if (why === null) return this.#moveTo(this.#node.port);
    this.#tell("trouble", { code: why });
    return this.#moveTo(this.#timerPort());
  }

  // Tries the loudspeaker again, on a click.
  async retry() {
    this.wake();
    const why = await this.#openSpeaker();
    if (why !== null) return false;
    await this.#moveTo(this.#node.port);
    return true;
  }

  // Asks for the microphone. Returns null when it is there, else the name of what is wrong.
  async listen(raw) {
    if (!navigator.mediaDevices?.getUserMedia) return "insecure";
    const turn = ++this.#turn;
    const processed = { echoCancellation: !raw, noiseSuppression: !raw, autoGainControl: !raw };
    try {
      const audio = { channelCount: 1, ...processed };
      const stream = await navigator.mediaDevices.getUserMedia({ audio });
      if (turn === this.#turn) this.#adopt(stream);
      else for (const track of stream.getTracks()) track.stop();
      return null;
    } catch (fault) {
      return fault.name;
    }
  }

  // The microphone is let go between calls: the browser's red dot goes out.
  stopListening() {
    this.#turn++;
    this.#source?.disconnect();
    this.#source = null;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }

  setOpen(on) {
    this.#open = on;
    this.#silentLevels = 0;
    this.#handset?.postMessage({ kind: "open", on });
  }

  setMuted(on) {
    this.#muted = on;
    this.#handset?.postMessage({ kind: "mute", on });
  }

  play(bytes) {
    this.#handset?.postMessage({ kind: "play", bytes }, [bytes.buffer]);
  }

  mark(name) {
    this.#marks.push(name);
    this.#handset?.postMessage({ kind: "mark", name });
  }

  clear() {
    this.#handset?.postMessage({ kind: "clear" });
  }

  drop() {
    this.#marks = [];
    this.#handset?.postMessage({ kind: "drop" });
  }

  // A tone of the telephone itself: ringing. Returns how to end it; silent where no sound is.
  tone(frequencies, onMs, offMs) {
    const context = this.#context;
    if (context?.state !== "running") return () => {};
    const loudness = context.createGain();
    loudness.gain.value = 0;
    loudness.connect(context.destination);
    const voices = frequencies.map((hz) => new OscillatorNode(context, { frequency: hz }));
    for (const voice of voices) voice.connect(loudness);
    for (const voice of voices) voice.start();
    let at = context.currentTime;
    for (let n = 0; n < 30; n++, at += (onMs + offMs) / 1000) {
      loudness.gain.setTargetAtTime(0.06, at, 0.02);
      loudness.gain.setTargetAtTime(0, at + onMs / 1000, 0.05);
    }
    return () => {
      for (const voice of voices) voice.stop();
      loudness.disconnect();
    };
  }

  async #openSpeaker() {
    if (this.#context === null) return "no_audio";
    if (!(await this.#running())) return "suspended";
    try {
      if (this.#node === null) await this.#makeNode();
      this.#connectMicrophone();
      return null;
    } catch {
      return "no_audio";
    }
  }

  async #makeNode() {
    await this.#context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    const one = { numberOfInputs: 1, numberOfOutputs: 1 };
    const options = { ...one, outputChannelCount: [1], channelCount: 1, channelCountMode: "explicit" };
    this.#node = new AudioWorkletNode(this.#context, "telephone", options);
    this.#node.port.onmessage = ({ data }) => this.#said(data);
    this.#node.connect(this.#context.destination);
  }

  // Firefox without an output device never answers `resume()`: hence the limit.
  #running() {
    if (this.#context.state === "running") return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = () => resolve(this.#context.state === "running");
      this.#context.resume().then(settle, settle);
      setTimeout(settle, RESUME_MS);
    });
  }

  #timerPort() {
    if (this.#timer === null) {
      this.#timer = new Worker(new URL("timer.js", import.meta.url), { type: "module" });
      this.#timer.onmessage = ({ data }) => this.#said(data);
    }
    return this.#timer;
  }

  async #moveTo(handset) {
    const before = this.#handset;
    if (before === handset) return;
    this.#handset = handset;
    if (before !== null) {
      const left = await this.#leave(before);
      handset.postMessage({ kind: "take", left });
    }
    handset.postMessage({ kind: "mute", on: this.#muted });
    handset.postMessage({ kind: "open", on: this.#open });
    this.#tell("handset");
  }

  // A handset whose device died may not answer: its marks then count as heard.
  #leave(handset) {
    return new Promise((resolve) => {
      this.#leaving = resolve;
      handset.postMessage({ kind: "leave" });
      setTimeout(() => {
        if (this.#leaving !== resolve) return;
        this.#leaving = null;
        resolve({ chunks: [], marks: this.#marks.map((name) => ({ name, at: 0 })) });
      }, LEAVE_MS);
    });
  }

  #adopt(stream) {
    this.stopListening();
    this.#stream = stream;
    this.#silentLevels = 0;
    for (const track of stream.getAudioTracks()) {
      track.addEventListener("ended", () => this.#microphoneGone());
    }
    this.#connectMicrophone();
  }

  #connectMicrophone() {
    if (this.#source !== null || this.#stream === null || this.#node === null) return;
    this.#source = this.#context.createMediaStreamSource(this.#stream);
    this.#source.connect(this.#node);
  }

  #microphoneGone() {
    this.stopListening();
    this.#tell("trouble", { code: "microphone_gone" });
  }

  #contextChanged() {
    if (this.#context.state === "running" || !this.hasAudio || !this.#open) return;
    this.#tell("trouble", { code: "suspended" });
    this.#moveTo(this.#timerPort());
  }

  #said(message) {
    if (message.kind === "frame") this.#tell("frame", { bytes: message.bytes });
    else if (message.kind === "mark") this.#returned(message.name);
    else if (message.kind === "left") this.#left(message.left);
    else if (message.kind === "levels") this.#measured(message);
  }

  #returned(name) {
    const at = this.#marks.indexOf(name);
    if (at < 0) return;
    this.#marks.splice(at, 1);
    this.#tell("mark", { name });
  }

  #left(left) {
    this.#leaving?.(left);
    this.#leaving = null;
  }

  // A microphone that is switched off in the system gives zeros, and no error.
  #measured({ microphone, earpiece, peak }) {
    this.#tell("levels", { microphone: this.#muted ? 0 : microphone, earpiece });
    if (peak > 0) {
      if (this.#silentLevels >= SILENT_S * LEVELS_PER_S) this.#tell("microphone");
      this.#silentLevels = -Infinity;
    } else if (!this.#open || this.#stream === null) {
      this.#silentLevels = 0;
    } else if (++this.#silentLevels === SILENT_S * LEVELS_PER_S) {
      this.#tell("trouble", { code: "microphone_silent" });
    }
  }

  #tell(kind, detail = {}) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

// The handset in the audio device's own thread: the device's clock is the telephone's clock, so
// frames leave every 20 ms and marks come back when they were really heard, however busy the
// page is.

import { SAMPLE_RATE_HZ } from "./g711.js";
import { Handset } from "./handset.js";
import { Resampler } from "./resampler.js";

const LEVELS_PER_S = 20;
const PULL_SAMPLES = 8; // 1 ms: how much further than it is heard the earpiece may be read

class Telephone extends AudioWorkletProcessor {
  #handset = new Handset(this.port);
  #fromMicrophone = new Resampler(sampleRate, SAMPLE_RATE_HZ);
  #toSpeaker = new Resampler(SAMPLE_RATE_HZ, sampleRate);
  #pulled = new Float32Array(PULL_SAMPLES);
  #ready = new Float32Array(0); // resampled, not yet played
  #levels = { samples: 0, microphone: 0, earpiece: 0, peak: 0 };

  process([microphone], [[speaker]]) {
    // Without a microphone the clock still runs, and silence is said.
    const spoken = microphone[0] ?? new Float32Array(speaker.length);
    this.#handset.mouthpiece.speak(this.#fromMicrophone.process(spoken));
    this.#play(speaker);
    this.#measure(spoken, speaker);
    return true;
  }

  #play(speaker) {
    let filled = 0;
    while (filled < speaker.length) {
      if (this.#ready.length === 0) {
        this.#handset.earpiece.pull(this.#pulled);
        this.#ready = this.#toSpeaker.process(this.#pulled);
      }
      const taken = this.#ready.subarray(0, speaker.length - filled);
      speaker.set(taken, filled);
      filled += taken.length;
      this.#ready = this.#ready.subarray(taken.length);
    }
  }

  #measure(spoken, speaker) {
    const levels = this.#levels;
    for (let n = 0; n < speaker.length; n++) {
      levels.microphone += spoken[n] * spoken[n];
      levels.earpiece += speaker[n] * speaker[n];
      levels.peak = Math.max(levels.peak, Math.abs(spoken[n]));
    }
    levels.samples += speaker.length;
    if (levels.samples < sampleRate / LEVELS_PER_S) return;
    this.port.postMessage({
      kind: "levels",
      microphone: Math.sqrt(levels.microphone / levels.samples),
      earpiece: Math.sqrt(levels.earpiece / levels.samples),
      peak: levels.peak,
    });
    this.#levels = { samples: 0, microphone: 0, earpiece: 0, peak: 0 };
  }
}

registerProcessor("telephone", Telephone);

// The handset where no audio device runs: silence is said and the agent is "heard" by the
// clock, so that a call with typed words, keys and captions keeps its pace. A worker, because a
// page in the background has its timers slowed down and a worker has not.

import { SAMPLE_RATE_HZ } from "./g711.js";
import { Handset } from "./handset.js";

const EVERY_MS = 10;
const LONGEST_GAP_MS = 1000; // a machine that slept does not make up for the night
const STEP = new Float32Array(8); // 1 ms: marks come back between the frames they belong to

const handset = new Handset(self);
const obey = self.onmessage;
let done = performance.now();

// What comes late from a busy machine still comes at its place: time passes before a message.
self.onmessage = (event) => {
  pass();
  obey(event);
};
setInterval(pass, EVERY_MS);

function pass() {
  const now = performance.now();
  if (now - done > LONGEST_GAP_MS) done = now - EVERY_MS;
  const stepMs = (STEP.length * 1000) / SAMPLE_RATE_HZ;
  for (; done + stepMs <= now; done += stepMs) {
    handset.mouthpiece.speak(STEP.fill(0));
    handset.earpiece.pull(STEP);
  }
}

// The handset where no audio device runs: silence is said and the agent is "heard" by the
// clock, so that a call with typed words, keys and captions keeps its pace. A worker, because a
// page in the background has its timers slowed down and a worker has not.

import { SAMPLE_RATE_HZ } from "./g711.js";
import { Handset } from "./handset.js";

const EVERY_MS = 10;
const LONGEST_GAP_MS = 1000; // a machine that slept does not make up for the night

const handset = new Handset(self);
let done = performance.now();

setInterval(() => {
  const now = performance.now();
  if (now - done > LONGEST_GAP_MS) done = now - EVERY_MS;
  const samples = Math.floor(((now - done) * SAMPLE_RATE_HZ) / 1000);
  done += (samples * 1000) / SAMPLE_RATE_HZ;
  const silence = new Float32Array(samples);
  handset.mouthpiece.speak(silence);
  handset.earpiece.pull(silence);
}, EVERY_MS);

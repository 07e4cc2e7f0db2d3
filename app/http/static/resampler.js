// From any sample rate to any other, without a gap between two pieces: a polyphase FIR filter
// (Kaiser window, about 60 dB, flat to 3.4 kHz on the telephone's side). Between equal rates it
// hands its input through. It holds back 3 ms at the telephone's rate.

const ZERO_CROSSINGS = 24;
const KAISER_BETA = 5.65;
const CUTOFF = 0.4625; // of the lower rate: 3.7 kHz where that is the telephone's

export class Resampler {
  #up;
  #down;
  #taps;
  #phases;
  #past; // the last input samples of the piece before
  #next = 0; // where the next output lies, in 1/up of an input sample, from the start of #past

  constructor(fromHz, toHz) {
    const divisor = greatestCommonDivisor(fromHz, toHz);
    this.#up = toHz / divisor;
    this.#down = fromHz / divisor;
    const half = Math.ceil(ZERO_CROSSINGS * Math.max(1, fromHz / toHz));
    this.#taps = 2 * half;
    this.#past = new Float32Array(this.#taps - 1);
    const cutoff = CUTOFF * Math.min(1, toHz / fromHz);
    this.#phases = Array.from({ length: this.#up }, (_, phase) =>
      filterPhase(half, phase / this.#up, cutoff),
    );
  }

  process(input) {
    if (this.#up === this.#down) return input;
    const samples = new Float32Array(this.#past.length + input.length);
    samples.set(this.#past);
    samples.set(input, this.#past.length);
    const end = input.length * this.#up;
    const output = new Float32Array(Math.max(0, Math.ceil((end - this.#next) / this.#down)));
    for (let n = 0; n < output.length; n++, this.#next += this.#down) {
      output[n] = this.#at(samples);
    }
    this.#next -= end;
    this.#past = samples.slice(input.length);
    return output;
  }

  #at(samples) {
    const first = Math.floor(this.#next / this.#up);
    const filter = this.#phases[this.#next % this.#up];
    let sum = 0;
    for (let tap = 0; tap < this.#taps; tap++) sum += samples[first + tap] * filter[tap];
    return sum;
  }
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

// One phase of the windowed sinc, of gain 1 at 0 Hz so that no phase is louder than another.
function filterPhase(half, fraction, cutoff) {
  const filter = Float64Array.from({ length: 2 * half }, (_, tap) => {
    const away = tap - (half - 1) - fraction;
    return sinc(2 * cutoff * away) * kaiser(away / half);
  });
  const sum = filter.reduce((total, value) => total + value, 0);
  return Float32Array.from(filter, (value) => value / sum);
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return bessel(KAISER_BETA * Math.sqrt(Math.max(0, 1 - x * x))) / bessel(KAISER_BETA);
}

// The modified Bessel function of order zero, by its series.
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let n = 1; n < 30; n++) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}

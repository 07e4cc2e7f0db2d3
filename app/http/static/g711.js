// G.711 mu-law, as every telephone line speaks it: one byte a sample, 8,000 samples a second.
// Samples are floats from -1 to 1. The encoder is the textbook one (bias 132, clip 32635).

export const SAMPLE_RATE_HZ = 8000;
export const FRAME_BYTES = 160;
export const FRAME_MS = 20;
export const SILENCE = 0xff;

const BIAS = 132;
const CLIP = 32635;

export function encode(sample) {
  const pcm = Math.round(sample * 32768);
  const sign = pcm < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(pcm), CLIP) + BIAS;
  const exponent = 24 - Math.clz32(magnitude);
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~(sign | (exponent << 4) | mantissa) & 0xff;
}

export const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + BIAS) << ((bits >> 4) & 0x07)) - BIAS;
  return (bits & 0x80 ? -magnitude : magnitude) / 32768;
});

// Recordings as the encoder takes them, as edge_meta/inputs/audio.py makes them. A recording is mono, int16.

import {nearestEven} from './exact_sums.js';
import {Problem} from './problem.js';

const FULL_SCALE = 32768;
const ZERO_CROSSINGS = 16; // of the resampling filter on each side
const MOST_SAMPLES = 2 ** 26;
const MOST_COEFFICIENTS = 2 ** 23;

/** @param {number} value */
const int16 = (value) => Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, nearestEven(value)));

/**
 * @param {Int16Array} samples at `rate`
 * @param {number} rate in Hz
 * @param {import('./manifest.js').AudioInput} input
 * @returns {Float32Array} from −1 to 1
 */
export function audioValues(samples, rate, input) {
  return Float32Array.from(fitted(resampled(samples, rate, input.sample_rate), input.samples), (value) => value / FULL_SCALE);
}

/** @param {Float32Array} samples from −1 to 1 @returns {Int16Array} */
export const fromFloat = (samples) => Int16Array.from(samples, (value) => int16(value * FULL_SCALE));

/**
 * Read a .wav file of integer PCM; channels are averaged.
 *
 * @param {Uint8Array} file
 * @returns {{samples: Int16Array, rate: number}}
 */
export function readWav(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const unreadable = new Problem('recording_unreadable');
  try {
    let [channels, rate, width] = [0, 0, 0];
    if (view.getUint32(0) !== 0x52494646 || view.getUint32(8) !== 0x57415645) throw unreadable; // RIFF, WAVE
    for (let at = 12; ; ) {
      const [kind, size] = [view.getUint32(at), view.getUint32(at + 4, true)];
      at += 8;
      if (kind === 0x666d7420) { // fmt
        if (![1, 0xfffe].includes(view.getUint16(at, true))) throw unreadable;
        [channels, rate, width] = [view.getUint16(at + 2, true), view.getUint32(at + 4, true), (view.getUint16(at + 14, true) + 7) >> 3];
      } else if (kind === 0x64617461) { // data
        if (!channels || !width || width > 4 || rate < 1000 || rate > 768000) throw unreadable;
        const frames = Math.floor(Math.min(size, file.length - at) / (width * channels));
        if (!frames) throw unreadable;
        return {samples: monoOf(view, at, frames, channels, width), rate};
      }
      at += size + (size & 1);
    }
  } catch (error) {
    throw error instanceof RangeError ? unreadable : error;
  }
}

/** @param {DataView} view @param {number} at @param {number} frames @param {number} channels @param {number} width bytes a sample */
function monoOf(view, at, frames, channels, width) {
  const value = {
    1: (/** @type {number} */ place) => (view.getUint8(place) - 128) * 256,
    2: (/** @type {number} */ place) => view.getInt16(place, true),
    3: (/** @type {number} */ place) => Math.min(FULL_SCALE - 1, view.getInt16(place + 1, true) + view.getUint8(place) / 256),
    4: (/** @type {number} */ place) => Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, view.getInt32(place, true) / 65536)),
  }[width] ?? (() => 0);
  return Int16Array.from({length: frames}, (_, frame) => {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += value(at + (frame * channels + channel) * width);
    return int16(sum / channels);
  });
}

/**
 * Cut or pad to `window` samples: zeros at the end of a shorter recording, the stretch with the most energy of a longer one.
 *
 * @param {Int16Array} samples
 * @param {number} window
 */
export function fitted(samples, window) {
  const result = new Int16Array(window);
  if (samples.length <= window) {
    result.set(samples);
    return result;
  }
  let [start, loudest, gained] = [0, 0, 0];
  for (let first = 0; first + window < samples.length; first++) {
    gained += samples[first + window] ** 2 - samples[first] ** 2;
    if (gained > loudest) [start, loudest] = [first + 1, gained];
  }
  return samples.slice(start, start + window);
}

/**
 * Resample by a windowed sinc (Smith and Gossett 1984).
 *
 * @param {Int16Array} samples
 * @param {number} rate
 * @param {number} target
 * @returns {Int16Array}
 */
export function resampled(samples, rate, target) {
  if (rate === target) return samples;
  const common = gcd(rate, target);
  const [up, down] = [target / common, rate / common];
  const cutoff = 0.95 * Math.min(1, up / down);
  const half = Math.ceil(ZERO_CROSSINGS / cutoff);
  const count = Math.max(1, nearestEven((samples.length * up) / down));
  if (count > MOST_SAMPLES || up * (2 * half + 1) > MOST_COEFFICIENTS) throw new Problem('recording_unreadable');
  /** @type {Float32Array[]} */
  const filters = [];
  const result = new Int16Array(count);
  for (let number = 0; number < count; number++) {
    const phase = (number * down) % up;
    const filter = (filters[phase] ??= sincFilter(phase / up, cutoff, half));
    const first = Math.min(Math.floor((number * down) / up), samples.length - 1) - half;
    let sum = 0;
    for (let k = Math.max(0, -first); k < filter.length && first + k < samples.length; k++) sum += filter[k] * samples[first + k];
    result[number] = int16(sum);
  }
  return result;
}

/** @param {number} one @param {number} other @returns {number} */
const gcd = (one, other) => (other ? gcd(other, one % other) : one);

/** @param {number} position @param {number} cutoff @param {number} half */
function sincFilter(position, cutoff, half) {
  const weights = Float64Array.from({length: 2 * half + 1}, (_, index) => {
    const offset = index - half - position;
    const window = bessel(8 * Math.sqrt(Math.max(0, 1 - (offset / (half + 1)) ** 2))) / bessel(8);
    const angle = Math.PI * cutoff * offset;
    return cutoff * (angle ? Math.sin(angle) / angle : 1) * window;
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(weights, (weight) => weight / total);
}

/** The modified Bessel function of order 0. @param {number} x */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-17 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

// Hear labels in a stream of sound: a sliding window, a voice gate, and a smoother, as edge_meta/runtime/listener.py has them.

const HOP = 0.1; // seconds between the starts of windows
const [VOTES, OF] = [2, 3]; // windows that must agree, and of how many in a row
const ABOVE = 6; // dB above the noise floor from which a window is looked at
const FULL_SCALE = 32768;
const [FIRST_FLOOR, LOWEST_FLOOR] = [-60, -70]; // dB of full scale
const RISE = 6; // dB a second
const FALL = 0.5; // share of the way down in one step

/** @typedef {{label: string | null}} Answer */

/** @template {Answer} T */
export class Listener {
  /**
   * @param {import('./manifest.js').AudioInput} input
   * @param {(window: Int16Array) => Promise<T | null>} classify
   * @param {(answer: T) => void} onHit called with the answer for the last of the windows that agree
   */
  constructor(input, classify, onHit) {
    this.classify = classify;
    this.onHit = onHit;
    this.window = new Int16Array(input.samples);
    const size = Math.max(1, Math.min(input.samples, Math.round(HOP * input.sample_rate)));
    this.hop = new Int16Array(size);
    this.filled = 0;
    const hops = Math.ceil(input.samples / size);
    this.gate = new VoiceGate(ABOVE, size / input.sample_rate, hops); // a loud hop stays in the window for so long
    this.smoother = new Smoother(VOTES, OF, hops);
    this.heard = Promise.resolve();
  }

  /** Take the next samples, any number of them. @param {Int16Array} samples @returns {Promise<void>} once they are answered */
  feed(samples) {
    this.heard = this.heard.then(() => this.take(samples));
    return this.heard;
  }

  /** @param {Int16Array} samples */
  async take(samples) {
    for (let at = 0; at < samples.length; ) {
      const part = samples.subarray(at, at + this.hop.length - this.filled);
      this.hop.set(part, this.filled);
      at += part.length;
      this.filled = (this.filled + part.length) % this.hop.length;
      if (this.filled) continue;
      this.window.copyWithin(0, this.hop.length);
      this.window.set(this.hop, this.window.length - this.hop.length);
      const answer = this.gate.take(this.hop) ? await this.classify(this.window.slice()) : null;
      if (this.smoother.take(answer)) this.onHit(/** @type {T} */ (answer));
    }
  }
}

/** Open while the sound is louder than the noise floor, and for a while after. */
export class VoiceGate {
  /** @param {number} above @param {number} step seconds of sound in each call @param {number} hold calls */
  constructor(above, step, hold) {
    this.above = above;
    this.hold = hold;
    this.rise = RISE * step;
    this.left = 0;
    this.floor = FIRST_FLOOR;
  }

  /** @param {Int16Array} samples @returns {boolean} whether it is open */
  take(samples) {
    const loud = level(samples);
    this.left = loud >= this.floor + this.above ? this.hold : this.left - 1;
    this.floor = loud < this.floor
      ? Math.max(LOWEST_FLOOR, this.floor + FALL * (loud - this.floor))
      : Math.min(loud, this.floor + this.rise);
    return this.left > 0;
  }
}

/** Report a label once several of the last windows agree on it, then rest. */
export class Smoother {
  /** @param {number} votes @param {number} of @param {number} rest windows after a hit that are not looked at */
  constructor(votes, of, rest) {
    this.votes = votes;
    this.of = of;
    this.rest = rest;
    this.left = 0;
    /** @type {(string | null)[]} */
    this.recent = [];
  }

  /** @param {Answer | null} answer null where the gate is closed @returns {boolean} whether its label is a hit */
  take(answer) {
    if (this.left > 0) {
      this.left--;
      return false;
    }
    const label = answer?.label ?? null;
    this.recent = [...this.recent, label].slice(-this.of);
    if (label === null || this.recent.filter((each) => each === label).length < this.votes) return false;
    this.recent = [];
    this.left = this.rest;
    return true;
  }
}

/** The power of samples around their mean, in dB of full scale; −120 at least. @param {Int16Array} samples */
function level(samples) {
  const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
  const power = samples.reduce((sum, value) => sum + (value - mean) ** 2, 0) / samples.length / FULL_SCALE ** 2;
  return 10 * Math.log10(Math.max(power, 1e-12));
}

// The encoder in its worker, as the page calls it.

import {Problem} from './problem.js';

const REMEMBERED = 'edge_meta place';

/**
 * @typedef {object} Embedded
 * @property {Float32Array} embedding
 * @property {number} milliseconds of all that the worker does with an example
 * @property {number} encoder of them, in the encoder
 */

export class Encoder {
  /** @returns {Promise<Encoder>} */
  static async open() {
    const encoder = new Encoder();
    encoder.remembered = remembered();
    Object.assign(encoder, await encoder.ask('open', {place: encoder.remembered?.place ?? null}, []));
    return encoder;
  }

  /** Find where the encoder runs fastest, unless an earlier visit has; it runs there from then on. */
  async measure() {
    const {encoder_id: id} = this.manifest;
    if (this.remembered?.id === id && sameAs(this.remembered.place, this.place)) return;
    const {place, measured} = await this.ask('measure', {}, []);
    this.place = place;
    try {
      localStorage.setItem(REMEMBERED, JSON.stringify({id, place, measured}));
    } catch {
      // A browser that keeps nothing measures each time.
    }
  }

  constructor() {
    /** @type {import('./manifest.js').Manifest} of the bundle, once it is open */
    this.manifest = /** @type {any} */ (null);
    /** @type {any} where an earlier visit found the encoder to be fastest */
    this.remembered = null;
    /** @type {import('./places.js').Place | null} where it runs */
    this.place = null;
    /** @type {string[]} files of the runtime */
    this.loaded = [];
    this.waiting = new Map();
    this.asked = 0;
    this.worker = new Worker('worker.js');
    this.worker.onmessage = ({data: {id, result, problem}}) => {
      const {resolve, reject} = this.waiting.get(id);
      this.waiting.delete(id);
      if (problem) reject(new Problem(problem.key, problem.values));
      else resolve(result);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      for (const {reject} of this.waiting.values()) reject(new Problem('encoder_failed', {reason: event.message ?? ''}));
      this.waiting.clear();
    };
  }

  /** @param {import('./sources.js').Example} example @returns {Promise<Embedded>} */
  embed({picture, ...example}) {
    return this.ask('embed', {example}, []);
  }

  /** @param {string} act @param {object} given @param {Transferable[]} moved @returns {Promise<any>} */
  ask(act, given, moved) {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, {resolve, reject});
      this.worker.postMessage({id, act, ...given}, moved);
    });
  }
}

/** What an earlier visit has measured, or null. */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? 'null');
  } catch {
    return null;
  }
}

/** @param {any} one @param {any} other */
const sameAs = (one, other) => one.accelerator === other.accelerator && one.threads === other.threads;

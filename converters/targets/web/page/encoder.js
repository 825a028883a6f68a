// The encoder in its worker, as the page calls it.

import {Problem} from './problem.js';

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
    Object.assign(encoder, await encoder.ask('open', {}, []));
    return encoder;
  }

  constructor() {
    /** @type {any} of the bundle */
    this.manifest = null;
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

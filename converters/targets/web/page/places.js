// Where the encoder may run: in WebAssembly on one thread or on several, or on the GPU by WebGPU.

/**
 * @typedef {object} Place
 * @property {'wasm' | 'webgpu'} accelerator
 * @property {number} threads
 *
 * @typedef {object} Measured
 * @property {Place} place
 * @property {number} milliseconds of an example, the median
 * @property {number} difference of the embeddings from those of the first place, relative to their length, the largest
 */

/** @type {Place} */
export const PLAIN = {accelerator: 'wasm', threads: 1};
const MOST_THREADS = 4;
const GAIN = 0.9; // of the plain place's time: for less, nothing is worth a change
const MOST_DIFFERENCE = 0.02; // the GPU computes in float what the CPU computes in int8
const [WARM_UP, ROUNDS, BUDGET] = [10, 15, 400]; // runs, runs, and milliseconds for all runs of a place

/** The threads that this browser gives. */
export const threads = () => (globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency ?? 1, MOST_THREADS) : 1);

/** The compiled encoder at a place. */
export class Runner {
  /**
   * @param {any} litert the library
   * @param {Uint8Array} file the encoder
   * @param {Place} place
   * @returns {Promise<Runner | null>} null where the place does not take the whole encoder
   */
  static async open(litert, file, place) {
    const {warn} = console;
    console.warn = () => {}; // of what the GPU does not take
    try {
      const model = await litert.loadAndCompile(file, {accelerator: place.accelerator, cpuOptions: {numThreads: place.threads}});
      if (model.options.accelerator === place.accelerator) return new Runner(litert, model, place);
      model.delete();
      return null;
    } finally {
      console.warn = warn;
    }
  }

  /** @param {any} litert @param {any} model @param {Place} place */
  constructor(litert, model, place) {
    this.litert = litert;
    this.model = model;
    this.place = place;
    /** @type {number[]} */
    this.shape = [...model.getInputDetails()[0].shape];
    this.size = this.shape.reduce((product, side) => product * side, 1);
  }

  /** @param {Float32Array} values @returns {Promise<Float32Array>} the embedding */
  async run(values) {
    const tensor = new this.litert.Tensor(values, this.shape);
    const [output] = await this.model.run([tensor]);
    const embedding = await output.data();
    tensor.delete();
    output.delete();
    return embedding;
  }

  delete() {
    this.model.delete();
  }
}

/**
 * Time the encoder at places that take it, the plain one first.
 *
 * @param {(place: Place) => Promise<Runner | null>} open
 * @param {Place[]} places
 * @returns {Promise<Measured[]>}
 */
export async function measured(open, places) {
  /** @type {Measured[]} */
  const found = [];
  /** @type {Float32Array[]} */
  let expected = [];
  for (const place of places) {
    const runner = await open(place).catch(() => null); // the others may do
    if (!runner) continue;
    try {
      const embeddings = [];
      for (const seed of [1, 2, 3]) embeddings.push(await runner.run(noise(seed, runner.size)));
      if (!expected.length) expected = embeddings;
      const difference = Math.max(...embeddings.map((embedding, index) => distance(embedding, expected[index])));
      found.push({place, milliseconds: await median(runner), difference});
    } catch {
      // A place where the encoder fails is none.
    } finally {
      runner.delete();
    }
  }
  return found;
}

/** The fastest place of those that agree with the first; the first, unless another is clearly faster. @param {Measured[]} found @returns {Place} */
export function fastest([first, ...others]) {
  const better = others.filter((each) => each.difference <= MOST_DIFFERENCE && each.milliseconds < GAIN * first.milliseconds);
  return [first, ...better].reduce((best, each) => (each.milliseconds < best.milliseconds ? each : best)).place;
}

/** @param {Runner} runner */
async function median(runner) {
  const values = noise(4, runner.size);
  const times = [];
  const end = performance.now() + BUDGET;
  for (let round = -WARM_UP; round < ROUNDS && (!times.length || performance.now() < end); round++) {
    const start = performance.now();
    await runner.run(values);
    if (round >= 0 || performance.now() >= end) times.push(performance.now() - start);
  }
  return times.sort((one, other) => one - other)[times.length >> 1];
}

/** @param {number} seed @param {number} size */
function noise(seed, size) {
  return Float32Array.from({length: size}, () => (seed = (seed * 48271) % 2147483647) / 2147483647);
}

/** @param {Float32Array} one @param {Float32Array} other of nonzero length */
const distance = (one, other) => Math.hypot(...one.map((value, index) => value - other[index])) / Math.hypot(...other);

// The encoder, in a thread of its own. A classic worker: LiteRT.js loads its runtime by importScripts.

const FOLDER = new URL('./', self.location.href).href;
/** Files of the runtime that were loaded; the page has them kept for when there is no network. @type {string[]} */
const loaded = [];
let manifest = null;
let model = null;
let litert = null;
const modules = Promise.all([import('./problem.js'), import('./image.js'), import('./audio.js'), import('./sha256.js')])
  .then(([problem, image, audio, sha256]) => ({...problem, ...image, ...audio, ...sha256}));

const acts = {
  async open() {
    const {Problem} = await modules;
    if (typeof WebAssembly !== 'object') throw new Problem('no_wasm');
    /** @type {any} */ (self).Module = {
      locateFile(/** @type {string} */ name) {
        loaded.push(name, name.replace('.wasm', '.js'));
        return FOLDER + name;
      },
      print() {},
      printErr() {},
    };
    const runtime = import('./litert.js').then(async (found) => {
      const {warn} = console;
      console.warn = () => {}; // of a GPU that is not there
      await found.loadLiteRt(FOLDER).finally(() => (console.warn = warn));
      return found;
    });
    runtime.catch(() => {}); // reported below, once the files are known to be whole
    manifest = await (await fetched('manifest.json')).json();
    const file = await whole('encoder.tflite');
    try {
      litert = await runtime;
      model = await litert.loadAndCompile(file, {accelerator: 'wasm'});
      const [, ...shape] = model.getInputDetails?.()[0]?.shape ?? [];
      if (shape.length) await run(new Float32Array(shape.reduce((product, size) => product * size, 1)), [1, ...shape]);
    } catch (error) {
      throw new Problem('runtime_failed', {reason: String(error?.message ?? error).slice(0, 200)});
    }
    return {manifest, loaded};
  },

  /** @param {{example: any}} given */
  async embed({example}) {
    const {imageValues, audioValues} = await modules;
    const {input} = manifest;
    const start = performance.now();
    const values = {
      image: () => imageValues(example, input),
      audio: () => audioValues(example.samples, example.rate, input),
      array: () => example.values,
    }[input.kind]();
    const shape = {image: [1, input.height, input.width, input.channels], audio: [1, input.samples]}[input.kind] ?? [1, ...input.shape];
    const before = performance.now();
    const embedding = await run(values, shape);
    const end = performance.now();
    return {embedding, milliseconds: end - start, encoder: end - before};
  },
};

/** @param {string} name */
async function fetched(name) {
  const {Problem} = await modules;
  let answer;
  try {
    answer = await fetch(FOLDER + name);
  } catch {
    throw new Problem('file_missing', {name});
  }
  if (!answer.ok) throw new Problem('file_missing', {name});
  return answer;
}

/** A file of the bundle, with the manifest's checksum. @param {string} name */
async function whole(name) {
  const {Problem, sha256} = await modules;
  const bytes = new Uint8Array(await (await fetched(name)).arrayBuffer());
  const digest = self.crypto?.subtle ? new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)) : sha256(bytes);
  const text = Array.from(digest, (/** @type {number} */ byte) => byte.toString(16).padStart(2, '0')).join('');
  if (text !== manifest.files[name]) throw new Problem('file_damaged', {name});
  return bytes;
}

/** @param {Float32Array} values @param {number[]} shape @returns {Promise<Float32Array>} */
async function run(values, shape) {
  const tensor = new litert.Tensor(values, shape);
  const outputs = await model.run([tensor]);
  const output = Array.isArray(outputs) ? outputs[0] : Object.values(outputs)[0];
  const embedding = output.toTypedArray().slice();
  tensor.delete();
  output.delete();
  return embedding;
}

self.onmessage = async ({data: {id, act, ...given}}) => {
  try {
    self.postMessage({id, result: await acts[act](given)});
  } catch (error) {
    const {key = 'encoder_failed', values = {reason: String(error?.message ?? error)}} = error ?? {};
    self.postMessage({id, problem: {key, values}});
  }
};

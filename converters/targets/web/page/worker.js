// The encoder, in a thread of its own. A classic worker: LiteRT.js loads its runtime by importScripts.

const FOLDER = new URL('./', self.location.href).href;
/** Files of the runtime that were loaded; the page has them kept for when there is no network. @type {string[]} */
const loaded = [];
/** A module of one function with a vector of 128 bits. */
const SIMD = Uint8Array.from(
  [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
);
let manifest = null;
let litert = null;
let file = null;
let runner = null;
const modules = Promise.all(
  [import('./problem.js'), import('./image.js'), import('./audio.js'), import('./sha256.js'), import('./places.js')],
).then(([problem, image, audio, sha256, places]) => ({...problem, ...image, ...audio, ...sha256, ...places}));

const acts = {
  /** @param {{place: import('./places.js').Place | null}} given a place that was measured at an earlier visit */
  async open({place}) {
    const {Problem, PLAIN, Runner, threads} = await modules;
    if (typeof WebAssembly !== 'object') throw new Problem('no_wasm');
    const runtime = started();
    runtime.catch(() => {}); // reported below, once the files are known to be whole
    manifest = await (await fetched('manifest.json')).json();
    file = await whole('encoder.tflite');
    try {
      litert = await runtime;
      const wanted = place && place.threads <= threads() ? place : PLAIN;
      runner = (await Runner.open(litert, file, wanted).catch(() => null)) ?? (await Runner.open(litert, file, PLAIN));
      await runner.run(new Float32Array(runner.size));
    } catch (error) {
      if (!WebAssembly.validate(SIMD)) throw new Problem('no_simd');
      throw new Problem('runtime_failed', {reason: String(error?.message ?? error).slice(0, 200)});
    }
    return {manifest, loaded, place: runner.place};
  },

  /** Find the fastest place, and go there. */
  async measure() {
    const {PLAIN, Runner, measured, fastest, threads} = await modules;
    /** @type {import('./places.js').Place[]} */
    const places = [PLAIN, {...PLAIN, threads: threads()}, {accelerator: 'webgpu', threads: 1}];
    const possible = [threads() > 1, Boolean(litert.getGlobalLiteRt().getDefaultEnvironment().webGpuDevice)];
    const open = (/** @type {any} */ place) => Runner.open(litert, file, place);
    const found = await measured(open, places.filter((_, index) => index === 0 || possible[index - 1]));
    // The runner till now is not deleted: it may be at work.
    runner = (found.length && (await open(fastest(found)))) || runner;
    file = null;
    return {place: runner.place, measured: found};
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
    const before = performance.now();
    const embedding = await runner.run(values);
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

/** LiteRT.js, in the build with threads where the page may have them. */
async function started() {
  const {threads} = await modules;
  /** @type {any} */ (self).Module = {
    locateFile(/** @type {string} */ name) {
      loaded.push(name, name.replace('.wasm', '.js'));
      return FOLDER + name;
    },
    mainScriptUrlOrBlob: `${FOLDER}litert_wasm_threaded_internal.js`, // its threads would load this worker else
    print() {},
    printErr() {},
  };
  const found = await import('./litert.js');
  const {warn} = console;
  console.warn = () => {}; // of a GPU that is not there
  const plain = () => found.loadLiteRt(FOLDER);
  await (threads() > 1 ? found.loadLiteRt(FOLDER, {threads: true}).catch(plain) : plain()).finally(() => (console.warn = warn));
  return found;
}

self.onmessage = async ({data: {id, act, ...given}}) => {
  try {
    self.postMessage({id, result: await acts[act](given)});
  } catch (error) {
    const {key = 'encoder_failed', values = {reason: String(error?.message ?? error)}} = error ?? {};
    self.postMessage({id, problem: {key, values}});
  }
};

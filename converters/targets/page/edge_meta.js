// A bundle in the browser: embeds with LiteRT.js, classifies by the nearest prototype. Nothing leaves the page.

export class Encoder {
  // Loads manifest.json and encoder.tflite from a folder's URL. `litert` is the module @litertjs/core with its runtime loaded.
  static async load(litert, folder) {
    const manifest = await (await fetch(new URL('manifest.json', folder))).json();
    const file = await fetch(new URL('encoder.tflite', folder));
    return Encoder.of(litert, manifest, new Uint8Array(await file.arrayBuffer()));
  }

  static async of(litert, manifest, file) {
    return new Encoder(litert, manifest, await litert.loadAndCompile(file, {accelerator: 'wasm'}));
  }

  constructor(litert, manifest, model) {
    Object.assign(this, {litert, manifest, model});
  }

  // Embeds an image of any size, as a canvas gives it (RGBA, 0 to 255); returns a Float32Array.
  async embed({data, height, width}) {
    const input = this.manifest.input;
    const pixels = resized(withChannels(data, input.channels), height, width, input);
    const values = Float32Array.from(pixels, (pixel) => (pixel - input.mean) * input.scale);
    const tensor = new this.litert.Tensor(values, [1, input.height, input.width, input.channels]);
    const [output] = await this.model.run(tensor);
    const embedding = Float32Array.from(output.toTypedArray());
    tensor.delete();
    output.delete();
    return embedding;
  }
}

// Converts RGBA to RGB, or to gray with the weights of ITU-R 601-2.
function withChannels(rgba, channels) {
  const pixels = new Uint8Array((rgba.length / 4) * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const [r, g, b] = rgba.subarray(from, from + 3);
    if (channels === 1) pixels[to++] = (r * 19595 + g * 38470 + b * 7471 + 32768) >> 16;
    else pixels.set([r, g, b], (to += 3) - 3);
  }
  return pixels;
}

// Resizes as edge_meta/inputs/resizing.py does, with a triangle filter as wide as the shrink factor: the embeddings are equal.
function resized(pixels, height, width, {height: rows, width: columns, channels}) {
  if (height === rows && width === columns) return pixels;
  const down = triangles(height, rows);
  const across = triangles(width, columns);
  const result = new Uint8Array(rows * columns * channels);
  for (let c = 0; c < channels; c++) {
    const narrow = new Float64Array(height * columns);
    for (let y = 0; y < height; y++)
      across.forEach(([first, weights], x) =>
        weights.forEach((w, k) => (narrow[y * columns + x] += w * pixels[(y * width + first + k) * channels + c])));
    down.forEach(([first, weights], y) => {
      for (let x = 0; x < columns; x++) {
        const sum = weights.reduce((total, w, k) => total + w * narrow[(first + k) * columns + x], 0);
        result[(y * columns + x) * channels + c] = Math.max(0, Math.min(255, Math.round(sum)));
      }
    });
  }
  return result;
}

// For each of `target` places: the first of `size` pixels that it is computed from, and the weights from there on.
function triangles(size, target) {
  const step = size / target;
  const support = Math.max(step, 1);
  return Array.from({length: target}, (_, place) => {
    const center = (place + 0.5) * step;
    const first = Math.max(0, Math.floor(center - support));
    const last = Math.min(size, Math.ceil(center + support));
    const weights = [];
    for (let i = first; i < last; i++) weights.push(Math.max(0, 1 - Math.abs(i + 0.5 - center) / support));
    const total = weights.reduce((sum, w) => sum + w, 0);
    return [first, weights.map((w) => w / total)];
  });
}

export class Prototypes {
  // `rejection` is the manifest's field; without it nothing is unknown.
  constructor(rejection = null) {
    this.rejection = rejection;
    this.labels = new Map(); // label → {sum, squares, shots}: Σx, Σ‖x‖² and how many
  }

  enroll(label, embedding) {
    const entry = this.labels.get(label) ?? {sum: new Float64Array(embedding.length), squares: 0, shots: 0};
    embedding.forEach((value, i) => (entry.sum[i] += value));
    entry.squares += squaredNorm(embedding);
    entry.shots += 1;
    this.labels.set(label, entry);
  }

  forget(label) {
    return this.labels.delete(label);
  }

  // Returns {label, distance, known} of the nearest label, or null when there is none.
  classify(embedding) {
    let best = null;
    for (const [label, {sum, shots}] of this.labels) {
      const distance = squaredNorm(embedding.map((value, i) => value - sum[i] / shots));
      if (best === null || distance < best.distance) best = {label, distance};
    }
    return best && {...best, known: best.distance <= this.limit(best.label)};
  }

  // The largest squared distance at which an image is of a label; edge_meta/heads/rejection.py explains it.
  limit(label) {
    if (!this.rejection) return Infinity;
    const {far, shots: [one, more], spread} = this.rejection;
    const {sum, squares, shots} = this.labels.get(label);
    const [few, many] = far.map((table) => this.interpolated(table));
    const share = (1 / shots - 1 / more) / (1 / one - 1 / more);
    const scatter = Math.max(0, squares - squaredNorm(sum) / shots);
    const prior = 8; // shots that the usual spread counts for against a label's own
    return Math.max(0, many + (few - many) * share) * Math.sqrt((prior * spread + scatter) / (spread * (prior + shots - 1)));
  }

  interpolated(table) {
    const {rates, labels, false_accept: rate} = this.rejection;
    const logs = (values) => values.map(Math.log);
    const byLabels = table.map((row) => between(Math.log(rate), logs(rates), logs(row), false));
    return Math.exp(between(Math.log(this.labels.size), logs(labels), byLabels, true));
  }
}

const squaredNorm = (values) => values.reduce((sum, value) => sum + value * value, 0);

// Interpolates points (xs, ys) at x: level beyond the ends, or `onward`, along the last segment, beyond the last point.
function between(x, xs, ys, onward) {
  const last = xs.length - 1;
  if (x <= xs[0] || last === 0) return ys[0];
  if (x >= xs[last] && !onward) return ys[last];
  const next = x > xs[last] ? last : xs.findIndex((value) => value >= x);
  return ys[next] + ((ys[next] - ys[next - 1]) / (xs[next] - xs[next - 1])) * (x - xs[next]);
}

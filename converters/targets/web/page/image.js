// Pixels of any size as the encoder takes them, as edge_meta/inputs/resizing.py makes them.

/** @typedef {import('./manifest.js').ImageInput} ImageInput */

/**
 * @param {{data: Uint8ClampedArray | Uint8Array, height: number, width: number}} image RGBA, as a canvas gives it
 * @param {ImageInput} input
 * @returns {Float32Array} (height, width, channels), normalized
 */
export function imageValues({data, height, width}, input) {
  const pixels = resize(withChannels(data, input.channels), height, width, input);
  const [mean, scale] = [Math.fround(input.mean), Math.fround(input.scale)];
  const normalized = Float32Array.from({length: 256}, (_, pixel) => Math.fround(pixel - mean) * scale);
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < values.length; i++) values[i] = normalized[pixels[i]];
  return values;
}

/**
 * Convert RGBA to RGB, or to gray with the weights of ITU-R 601-2.
 *
 * @param {Uint8ClampedArray | Uint8Array} rgba
 * @param {number} channels 1 or 3
 */
export function withChannels(rgba, channels) {
  const pixels = new Uint8Array((rgba.length / 4) * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    if (channels === 1) pixels[to++] = (rgba[from] * 19595 + rgba[from + 1] * 38470 + rgba[from + 2] * 7471 + 32768) >> 16;
    else for (let c = 0; c < 3; c++) pixels[to++] = rgba[from + c];
  }
  return pixels;
}

/**
 * Resize with a triangle filter as wide as the shrink factor, along one axis after the other.
 *
 * @param {Uint8Array} pixels (height, width, channels)
 * @param {number} height
 * @param {number} width
 * @param {{height: number, width: number, channels: number}} target
 * @returns {Uint8Array}
 */
export function resize(pixels, height, width, {height: rows, width: columns, channels}) {
  if (height === rows && width === columns) return pixels;
  const line = columns * channels;
  const narrow = new Float32Array(height * line);
  triangles(width, columns).forEach(([first, weights], x) => {
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0, at = (y * width + first) * channels + c; k < weights.length; k++, at += channels) sum += weights[k] * pixels[at];
        narrow[y * line + x * channels + c] = sum;
      }
    }
  });
  const result = new Uint8ClampedArray(rows * line); // which rounds halves to even, as NumPy does
  triangles(height, rows).forEach(([first, weights], y) => {
    for (let x = 0; x < line; x++) {
      let sum = 0;
      for (let k = 0, at = first * line + x; k < weights.length; k++, at += line) sum += weights[k] * narrow[at];
      result[y * line + x] = sum;
    }
  });
  return new Uint8Array(result.buffer);
}

/**
 * For each of `target` places: the first of `size` pixels that it is computed from, and the weights from there on.
 *
 * @param {number} size
 * @param {number} target
 * @returns {[number, Float32Array][]}
 */
function triangles(size, target) {
  const step = size / target;
  const support = Math.max(step, 1);
  return Array.from({length: target}, (_, place) => {
    const center = (place + 0.5) * step;
    const first = Math.max(0, Math.floor(center - support));
    const last = Math.min(size, Math.ceil(center + support));
    const weights = [];
    for (let i = first; i < last; i++) weights.push(Math.max(0, 1 - Math.abs(i + 0.5 - center) / support));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return [first, Float32Array.from(weights, (weight) => weight / total)];
  });
}

// Pixels of any size as the encoder takes them, as edge_meta/inputs/resizing.py makes them.

/** @typedef {import('./manifest.js').ImageInput} ImageInput */

/**
 * @param {{data: Uint8ClampedArray | Uint8Array, height: number, width: number}} image RGBA, as a canvas gives it
 * @param {ImageInput} input
 * @returns {Float32Array} (height, width, channels), normalized
 */
export function imageValues({data, height, width}, input) {
  const narrow = input.channels === 1 ? narrowGray(gray(data), width, input.width) : narrowColours(data, width, input.width);
  const pixels = shorten(narrow, height, input.height);
  const [mean, scale] = [Math.fround(input.mean), Math.fround(input.scale)];
  const normalized = Float32Array.from({length: 256}, (_, pixel) => Math.fround(pixel - mean) * scale);
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < values.length; i++) values[i] = normalized[pixels[i]];
  return values;
}

/** Convert RGBA to gray with the weights of ITU-R 601-2. @param {Uint8ClampedArray | Uint8Array} rgba */
function gray(rgba) {
  const pixels = new Uint8Array(rgba.length / 4);
  for (let to = 0, from = 0; to < pixels.length; to++, from += 4) {
    pixels[to] = (rgba[from] * 19595 + rgba[from + 1] * 38470 + rgba[from + 2] * 7471 + 32768) >> 16;
  }
  return pixels;
}

// Resizing is along one axis after the other. Each row is read once and in order, which takes half the time of going by columns.

/**
 * Resize the rows of a gray image.
 *
 * @param {Uint8Array} pixels (height, width)
 * @param {number} width
 * @param {number} columns of the result
 * @returns {Float32Array} (height, columns)
 */
function narrowGray(pixels, width, columns) {
  const {firsts, starts, weights} = triangles(width, columns);
  const narrow = new Float32Array((pixels.length / width) * columns);
  for (let row = 0, to = 0; row < pixels.length; row += width) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = starts[x], at = row + firsts[x]; k < starts[x + 1]; k++, at++) sum += weights[k] * pixels[at];
      narrow[to++] = sum;
    }
  }
  return narrow;
}

/**
 * Resize the rows of an image's red, green and blue.
 *
 * @param {Uint8ClampedArray | Uint8Array} rgba (height, width, 4)
 * @param {number} width
 * @param {number} columns of the result
 * @returns {Float32Array} (height, columns, 3)
 */
function narrowColours(rgba, width, columns) {
  const {firsts, starts, weights} = triangles(width, columns);
  const narrow = new Float32Array((rgba.length / (4 * width)) * columns * 3);
  for (let row = 0, to = 0; row < rgba.length; row += 4 * width) {
    for (let x = 0; x < columns; x++) {
      let [red, green, blue] = [0, 0, 0];
      for (let k = starts[x], at = row + 4 * firsts[x]; k < starts[x + 1]; k++, at += 4) {
        red += weights[k] * rgba[at];
        green += weights[k] * rgba[at + 1];
        blue += weights[k] * rgba[at + 2];
      }
      narrow[to++] = red;
      narrow[to++] = green;
      narrow[to++] = blue;
    }
  }
  return narrow;
}

/**
 * Resize the columns.
 *
 * @param {Float32Array} values (height, line)
 * @param {number} height
 * @param {number} rows of the result
 * @returns {Uint8ClampedArray} (rows, line), halves rounded to even, as NumPy does
 */
function shorten(values, height, rows) {
  const {firsts, starts, weights} = triangles(height, rows);
  const line = values.length / height;
  const result = new Uint8ClampedArray(rows * line);
  for (let y = 0; y < rows; y++) {
    const sums = new Float64Array(line);
    for (let k = starts[y], at = firsts[y] * line; k < starts[y + 1]; k++) {
      for (let x = 0; x < line; x++) sums[x] += weights[k] * values[at++];
    }
    result.set(sums, y * line);
  }
  return result;
}

/**
 * The triangle filter, as wide as the shrink factor: `target` places are computed from the pixels from `firsts` on, with the
 * weights from `starts` to the next place's.
 *
 * @param {number} size
 * @param {number} target
 */
function triangles(size, target) {
  const step = size / target;
  const support = Math.max(step, 1);
  const [firsts, starts] = [new Int32Array(target), new Int32Array(target + 1)];
  const weights = [];
  for (let place = 0; place < target; place++) {
    const center = (place + 0.5) * step;
    firsts[place] = Math.max(0, Math.floor(center - support));
    const own = [];
    for (let i = firsts[place]; i < Math.min(size, Math.ceil(center + support)); i++) own.push(Math.max(0, 1 - Math.abs(i + 0.5 - center) / support));
    const total = own.reduce((sum, weight) => sum + weight, 0);
    weights.push(...own.map((weight) => weight / total));
    starts[place + 1] = weights.length;
  }
  return {firsts, starts, weights: Float32Array.from(weights)};
}

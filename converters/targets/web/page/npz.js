// Read and write .npz files as NumPy's savez writes them: arrays in a zip without compression.

import {Problem} from './problem.js';

/**
 * @typedef {object} Member an array of an archive, in C order
 * @property {string} descr its dtype, such as `<f4`
 * @property {number[]} shape
 * @property {Uint8Array} bytes a copy of its values, aligned for any typed array
 */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const HEADER = /^\{'descr': '(.{3})', 'fortran_order': False, 'shape': \((\d+),(?: (\d+))?\), \} *\n$/s;
const NO_ZIP = () => new Problem('archive_damaged');

const CRC = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Read all arrays; compressed members are refused, so that none is larger than the file.
 *
 * @param {Uint8Array} file
 * @returns {Map<string, Member>} by name without `.npy`
 */
export function readNpz(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  try {
    return members(file, view);
  } catch (error) {
    throw error instanceof RangeError ? NO_ZIP() : error;
  }
}

/**
 * @param {Uint8Array} file
 * @param {DataView} view
 */
function members(file, view) {
  let end = file.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw NO_ZIP();
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  const found = new Map();
  let total = 0;
  for (let index = 0; index < count; index++) {
    if (view.getUint32(at, true) !== CENTRAL) throw NO_ZIP();
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const name = new TextDecoder().decode(file.subarray(at + 46, at + 46 + nameLength));
    const local = view.getUint32(at + 42, true);
    if (view.getUint32(local, true) !== LOCAL || method !== 0) throw NO_ZIP();
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const content = file.subarray(start, start + size);
    total += size;
    if (content.length !== size || total > file.length || found.has(name)) throw NO_ZIP();
    if (crc32(content) !== view.getUint32(at + 16, true)) throw NO_ZIP();
    found.set(name.replace(/\.npy$/, ''), member(content));
    at += 46 + nameLength + extra + comment;
  }
  return found;
}

/**
 * @param {Uint8Array} file a .npy file
 * @returns {Member | null} null if it is none
 */
export function readNpy(file) {
  try {
    return member(file);
  } catch {
    return null;
  }
}

/**
 * @param {Uint8Array} content
 * @returns {Member}
 */
function member(content) {
  const start = 10 + content[8] + 256 * content[9];
  const text = String.fromCharCode(...content.subarray(0, start));
  const header = text.startsWith('\x93NUMPY\x01\x00') && text.slice(10).match(HEADER);
  if (!header) throw NO_ZIP();
  const shape = header.slice(2).filter((side) => side !== undefined).map(Number);
  const size = shape.reduce((product, side) => product * side, Number(header[1][2]));
  if (size !== content.length - start) throw NO_ZIP();
  return {descr: header[1], shape, bytes: content.slice(start)};
}

/**
 * @param {[string, string, number[], Uint8Array][]} arrays name, dtype, shape and values of each
 * @returns {Uint8Array}
 */
export function writeNpz(arrays) {
  /** @type {Uint8Array[]} */
  const parts = [];
  /** @type {[number[], Uint8Array, number][]} */
  const directory = [];
  let at = 0;
  const put = (/** @type {Uint8Array} */ part) => {
    parts.push(part);
    at += part.length;
  };
  for (const [name, descr, shape, values] of arrays) {
    const content = concatenated([header(descr, shape), values]);
    const file = new TextEncoder().encode(`${name}.npy`);
    const fields = [20, 0, 0, 0, 33, crc32(content), content.length, content.length, file.length, 0];
    directory.push([fields, file, at]);
    put(record('IHHHHHIIIHH', [LOCAL, ...fields]));
    put(file);
    put(content);
  }
  const start = at;
  for (const [fields, file, offset] of directory) {
    put(record('IHHHHHHIIIHHHHHII', [CENTRAL, 20, ...fields, 0, 0, 0, 0, offset]));
    put(file);
  }
  put(record('IHHHHIIH', [END, 0, 0, directory.length, directory.length, at - start, start, 0]));
  return concatenated(parts);
}

/**
 * @param {string} descr
 * @param {number[]} shape
 */
function header(descr, shape) {
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sides}), }`;
  const length = Math.ceil((text.length + 11) / 64) * 64;
  const bytes = new Uint8Array(length).fill(0x20);
  bytes.set([0x93, ...[...'NUMPY'].map((letter) => letter.charCodeAt(0)), 1, 0, (length - 10) & 255, (length - 10) >> 8]);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[length - 1] = 10;
  return bytes;
}

/**
 * @param {string} layout H for 16 bits, I for 32, as in Python's struct
 * @param {number[]} values
 */
function record(layout, values) {
  const sizes = [...layout].map((kind) => (kind === 'H' ? 2 : 4));
  const view = new DataView(new ArrayBuffer(sizes.reduce((sum, size) => sum + size, 0)));
  let at = 0;
  sizes.forEach((size, index) => {
    if (size === 2) view.setUint16(at, values[index], true);
    else view.setUint32(at, values[index], true);
    at += size;
  });
  return new Uint8Array(view.buffer);
}

/** @param {Uint8Array[]} parts */
export function concatenated(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

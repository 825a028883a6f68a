// Exact sums of embeddings in integers, as edge_meta/store/exact_sums.py keeps them: the same bits in any order.

import {Problem} from './problem.js';

const FRACTION = 2 ** 24;
export const LIMIT = 2 ** 15;

/**
 * @typedef {object} Sums of some shots
 * @property {number} count
 * @property {BigInt64Array} sum in units of 2^-24
 * @property {bigint} squares the sum of |x|² in units of 2^-48
 */

/**
 * @param {Float32Array[]} embeddings
 * @returns {Sums}
 */
export function sumsOf(embeddings) {
  const sum = new BigInt64Array(embeddings[0].length);
  let squares = 0n;
  for (const embedding of embeddings) {
    embedding.forEach((value, index) => {
      const fixed = BigInt(nearestEven(value * FRACTION));
      sum[index] += fixed;
      squares += fixed * fixed;
    });
  }
  return {count: embeddings.length, sum, squares};
}

/** Round as NumPy's rint does. @param {number} value */
export function nearestEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/**
 * @param {Sums} one
 * @param {Sums} other
 * @param {1n | -1n} [sign]
 * @returns {Sums}
 */
export function added(one, other, sign = 1n) {
  return {
    count: one.count + Number(sign) * other.count,
    sum: one.sum.map((value, index) => value + sign * other.sum[index]),
    squares: one.squares + sign * other.squares,
  };
}

/** The exact mean, rounded once to float32. @param {Sums} sums */
export function prototype({count, sum}) {
  return Float32Array.from(sum, (value) => Number(value) / (count * FRACTION));
}

/** Σ|x − c|² around the exact mean c. @param {Sums} sums */
export function scatter({count, sum, squares}) {
  let length = 0n;
  for (const value of sum) length += value * value;
  return Number(BigInt(count) * squares - length) / (count * 2 ** 48);
}

/**
 * @param {Float32Array[]} embeddings
 * @param {number} dim
 */
export function checkEmbeddings(embeddings, dim) {
  for (const embedding of embeddings) {
    if (embedding.length !== dim || !embedding.every((value) => Math.abs(value) < LIMIT)) {
      throw new Problem('embedding_unusable');
    }
  }
}

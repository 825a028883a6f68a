// Linear discriminant analysis (Fisher 1936) with a shrunken covariance (Friedman 1989), as edge_meta/heads/closed_form.py has it.

import {dot, mean} from './linear.js';

/** @typedef {import('./linear.js').Column} Column */

const SHRINKAGES = [1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1];

/**
 * Yield a head for each shrinkage s. With A the shots (M, D) around their prototypes, S = AᵀA / (M − N) and m its mean variance,
 * a head's weights are Σ⁻¹c with Σ = (1 − s) S + s m I. Where M < D, Woodbury's identity makes a system of M equations of it.
 *
 * @param {Float32Array[]} embeddings
 * @param {number[]} labels of the embeddings
 * @param {Float32Array[]} prototypes
 * @returns {Generator<Column[]>} none where all shots equal their prototype
 */
export function* discriminantHeads(embeddings, labels, prototypes) {
  const around = embeddings.map((x, row) => Float64Array.from(x, (value, i) => value - prototypes[labels[row]][i]));
  const freedom = Math.max(1, labels.length - prototypes.length);
  const dim = prototypes[0].length;
  const variance = around.reduce((sum, row) => sum + dot(row, row), 0) / freedom / dim;
  if (!(variance > 0)) return;
  const center = mean(prototypes);
  const fromCenter = prototypes.map((prototype) => Float64Array.from(prototype, (value, i) => value - center[i]));
  const byShots = around.length < dim;
  const rows = byShots ? around : Array.from({length: dim}, (_, i) => Float64Array.from(around, (row) => row[i]));
  const gram = rows.map((one, i) => Float64Array.from(rows, (other, j) => (j <= i ? dot(one, other) : 0)));
  for (const shrinkage of SHRINKAGES) {
    const ridge = shrinkage * variance;
    const share = (1 - shrinkage) / freedom;
    const solve = share ? solver(gram, ridge / share) : null;
    yield fromCenter.map((c) => {
      const weights = solve ? inverseTimes(c, around, solve, byShots, ridge, share) : c.map((value) => value / ridge);
      return {weights: Float32Array.from(weights), bias: Math.fround(-0.5 * dot(c, weights) - dot(center, weights))};
    });
  }
}

/**
 * @param {Float64Array} c
 * @param {Float64Array[]} around
 * @param {(values: Float64Array) => Float64Array} solve
 * @param {boolean} byShots
 * @param {number} ridge
 * @param {number} share
 */
function inverseTimes(c, around, solve, byShots, ridge, share) {
  if (!byShots) return solve(c).map((value) => value / share);
  const solved = solve(Float64Array.from(around, (row) => dot(row, c)));
  const result = c.slice();
  around.forEach((row, j) => row.forEach((value, i) => (result[i] -= value * solved[j])));
  return result.map((value) => value / ridge);
}

/**
 * Factor a symmetric matrix plus a multiple of the identity by Cholesky.
 *
 * @param {Float64Array[]} lower triangle
 * @param {number} diagonal
 */
function solver(lower, diagonal) {
  const factor = lower.map((row) => row.slice());
  for (let i = 0; i < factor.length; i++) {
    for (let j = 0; j <= i; j++) {
      const [one, other] = [factor[i], factor[j]];
      let sum = one[j] + (i === j ? diagonal : 0);
      for (let k = 0; k < j; k++) sum -= one[k] * other[k];
      one[j] = i === j ? Math.sqrt(sum) : sum / other[j];
    }
  }
  return (/** @type {Float64Array} */ values) => {
    const solved = values.slice();
    for (let i = 0; i < solved.length; i++) {
      for (let k = 0; k < i; k++) solved[i] -= factor[i][k] * solved[k];
      solved[i] /= factor[i][i];
    }
    for (let i = solved.length - 1; i >= 0; i--) {
      solved[i] /= factor[i][i];
      for (let k = 0; k < i; k++) solved[k] -= factor[i][k] * solved[i];
    }
    return solved;
  };
}

// Up to which squared distance each label is known: as calibrated, for migrated shots, and corrected by the store's own shots.
// edge_meta/heads/rejection.py, edge_meta/heads/store_evidence.py and edge_meta/runtime/limits.py explain it.

import {squaredDistance} from './linear.js';
import {NONE} from './store.js';

/** @typedef {import('./manifest.js').Rejection} Rejection */

const PRIOR_SHOTS = 8;
const MOST_LABELS = 64;
const MOST_SHOTS = 5;
const CERTAIN_LABELS = 8;
const OWN_DISTANCES = 1.5;
const OWN_WEIGHT = 0.2;
const VARIANCE_OF_SHOTS = 0.04;
const LEAST_SHARE = 0.25;
const NONE_FACTOR = 1.7;

/**
 * @param {import('./store.js').Store} store
 * @param {import('./store.js').Snapshot} now of that store
 * @param {import('./manifest.js').Manifest} manifest
 * @returns {number[]} infinite without a calibration
 */
export function limitsOf(store, now, manifest) {
  const rejection = manifest.rejection;
  if (!rejection) return now.labels.map(() => Infinity);
  const scales = thresholdScales(now, manifest.upgrades ?? [], rejection.shots);
  const limits = calibrated(rejection, now.counts, now.scatters).map((limit, index) => limit * scales[index]);
  if (!rejection.prior_labels || !limits.length) return limits;
  const factor = correction(strangers(store, now), now, limits, rejection, store.keeps_shots);
  return limits.map((limit) => limit * factor);
}

/**
 * @param {Rejection} rejection
 * @param {number[]} counts shots of each label
 * @param {number[]} scatters Σ‖x − c‖² over each label's shots
 */
export function calibrated(rejection, counts, scatters) {
  const [few, many] = rejection.far.map((table) => interpolated(rejection, table, counts.length));
  const [one, more] = rejection.shots;
  return counts.map((count, index) => {
    const share = (1 / count - 1 / more) / (1 / one - 1 / more);
    const usual = rejection.spread * (PRIOR_SHOTS + count - 1);
    const width = Math.sqrt((PRIOR_SHOTS * rejection.spread + scatters[index]) / usual);
    return Math.max(0, many + (few - many) * share) * width;
  });
}

/** @param {Rejection} rejection @param {number[][]} table @param {number} labels */
function interpolated(rejection, table, labels) {
  const logs = (/** @type {number[]} */ values) => values.map(Math.log);
  const byLabels = table.map((row) => between(Math.log(rejection.false_accept), logs(rejection.rates), logs(row), false));
  return Math.exp(between(Math.log(labels), logs(rejection.labels), byLabels, true));
}

/**
 * Interpolate points (xs, ys) at x: level beyond the ends, or `onward`, along the last segment, beyond the last point.
 *
 * @param {number} x
 * @param {number[]} xs
 * @param {number[]} ys
 * @param {boolean} onward
 */
function between(x, xs, ys, onward) {
  const last = xs.length - 1;
  if (x <= xs[0] || last === 0) return ys[0];
  if (x >= xs[last] && !onward) return ys[last];
  const next = x > xs[last] ? last : xs.findIndex((value) => value >= x);
  return ys[next] + ((ys[next] - ys[next - 1]) / (xs[next] - xs[next - 1])) * (x - xs[next]);
}

/** @param {import('./store.js').Snapshot} now @param {NonNullable<import('./manifest.js').Manifest['upgrades']>} upgrades @param {[number, number]} shots */
function thresholdScales(now, upgrades, shots) {
  const [few, more] = shots;
  return now.counts.map((count, index) => {
    let scale = 1;
    for (const [encoderId, fromEncoder] of now.migrated[index]) {
      const [atFew, atMore] = upgrades.find((record) => record.encoder_id === encoderId)?.reach ?? [1, 1];
      const share = (1 / Math.min(count, more) - 1 / more) / (1 / few - 1 / more);
      scale += ((atMore + (atFew - atMore) * share - 1) * fromEncoder) / count;
    }
    return scale;
  });
}

/**
 * @typedef {object} Stranger a shot, as a stranger to the labels other than its own
 * @property {Float32Array} embedding
 * @property {number} owner its label's index
 * @property {number} within added to its distances
 */

/**
 * Some shots of some labels; in a store without single shots, these labels' prototypes.
 *
 * @param {import('./store.js').Store} store
 * @param {import('./store.js').Snapshot} now
 * @returns {Stranger[]}
 */
function strangers(store, now) {
  const chosen = spreadOver(now.labels.length);
  if (!store.keeps_shots) {
    return chosen.map((owner) => ({embedding: now.prototypes[owner], owner, within: now.scatters[owner] / now.counts[owner]}));
  }
  const labels = store.labels.filter((row) => row.label !== NONE);
  const sums = labels.map((label) => store.sums.filter((row) => row.label_id === label.id).map((row) => row.id).sort());
  return chosen.flatMap((owner) =>
    sums[owner]
      .flatMap((sumId) => store.shots.filter((shot) => shot.sum_id === sumId))
      .slice(0, MOST_SHOTS)
      .map(({embedding}) => ({embedding, owner, within: 0})));
}

/** The indices of at most `MOST_LABELS` labels, evenly spread. @param {number} labels */
function spreadOver(labels) {
  const count = Math.min(labels, MOST_LABELS);
  const places = Array.from({length: count}, (_, index) => Math.floor(count > 1 ? (index * (labels - 1)) / (count - 1) : 0));
  return [...new Set(places)];
}

/**
 * @param {Stranger[]} shots
 * @param {import('./store.js').Snapshot} now
 * @param {number[]} limits as calibrated
 * @param {Rejection} rejection
 * @param {boolean} single whether these are single shots
 * @returns {number} the factor on all limits
 */
export function correction(shots, now, limits, rejection, single) {
  const others = limits.length - 1;
  let [total, weights] = [0, 0];
  if (others > 0 && shots.length) {
    const shift = ofStrangers(shots, now.prototypes, limits, rejection, single);
    weights = shift > 0 ? others * Math.min(1, others / CERTAIN_LABELS) : others;
    total = weights * shift;
  }
  const several = now.counts.map((count, index) => ({count, index})).filter(({count}) => count > 1);
  if (several.length) {
    const shares = several.map(({count, index}) => {
      const variance = Math.max(now.scatters[index] / (count - 1), LEAST_SHARE * rejection.spread);
      return (variance * (1 + 1 / count)) / limits[index];
    });
    const weight = OWN_WEIGHT * several.length;
    weights += weight;
    total += weight * Math.log((OWN_DISTANCES * shares.reduce((sum, share) => sum + share, 0)) / shares.length);
  }
  return Math.exp(total / (weights + (rejection.prior_labels ?? 0)));
}

/**
 * The logarithm of the quantile, at the false-accept rate, of each label's shots' distances to the nearest other, by its limit.
 *
 * @param {Stranger[]} shots
 * @param {Float32Array[]} prototypes
 * @param {number[]} limits
 * @param {Rejection} rejection
 * @param {boolean} single
 */
function ofStrangers(shots, prototypes, limits, rejection, single) {
  const counts = new Map();
  for (const {owner} of shots) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const values = shots.map(({embedding, owner, within}) => {
    let [nearest, least] = [-1, Infinity];
    prototypes.forEach((prototype, index) => {
      const distance = index === owner ? Infinity : squaredDistance(embedding, prototype);
      if (distance < least) [nearest, least] = [index, distance];
    });
    const distance = Math.max(least + within, LEAST_SHARE * rejection.spread);
    return {logarithm: Math.log(distance / limits[nearest]), weight: 1 / counts.get(owner)};
  });
  const total = values.reduce((sum, {weight}) => sum + weight, 0);
  const average = values.reduce((sum, {logarithm, weight}) => sum + weight * logarithm, 0) / total;
  const variance = values.reduce((sum, {logarithm, weight}) => sum + weight * (logarithm - average) ** 2, 0) / total;
  return average + normalQuantile(rejection.false_accept) * Math.sqrt(variance + (single ? 0 : VARIANCE_OF_SHOTS));
}

/** Abramowitz and Stegun 1964, 26.2.23. @param {number} share @returns {number} */
function normalQuantile(share) {
  if (share > 0.5) return -normalQuantile(1 - share);
  const t = Math.sqrt(-2 * Math.log(share));
  const above = 2.515517 + t * (0.802853 + t * 0.010328);
  const below = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  return above / below - t;
}

/**
 * The squared distance to its label's prototype up to which an embedding can be known beside the examples of none.
 *
 * @param {Float32Array[]} points the examples of none, or their mean
 * @param {boolean} single whether these are single shots
 * @param {Float32Array} embedding
 * @param {number} shots of that label
 */
export function noneLimit(points, single, embedding, shots) {
  const distances = points.map((point) => squaredDistance(point, embedding));
  return Math.min(Infinity, ...distances) / (single ? (NONE_FACTOR * shots) / (shots + 1) : 1);
}

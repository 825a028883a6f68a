// Fit the last layer to enrolled shots, and choose among the prototypes and the fitted heads by held-out shots, as
// edge_meta/heads/adaptation.py and edge_meta/heads/held_out.py do.

import {discriminantHeads} from './discriminant.js';
import {columnOf, crossEntropy, descent, logitsOf, mean} from './linear.js';

/** @typedef {import('./linear.js').Column} Column */

const FOLDS = 10;
const PATIENCE = 10;
const MARGINS = Array.from({length: 18}, (_, index) => 2 ** (-2 + index / 2));

/**
 * @typedef {object} Fit
 * @property {Column[] | null} head null for the prototypes
 * @property {number} chosen which of the heads, from 1; 0 for the prototypes
 * @property {number} judged how many shots were held out
 * @property {Score | null} before the prototypes on the held-out shots
 * @property {Score | null} after the new head on them
 */
/** @typedef {{loss: number, accuracy: number}} Score */

/**
 * @param {Float32Array[]} embeddings
 * @param {number[]} labels each label at least once
 * @param {Float32Array[]} prototypes
 * @param {import('./manifest.js').Manifest['head']} settings
 * @returns {Fit}
 */
export function fit(embeddings, labels, prototypes, settings) {
  const rates = settings.learned ? settings.learning_rates : null;
  const heads = (/** @type {number[]} */ rows, /** @type {Float32Array[]} */ from) => {
    const [some, owners] = [rows.map((row) => embeddings[row]), rows.map((row) => labels[row])];
    return rates ? descent(some, owners, from, rates) : discriminantHeads(some, owners, from);
  };
  const held = folds(labels, prototypes.length);
  /** @type {Fit} */
  const result = {head: null, chosen: rates && !held.length ? rates.length : 0, judged: held.flat().length, before: null, after: null};
  let scale = 1;
  if (held.length) {
    const tried = candidates(embeddings, labels, prototypes.length, held, heads, rates);
    const worth = tried.map((_, index) => index).filter((index) => tried[index].accuracy >= tried[0].accuracy);
    result.chosen = worth.reduce((best, index) => (tried[index].loss < tried[best].loss ? index : best), 0);
    [result.before, result.after, scale] = [tried[0], tried[result.chosen], tried[result.chosen].scale];
  }
  if (!result.chosen) return result;
  const all = heads(labels.map((_, row) => row), prototypes);
  let head = /** @type {Column[]} */ (all.next().value);
  for (let index = 1; index < result.chosen; index++) head = /** @type {Column[]} */ (all.next().value);
  head = head.map(({weights, bias}) => ({weights: weights.map((value) => scale * value), bias: Math.fround(scale * bias)}));
  const finite = head.every(({weights, bias}) => Number.isFinite(bias) && weights.every((value) => Number.isFinite(value)));
  return finite ? {...result, head} : {...result, chosen: 0, after: result.before};
}

/**
 * Rows of shots to hold out together: each shot whose label has another, once.
 *
 * @param {number[]} labels
 * @param {number} count
 */
export function folds(labels, count) {
  const rows = Array.from({length: count}, () => /** @type {number[]} */ ([]));
  labels.forEach((label, row) => rows[label].push(row));
  const spare = rows.filter((each) => each.length > 1).flat();
  const many = Math.min(FOLDS, spare.length);
  return Array.from({length: many}, (_, first) => spare.filter((_, index) => index % many === first));
}

/**
 * Score the prototypes, then each of the heads, on held-out shots.
 *
 * @param {Float32Array[]} embeddings
 * @param {number[]} labels
 * @param {number} count of labels
 * @param {number[][]} held
 * @param {(rows: number[], prototypes: Float32Array[]) => Generator<Column[]>} heads
 * @param {number[] | null} rates
 * @returns {(Score & {scale: number})[]}
 */
function candidates(embeddings, labels, count, held, heads, rates) {
  const truth = held.flat().map((row) => labels[row]);
  const judge = (/** @type {Column[][]} */ made) =>
    held.flatMap((rows, fold) => rows.map((row) => logitsOf(made[fold], embeddings[row])));
  const parts = held.map((rows) => {
    const out = new Set(rows);
    const kept = labels.map((_, row) => row).filter((row) => !out.has(row));
    const prototypes = Array.from({length: count}, (_, label) =>
      Float32Array.from(mean(kept.filter((row) => labels[row] === label).map((row) => embeddings[row]))));
    return {start: prototypes.map(columnOf), path: heads(kept, prototypes)};
  });
  const scored = [{...score(judge(parts.map((part) => part.start)), truth, 1), scale: 1}];
  for (let index = 1, best = 0; ; index++) {
    const made = parts.map((part) => part.path.next());
    if (made.some((step) => step.done)) return scored;
    const logits = judge(made.map((step) => step.value));
    const scale = rates ? 1 : temperature(logits, truth);
    const judged = {...score(logits, truth, scale), scale};
    if (!Number.isFinite(judged.loss)) return scored;
    scored.push(judged);
    if (judged.loss < scored[best].loss) best = index;
    else if (rates && index >= 2 * best + PATIENCE) return scored;
  }
}

/** @param {number[][]} logits @param {number[]} truth @param {number} factor on the logits @returns {Score} */
function score(logits, truth, factor) {
  const right = logits.filter((row, index) => row.indexOf(Math.max(...row)) === truth[index]).length;
  return {loss: meanLoss(logits, truth, factor), accuracy: right / truth.length};
}

/** @param {number[][]} logits @param {number[]} truth @param {number} factor */
function meanLoss(logits, truth, factor) {
  return logits.reduce((sum, row, index) => sum + crossEntropy(row.map((logit) => factor * logit), truth[index]), 0) / truth.length;
}

/** The factor on logits with the least cross-entropy, smoothed as in Platt's scaling. @param {number[][]} logits @param {number[]} truth */
export function temperature(logits, truth) {
  const gaps = logits.map((row, index) => row[truth[index]] - row.reduce((sum, value) => sum + value, 0) / row.length);
  const margin = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  if (!(margin > 0)) return 1;
  const loss = (/** @type {number} */ factor) => meanLoss(logits, truth, factor) + (factor * margin) / (truth.length + 2);
  const factors = MARGINS.map((wanted) => wanted / margin);
  return factors.reduce((best, factor) => (loss(factor) < loss(best) ? factor : best));
}

// Classify embeddings by a store: the head, the limits of known, and warnings of labels that look alike.

import {fit} from './adapt.js';
import {limitsOf, noneLimit} from './limits.js';
import {dot, headFrom, softmax, squaredDistance} from './linear.js';
import {allShots, noneOf, replaceHead, snapshot} from './store.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {{label: string, score: number, distance: number}} Near */

export class Classifier {
  /**
   * @param {Store} store read once; make another classifier after a change
   * @param {import('./manifest.js').Manifest} manifest
   */
  constructor(store, manifest) {
    this.now = snapshot(store);
    this.limits = limitsOf(store, this.now, manifest);
    this.none = noneOf(store);
    this.single = store.keeps_shots;
    this.head = this.now.columns.size ? headFrom(this.now.prototypes, this.now.columns) : null;
  }

  /**
   * @param {Float32Array} embedding
   * @param {number} [topK]
   * @returns {{label: string | null, known: boolean, top: Near[]} | null} null where nothing is enrolled
   */
  classify(embedding, topK = 3) {
    const {labels, prototypes} = this.now;
    if (!labels.length) return null;
    const distances = prototypes.map((prototype) => squaredDistance(embedding, prototype));
    const logits = this.head
      ? this.head.map(({weights, bias}) => dot(weights, embedding) + bias)
      : distances.map((distance) => -distance);
    const scores = softmax(logits);
    const order = labels.map((_, index) => index).sort((one, other) => logits[other] - logits[one] || one - other);
    const best = order[0];
    const ofNone = noneLimit(this.none.points, this.single, embedding, this.now.counts[best]);
    const known = distances[best] <= Math.min(this.limits[best], ofNone);
    const top = order.slice(0, topK).map((index) => ({label: labels[index], score: scores[index], distance: distances[index]}));
    return {label: known ? labels[best] : null, known, top};
  }

  /**
   * Another label that a shot of `label` lies nearer to than to the other shots of its own; null if there is none.
   *
   * @param {Float32Array} embedding a shot that is enrolled
   * @param {string} label
   * @returns {string | null}
   */
  lookAlike(embedding, label) {
    const {labels, counts, prototypes} = this.now;
    const own = labels.indexOf(label);
    if (own < 0 || counts[own] < 2) return null;
    const n = counts[own];
    const without = Float64Array.from(prototypes[own], (value, i) => (n * value - embedding[i]) / (n - 1));
    const distances = prototypes.map((prototype, index) => squaredDistance(embedding, index === own ? without : prototype));
    const nearest = distances.indexOf(Math.min(...distances));
    return nearest === own ? null : labels[nearest];
  }
}

/**
 * Fit the head of a store to its shots, or go back to the prototypes where they do best.
 *
 * @param {Store} store
 * @param {import('./manifest.js').Manifest} manifest
 * @returns {import('./adapt.js').Fit}
 */
export function adapt(store, manifest) {
  const shots = allShots(store);
  const fitted = fit(shots.map((shot) => shot.embedding), shots.map((shot) => shot.owner), snapshot(store).prototypes, manifest.head);
  replaceHead(store, fitted.head);
  return fitted;
}

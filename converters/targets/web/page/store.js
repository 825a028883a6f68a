// The store: enrolled labels, their shots, the adapted head and the undo log, as rows of the tables of
// edge_meta/store/schema.sql. Functions change the rows in place; the caller keeps them or throws them away, so that a change
// is whole or not at all. Ids are hexadecimal.

import {added, checkEmbeddings, prototype, scatter} from './exact_sums.js';
import {Problem} from './problem.js';
import {
  addShots, deleteSteps, dropHeads, labelIdOf, labelOf, log, logColumns, move, newLabel, randomId, removeShots, removeSums, subtract,
} from './rows.js';

/**
 * @typedef {object} Store
 * @property {string} encoder_id
 * @property {number} dim
 * @property {string} origin of the shots that are enrolled here
 * @property {boolean} keeps_shots single shots, or their sums alone
 * @property {{id: number, label: string}[]} labels
 * @property {(import('./exact_sums.js').Sums & {id: string, label_id: number, origin: string, revision: number})[]} sums
 * @property {{origin: string, encoder_id: string}[]} migrated
 * @property {{id: number, action: string}[]} log
 * @property {{id: string, sum_id: string, log_id: number | null, embedding: Float32Array}[]} shots
 * @property {(import('./exact_sums.js').Sums & {log_id: number, sum_id: string})[]} log_sums
 * @property {{label_id: number, weights: Float32Array, bias: number}[]} columns
 * @property {{log_id: number, label_id: number, weights: Float32Array, bias: number}[]} log_columns
 * @property {{log_id: number, label_id: number, label: string}[]} log_renames
 * @property {{id: string}[]} removed
 */

export const LONGEST_LABEL = 1000;
/** The reserved label of examples of none: never answered, without a column, not renamed. */
export const NONE = '';

/**
 * @param {string} encoderId
 * @param {number} dim
 * @returns {Store}
 */
export function emptyStore(encoderId, dim) {
  return {
    encoder_id: encoderId, dim, origin: randomId(), keeps_shots: true, labels: [], sums: [], migrated: [], log: [], shots: [],
    log_sums: [], columns: [], log_columns: [], log_renames: [], removed: [],
  };
}

/** @param {string} label */
export function checkLabel(label) {
  if (!label.trim()) throw new Problem('label_empty');
  if ([...label].length > LONGEST_LABEL) throw new Problem('label_long', {most: LONGEST_LABEL});
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(label)) throw new Problem('label_no_text');
}

/**
 * Add shots to labels in one step for undo; a store without single shots takes a step for each label.
 *
 * @param {Store} store
 * @param {[string, Float32Array[]][]} shots
 */
export function enroll(store, shots) {
  for (const [label] of shots) checkLabel(label);
  add(store, shots);
}

/** Add examples of things that are no label; an adapted head stays. @param {Store} store @param {Float32Array[]} embeddings */
export const enrollNone = (store, embeddings) => add(store, [[NONE, embeddings]]);

/** @param {Store} store @param {[string, Float32Array[]][]} shots */
function add(store, shots) {
  for (const [, embeddings] of shots) checkEmbeddings(embeddings, store.dim);
  let step = 0;
  for (const [label, embeddings] of shots) {
    const labelId = newLabel(store, label);
    const ofLabel = (/** @type {{label_id: number}} */ row) => row.label_id === labelId;
    if (!step || !store.keeps_shots) step = log(store, 'enroll');
    logColumns(store, step, ofLabel);
    store.columns = store.columns.filter((row) => !ofLabel(row));
    addShots(store, labelId, store.origin, embeddings, step);
  }
}

/**
 * Remove a label for good, with all adapted heads: a shot can be solved out of a head that was fitted to it.
 *
 * @param {Store} store
 * @param {string} label
 * @returns {number} how many shots went
 */
export function forget(store, label) {
  checkLabel(label);
  labelIdOf(store, label);
  dropHeads(store);
  return removeLabel(store, label);
}

/** Remove the examples of none for good; adapted heads stay, since none was fitted to them. @param {Store} store */
export const forgetNone = (store) => removeLabel(store, NONE);

/** @param {Store} store @param {string} label */
function removeLabel(store, label) {
  const labelId = labelIdOf(store, label);
  const ids = new Set(store.sums.filter((row) => row.label_id === labelId).map((row) => row.id));
  return store.keeps_shots ? removeShots(store, (shot) => ids.has(shot.sum_id)) : removeSums(store, (row) => ids.has(row.id));
}

/**
 * Rename a label. Its shots get new ids, derived from the old ones, so that merges take over the new name.
 *
 * @param {Store} store
 * @param {string} old
 * @param {string} label
 */
export function rename(store, old, label) {
  checkLabel(old);
  checkLabel(label);
  const labelId = labelIdOf(store, old);
  move(store, labelId, label);
  const step = log(store, 'enroll'); // which replaces the array of renames
  store.log_renames.push({log_id: step, label_id: labelId, label: old});
}

/**
 * Take back the last enroll, adapt or rename.
 *
 * @param {Store} store
 * @returns {{action: string, label: string | null, shots: number}}
 */
export function undo(store) {
  const last = store.log.at(-1);
  if (!last) throw new Problem('nothing_to_undo');
  const renamed = store.log_renames.find((row) => row.log_id === last.id);
  if (renamed) {
    const shots = move(store, renamed.label_id, renamed.label);
    deleteSteps(store, (id) => id === last.id);
    return {action: 'rename', label: renamed.label, shots};
  }
  const ids = new Set([...store.shots, ...store.log_sums].filter((row) => row.log_id === last.id).map((row) => row.sum_id));
  const owners = new Set(store.sums.filter((row) => ids.has(row.id)).map((row) => labelOf(store, row.label_id)));
  if (last.action === 'adapt') store.columns = [];
  for (const {label_id, weights, bias} of store.log_columns.filter((row) => row.log_id === last.id)) {
    store.columns.push({label_id, weights, bias});
  }
  let shots = removeShots(store, (shot) => shot.log_id === last.id);
  for (const row of store.log_sums.filter((row) => row.log_id === last.id)) {
    subtract(store, row.sum_id, row);
    shots += row.count;
  }
  deleteSteps(store, (id) => id === last.id);
  return {action: last.action, label: owners.size === 1 ? [...owners][0] : null, shots};
}

/**
 * Set all columns of the head, or none for the prototypes; undo takes it back.
 *
 * @param {Store} store
 * @param {{weights: Float32Array, bias: number}[] | null} columns one for each label, in the order of their ids
 */
export function replaceHead(store, columns) {
  if (!store.keeps_shots) throw new Problem('no_shots');
  logColumns(store, log(store, 'adapt'), () => true);
  store.columns = (columns ?? []).map((column, index) => ({label_id: labelsOf(store)[index].id, ...column}));
}

/**
 * @typedef {object} Snapshot all that classifying needs; labels in the order of their first enrollment
 * @property {string[]} labels
 * @property {number[]} counts shots of each label
 * @property {Float32Array[]} prototypes
 * @property {number[]} scatters Σ|x − c|² over each label's shots
 * @property {Map<number, {weights: Float32Array, bias: number}>} columns of the labels that adaptation has moved, by index
 * @property {Map<string, number>[]} migrated for each label, older encoder → how many shots came from it
 */

/**
 * @param {Store} store
 * @returns {Snapshot} without the examples of none
 */
export function snapshot(store) {
  const origins = new Map(store.migrated.map((row) => [row.origin, row.encoder_id]));
  const labels = labelsOf(store);
  const index = new Map(labels.map((row, at) => [row.id, at]));
  const rows = labels.map((label) => store.sums.filter((row) => row.label_id === label.id));
  const totals = rows.map((parts) => parts.reduce((/** @type {any} */ sum, part) => (sum ? added(sum, part) : part), null));
  return {
    labels: labels.map((row) => row.label),
    counts: totals.map((sums) => sums.count),
    prototypes: totals.map(prototype),
    scatters: totals.map(scatter),
    columns: new Map(store.columns.map(({label_id, weights, bias}) => [index.get(label_id) ?? -1, {weights, bias}])),
    migrated: rows.map((parts) => {
      const counts = new Map();
      for (const {origin, count} of parts) {
        const from = origins.get(origin);
        if (from !== undefined) counts.set(from, (counts.get(from) ?? 0) + count);
      }
      return counts;
    }),
  };
}

/** All labels but that of the examples of none. @param {Store} store */
const labelsOf = (store) => store.labels.filter((row) => row.label !== NONE);

/**
 * The examples of none; in a store without single shots, their mean.
 *
 * @param {Store} store
 * @returns {{points: Float32Array[], count: number}}
 */
export function noneOf(store) {
  const labelId = store.labels.find((row) => row.label === NONE)?.id;
  const sums = store.sums.filter((row) => row.label_id === labelId);
  const count = sums.reduce((sum, row) => sum + row.count, 0);
  if (!count) return {points: [], count};
  if (!store.keeps_shots) return {points: [prototype(sums.reduce((/** @type {any} */ sum, row) => (sum ? added(sum, row) : row), null))], count};
  const ids = new Set(sums.map((row) => row.id));
  return {points: store.shots.filter((shot) => ids.has(shot.sum_id)).map((shot) => shot.embedding), count};
}

/**
 * All shots of labels, and the index of each one's label.
 *
 * @param {Store} store
 */
export function allShots(store) {
  const labels = new Map(labelsOf(store).map((row, at) => [row.id, at]));
  const owners = new Map(store.sums.map((row) => [row.id, labels.get(row.label_id) ?? -1]));
  const all = store.shots.map(({sum_id, embedding}) => ({owner: owners.get(sum_id) ?? -1, sum_id, embedding}));
  return all.filter((shot) => shot.owner >= 0).sort((one, other) => one.owner - other.owner);
}

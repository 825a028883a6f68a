// The rows of a store, so changed that shots, sums and labels stay consistent; edge_meta/store/writer.py says why.

import {added, sumsOf} from './exact_sums.js';
import {concatenated} from './npz.js';
import {Problem} from './problem.js';
import {sha256} from './sha256.js';

/** @typedef {import('./store.js').Store} Store */

const UNDO_STEPS = 100;

export const randomId = () => hex(crypto.getRandomValues(new Uint8Array(16)));
/** @param {Uint8Array} bytes */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
/** @param {string} id */
export const unhex = (id) => Uint8Array.from({length: id.length / 2}, (_, index) => parseInt(id.slice(2 * index, 2 * index + 2), 16));

/** @param {Store} store @param {string} label */
export function labelIdOf(store, label) {
  const row = store.labels.find((row) => row.label === label);
  if (!row) throw new Problem('label_unknown', {label});
  return row.id;
}

/** @param {Store} store @param {number} id */
export const labelOf = (store, id) => store.labels.find((row) => row.id === id)?.label ?? '';

/** @param {Store} store @param {string} label */
export function newLabel(store, label) {
  if (!store.labels.some((row) => row.label === label)) {
    store.labels.push({id: (store.labels.at(-1)?.id ?? 0) + 1, label});
  }
  return labelIdOf(store, label);
}

/** @param {Store} store @param {string} action */
export function log(store, action) {
  const id = (store.log.at(-1)?.id ?? 0) + 1;
  store.log.push({id, action});
  deleteSteps(store, (old) => old <= id - UNDO_STEPS);
  return id;
}

/** @param {Store} store @param {number} step @param {(row: {label_id: number}) => boolean} which */
export function logColumns(store, step, which) {
  for (const row of store.columns.filter(which)) store.log_columns.push({log_id: step, ...row});
}

/**
 * @param {Store} store
 * @param {number} labelId
 * @param {string} origin
 * @param {Float32Array[]} embeddings
 * @param {number | null} step
 * @param {string[]} [ids] new ones unless given
 */
export function addShots(store, labelId, origin, embeddings, step, ids = embeddings.map(randomId)) {
  const sums = sumsOf(embeddings);
  let row = store.sums.find((row) => row.label_id === labelId && row.origin === origin);
  if (row) Object.assign(row, added(row, sums), {revision: row.revision + 1});
  else store.sums.push((row = {id: randomId(), label_id: labelId, origin, revision: 1, ...sums}));
  const sum_id = row.id;
  if (!store.keeps_shots) store.log_sums.push({log_id: step ?? 0, sum_id, ...sums});
  else embeddings.forEach((embedding, index) => store.shots.push({id: ids[index], sum_id, log_id: step, embedding}));
}

/** @param {Store} store @param {(shot: Store['shots'][number]) => boolean} which */
export function removeShots(store, which) {
  const gone = store.shots.filter(which);
  markRemoved(store, gone.map((shot) => shot.id));
  store.shots = store.shots.filter((shot) => !which(shot));
  for (const [sumId, shots] of grouped(gone)) subtract(store, sumId, sumsOf(shots.map((shot) => shot.embedding)));
  dropEmpty(store);
  return gone.length;
}

/** @param {Store['shots']} shots @returns {Map<string, Store['shots']>} */
function grouped(shots) {
  const groups = new Map();
  for (const shot of shots) groups.set(shot.sum_id, [...(groups.get(shot.sum_id) ?? []), shot]);
  return groups;
}

/** @param {Store} store @param {string} sumId @param {import('./exact_sums.js').Sums} sums */
export function subtract(store, sumId, sums) {
  const row = store.sums.find((row) => row.id === sumId);
  if (!row) return;
  const left = added(row, sums, -1n);
  if (left.count > 0) Object.assign(row, left, {revision: row.revision + 1});
  else removeSums(store, (each) => each.id === sumId, !store.keeps_shots);
}

/** @param {Store} store @param {(row: Store['sums'][number]) => boolean} which @param {boolean} [remembered] */
export function removeSums(store, which, remembered = true) {
  const gone = store.sums.filter(which);
  const ids = new Set(gone.map((row) => row.id));
  if (remembered) markRemoved(store, [...ids]);
  store.sums = store.sums.filter((row) => !ids.has(row.id));
  store.log_sums = store.log_sums.filter((row) => !ids.has(row.sum_id));
  dropEmpty(store);
  return gone.reduce((sum, row) => sum + row.count, 0);
}

/** @param {Store} store @param {string[]} ids */
export function markRemoved(store, ids) {
  const known = new Set(store.removed.map((row) => row.id));
  for (const id of ids) if (!known.has(id)) store.removed.push({id});
}

/** @param {Store} store */
export function dropHeads(store) {
  const adapts = new Set(store.log.filter((row) => row.action === 'adapt').map((row) => row.id));
  store.columns = [];
  store.log_columns = [];
  deleteSteps(store, (id) => adapts.has(id));
}

/** Remove labels without shots, and enrolls whose shots are all gone. @param {Store} store */
export function dropEmpty(store) {
  const owners = new Set(store.sums.map((row) => row.label_id));
  const kept = (/** @type {{label_id: number}} */ row) => owners.has(row.label_id);
  store.labels = store.labels.filter((row) => owners.has(row.id));
  store.columns = store.columns.filter(kept);
  store.log_columns = store.log_columns.filter(kept);
  store.log_renames = store.log_renames.filter(kept);
  const used = new Set([...store.shots, ...store.log_sums, ...store.log_renames].map((row) => row.log_id));
  const enrolls = new Set(store.log.filter((row) => row.action === 'enroll').map((row) => row.id));
  deleteSteps(store, (id) => enrolls.has(id) && !used.has(id));
}

/** @param {Store} store @param {(id: number) => boolean} which */
export function deleteSteps(store, which) {
  store.log = store.log.filter((row) => !which(row.id));
  store.log_sums = store.log_sums.filter((row) => !which(row.log_id));
  store.log_columns = store.log_columns.filter((row) => !which(row.log_id));
  store.log_renames = store.log_renames.filter((row) => !which(row.log_id));
  for (const shot of store.shots) if (shot.log_id !== null && which(shot.log_id)) shot.log_id = null;
}

/** @param {Store} store @param {number} labelId @param {string} label */
export function move(store, labelId, label) {
  if (store.labels.some((row) => row.label === label)) throw new Problem('label_taken', {label});
  for (const row of store.labels) if (row.id === labelId) row.label = label;
  let count = 0;
  for (const row of store.sums.filter((row) => row.label_id === labelId)) {
    const old = row.id;
    row.id = newId(old, label, row.sum);
    count += row.count;
    if (!store.keeps_shots) markRemoved(store, [old]);
    for (const shot of store.shots.filter((shot) => shot.sum_id === old)) {
      markRemoved(store, [shot.id]);
      Object.assign(shot, {id: newId(shot.id, label, shot.embedding), sum_id: row.id});
    }
    for (const part of store.log_sums) if (part.sum_id === old) part.sum_id = row.id;
  }
  return count;
}

/** @param {string} id @param {string} label @param {BigInt64Array | Float32Array} values */
function newId(id, label, values) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return hex(sha256(concatenated([unhex(id), bytes, new TextEncoder().encode(label)])).subarray(0, 16));
}

// Merging stores: the union of their shots, without those that any of them has removed; edge_meta/store/merge.py explains it.

import {Problem} from './problem.js';
import {addShots, dropEmpty, dropHeads, labelOf, markRemoved, newLabel, removeShots, removeSums} from './rows.js';

/** @typedef {import('./store.js').Store} Store */

/**
 * Take what another store of the encoder has, and has removed, into a store. The other one stays as it is.
 *
 * @param {Store} store
 * @param {Store} source checked, as `readArchive` gives it
 * @returns {{added: number, removed: number, head_reset: boolean}} shots that came and went, and whether an adapted head went
 */
export function merge(store, source) {
  if (!store.labels.length && !store.removed.length) store.keeps_shots = source.keeps_shots;
  if (store.keeps_shots !== source.keeps_shots) throw new Problem('merge_of_two_kinds');
  checkAgreement(store, source);
  const adapted = store.columns.length > 0;
  markRemoved(store, source.removed.map((row) => row.id));
  const origins = new Set(store.migrated.map((row) => row.origin));
  store.migrated.push(...source.migrated.filter((row) => !origins.has(row.origin)));
  const gone = new Set(store.removed.map((row) => row.id));
  let added = 0;
  let removed = 0;
  if (store.keeps_shots) {
    removed = removeShots(store, (shot) => gone.has(shot.id));
    added = addNewShots(store, source, gone);
  } else {
    removed = removeSums(store, (row) => gone.has(row.id));
    const [came, went] = addNewerSums(store, source, gone);
    [added, removed] = [added + came, removed + went];
  }
  if (added || removed) dropHeads(store);
  return {added, removed, head_reset: adapted && Boolean(added || removed)};
}

/** @param {Store} store @param {Store} source */
function checkAgreement(store, source) {
  const mine = described(store);
  for (const [id, text] of described(source)) {
    if ((mine.get(id) ?? text) !== text) throw new Problem('merge_of_different_shots');
  }
}

/** @param {Store} store @returns {Map<string, string>} id → label, origin and embedding */
function described(store) {
  const sums = new Map(store.sums.map((row) => [row.id, `${row.origin} ${labelOf(store, row.label_id)}`]));
  if (!store.keeps_shots) return sums;
  return new Map(store.shots.map((shot) => [shot.id, `${sums.get(shot.sum_id)} ${shot.embedding}`]));
}

/** @param {Store} store @param {Store} source @param {Set<string>} gone */
function addNewShots(store, source, gone) {
  const known = new Set(store.shots.map((shot) => shot.id));
  let count = 0;
  for (const {id: labelId, label} of source.labels) {
    for (const row of source.sums.filter((row) => row.label_id === labelId)) {
      const shots = source.shots.filter((shot) => shot.sum_id === row.id && !known.has(shot.id) && !gone.has(shot.id));
      if (!shots.length) continue;
      const embeddings = shots.map((shot) => shot.embedding);
      addShots(store, newLabel(store, label), row.origin, embeddings, null, shots.map((shot) => shot.id));
      count += shots.length;
    }
  }
  return count;
}

/** @param {Store} store @param {Store} source @param {Set<string>} gone @returns {[number, number]} shots that came and went */
function addNewerSums(store, source, gone) {
  let came = 0;
  let went = 0;
  for (const {id: labelId, label} of source.labels) {
    for (const theirs of source.sums.filter((row) => row.label_id === labelId && !gone.has(row.id))) {
      const mine = store.sums.find((row) => row.id === theirs.id);
      if (mine && mine.revision === theirs.revision && !sameSums(mine, theirs)) throw new Problem('merge_of_two_histories', {label});
      if (mine && mine.revision >= theirs.revision) continue;
      const change = theirs.count - (mine?.count ?? 0);
      [came, went] = [came + Math.max(0, change), went + Math.max(0, -change)];
      const {revision, count, sum, squares} = theirs;
      if (mine) {
        store.log_sums = store.log_sums.filter((row) => row.sum_id !== mine.id);
        Object.assign(mine, {revision, count, sum, squares});
      } else store.sums.push({...theirs, label_id: newLabel(store, label)});
    }
  }
  dropEmpty(store);
  return [came, went];
}

/** @param {import('./exact_sums.js').Sums} one @param {import('./exact_sums.js').Sums} other */
function sameSums(one, other) {
  return one.count === other.count && one.squares === other.squares && one.sum.every((value, index) => value === other.sum[index]);
}

// A store as the .npz of `edge-meta export-store`, and back; edge_meta/store/archive.py says which arrays.

import {LIMIT, sumsOf} from './exact_sums.js';
import {readNpz, writeNpz} from './npz.js';
import {Problem} from './problem.js';
import {hex, randomId, unhex} from './rows.js';
import {LONGEST_LABEL, NONE, emptyStore} from './store.js';

/** @typedef {import('./store.js').Store} Store */

const FORMAT = 3;
/** @type {Record<string, Record<string, string>>} */
const TABLES = {
  labels: {id: 'whole', label: 'text'},
  sums: {id: 'id', label_id: 'whole', origin: 'id', revision: 'whole', count: 'whole', sum: 'sum', squares: 'squares'},
  migrated: {origin: 'id', encoder_id: 'text'},
  log: {id: 'whole', action: 'text'},
  shots: {id: 'id', sum_id: 'id', log_id: 'link', embedding: 'vector'},
  log_sums: {log_id: 'whole', sum_id: 'id', count: 'whole', sum: 'sum', squares: 'squares'},
  columns: {label_id: 'whole', weights: 'vector', bias: 'real'},
  log_columns: {log_id: 'whole', label_id: 'whole', weights: 'vector', bias: 'real'},
  log_renames: {log_id: 'whole', label_id: 'whole', label: 'text'},
  removed: {id: 'id'},
};
const HEADER = {format: 'whole', encoder_id: 'text', dim: 'whole', keeps_shots: 'whole'};
/** @type {Record<string, string>} */
const DTYPES = {
  whole: '<i8', link: '<i8', real: '<f8', id: '|u1', squares: '|u1', vector: '<f4', sum: '<i8', text: '|u1',
};
const damaged = () => new Problem('archive_damaged');

/**
 * @param {Store} store
 * @returns {Uint8Array}
 */
export function writeArchive(store) {
  const header = {...store, format: FORMAT, keeps_shots: Number(store.keeps_shots)};
  const arrays = Object.entries(HEADER).flatMap(([name, kind]) => column(name, kind, [/** @type {any} */ (header)[name]], store.dim));
  for (const [table, columns] of Object.entries(TABLES)) {
    const rows = /** @type {any} */ (store)[table];
    for (const [name, kind] of Object.entries(columns)) {
      const values = rows.map((/** @type {any} */ row) => row[name]);
      arrays.push(...column(`${table}.${name}`, kind, values, store.dim));
    }
  }
  return writeNpz(arrays);
}

/**
 * @param {string} name
 * @param {string} kind
 * @param {any[]} values
 * @param {number} dim
 * @returns {[string, string, number[], Uint8Array][]}
 */
function column(name, kind, values, dim) {
  const descr = DTYPES[kind];
  if (kind === 'text') {
    const texts = values.map((value) => new TextEncoder().encode(value));
    const whole = join(texts);
    return [[name, descr, [whole.length], whole], ...column(`${name}.bytes`, 'whole', texts.map((text) => text.length), dim)];
  }
  const inner = innerSize(kind, dim);
  const bytes = {
    whole: () => BigInt64Array.from(values, BigInt),
    link: () => BigInt64Array.from(values, (value) => BigInt(value ?? 0)),
    real: () => Float64Array.from(values),
    id: () => join(values.map(unhex)),
    squares: () => join(values.map(littleEndian)),
    vector: () => join(values.map(bytesOf)),
    sum: () => join(values.map(bytesOf)),
  }[kind];
  return [[name, descr, inner ? [values.length, inner] : [values.length], bytesOf(/** @type {any} */ (bytes)())]];
}

/** @param {string} kind @param {number} dim */
const innerSize = (kind, dim) => (kind === 'vector' || kind === 'sum' ? dim : kind === 'id' || kind === 'squares' ? 16 : 0);
/** @param {ArrayBufferView} values */
const bytesOf = (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** @param {Uint8Array[]} parts */
function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/** @param {bigint} value 128 bits */
function littleEndian(value) {
  return bytesOf(BigUint64Array.of(BigInt.asUintN(64, value), BigInt.asUintN(64, value >> 64n)));
}

/**
 * Read an archive of one encoder, and check its rows.
 *
 * @param {Uint8Array} file
 * @param {string} encoderId
 * @param {number} dim
 * @returns {Store} with an origin of its own
 */
export function readArchive(file, encoderId, dim) {
  const members = readNpz(file);
  const header = Object.fromEntries(Object.entries(HEADER).map(([name, kind]) => [name, read(members, name, kind, dim)[0]]));
  if (header.encoder_id !== encoderId || header.dim !== dim) throw new Problem('archive_of_another_encoder');
  if ((header.format !== 2 && header.format !== FORMAT) || ![0, 1].includes(header.keeps_shots)) throw damaged();
  const store = emptyStore(encoderId, dim);
  store.keeps_shots = header.keeps_shots === 1;
  store.origin = randomId();
  for (const [table, columns] of Object.entries(TABLES)) {
    if (table === 'log_renames' && header.format === 2) continue;
    const values = Object.entries(columns).map(([name, kind]) => read(members, `${table}.${name}`, kind, dim));
    if (values.some((each) => each.length !== values[0].length)) throw damaged();
    const names = Object.keys(columns);
    /** @type {any} */ (store)[table] = Array.from(values[0], (_, row) =>
      Object.fromEntries(names.map((name, index) => [name, values[index][row]])));
  }
  checkRows(store);
  return store;
}

/**
 * @param {Map<string, import('./npz.js').Member>} members
 * @param {string} name
 * @param {string} kind
 * @param {number} dim
 * @returns {any[]} the values of a column
 */
function read(members, name, kind, dim) {
  const member = members.get(name);
  const inner = innerSize(kind, dim);
  if (!member || member.descr !== DTYPES[kind] || member.shape.length !== (inner ? 2 : 1) || (inner && member.shape[1] !== inner)) {
    throw damaged();
  }
  const {bytes} = member;
  const rows = (/** @type {any} */ values) =>
    Array.from({length: member.shape[0]}, (_, row) => values.slice(row * inner, (row + 1) * inner));
  switch (kind) {
    case 'text': return texts(bytes, read(members, `${name}.bytes`, 'whole', dim));
    case 'real': return Array.from(new Float64Array(bytes.buffer));
    case 'id': return rows(bytes).map(hex);
    case 'squares': return rows(bytes).map((/** @type {Uint8Array} */ row) => {
      const [low, high] = new BigUint64Array(row.buffer);
      return (high << 64n) | low;
    });
    case 'vector': return rows(new Float32Array(bytes.buffer));
    case 'sum': return rows(new BigInt64Array(bytes.buffer));
  }
  const numbers = Array.from(new BigInt64Array(bytes.buffer), Number);
  return kind === 'link' ? numbers.map((value) => value || null) : numbers;
}

/** @param {Uint8Array} bytes @param {number[]} lengths */
function texts(bytes, lengths) {
  let at = 0;
  const found = lengths.map((length) => {
    if (!(length >= 0)) throw damaged();
    return decoded(bytes.subarray(at, (at += length)));
  });
  if (at !== bytes.length) throw damaged();
  return found;
}

/** @param {Uint8Array} bytes */
function decoded(bytes) {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
  } catch {
    throw damaged();
  }
}

/**
 * Check that rows belong together and that sums are those of their shots, as edge_meta/store/store_check.py does.
 *
 * @param {Store} store
 */
function checkRows(store) {
  const require = (/** @type {boolean} */ holds) => {
    if (!holds) throw damaged();
  };
  const set = (/** @type {any[]} */ values) => {
    const found = new Set(values);
    require(found.size === values.length);
    return found;
  };
  const [labels, steps] = [store.labels, store.log].map((rows) => set(rows.map((row) => row.id)));
  set(store.labels.map((row) => row.label));
  const sums = set(store.sums.map((row) => row.id));
  const shots = set(store.shots.map((row) => row.id));
  const removed = set(store.removed.map((row) => row.id));
  set(store.columns.map((row) => row.label_id));
  const whole = (/** @type {number} */ value) => Number.isInteger(value) && value >= 1 && value <= 2 ** 48;
  require([...labels, ...steps, ...store.sums.flatMap((row) => [row.revision, row.count])].every(whole));
  require(store.labels.every(({label}) => [...label].length <= LONGEST_LABEL && (label === '' || label.trim() !== '')));
  require(store.log.every(({action}) => action === 'enroll' || action === 'adapt'));
  require(store.sums.every((row) => labels.has(row.label_id)));
  require(store.labels.every((label) => store.sums.some((row) => row.label_id === label.id)));
  require(store.shots.every((shot) => sums.has(shot.sum_id) && (shot.log_id === null || steps.has(shot.log_id))));
  require(store.log_sums.every((row) => sums.has(row.sum_id) && steps.has(row.log_id)));
  require([...store.log_columns, ...store.log_renames].every((row) => labels.has(row.label_id) && steps.has(row.log_id)));
  require(store.columns.every((row) => labels.has(row.label_id)));
  require([...store.columns, ...store.log_columns].every(({weights, bias}) => Number.isFinite(bias) && weights.every(Number.isFinite)));
  const none = store.labels.find((row) => row.label === NONE)?.id;
  require(![...store.columns, ...store.log_columns, ...store.log_renames].some((row) => row.label_id === none));
  require(![...shots, ...sums].some((id) => removed.has(id)));
  require(store.shots.every(({embedding}) => embedding.every((value) => Math.abs(value) < LIMIT)));
  require((store.keeps_shots ? store.log_sums : store.shots).length === 0);
  store.labels.sort((one, other) => one.id - other.id);
  store.log.sort((one, other) => one.id - other.id);
  if (!store.keeps_shots) return;
  for (const row of store.sums) {
    const embeddings = store.shots.filter((shot) => shot.sum_id === row.id).map((shot) => shot.embedding);
    require(embeddings.length === row.count);
    const exact = sumsOf(embeddings);
    require(exact.squares === row.squares && exact.sum.every((value, index) => value === row.sum[index]));
  }
}

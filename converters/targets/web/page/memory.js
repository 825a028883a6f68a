// The store in IndexedDB: every change is one transaction, and the site's open pages follow each other.

import {Problem} from './problem.js';
import {emptyStore} from './store.js';

/** @typedef {import('./store.js').Store} Store */

const TABLE = 'stores'; // encoder's id → store

export class Memory {
  /**
   * @param {import('./manifest.js').Manifest} manifest
   * @param {() => Promise<Store | null>} seed the store to start from where there is none
   */
  static async open(manifest, seed) {
    const memory = new Memory(manifest);
    try {
      memory.database = await opened();
    } catch {
      memory.lasting = false; // in a private window, or switched off
    }
    await memory.read();
    if (!memory.found) {
      const start = await seed();
      if (start) await memory.change((store) => Object.assign(store, start));
    }
    return memory;
  }

  /** @param {import('./manifest.js').Manifest} manifest */
  constructor(manifest) {
    this.id = manifest.encoder_id;
    this.store = emptyStore(manifest.encoder_id, manifest.embedding.dim);
    this.found = false;
    /** Whether the store outlives the page. */
    this.lasting = true;
    /** @type {IDBDatabase | null} */
    this.database = null;
    /** Called after another page has changed the store. */
    this.onChange = () => {};
    this.channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('edge_meta') : null;
    if (this.channel) {
      this.channel.onmessage = async ({data}) => {
        if (data !== this.id) return;
        await this.read();
        this.onChange();
      };
    }
  }

  async read() {
    if (!this.database) return;
    const asked = this.database.transaction(TABLE).objectStore(TABLE).get(this.id);
    await finished(asked);
    this.found = asked.result !== undefined;
    if (this.found) this.store = asked.result;
  }

  /**
   * Change the store, whole or not at all.
   *
   * @template T
   * @param {(store: Store) => T} act changes the rows in place; what it throws takes the change back
   * @returns {Promise<T>} what it returns, once the change is kept
   */
  async change(act) {
    if (!this.database) {
      const store = structuredClone(this.store);
      const result = act(store);
      this.store = store;
      return result;
    }
    const transaction = this.database.transaction(TABLE, 'readwrite', {durability: 'strict'});
    const table = transaction.objectStore(TABLE);
    /** @type {any} */
    let [problem, result, store] = [null, undefined, null];
    const asked = table.get(this.id);
    asked.onsuccess = () => {
      try {
        store = asked.result ?? structuredClone(this.store);
        result = act(store);
        table.put(store, this.id);
      } catch (error) {
        problem = error;
        transaction.abort();
      }
    };
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(problem ?? asProblem(transaction.error));
    });
    [this.store, this.found] = [store, true];
    this.channel?.postMessage(this.id);
    return result;
  }
}

/** @param {DOMException | null} error */
function asProblem(error) {
  return error?.name === 'QuotaExceededError' ? new Problem('memory_full') : new Problem('memory_failed', {reason: String(error)});
}

/** @returns {Promise<IDBDatabase>} */
async function opened() {
  const asked = indexedDB.open('edge_meta', 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore(TABLE);
  await finished(asked);
  asked.result.onversionchange = () => asked.result.close();
  return asked.result;
}

/** @param {IDBRequest} request */
const finished = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = resolve;
    request.onerror = () => reject(request.error);
  });

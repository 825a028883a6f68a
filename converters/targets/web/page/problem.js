// Errors that a person can act on. `strings.js` has their sentences.

/** An error with the key of its sentence and the values that stand in it. */
export class Problem extends Error {
  /**
   * @param {string} key of the sentence
   * @param {Record<string, string | number>} [values]
   */
  constructor(key, values = {}) {
    super(`${key} ${JSON.stringify(values)}`);
    this.name = 'Problem';
    this.key = key;
    this.values = values;
  }
}

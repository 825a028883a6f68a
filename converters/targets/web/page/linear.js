// The last layer over embeddings: distances to prototypes, and the linear head that starts from prototypes (Snell et al. 2017,
// eq. 8). edge_meta/heads/linear.py has the same functions. A head is one column for each label.

/** @typedef {{weights: Float32Array, bias: number}} Column */
/** @typedef {Float32Array | Float64Array} Vector */

const LEAST_LOGIT = -70; // an exponential below this one's is nothing beside 1

/** @param {Vector} one @param {Vector} other */
export function dot(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
  return sum;
}

/** @param {Vector} one @param {Vector} other */
export function squaredDistance(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += (one[i] - other[i]) ** 2;
  return sum;
}

/** @param {Vector[]} vectors */
export function mean(vectors) {
  const sum = new Float64Array(vectors[0].length);
  for (const vector of vectors) vector.forEach((value, i) => (sum[i] += value));
  return sum.map((value) => value / vectors.length);
}

/** @param {Float32Array} prototype @returns {Column} W = 2c, b = −‖c‖² */
export const columnOf = (prototype) => ({weights: prototype.map((value) => 2 * value), bias: Math.fround(-dot(prototype, prototype))});

/** @param {Column[]} head @param {Vector} embedding */
export const logitsOf = (head, embedding) => head.map(({weights, bias}) => dot(weights, embedding) + bias);

/** @param {number[]} logits */
export function softmax(logits) {
  const most = Math.max(...logits);
  const exponentials = logits.map((logit) => Math.exp(logit - most));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return exponentials.map((value) => value / total);
}

/**
 * The head of labels of which some have a column of their own; a label enrolled since gets that of its prototype, shifted and
 * scaled as the others are.
 *
 * @param {Float32Array[]} prototypes
 * @param {Map<number, Column>} columns
 * @returns {Column[]}
 */
export function headFrom(prototypes, columns) {
  const still = prototypes.map(columnOf);
  const own = [...columns.keys()].sort((one, other) => one - other);
  if (!own.length || own.length === prototypes.length) return still.map((column, index) => columns.get(index) ?? column);
  const [moved, before] = [own.map((index) => /** @type {Column} */ (columns.get(index))), own.map((index) => still[index])];
  let [along, square] = [0, 0];
  for (const index of own) {
    const [there, here] = [moved, before].map((head) => centred(logitsOf(head, prototypes[index])));
    along += there.reduce((sum, value, i) => sum + value * here[i], 0);
    square += here.reduce((sum, value) => sum + value * value, 0);
  }
  const slope = along > 0 && square > 0 ? along / square : 1;
  const weights = [moved, before].map((head) => mean(head.map((column) => column.weights)));
  const bias = [moved, before].map((head) => head.reduce((sum, column) => sum + column.bias, 0) / head.length);
  return still.map((column, index) => columns.get(index) ?? {
    weights: column.weights.map((value, i) => weights[0][i] + slope * (value - weights[1][i])),
    bias: bias[0] + slope * (column.bias - bias[1]),
  });
}

/** @param {number[]} values */
function centred(values) {
  const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - middle);
}

/** @param {number[]} logits @param {number} label @returns {number} −log softmax at the label */
export function crossEntropy(logits, label) {
  const most = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(Math.max(logit - most, LEAST_LOGIT)), 0);
  return Math.log(total) - (logits[label] - most);
}

/**
 * Take gradient steps on the mean cross-entropy from the prototypes (Triantafillou et al. 2020, Proto-MAML, restricted to the
 * last layer); yield the head after each.
 *
 * @param {Float32Array[]} embeddings
 * @param {number[]} labels of the embeddings
 * @param {Float32Array[]} prototypes
 * @param {number[]} rates
 */
export function* descent(embeddings, labels, prototypes, rates) {
  let head = prototypes.map(columnOf);
  for (const rate of rates) {
    const next = head.map(({weights, bias}) => ({weights: weights.slice(), bias}));
    embeddings.forEach((embedding, row) => {
      softmax(logitsOf(head, embedding)).forEach((share, label) => {
        const step = (rate / labels.length) * (share - (label === labels[row] ? 1 : 0));
        embedding.forEach((value, i) => (next[label].weights[i] -= step * value));
        next[label].bias -= step;
      });
    });
    head = next;
    yield head;
  }
}

// Cut a stream of sensor values at the moments of stillness, as edge_meta/inputs/motions.py does, and fit motions to the encoder.

const STEP = 0.1; // seconds
const WINDOW = 3; // steps over which the variances are taken, for the one in the middle
const LOUD = 6; // times its floor from which the variance of a channel is motion
const RISE = 10 ** (0.3 * STEP); // of the floor in a step, 3 dB a second
const FALL = 0.5; // share of the way down in one step
const STILL = 4; // steps of stillness that end a motion
const [SHORTEST, LONGEST] = [0.6, 5]; // seconds of a motion
const GAP = 0.5; // seconds without rows, after which a motion does not go on

/**
 * @typedef {{times: number[], rows: number[][]}} Step
 * @typedef {{start: number, end: number, rows: number[][]}} Motion seconds, and values by step and channel
 */

export class MotionCutter {
  constructor() {
    /** @type {Step} */
    this.step = {times: [], rows: []};
    /** @type {Step[]} */
    this.moving = [];
    /** @type {Step[]} */
    this.recent = [];
    this.still = 0;
    /** @type {number[]} */
    this.floor = [];
    this.last = -Infinity;
  }

  /** Take the next row. @param {number} time in seconds @param {number[]} row @returns {Motion | null} that it ends */
  take(time, row) {
    let done = null;
    if (time > this.last + GAP) {
      done = this.closeStep() ?? this.closeMotion();
      this.recent = [];
    } else if (time >= this.step.times[0] + STEP && this.step.times.length > 1) {
      done = this.closeStep();
    }
    this.step.times.push(time);
    this.step.rows.push(row);
    this.last = time;
    return done;
  }

  /** @returns {Motion | null} */
  closeStep() {
    const {step} = this;
    this.step = {times: [], rows: []};
    this.recent = [...this.recent, step].slice(-WINDOW);
    const rows = this.recent.flatMap((each) => each.rows);
    if (rows.length < 2) return null;
    const moves = this.moves(variances(rows));
    if (moves && !this.moving.length) this.moving = this.recent.slice(-Math.ceil(WINDOW / 2), -1);
    if (moves || this.moving.length) this.moving.push(step);
    this.still = moves ? 0 : this.still + 1;
    return this.moving.length && this.still === STILL ? this.closeMotion() : null;
  }

  /** @param {number[]} variance of each channel */
  moves(variance) {
    if (this.floor.length !== variance.length) this.floor = variance;
    const loudness = variance.map((value, channel) => (value > 0 ? value / Math.max(this.floor[channel], 1e-300) : 0));
    this.floor = variance.map((value, channel) => {
      const floor = this.floor[channel];
      return value < floor ? floor + FALL * (value - floor) : Math.min(value, floor * RISE);
    });
    return Math.max(...loudness) >= LOUD;
  }

  /** @returns {Motion | null} */
  closeMotion() {
    const steps = this.moving.slice(0, Math.max(0, this.moving.length - this.still - Math.floor(WINDOW / 2)));
    [this.moving, this.still] = [[], 0];
    if (!steps.length) return null;
    const [start, end] = [steps[0].times[0], /** @type {number} */ (steps[steps.length - 1].times.at(-1))];
    return end - start >= SHORTEST && end - start <= LONGEST ? {start, end, rows: steps.flatMap((step) => step.rows)} : null;
  }
}

/** @param {number[][]} rows @returns {number[]} */
function variances(rows) {
  return rows[0].map((_, channel) => {
    const mean = rows.reduce((sum, row) => sum + row[channel], 0) / rows.length;
    return rows.reduce((sum, row) => sum + (row[channel] - mean) ** 2, 0) / rows.length;
  });
}

/** Resample rows on straight lines between them, as `fit_series` of edge_meta/inputs/series.py. @param {number[][]} rows @param {number} steps */
export function fitSeries(rows, steps) {
  const channels = rows[0].length;
  const fitted = new Float32Array(steps * channels);
  for (let step = 0; step < steps; step++) {
    const at = (step * (rows.length - 1)) / (steps - 1);
    const low = Math.min(Math.floor(at), rows.length - 2);
    for (let channel = 0; channel < channels; channel++) {
      const [one, other] = [rows[low][channel], rows[low + 1][channel]];
      fitted[step * channels + channel] = one + (at - low) * (other - one);
    }
  }
  return fitted;
}

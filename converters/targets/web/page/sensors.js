// The device's motion sensors: each motion between two moments of stillness is an example.

import {MotionCutter, fitSeries} from './motions.js';
import {Problem} from './problem.js';
import {motionExample} from './sources.js';
import {text} from './strings.js';

const PATIENCE = 2000; // milliseconds until the sensors must have given something
const DEGREE = Math.PI / 180;
const SLOWEST = 0.05; // seconds from row to row
const COUNTED = 40; // rows from which the rate is told
const [AFTER, LONGEST_WAIT] = [0.6, 10]; // seconds from the press that a motion must last over, and that it is waited for

/** From the event to each channel, in m/s² and rad/s. @type {Record<string, (event: DeviceMotionEvent) => number | null | undefined>} */
const CHANNELS = {
  ax: (event) => event.accelerationIncludingGravity?.x,
  ay: (event) => event.accelerationIncludingGravity?.y,
  az: (event) => event.accelerationIncludingGravity?.z,
  gx: (event) => (event.rotationRate?.beta ?? 0) * DEGREE,
  gy: (event) => (event.rotationRate?.gamma ?? 0) * DEGREE,
  gz: (event) => (event.rotationRate?.alpha ?? 0) * DEGREE,
};

/**
 * Whether a phone's sensors give all that an encoder takes.
 *
 * @param {import('./manifest.js').Input} input
 * @returns {input is import('./manifest.js').ArrayInput & {channels: string[]}}
 */
export const isMotion = (input) => input.kind === 'array' && Boolean(input.channels?.every((channel) => channel in CHANNELS));

export class Sensors {
  live = false;

  /**
   * @param {HTMLElement} stage
   * @param {import('./manifest.js').ArrayInput & {channels: string[]}} input
   * @param {(example: import('./sources.js').Example) => void} onMotion called with each motion that nobody waits for
   * @param {(problem: Problem) => void} onProblem
   */
  constructor(stage, input, onMotion, onProblem) {
    this.input = input;
    this.onMotion = onMotion;
    this.onProblem = onProblem;
    this.said = Object.assign(document.createElement('p'), {textContent: text('motion_stage')});
    stage.append(this.said);
    this.stage = stage;
    this.stop();
  }

  stop() {
    removeEventListener('devicemotion', this.listen);
    this.cutter = new MotionCutter();
    this.count = this.since = 0;
    /** @type {{pressed: number, give: (example: import('./sources.js').Example) => void} | null} who waits for the next motion */
    this.waiting = null;
  }

  /** Ask for leave, where the browser wants that, and begin. */
  async start() {
    if (!globalThis.isSecureContext) throw new Problem('insecure');
    this.stop();
    const asking = /** @type {any} */ (globalThis.DeviceMotionEvent)?.requestPermission;
    if (asking && (await asking.call(DeviceMotionEvent)) !== 'granted') throw new Problem('no_permission');
    addEventListener('devicemotion', this.listen);
    await new Promise((resolve) => {
      this.onFirst = () => resolve(null);
      setTimeout(resolve, PATIENCE, null);
    });
    if (this.count) return;
    this.stop();
    throw new Problem('no_sensors');
  }

  listen = (/** @type {DeviceMotionEvent} */ event) => {
    const row = this.input.channels.map((channel) => CHANNELS[channel](event));
    if (row.some((value) => typeof value !== 'number')) return; // as of a device without them
    const seconds = event.timeStamp / 1000;
    if (!this.count) this.since = seconds;
    if (++this.count === COUNTED && (seconds - this.since) / (COUNTED - 1) > SLOWEST) {
      this.stop();
      this.onProblem(new Problem('sensors_slow'));
      return;
    }
    this.onFirst?.();
    const motion = this.cutter.take(seconds, /** @type {number[]} */ (row));
    if (!motion) return;
    const example = motionExample(motion.rows, fitSeries(motion.rows, this.input.shape[0]));
    this.stage.replaceChildren(this.said, example.picture);
    if (!this.waiting) this.onMotion(example);
    else if (motion.end > this.waiting.pressed + AFTER) this.waiting.give(example);
  };

  /** The next motion. @returns {Promise<import('./sources.js').Example>} */
  async take() {
    if (!this.count) throw new Problem('sensors_off');
    try {
      return await new Promise((resolve, reject) => {
        this.waiting = {pressed: performance.now() / 1000, give: resolve};
        setTimeout(() => reject(new Problem('no_motion')), 1000 * LONGEST_WAIT);
      });
    } finally {
      this.waiting = null;
    }
  }
}

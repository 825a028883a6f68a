// The microphone: takes as long as the encoder's window, and the level.

import {fromFloat} from './audio.js';
import {media} from './camera.js';
import {audioExample} from './sources.js';
import {text} from './strings.js';

export class Microphone {
  live = false;

  /** @param {HTMLElement} stage @param {import('./manifest.js').AudioInput} input */
  constructor(stage, input) {
    this.input = input;
    this.meter = document.createElement('div');
    this.meter.className = 'level';
    this.meter.setAttribute('role', 'img');
    this.meter.setAttribute('aria-label', text('level'));
    this.bar = document.createElement('div');
    this.meter.append(this.bar);
    stage.append(this.meter);
    /** @type {Float32Array[] | null} chunks of the take that is being recorded */
    this.chunks = null;
    this.onChunk = () => {};
    /** Called with all sound while the page listens. @type {((samples: Int16Array) => void) | null} */
    this.onSamples = null;
  }

  async start() {
    this.stop();
    this.stream = await media({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}}, 'no_microphone');
    this.sound = new AudioContext({sampleRate: this.input.sample_rate});
    await this.sound.resume();
    await this.sound.audioWorklet.addModule('recorder.js');
    const node = new AudioWorkletNode(this.sound, 'recorder');
    node.port.onmessage = ({data}) => {
      const loudest = data.reduce((/** @type {number} */ most, /** @type {number} */ value) => Math.max(most, Math.abs(value)), 0);
      this.bar.style.transform = `scaleY(${Math.max(0.02, Math.min(1, Math.sqrt(loudest)))})`;
      this.onSamples?.(fromFloat(data));
      this.chunks?.push(data);
      this.onChunk();
    };
    this.sound.createMediaStreamSource(this.stream).connect(node);
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.sound?.close();
    this.stream = this.sound = null;
  }

  /** Record from now on, for as long as the encoder's window is. @returns {Promise<import('./sources.js').Example | null>} */
  async take() {
    if (!this.stream) return null;
    const chunks = (this.chunks = /** @type {Float32Array[]} */ ([]));
    const length = () => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    await new Promise((resolve) => {
      this.onChunk = () => length() >= this.input.samples && resolve(null);
    });
    [this.chunks, this.onChunk] = [null, () => {}];
    const whole = new Float32Array(length());
    chunks.reduce((at, chunk) => (whole.set(chunk, at), at + chunk.length), 0);
    return audioExample(fromFloat(whole.subarray(0, this.input.samples)), this.input.sample_rate);
  }
}

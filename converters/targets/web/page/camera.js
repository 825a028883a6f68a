// The camera: a square of what it sees.

import {Problem} from './problem.js';
import {imageExample} from './sources.js';
import {text} from './strings.js';

/** @param {MediaStreamConstraints} wanted @param {string} missing the problem where there is no such device */
export async function media(wanted, missing) {
  if (!navigator.mediaDevices) throw new Problem('insecure');
  try {
    return await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    throw new Problem(/** @type {Error} */ (error).name === 'NotAllowedError' ? 'no_permission' : missing);
  }
}

export class Camera {
  live = true;

  /** @param {HTMLElement} stage */
  constructor(stage) {
    this.video = Object.assign(document.createElement('video'), {muted: true, playsInline: true, autoplay: true});
    this.video.setAttribute('aria-label', text('camera'));
    this.facing = 'environment';
    stage.append(this.video);
  }

  async start() {
    const video = {facingMode: this.facing, width: {ideal: 640}, height: {ideal: 480}};
    this.stop();
    this.stream = await media({video}, 'no_camera');
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }

  async flip() {
    this.facing = this.facing === 'user' ? 'environment' : 'user';
    await this.start();
  }

  /** @returns {Promise<import('./sources.js').Example | null>} null while there is no picture */
  async take() {
    const {videoWidth: width, videoHeight: height} = this.video;
    if (!this.stream || !width) return null;
    const side = Math.min(width, height);
    const part = {x: Math.floor((width - side) / 2), y: Math.floor((height - side) / 2), width: side, height: side};
    return imageExample(this.video, width, height, part);
  }
}

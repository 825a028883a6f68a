// Where examples come from: files, the drawing pad, the camera, the microphone, the motion sensors. Each gives examples with a small picture.

import {fromFloat, readWav} from './audio.js';
import {Problem} from './problem.js';
import {readNpy} from './npz.js';

/**
 * @typedef {object} Example an image as RGBA, a recording or an array, and a picture of it
 * @property {Uint8ClampedArray} [data]
 * @property {number} [width]
 * @property {number} [height]
 * @property {Int16Array} [samples]
 * @property {number} [rate] in Hz
 * @property {Float32Array} [values]
 * @property {HTMLCanvasElement} picture
 */

const PICTURE = 96; // pixels on a side
const MOST_PIXELS = 2 ** 26;

/** @param {number} width @param {number} height */
export function canvas(width, height) {
  return Object.assign(document.createElement('canvas'), {width, height});
}

/** @param {HTMLCanvasElement} element */
export const contextOf = (element) => /** @type {CanvasRenderingContext2D} */ (element.getContext('2d', {willReadFrequently: true}));

/**
 * @param {CanvasImageSource} source
 * @param {number} width
 * @param {number} height
 * @param {{x: number, y: number, width: number, height: number}} [part] of the source; all of it unless given
 * @returns {Example} laid on white, where it is transparent
 */
export function imageExample(source, width, height, part = {x: 0, y: 0, width, height}) {
  const whole = canvas(part.width, part.height);
  const context = contextOf(whole);
  context.fillStyle = 'white';
  context.fillRect(0, 0, part.width, part.height);
  context.drawImage(source, part.x, part.y, part.width, part.height, 0, 0, part.width, part.height);
  const {data} = context.getImageData(0, 0, part.width, part.height);
  const picture = canvas(PICTURE, PICTURE);
  const side = Math.min(part.width, part.height);
  const [left, top] = [(part.width - side) / 2, (part.height - side) / 2];
  contextOf(picture).drawImage(whole, left, top, side, side, 0, 0, PICTURE, PICTURE);
  return {data, width: part.width, height: part.height, picture};
}

/** @param {Int16Array} samples @param {number} rate @returns {Example} */
export function audioExample(samples, rate) {
  const picture = canvas(PICTURE, PICTURE);
  const context = contextOf(picture);
  context.fillStyle = '#eceafd';
  context.fillRect(0, 0, PICTURE, PICTURE);
  context.fillStyle = '#4f3fd6';
  const step = Math.max(1, Math.floor(samples.length / 24));
  for (let bar = 0; bar < 24; bar++) {
    let peak = 0;
    for (let i = bar * step; i < Math.min((bar + 1) * step, samples.length); i++) peak = Math.max(peak, Math.abs(samples[i]));
    const height = Math.max(2, (peak / 32768) * PICTURE * 0.9);
    context.fillRect(bar * 4 + 1, (PICTURE - height) / 2, 2, height);
  }
  return {samples, rate, picture};
}

/** @param {number[][]} rows as recorded @param {Float32Array} values as the encoder takes them @returns {Example} */
export function motionExample(rows, values) {
  const picture = canvas(PICTURE, PICTURE);
  const context = contextOf(picture);
  context.fillStyle = '#eceafd';
  context.fillRect(0, 0, PICTURE, PICTURE);
  for (let channel = 0; channel < 3; channel++) {
    const line = rows.map((row) => row[channel]);
    const [low, high] = [Math.min(...line), Math.max(...line)];
    context.strokeStyle = ['#4f3fd6', '#b3471d', '#1d7a4f'][channel];
    context.beginPath();
    line.forEach((value, index) => context.lineTo((index * PICTURE) / line.length, PICTURE * (0.9 - (0.8 * (value - low)) / (high - low || 1))));
    context.stroke();
  }
  return {values, picture};
}

/** The kinds of files that a bundle takes. @param {import('./manifest.js').Input} input */
export const acceptOf = (input) => ({image: 'image/*', audio: 'audio/*,.wav', array: '.npy'})[input.kind];

/**
 * @param {Blob} file
 * @param {import('./manifest.js').Input} input
 * @returns {Promise<Example>}
 */
export async function fileExample(file, input) {
  const name = /** @type {File} */ (file).name ?? 'image';
  if (input.kind === 'image') {
    let image;
    try {
      image = await createImageBitmap(file, {colorSpaceConversion: 'none'}); // turned as its EXIF says
    } catch {
      throw new Problem('image_unreadable', {name});
    }
    if (image.width * image.height > MOST_PIXELS) throw new Problem('image_large', {name});
    return imageExample(image, image.width, image.height);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (input.kind === 'audio') {
    const {samples, rate} = await recording(bytes, input.sample_rate);
    return audioExample(samples, rate);
  }
  const array = readNpy(bytes);
  if (array?.descr !== '<f4' || array.shape.join() !== input.shape.join()) {
    throw new Problem('array_unreadable', {name, shape: input.shape.join(' × ')});
  }
  return {values: new Float32Array(array.bytes.buffer), picture: canvas(PICTURE, PICTURE)};
}

/** @param {Uint8Array} bytes @param {number} rate @returns {Promise<{samples: Int16Array, rate: number}>} */
async function recording(bytes, rate) {
  try {
    return readWav(bytes);
  } catch (error) {
    try {
      const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.slice().buffer);
      return {samples: fromFloat(decoded.getChannelData(0)), rate};
    } catch {
      throw error;
    }
  }
}

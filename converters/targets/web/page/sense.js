// The source that fits the encoder's sense: a pad for drawings, the camera for photos, the microphone for sound, a phone's
// sensors for motions.

import {clearAnswer, note, showAnswer} from './answer.js';
import {Camera} from './camera.js';
import {element} from './classes.js';
import {Listener} from './listener.js';
import {Microphone} from './microphone.js';
import {Pad} from './pad.js';
import {Sensors, isMotion} from './sensors.js';
import {sentence, text} from './strings.js';

/** @typedef {import('./manifest.js').Input} Input */

/** @param {Input} input @returns {input is import('./manifest.js').ImageInput & {channels: 1}} */
const isDrawing = (input) => input.kind === 'image' && input.channels === 1;

/** @param {Input} input @returns {'drawing' | 'image' | 'audio' | 'motion' | 'array'} */
export function senseOf(input) {
  if (isDrawing(input)) return 'drawing';
  return isMotion(input) ? 'motion' : input.kind;
}

/**
 * Put a source on the stage, and its buttons below.
 *
 * @param {import('./app.js').App} app
 * @returns {Camera | Pad | Microphone | Sensors | {live: false, start: () => Promise<void>, stop: () => void, take: () => Promise<null>}}
 */
export function sourceOf(app) {
  const {input} = app.manifest;
  const [stage, tools] = ['stage', 'tools'].map((id) => /** @type {HTMLElement} */ (document.getElementById(id)));
  const tool = (/** @type {string} */ key, /** @type {() => unknown} */ act, className = '') => {
    const id = key.replace('_', '-');
    const button = element('button', {id, type: 'button', textContent: text(key), onclick: () => app.act(act), className});
    tools.append(button);
    return button;
  };
  if (isDrawing(input)) {
    const pad = new Pad(stage, () => app.act(() => app.ask()));
    tool('clear', () => {
      pad.clear();
      clearAnswer();
      app.last = null;
    });
    return pad;
  }
  if (input.kind === 'image') {
    const camera = new Camera(stage);
    tool('start_camera', () => app.start(), 'primary');
    tool('flip', () => camera.flip());
    return camera;
  }
  if (input.kind === 'audio') {
    const microphone = new Microphone(stage, input);
    tool('start_microphone', () => app.start(), 'primary');
    tool('ask_say', () => app.ask());
    const button = tool('listen', async () => {
      if (!microphone.stream) await app.start();
      const listener = listenerOf(app, input);
      const stop = () => (microphone.onSamples = null);
      if (microphone.onSamples) stop();
      else microphone.onSamples = (samples) => void listener.feed(samples).catch((error) => (stop(), note(sentence(error))));
      button.textContent = text(microphone.onSamples ? 'listen_stop' : 'listen');
    });
    return microphone;
  }
  if (isMotion(input)) {
    tool('start_sensors', () => app.start(), 'primary');
    return new Sensors(stage, input, (example) => app.act(() => app.ask(example)), (problem) => note(sentence(problem)));
  }
  stage.append(element('p', {textContent: text('files_stage')}));
  return {live: false, start: async () => {}, stop() {}, take: async () => null};
}

/** Shows each taught word that is heard. @param {import('./app.js').App} app @param {import('./manifest.js').AudioInput} input */
function listenerOf(app, input) {
  const classify = async (/** @type {Int16Array} */ samples) => {
    const {embedding, milliseconds} = await app.encoder.embed(/** @type {any} */ ({samples, rate: input.sample_rate}));
    const answer = app.classifier.classify(embedding);
    return answer && {...answer, milliseconds};
  };
  return new Listener(input, classify, (answer) => showAnswer(answer, answer.milliseconds));
}

// All that the page says. For another language, translate the values, and set `language` and `direction`.

export const language = 'en';
export const direction = 'ltr';

/** @type {Record<string, string>} */
const STRINGS = {
  title: 'Teach me',
  loading: 'Loading the encoder…',
  ready: 'Ready. Nothing leaves this device.',
  ready_offline: 'Ready, also without a network. Nothing leaves this device.',
  see: 'Ask',
  teach: 'Teach',
  name: 'Name of the thing',
  name_hint: 'such as {example}',
  example_image: 'cup',
  example_drawing: 'star',
  example_audio: 'yes',
  example_array: 'walking',
  hold: 'Hold to teach',
  teach_drawing: 'Teach this drawing',
  teach_say: 'Say it to teach',
  teach_files: 'Teach from files',
  ask_files: 'Ask about a file',
  teaching: 'Teaching {label}: {count}',
  listening: 'Listening…',
  clear: 'Clear',
  flip: 'Other camera',
  start_camera: 'Start the camera',
  start_microphone: 'Start the microphone',
  ask_say: 'Say it to ask',
  listen: 'Listen all the time',
  listen_stop: 'Stop listening',
  pad: 'Drawing pad: draw with a finger, a pen or the mouse',
  camera: 'What the camera sees',
  level: 'Level of the microphone',
  files_stage: 'Choose files, drop them here, or paste them',
  undo: 'Undo',
  adapt: 'Adapt',
  none: 'None of these',
  menu: 'Menu',
  more: 'More about {label}',
  rename: 'Rename',
  forget: 'Forget',
  forget_sure: 'Forget {label} and its {count} examples for good? Undo does not bring them back.',
  cancel: 'Cancel',
  close: 'Close',
  new_name: 'New name',
  save: 'Save all classes to a file',
  load: 'Load classes from a file',
  about: 'Encoder {id}. {place} {unknown} {lasting}',
  on_thread: 'It runs in WebAssembly.',
  on_threads: 'It runs in WebAssembly on {threads} threads.',
  on_gpu: 'It runs on the GPU.',
  says_unknown: 'It can say that it does not know a thing.',
  never_unknown: 'It was exported without a calibration, so it never says that it does not know.',
  lasting: 'Classes are kept in this browser.',
  not_lasting: 'This browser keeps nothing: save your classes to a file before you close the page.',
  classes: 'What it knows',
  no_classes: 'Nothing yet. Give a name, and show a few examples.',
  count_one: '1 example',
  count_many: '{count} examples',
  unknown: 'I don’t know this',
  nearest: 'nearest: {label}',
  nothing_taught: 'Teach it something first',
  milliseconds: '{value} ms',
  percent: '{value} %',
  taught: '{label}: {added} more, {count} in all.',
  undone_enroll: 'Took back {count} examples.',
  undone_adapt: 'Took the adaptation back.',
  undone_rename: 'It is {label} again.',
  forgotten: 'Forgot {label}.',
  renamed: 'It is now {label}.',
  adapting: 'Adapting…',
  adapted: 'Adapted: {before} of held-out examples were right, {after} are now.',
  adapted_unjudged: 'Adapted.',
  not_adapted: 'Nothing does better than it is now.',
  looks_like: 'One looks more like {other} than like the rest of {label}. Was it a slip? Undo, or add examples of both.',
  saved: 'Saved {count} examples.',
  loaded: 'Loaded: {added} examples came, {removed} went.',
  asked_file: '{name}',
  // Problems: the cause, then the remedy.
  no_camera: 'There is no camera. Choose files instead.',
  no_microphone: 'There is no microphone. Choose .wav files instead.',
  no_permission: 'The browser does not let this page use the camera or the microphone. Allow it in the site’s settings, or choose files.',
  insecure: 'Browsers give cameras and microphones to secure pages alone. Use https or localhost, or choose files.',
  no_wasm: 'This browser has no WebAssembly, which the encoder needs. Use a current browser.',
  no_simd: 'The WebAssembly of this browser has no SIMD, which the encoder needs. Use a current browser, or another device.',
  runtime_failed: 'The encoder’s runtime does not start ({reason}). Load the page again, or use a current browser.',
  encoder_failed: 'The encoder failed ({reason}). Load the page again.',
  file_missing: '{name} cannot be loaded. Connect to the network, and load the page again.',
  file_damaged: '{name} is cut short or not that of this site. Export the site again, or load the page again.',
  image_unreadable: '{name} is not an image that this browser can read. Choose a PNG or JPEG file.',
  image_large: '{name} has more than 64 megapixels. Make it smaller.',
  recording_unreadable: 'This is not a recording that can be read. Choose a .wav file with 8 to 32 bits.',
  array_unreadable: '{name} is not an array of {shape}. Save one with numpy.save, as float32.',
  embedding_unusable: 'The encoder gives values that are not usable for this.',
  label_empty: 'Give it a name first.',
  label_long: 'A name has at most {most} characters.',
  label_no_text: 'This name is no text that can be stored.',
  label_taken: 'There is {label} already. Choose another name, or forget that one first.',
  label_unknown: 'There is no {label} any more.',
  nothing_to_undo: 'There is nothing to undo. Forgetting is for good.',
  no_shots: 'This store keeps no single examples, which adapting needs.',
  few_classes: 'Adapting needs at least two classes.',
  archive_damaged: 'This is not a file of classes, or it is damaged. Choose one that this page or edge-meta export-store wrote.',
  archive_of_another_encoder: 'These classes belong to another encoder. Use the page that they were made with.',
  merge_of_two_kinds: 'Of the two, one keeps single examples and one does not. Nothing was changed.',
  merge_of_different_shots: 'The file has other examples under the same ids. Nothing was changed.',
  merge_of_two_histories: 'Two copies without single examples have both learned {label}. Nothing was changed.',
  memory_full: 'The browser’s memory is full: this change was not kept, all before it is. Free space, or save to a file.',
  memory_failed: 'The browser could not keep this change ({reason}). All before it is kept.',
  unexpected: 'Something went wrong ({reason}). Nothing was changed.',
};

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function text(key, values = {}) {
  return (STRINGS[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** Number of examples. @param {number} count */
export const countText = (count) => text(count === 1 ? 'count_one' : 'count_many', {count});

/** @param {unknown} error @returns {string} its sentence */
export function sentence(error) {
  const {key, values, message} = /** @type {any} */ (error ?? {});
  return key in STRINGS ? text(key, values) : text('unexpected', {reason: message ?? String(error)});
}

// The page: puts the encoder, the store and the sources of examples together.

import {note, showAnswer} from './answer.js';
import {readArchive, writeArchive} from './archive.js';
import {Camera} from './camera.js';
import {Classes, element} from './classes.js';
import {Classifier, adapt} from './classifier.js';
import {Encoder} from './encoder.js';
import {Memory} from './memory.js';
import {merge} from './merge.js';
import {Microphone} from './microphone.js';
import {keepOffline} from './offline.js';
import {Pad} from './pad.js';
import {Sensors} from './sensors.js';
import {senseOf, sourceOf} from './sense.js';
import {acceptOf, fileExample} from './sources.js';
import {NONE, enroll, enrollNone, forget, forgetNone, rename, undo} from './store.js';
import {direction, language, sentence, text} from './strings.js';

/** @typedef {import('./sources.js').Example} Example */

const EVERY = 120; // milliseconds between two frames of the camera, at least
const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

export class App {
  /** @param {Encoder} encoder @param {Memory} memory */
  constructor(encoder, memory) {
    this.encoder = encoder;
    this.memory = memory;
    this.manifest = encoder.manifest;
    this.classifier = new Classifier(memory.store, this.manifest);
    this.label = byId('label');
    /** What is held to teach, until the button is let go. @type {{embedding: Float32Array, picture: HTMLCanvasElement}[] | null} */
    this.held = null;
    this.heldAs = NONE;
    /** The question that is shown, to ask again after a change. @type {import('./encoder.js').Embedded | null} */
    this.last = null;
    this.classes = new Classes({
      onChoose: (label) => this.choose(label),
      onRename: (old, label) => old !== label && this.act(() => this.rename(old, label)),
      onForget: (label) => this.act(() => this.forget(label)),
    });
    memory.onChange = () => this.refresh();
    this.source = sourceOf(this);
    this.connect();
    this.refresh();
  }

  connect() {
    const sense = senseOf(this.manifest.input);
    this.hold = byId('hold');
    this.hold.textContent = text({drawing: 'teach_drawing', audio: 'teach_say', motion: 'teach_motion', image: 'hold', array: 'hold'}[sense]);
    this.hold.hidden = sense === 'array';
    this.label.placeholder = text('name_hint', {example: text(`example_${sense}`)});
    this.label.oninput = () => this.refresh();
    byId('none').hidden = this.hold.hidden;
    for (const button of [this.hold, byId('none')]) {
      const press = () => this.act(() => this.press(button, button === this.hold ? this.label.value.trim() : NONE));
      button.onpointerdown = (/** @type {PointerEvent} */ event) => event.button === 0 && press();
      button.onkeydown = (/** @type {KeyboardEvent} */ event) => {
        if (![' ', 'Enter'].includes(event.key) || event.repeat) return;
        event.preventDefault();
        press();
      };
      button.oncontextmenu = (/** @type {Event} */ event) => event.preventDefault();
    }
    const released = () => this.held && this.source.live && this.act(() => this.release());
    for (const kind of ['pointerup', 'pointercancel', 'keyup', 'blur']) addEventListener(kind, released);
    byId('teach-form').onsubmit = (/** @type {Event} */ event) => event.preventDefault();
    byId('undo').onclick = () => this.act(() => this.undo());
    byId('adapt').onclick = () => this.act(() => this.adapt());
    this.connectFiles();
    byId('menu-button').onclick = () => byId('menu').showModal();
    byId('save').onclick = () => this.act(() => this.save());
    byId('load').onclick = () => byId('archive').click();
    byId('archive').onchange = () => this.act(() => this.load(byId('archive').files[0]));
    this.tell();
    document.addEventListener('visibilitychange', () => document.hidden || this.loop());
  }

  /** Say in the menu what this page is. */
  tell() {
    const {rejection, encoder_id: id} = this.manifest;
    const [unknown, lasting] = [rejection ? 'says_unknown' : 'never_unknown', this.memory.lasting ? 'lasting' : 'not_lasting'];
    const {accelerator, threads} = this.encoder.place ?? {};
    const place = text(accelerator === 'webgpu' ? 'on_gpu' : threads === 1 ? 'on_thread' : 'on_threads', {threads: threads ?? 1});
    byId('about').textContent = text('about', {id: id.slice(0, 12), unknown: text(unknown), lasting: text(lasting), place});
  }

  connectFiles() {
    const files = byId('files');
    let teaching = false;
    files.accept = acceptOf(this.manifest.input);
    for (const teaches of [true, false]) {
      byId(teaches ? 'teach-files' : 'ask-files').onclick = () => {
        [teaching, files.multiple, files.value] = [teaches, teaches, ''];
        files.click();
      };
    }
    files.onchange = () => this.act(() => this.take([...files.files], teaching));
    addEventListener('paste', (event) => {
      const pasted = [...(event.clipboardData?.files ?? [])];
      if (pasted.length) this.act(() => this.take(pasted, false));
    });
    const stage = byId('stage');
    stage.ondragover = (/** @type {DragEvent} */ event) => (event.preventDefault(), stage.classList.add('over'));
    stage.ondragleave = () => stage.classList.remove('over');
    stage.ondrop = (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      stage.classList.remove('over');
      this.act(() => this.take([...(event.dataTransfer?.files ?? [])], false));
    };
  }

  /** Run an act of the user; what goes wrong becomes a sentence. @param {() => unknown} act */
  async act(act) {
    try {
      await act();
    } catch (error) {
      this.held = null;
      this.letGo();
      note(sentence(error));
    }
  }

  async start() {
    await this.source.start();
    document.querySelector('#tools .primary')?.remove();
    this.loop();
  }

  /** Show what the store says now. */
  refresh() {
    this.classifier = new Classifier(this.memory.store, this.manifest);
    const {now} = this.classifier;
    this.classes.show(now, this.label.value.trim(), this.classifier.none.count);
    for (const id of ['hold', 'teach-files']) byId(id).disabled = !this.label.value.trim();
    byId('ask-files').disabled = false;
    byId('undo').disabled = !this.memory.store.log.length;
    byId('adapt').disabled = now.labels.length < 2;
    if (this.last) showAnswer(this.classifier.classify(this.last.embedding), this.last.milliseconds);
  }

  /** @param {string} label */
  choose(label) {
    this.label.value = label;
    this.refresh();
  }

  // --- asking ---------------------------------------------------------------------------------------------------------

  /** Ask about what the source has now, or about an example. @param {Example | null} [example] */
  async ask(example) {
    if (example === undefined) {
      if (this.source instanceof Microphone) note(text('listening'));
      if (this.source instanceof Sensors) note(text('waving'));
      example = await this.source.take();
    }
    if (!example) return;
    const embedded = await this.encoder.embed(example);
    this.last = embedded;
    showAnswer(this.classifier.classify(embedded.embedding), embedded.milliseconds);
    this.held?.push({embedding: embedded.embedding, picture: example.picture});
    if (this.held && this.source.live) note(text('teaching', {label: this.heldAs || text('none'), count: this.held.length}));
  }

  /** Ask about each frame of a live source, while the page is seen. */
  async loop() {
    if (!this.source.live || this.looping) return;
    this.looping = true;
    try {
      while (!document.hidden) {
        const start = performance.now();
        if (!this.paused) await this.ask();
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, EVERY - (performance.now() - start))));
      }
    } catch (error) {
      note(sentence(error));
    } finally {
      this.looping = false;
    }
  }

  // --- teaching -------------------------------------------------------------------------------------------------------

  /** A button to teach is pressed. @param {HTMLButtonElement} button @param {string} label */
  async press(button, label) {
    if (this.held || button.disabled) return;
    [this.held, this.heldAs] = [[], label];
    button.classList.add('held');
    if (this.source.live) {
      if (!(/** @type {Camera} */ (this.source).stream)) await this.start();
      return;
    }
    await this.ask();
    if (this.source instanceof Pad) this.source.clear();
    await this.release();
  }

  /** The button is let go: all that was held becomes one step, which undo takes back. */
  async release() {
    const held = this.held ?? [];
    if (this.source.live && !held.length && this.looping) await this.ask(); // a tap is one frame
    this.held = null;
    this.letGo();
    await this.teach(held, this.heldAs);
  }

  letGo() {
    for (const id of ['hold', 'none']) byId(id).classList.remove('held');
  }

  /** @param {{embedding: Float32Array, picture: HTMLCanvasElement}[]} shots @param {string} label */
  async teach(shots, label) {
    if (!shots.length) return;
    const embeddings = shots.map((shot) => shot.embedding);
    await this.memory.change((store) => (label === NONE ? enrollNone(store, embeddings) : enroll(store, [[label, embeddings]])));
    navigator.storage?.persist?.();
    this.classes.add(label, shots.map((shot) => shot.picture));
    this.refresh();
    const {now} = this.classifier;
    const other = shots.map((shot) => this.classifier.lookAlike(shot.embedding, label)).find((found) => found !== null);
    const count = label === NONE ? this.classifier.none.count : now.counts[now.labels.indexOf(label)];
    note(other ? text('looks_like', {label, other}) : text('taught', {label: label || text('none'), added: shots.length, count}));
  }

  /** @param {File[]} files @param {boolean} teaching */
  async take(files, teaching) {
    const shots = [];
    for (const file of files) {
      const example = await fileExample(file, this.manifest.input);
      if (teaching) shots.push({embedding: (await this.encoder.embed(example)).embedding, picture: example.picture});
      else {
        this.paused = this.source.live; // until the camera is asked again
        await this.ask(example);
        note(text('asked_file', {name: file.name}));
        setTimeout(() => (this.paused = false), 4000);
      }
    }
    await this.teach(shots, this.label.value.trim());
  }

  // --- the store ------------------------------------------------------------------------------------------------------

  async undo() {
    const done = await this.memory.change(undo);
    this.refresh();
    note(text(`undone_${done.action}`, {label: done.label ?? '', count: done.shots}));
  }

  async adapt() {
    note(text('adapting'));
    await new Promise((resolve) => setTimeout(resolve, 50)); // so that it is seen
    const fitted = await this.memory.change((store) => adapt(store, this.manifest));
    this.refresh();
    const percent = (/** @type {import('./adapt.js').Score | null} */ score) => text('percent', {value: Math.round(100 * (score?.accuracy ?? 0))});
    if (!fitted.head) note(text('not_adapted'));
    else note(fitted.judged ? text('adapted', {before: percent(fitted.before), after: percent(fitted.after)}) : text('adapted_unjudged'));
  }

  /** @param {string} old @param {string} label */
  async rename(old, label) {
    await this.memory.change((store) => rename(store, old, label.trim()));
    this.classes.pictures.set(label.trim(), this.classes.pictures.get(old) ?? []);
    if (this.label.value.trim() === old) this.label.value = label.trim();
    this.refresh();
    note(text('renamed', {label: label.trim()}));
  }

  /** @param {string} label */
  async forget(label) {
    await this.memory.change((store) => (label === NONE ? forgetNone(store) : forget(store, label)));
    this.classes.pictures.delete(label);
    this.refresh();
    note(text('forgotten', {label: label || text('none')}));
  }

  save() {
    const {store} = this.memory;
    const address = URL.createObjectURL(new Blob([/** @type {any} */ (writeArchive(store))]));
    element('a', {href: address, download: 'classes.npz'}).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    note(text('saved', {count: this.classifier.now.counts.reduce((sum, count) => sum + count, 0)}));
  }

  /** @param {File} file */
  async load(file) {
    byId('archive').value = '';
    byId('menu').close();
    const source = readArchive(new Uint8Array(await file.arrayBuffer()), this.manifest.encoder_id, this.memory.store.dim);
    const {added, removed} = await this.memory.change((store) => {
      if (store.labels.length || store.removed.length) return merge(store, source);
      Object.assign(store, source);
      return {added: source.sums.reduce((sum, row) => sum + row.count, 0), removed: 0};
    });
    this.refresh();
    note(text('loaded', {added, removed}));
  }
}

/** The store that the bundle came with. @param {import('./manifest.js').Manifest} manifest */
async function seed(manifest) {
  if (!('seed.npz' in manifest.files)) return null;
  const file = new Uint8Array(await (await fetch('seed.npz')).arrayBuffer());
  return readArchive(file, manifest.encoder_id, manifest.embedding.dim);
}

async function main() {
  Object.assign(document.documentElement, {lang: language, dir: direction});
  document.title = text('title');
  for (const node of document.querySelectorAll('[data-text]')) node.textContent = text(node.getAttribute('data-text') ?? '');
  try {
    const encoder = await Encoder.open();
    const memory = await Memory.open(encoder.manifest, () => seed(encoder.manifest));
    const app = new App(encoder, memory);
    byId('status').textContent = text(memory.lasting ? 'ready' : 'not_lasting');
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
    if ((await keepOffline(encoder.loaded)) && memory.lasting) byId('status').textContent = text('ready_offline');
    await encoder.measure();
    app.tell();
  } catch (error) {
    byId('status').textContent = sentence(error);
    document.documentElement.dataset.failed = 'yes';
  }
}

main();

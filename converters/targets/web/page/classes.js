// The list of classes: a button for each, to choose it for teaching, and one for its dialog.

import {countText, text} from './strings.js';

const SHOWN = 3; // pictures beside a class
const KEPT = 24; // pictures of a class in memory

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

export class Classes {
  /** @param {{onChoose: (label: string) => void, onRename: (old: string, label: string) => void, onForget: (label: string) => void}} acts */
  constructor(acts) {
    this.acts = acts;
    /** Pictures of what was taught on this page; never stored. @type {Map<string, HTMLCanvasElement[]>} */
    this.pictures = new Map();
    this.dialog = byId('class-dialog');
    this.open = '';
    this.dialog.onclose = () => this.dialog.returnValue === 'rename' && acts.onRename(this.open, byId('new-name').value);
    byId('forget').onclick = () => this.forget();
  }

  /** @param {string} label @param {HTMLCanvasElement[]} pictures */
  add(label, pictures) {
    this.pictures.set(label, [...(this.pictures.get(label) ?? []), ...pictures].slice(-KEPT));
  }

  /** @param {import('./store.js').Snapshot} now @param {string} chosen @param {number} none how many examples of none there are */
  show(now, chosen, none) {
    const focused = document.activeElement?.getAttribute('data-focus');
    byId('no-classes').hidden = now.labels.length > 0 || none > 0;
    byId('classes').replaceChildren(...now.labels.map((label, index) => this.item(label, now.counts[index], label === chosen)));
    if (none) byId('classes').append(this.item('', none, false));
    if (focused) {
      for (const button of byId('classes').querySelectorAll('button')) if (button.getAttribute('data-focus') === focused) button.focus();
    }
  }

  /** @param {string} label @param {number} count @param {boolean} chosen */
  item(label, count, chosen) {
    const strip = element('span', {className: 'strip'});
    strip.setAttribute('aria-hidden', 'true');
    strip.append(...(this.pictures.get(label) ?? []).slice(-SHOWN).map(copied));
    const shown = label || text('none');
    const name = element('bdi', {className: label ? 'name' : 'name none', textContent: shown});
    const button = element('button', {className: 'class', type: 'button', onclick: () => this.acts.onChoose(label)});
    button.setAttribute('aria-pressed', String(chosen));
    button.setAttribute('data-focus', `class ${label}`);
    button.append(strip, name, element('span', {className: 'count', textContent: countText(count)}));
    const more = element('button', {className: 'quiet', type: 'button', textContent: '⋯', onclick: () => this.ask(label, count)});
    more.setAttribute('aria-label', text('more', {label: shown}));
    more.setAttribute('data-focus', `more ${label}`);
    const item = document.createElement('li');
    item.append(button, more);
    return item;
  }

  /** @param {string} label @param {number} count */
  ask(label, count) {
    this.open = label;
    byId('class-title').textContent = label || text('none');
    byId('new-name').value = label;
    for (const id of ['name-label', 'new-name', 'rename']) byId(id).hidden = !label;
    byId('forget-sure').hidden = true;
    byId('forget-sure').textContent = text('forget_sure', {label: label || text('none'), count});
    byId('pictures').replaceChildren(...(this.pictures.get(label) ?? []).map(copied));
    this.dialog.returnValue = '';
    this.dialog.showModal();
  }

  forget() {
    if (byId('forget-sure').hidden) {
      byId('forget-sure').hidden = false;
      return;
    }
    this.dialog.close('');
    this.acts.onForget(this.open);
  }
}

/** @param {string} name @param {object} properties @returns {any} */
export const element = (name, properties) => Object.assign(document.createElement(name), properties);

/** A canvas can be in one place of the page alone. @param {HTMLCanvasElement} picture */
function copied(picture) {
  const copy = element('canvas', {width: picture.width, height: picture.height});
  copy.getContext('2d').drawImage(picture, 0, 0);
  return copy;
}

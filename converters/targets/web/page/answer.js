// The answer on the page: the verdict, the nearest classes as bars, and the time that it took.

import {element} from './classes.js';
import {text} from './strings.js';

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const SPOKEN_EVERY = 1500; // milliseconds between what a screen reader is told, at least

let spokenAt = 0;

/**
 * @param {ReturnType<import('./classifier.js').Classifier['classify']>} answer
 * @param {number} milliseconds
 */
export function showAnswer(answer, milliseconds) {
  const verdict = byId('verdict');
  verdict.classList.toggle('unknown', !answer?.known);
  const [said, aside] = answer === null
    ? [text('nothing_taught'), '']
    : [answer.label ?? text('unknown'), answer.known ? '' : text('nearest', {label: answer.top[0].label})];
  verdict.children[0].textContent = said;
  verdict.children[1].textContent = aside;
  byId('top').replaceChildren(...(answer?.top ?? []).map(({label, score}) => {
    const bar = element('i', {});
    bar.style.transform = `scaleX(${score})`;
    const item = element('li', {});
    item.append(bar, element('bdi', {textContent: label}), element('span', {textContent: text('percent', {value: Math.round(100 * score)})}));
    return item;
  }));
  byId('milliseconds').textContent = text('milliseconds', {value: milliseconds.toFixed(1)});
  if (performance.now() - spokenAt > SPOKEN_EVERY && byId('spoken').textContent !== said) {
    spokenAt = performance.now();
    byId('spoken').textContent = said;
  }
}

/** Show nothing, as before the first question. */
export function clearAnswer() {
  for (const part of byId('verdict').children) part.textContent = '';
  byId('top').replaceChildren();
  byId('milliseconds').textContent = '';
}

let noted = 0;

/** Say something for a few seconds. @param {string} said */
export function note(said) {
  clearTimeout(noted);
  const shown = byId('note');
  shown.textContent = said;
  shown.hidden = false;
  noted = setTimeout(() => (shown.hidden = true), 4000 + 60 * said.length);
}

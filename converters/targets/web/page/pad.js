// The drawing pad: black ink on white paper.

import {canvas, contextOf, imageExample} from './sources.js';
import {text} from './strings.js';

const SIDE = 420; // pixels of the paper, however large it is on the screen
const PEN = 14;

export class Pad {
  live = false;

  /** @param {HTMLElement} stage @param {() => void} onStroke called after each stroke */
  constructor(stage, onStroke) {
    this.paper = canvas(SIDE, SIDE);
    this.paper.className = 'paper';
    this.paper.setAttribute('role', 'img');
    this.paper.setAttribute('aria-label', text('pad'));
    this.context = contextOf(this.paper);
    this.empty = true;
    this.clear();
    stage.append(this.paper);
    this.paper.onpointerdown = (event) => {
      this.paper.setPointerCapture(event.pointerId);
      this.context.beginPath();
      this.line(event);
      this.paper.onpointermove = (moved) => {
        for (const part of moved.getCoalescedEvents?.() ?? [moved]) this.line(part);
      };
    };
    this.paper.onpointerup = this.paper.onpointercancel = () => {
      this.paper.onpointermove = null;
      onStroke();
    };
  }

  async start() {}

  stop() {}

  clear() {
    this.context.fillStyle = 'white';
    this.context.fillRect(0, 0, SIDE, SIDE);
    Object.assign(this.context, {lineWidth: PEN, lineCap: 'round', lineJoin: 'round', strokeStyle: 'black'});
    this.empty = true;
  }

  /** @param {PointerEvent} event */
  line(event) {
    const box = this.paper.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
    this.context.lineTo(x, y);
    this.context.stroke();
    this.empty = false;
  }

  /** @returns {Promise<import('./sources.js').Example | null>} null for an empty paper */
  async take() {
    return this.empty ? null : imageExample(this.paper, SIDE, SIDE);
  }
}

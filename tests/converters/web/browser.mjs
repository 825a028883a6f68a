// Drives a real browser, and collects what a page may not do: errors in the console, and requests to other hosts.

import {createRequire} from 'node:module';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';

export const asked = JSON.parse(readFileSync(process.argv[3], 'utf8'));
const require = createRequire(`${asked.node_modules}/`);
const {chromium} = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** Strokes of points, from 0 to 1, by name. */
export const SHAPES = JSON.parse(readFileSync(new URL('shapes.json', import.meta.url), 'utf8'));

let seed = 1;
const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5;

export class Browser {
  problems = [];

  static async launch(flags = [], options = {}) {
    const browser = new Browser();
    browser.browser = await chromium.launch({executablePath: asked.chromium, args: ['--no-sandbox', ...flags]});
    browser.context = await browser.browser.newContext({viewport: {width: 390, height: 844}, acceptDownloads: true, ...options});
    return browser;
  }

  /** A browser with settings of its own, in a folder for its profile. @param {string} folder @param {object} preferences */
  static async launchWith(folder, preferences) {
    mkdirSync(`${folder}/Default`, {recursive: true});
    writeFileSync(`${folder}/Default/Preferences`, JSON.stringify(preferences));
    const browser = new Browser();
    browser.context = await chromium.launchPersistentContext(folder, {executablePath: asked.chromium, args: ['--no-sandbox']});
    browser.browser = browser.context;
    return browser;
  }

  /** Open the page; wait until it is ready, or says why it is not. */
  async open(address = asked.address) {
    const page = await this.context.newPage();
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && this.problems.push(message.text()));
    page.on('pageerror', (error) => this.problems.push(String(error)));
    page.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== new URL(address).origin) this.problems.push(request.url());
    });
    await page.goto(address);
    await this.ready(page);
    return page;
  }

  async ready(page) {
    await page.waitForSelector('html[data-ready], html[data-failed]', {timeout: 60000});
  }

  async close() {
    await this.browser.close();
    return this.problems;
  }
}

/** Draw a shape with the mouse, a little different each time, and wait for the answer. */
export async function draw(page, shape) {
  await page.locator('#clear').click();
  await page.locator('.paper').evaluate((paper) => paper.scrollIntoView({block: 'center'}));
  const box = await page.locator('.paper').boundingBox();
  const place = ([x, y]) => [box.x + (x + 0.05 * random()) * box.width, box.y + (y + 0.05 * random()) * box.height];
  for (const [start, ...others] of SHAPES[shape]) {
    await page.mouse.move(...place(start));
    await page.mouse.down();
    for (const point of others) await page.mouse.move(...place(point), {steps: 6});
    await page.mouse.up();
  }
  await page.waitForFunction(() => document.getElementById('milliseconds').textContent !== '');
  await page.waitForTimeout(100);
  return verdict(page);
}

export const verdict = (page) => page.locator('#verdict bdi').textContent();
export const note = (page) => page.locator('#note').textContent();

/** Classes with their counts, as the list shows them. */
export const classes = (page) =>
  page.locator('#classes .class').evaluateAll((buttons) =>
    buttons.map((button) => [button.querySelector('.name').textContent, parseInt(button.querySelector('.count').textContent)]));

export async function teach(page, shape, label = shape) {
  await page.fill('#label', label);
  await draw(page, shape);
  const before = JSON.stringify(await classes(page));
  await page.click('#hold');
  await page.waitForFunction((old) => JSON.stringify([...document.querySelectorAll('#classes .class')].map((button) =>
    [button.querySelector('.name').textContent, parseInt(button.querySelector('.count').textContent)])) !== old, before);
}

/** Press a button of the page, and wait for what it says. */
export async function press(page, selector) {
  await page.evaluate(() => (document.getElementById('note').textContent = ''));
  await page.click(selector);
  await page.waitForFunction(() => !['', 'Adapting…', 'Listening…'].includes(document.getElementById('note').textContent));
  return note(page);
}

/** The rules of accessibility that the page breaks. */
export async function violations(page) {
  await page.waitForTimeout(250); // transitions
  await page.evaluate(`{const define = undefined, module = undefined; ${AXE}}`);
  const found = await page.evaluate(() => globalThis.axe.run());
  return found.violations.map(({id, nodes}) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' ')}`);
}

/** Save all classes to a file. */
export async function save(page, path) {
  await page.click('#menu-button');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
  await download.saveAs(path);
  await page.click('#menu button[value=close]');
}

export async function load(page, path) {
  await page.evaluate(() => (document.getElementById('note').textContent = ''));
  await page.setInputFiles('#archive', path);
  await page.waitForFunction(() => document.getElementById('note').textContent !== '');
  return note(page);
}

// A person teaches two drawings in Firefox, by puppeteer: playwright's commands are not all known to Debian's Firefox.
// Prints what was seen as JSON. Usage: node firefox.mjs ASKED.json

import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const asked = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const {launch} = createRequire(`${asked.node_modules}/`)('puppeteer-core');
const SHAPES = JSON.parse(readFileSync(new URL('shapes.json', import.meta.url), 'utf8'));

const browser = await launch({browser: 'firefox', executablePath: asked.firefox, headless: true});
const page = await browser.newPage();
const problems = [];
page.on('console', (message) => ['error', 'warn'].includes(message.type()) && problems.push(message.text()));
page.on('pageerror', (error) => problems.push(String(error)));
const ready = () => page.waitForSelector('html[data-ready], html[data-failed]', {timeout: 60000});
const textOf = (selector) => page.$eval(selector, (node) => node.textContent);
const classes = () => page.$$eval('#classes .class', (all) => all.map((each) => each.querySelector('.name').textContent));

async function draw(shape) {
  await page.click('#clear');
  const box = await (await page.$('.paper')).boundingBox();
  const place = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  for (const [start, ...others] of SHAPES[shape]) {
    await page.mouse.move(...place(start));
    await page.mouse.down();
    for (const point of others) await page.mouse.move(...place(point), {steps: 6});
    await page.mouse.up();
  }
  await page.waitForFunction(() => document.getElementById('milliseconds').textContent !== '');
  return textOf('#verdict bdi');
}

await page.goto(asked.address);
await ready();
await page.waitForFunction(() => document.getElementById('status').textContent.includes('without a network'));
const seen = {version: await browser.version(), status: await textOf('#status')};
for (const shape of ['tee', 'zed']) {
  await page.$eval('#label', (input, name) => {
    input.value = name;
    input.dispatchEvent(new Event('input'));
  }, shape);
  await draw(shape);
  const before = (await classes()).length;
  await page.click('#hold');
  await page.waitForFunction((count) => document.querySelectorAll('#classes .class').length > count, {}, before);
}
seen.taught = [await classes(), await draw('tee'), await draw('zed'), await draw('stranger')];
await page.waitForFunction(() => localStorage.getItem('edge_meta place'));
seen.place = await page.evaluate(() => JSON.parse(localStorage.getItem('edge_meta place')).measured);
await page.reload();
await ready();
seen.reloaded = [await classes(), await draw('tee')];
await browser.close();
console.log(JSON.stringify({...seen, problems}));

// Visits a site twice in a new browser: how long until the page is ready, what it loads, and the times of the encoder that
// the page measures by itself, and that of a camera's frame, resizing included. page_speed.py runs it.

import {Browser, asked} from '../tests/converters/web/browser.mjs';

const browser = await Browser.launch();
const files = new Set();
browser.context.on('request', (request) => files.add(new URL(request.url()).pathname.slice(1) || 'index.html'));

/** Milliseconds from the page's start until it is ready. */
const readyAfter = (page) => page.evaluate(() => Number(document.documentElement.dataset.ready));

/** Milliseconds of a frame of noise in the page's worker, the median. */
async function timeOfFrame({place, side, runs}) {
  const worker = new Worker('worker.js');
  const ask = (asked) => new Promise((resolve, reject) => {
    worker.onmessage = ({data: {result, problem}}) => (problem ? reject(new Error(problem.key)) : resolve(result));
    worker.postMessage({id: 0, ...asked});
  });
  await ask({act: 'open', place});
  const data = Uint8ClampedArray.from({length: 4 * side * side}, () => 256 * Math.random());
  const times = [];
  for (let run = 0; run < runs; run++) times.push((await ask({act: 'embed', example: {data, width: side, height: side}})).milliseconds);
  worker.terminate();
  return times.sort((one, other) => one - other)[runs >> 1];
}

const page = await browser.open();
const first = await readyAfter(page);
const place = () => localStorage.getItem('edge_meta place');
await page.waitForFunction(place, null, {timeout: 60000});
const {measured, place: chosen} = JSON.parse(await page.evaluate(place));
const loaded = [...files];
const frame = asked.frame ? await page.evaluate(timeOfFrame, {place: chosen, ...asked.frame}) : null;
await page.evaluate(() => navigator.serviceWorker.ready);
await page.reload();
await browser.ready(page);
const second = await readyAfter(page);
console.log(JSON.stringify({first, second, measured, frame, loaded, problems: await browser.close(), address: asked.address}));

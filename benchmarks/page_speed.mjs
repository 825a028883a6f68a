// Visits a site twice in a new browser: how long until the page is ready, what it loads, and the times of the encoder that
// the page measures by itself. page_speed.py runs it.

import {Browser, asked} from '../tests/converters/web/browser.mjs';

const browser = await Browser.launch();
const files = new Set();
browser.context.on('request', (request) => files.add(new URL(request.url()).pathname.slice(1) || 'index.html'));

/** Milliseconds from the page's start until it is ready. */
const readyAfter = (page) => page.evaluate(() => Number(document.documentElement.dataset.ready));

const page = await browser.open();
const first = await readyAfter(page);
const place = () => localStorage.getItem('edge_meta place');
await page.waitForFunction(place, null, {timeout: 60000});
const {measured, place: chosen} = JSON.parse(await page.evaluate(place));
const loaded = [...files];
await page.evaluate(() => navigator.serviceWorker.ready);
await page.reload();
await browser.ready(page);
const second = await readyAfter(page);
console.log(JSON.stringify({first, second, measured, chosen, loaded, problems: await browser.close(), address: asked.address}));

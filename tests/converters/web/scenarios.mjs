// What a person does on the page, by name; prints what was seen as JSON. Usage: node scenarios.mjs NAME ASKED.json

import {Browser, asked, classes, draw, load, note, press, save, teach, verdict, violations} from './browser.mjs';

const scenarios = {
  async drawings() {
    const browser = await Browser.launch();
    const page = await browser.open();
    const seen = {empty: await draw(page, 'tee'), axe: await violations(page)};
    for (const shape of ['tee', 'zed', 'ring']) for (let shot = 0; shot < 3; shot++) await teach(page, shape);
    seen.classes = await classes(page);
    seen.fresh = [];
    for (const shape of ['tee', 'zed', 'ring', 'stranger']) seen.fresh.push(await draw(page, shape));
    await save(page, asked.archive);
    await draw(page, 'stranger');
    seen.none = [await press(page, '#none'), await classes(page)];
    seen.none.push(await draw(page, 'stranger'), await press(page, '#undo'));
    seen.adapted = await press(page, '#adapt');
    seen.unadapted = await press(page, '#undo');
    seen.undone = [await press(page, '#undo'), await classes(page)];
    await page.click('[data-focus="more zed"]');
    seen.axeDialog = await violations(page);
    await page.fill('#new-name', '<b>zed</b>');
    await page.click('#class-dialog button[value=rename]');
    await page.waitForTimeout(200);
    await page.click('[data-focus="more tee"]');
    await page.click('#forget');
    await page.click('#forget');
    await page.waitForTimeout(200);
    seen.changed = [await classes(page), await page.locator('#classes b').count()];
    await page.waitForFunction(() => document.getElementById('status').textContent.includes('without a network'));
    await browser.context.setOffline(true);
    await page.reload();
    await browser.ready(page);
    seen.offline = [await classes(page), await draw(page, 'ring'), await draw(page, 'zed')];
    await page.emulateMedia({colorScheme: 'dark'});
    seen.axeDark = await violations(page);
    seen.problems = await browser.close();
    return seen;
  },

  async tabs() {
    const browser = await Browser.launch();
    const [one, other] = [await browser.open(), await browser.open()];
    await one.bringToFront();
    await teach(one, 'tee');
    await other.waitForFunction(() => document.querySelectorAll('#classes li').length === 1);
    await other.bringToFront();
    await teach(other, 'tee');
    await one.waitForFunction(() => document.querySelector('#classes .count').textContent === '2 examples');
    await one.bringToFront();
    const seen = {undone: await press(one, '#undo'), left: [await classes(one), await classes(other)]};
    seen.problems = await browser.close();
    return seen;
  },

  async keyboard() {
    const browser = await Browser.launch();
    const page = await browser.open();
    await draw(page, 'zed');
    await page.focus('#label');
    await page.keyboard.type('zed');
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => document.activeElement.id);
    await page.keyboard.press(' ');
    await page.waitForSelector('#classes li');
    const small = await page.evaluate(() => [...document.querySelectorAll('button, input[type=text]')]
      .map((each) => [each.id || each.textContent, each.getBoundingClientRect()])
      .filter(([, box]) => box.width && (box.width < 44 || box.height < 44)).map(([name]) => name));
    return {focused, classes: await classes(page), small, problems: await browser.close()};
  },

  async files() {
    const browser = await Browser.launch();
    const page = await browser.open();
    await page.fill('#label', 'some');
    const choose = async (button, files) => {
      await page.evaluate(() => (document.getElementById('note').textContent = ''));
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click(button)]);
      await chooser.setFiles(files);
      await page.waitForFunction(() => document.getElementById('note').textContent !== '');
      return note(page);
    };
    const seen = {said: [await choose('#teach-files', asked.files), await choose('#teach-files', asked.bad)]};
    seen.said.push(await choose('#ask-files', asked.files[0]));
    Object.assign(seen, {verdict: await verdict(page), classes: await classes(page)});
    await save(page, asked.archive);
    seen.problems = await browser.close();
    return seen;
  },

  async archives() {
    const browser = await Browser.launch();
    const page = await browser.open();
    await teach(page, 'tee');
    const seen = {said: [], classes: []};
    for (const archive of asked.archives) {
      seen.said.push(await load(page, archive));
      seen.classes.push(await classes(page));
    }
    await save(page, asked.archive);
    seen.problems = await browser.close();
    return seen;
  },

  async camera() {
    const flags = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${asked.video}`];
    const browser = await Browser.launch(flags);
    const page = await browser.open();
    if (asked.archives) await load(page, asked.archives[0]);
    await page.click('#start-camera');
    await page.waitForFunction(() => document.getElementById('milliseconds').textContent !== '');
    const seen = {first: await verdict(page)};
    await page.fill('#label', 'object');
    const box = await page.locator('#hold').boundingBox();
    if (!asked.archives) {
      await page.mouse.move(box.x + 20, box.y + 20);
      await page.mouse.down();
      await page.waitForTimeout(1500);
      await page.mouse.up();
      await page.waitForSelector('#classes li');
      await page.waitForTimeout(600);
      await save(page, asked.archive);
    }
    Object.assign(seen, {verdict: await verdict(page), classes: await classes(page), axe: await violations(page)});
    await page.screenshot({path: asked.screenshot});
    seen.problems = await browser.close();
    return seen;
  },

  async microphone() {
    const flags = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${asked.sound}`];
    const browser = await Browser.launch(flags);
    const page = await browser.open();
    await page.click('#start-microphone');
    await page.waitForSelector('#start-microphone', {state: 'detached'});
    await page.fill('#label', 'tone');
    for (let take = 1; take <= 2; take++) {
      await page.click('#hold');
      await page.waitForFunction((count) => document.querySelector('#classes .count')?.textContent.startsWith(String(count)), take);
    }
    await page.click('#ask-say');
    await page.waitForFunction(() => document.querySelector('#verdict bdi').textContent !== '');
    const seen = {verdict: await verdict(page), classes: await classes(page), axe: await violations(page)};
    seen.problems = await browser.close();
    return seen;
  },

  async words() {
    const flags = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${asked.sound}`];
    const browser = await Browser.launch(flags);
    const page = await browser.open();
    if (asked.archives) await load(page, asked.archives[0]);
    await page.click('#start-microphone');
    await page.waitForSelector('#start-microphone', {state: 'detached'});
    const quiet = (wanted) => page.waitForFunction((expected) =>
      new DOMMatrix(getComputedStyle(document.querySelector('.level div')).transform).d < 0.2 === expected, wanted);
    for (let take = 1; asked.label && take <= 3; take++) {
      await page.fill('#label', asked.label);
      await quiet(false);
      await quiet(true); // behind the word: the take has the whole of the next one
      await page.click('#hold');
      await page.waitForFunction(([label, count]) => [...document.querySelectorAll('#classes .class')].some((each) =>
        each.querySelector('.name').textContent === label && parseInt(each.querySelector('.count').textContent) === count), [asked.label, take]);
    }
    const seen = {classes: await classes(page)};
    await page.evaluate(() => (document.querySelector('#verdict bdi').textContent = ''));
    await page.click('#listen');
    await page.waitForFunction(() => document.querySelector('#verdict bdi').textContent !== '');
    Object.assign(seen, {heard: await verdict(page), button: await page.locator('#listen').textContent(), axe: await violations(page)});
    await page.click('#listen');
    seen.stopped = await page.locator('#listen').textContent();
    if (asked.label) await save(page, asked.archive);
    seen.problems = await browser.close();
    return seen;
  },

  async motions() {
    const browser = await Browser.launch();
    const page = await browser.open();
    await page.evaluate(() => {
      let now = performance.now();
      globalThis.play = (rows) => {
        for (const [ax, ay, az, gx, gy, gz] of rows) {
          const [alpha, beta, gamma] = [gz, gx, gy].map((rate) => (rate * 180) / Math.PI);
          const fields = {accelerationIncludingGravity: {x: ax, y: ay, z: az}, rotationRate: {alpha, beta, gamma}, interval: 10};
          const event = new DeviceMotionEvent('devicemotion', fields);
          Object.defineProperty(event, 'timeStamp', {value: (now += 10)});
          dispatchEvent(event);
        }
      };
    });
    const play = (rows) => page.evaluate((given) => globalThis.play(given), rows);
    const seen = {};
    await page.fill('#label', 'circle');
    seen.early = await press(page, '#hold');
    // A phone's sensors give values all the time, so that some come after the press, whenever the page has taken it.
    await page.evaluate((rows) => (globalThis.resting = setInterval(() => globalThis.play(rows), 10)), asked.still.slice(0, 1));
    await page.click('#start-sensors');
    await page.waitForSelector('#start-sensors', {state: 'detached'});
    await page.evaluate(() => clearInterval(globalThis.resting));
    await play(asked.still);
    for (const [label, takes] of asked.taught) {
      await page.fill('#label', label);
      for (const [index, rows] of takes.entries()) {
        await page.click('#hold');
        await play(rows);
        await page.waitForFunction(([name, count]) => [...document.querySelectorAll('#classes .class')].some((each) =>
          each.querySelector('.name').textContent === name && parseInt(each.querySelector('.count').textContent) === count), [label, index + 1]);
      }
    }
    seen.answers = [];
    for (const rows of asked.asked) {
      await page.evaluate(() => (document.querySelector('#verdict bdi').textContent = ''));
      await play(rows);
      await page.waitForFunction(() => document.querySelector('#verdict bdi').textContent !== '');
      seen.answers.push(await verdict(page));
    }
    Object.assign(seen, {classes: await classes(page), axe: await violations(page)});
    await save(page, asked.archive);
    seen.problems = await browser.close();
    return seen;
  },

  async refused() {
    const browser = await Browser.launch(asked.flags ?? []);
    const page = await browser.open();
    const seen = {status: await page.locator('#status').textContent()};
    if (await page.locator('#start-camera').count()) seen.said = await press(page, '#start-camera');
    await browser.close();
    return seen;
  },

  async quota() {
    const browser = await Browser.launch();
    const page = await browser.open();
    await page.waitForFunction(() => document.getElementById('status').textContent.includes('without a network'));
    const devtools = await browser.context.newCDPSession(page);
    const limit = (quotaSize) => devtools.send('Storage.overrideQuotaForOrigin', {origin: new URL(asked.address).origin, quotaSize});
    // Teach where there is one more MB than is used; again, while Chromium's count lags behind what it has just written.
    const teachInLittle = async () => {
      let said;
      do {
        const {usage} = await page.evaluate(() => navigator.storage.estimate());
        await limit(usage + 2 ** 20);
        await page.fill('#label', 'tee');
        await draw(page, 'tee');
        said = await press(page, '#hold');
      } while (said.includes('full'));
    };
    await teachInLittle();
    const seen = {full: [await load(page, asked.large), await classes(page)]};
    await page.reload();
    await browser.ready(page);
    await teachInLittle();
    seen.after = await classes(page);
    await limit(undefined);
    seen.free = [await load(page, asked.large), await classes(page)];
    seen.problems = await browser.close();
    return seen;
  },

  async unkept() {
    const blocked = {profile: {default_content_setting_values: {cookies: 2}}}; // cookies, and all else that is kept
    const browser = await Browser.launchWith(asked.profile, blocked);
    const page = await browser.open();
    const seen = {status: await page.locator('#status').textContent()};
    for (const shape of ['tee', 'zed']) await teach(page, shape);
    Object.assign(seen, {verdict: await draw(page, 'tee'), classes: await classes(page)});
    await save(page, asked.archive);
    await page.reload();
    await browser.ready(page);
    seen.reloaded = [await classes(page), await load(page, asked.archive), await classes(page)];
    seen.problems = await browser.close();
    return seen;
  },

  async places() {
    const browser = await Browser.launch(asked.flags);
    const page = await browser.open();
    const remembered = () => page.evaluate(() => localStorage.getItem('edge_meta place'));
    await page.waitForFunction(() => localStorage.getItem('edge_meta place'));
    const seen = {isolated: await page.evaluate(() => crossOriginIsolated), ...JSON.parse(await remembered())};
    const before = await remembered();
    await page.reload();
    await browser.ready(page);
    await page.waitForFunction(() => document.getElementById('status').textContent.includes('without a network'));
    seen.again = [await page.locator('#about').textContent(), (await remembered()) === before];
    await teach(page, 'tee');
    seen.verdict = await draw(page, 'tee');
    seen.problems = await browser.close();
    return seen;
  },

  async screenshots() {
    for (const theme of ['light', 'dark']) {
      const browser = await Browser.launch([], {colorScheme: theme, viewport: {width: 900, height: 760}});
      const page = await browser.open();
      for (const [shape, label] of [['tee', 'tree'], ['zed', 'lightning'], ['ring', 'moon']]) {
        for (let shot = 0; shot < 3; shot++) await teach(page, shape, label);
      }
      await draw(page, theme === 'light' ? 'zed' : 'stranger');
      await page.waitForFunction(() => document.getElementById('note').hidden, null, {timeout: 20000});
      await page.screenshot({path: `${asked.pictures}/page-${theme}.png`});
      await browser.close();
    }
    return {};
  },
};

console.log(JSON.stringify(await scenarios[process.argv[2]]()));

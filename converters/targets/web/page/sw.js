// Keeps the site for when there is no network. files.js changes with each export, and with it what is kept.

importScripts('./files.js');
const CACHE = `edge_meta ${self.SITE.version}`;
const FRESH = {cache: 'no-cache'}; // ask the host whether a file has changed

self.addEventListener('install', (event) => {
  const kept = self.SITE.files.map((/** @type {string} */ name) => new Request(name, FRESH));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([new Request('./', FRESH), ...kept])).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  const old = (/** @type {string[]} */ names) => names.filter((name) => name.startsWith('edge_meta ') && name !== CACHE);
  event.waitUntil(caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

// The page names the files of the runtime that it has loaded.
self.addEventListener('message', (event) => {
  const {port, keep} = {port: event.ports[0], keep: event.data.keep};
  event.waitUntil(
    caches.open(CACHE)
      .then(async (cache) => {
        for (const name of keep) if (!(await cache.match(name))) await cache.add(name);
      })
      .then(() => port.postMessage(true), () => port.postMessage(false)));
});

self.addEventListener('fetch', (event) => {
  if (event.request.method !== 'GET' || !event.request.url.startsWith(self.registration.scope)) return;
  event.respondWith(
    caches.open(CACHE).then((cache) => cache.match(event.request, {ignoreSearch: true})).then((kept) => kept ?? fetch(event.request)));
});

// The page without a network: the service worker, and what it keeps.

/** Keep what was loaded for when there is no network. @param {string[]} files @returns {Promise<boolean>} whether it is kept */
export async function keepOffline(files) {
  if (!('serviceWorker' in navigator)) return false;
  try {
    await navigator.serviceWorker.register('sw.js');
    const {active} = await navigator.serviceWorker.ready;
    const channel = new MessageChannel();
    active?.postMessage({keep: files}, [channel.port2]);
    return await new Promise((resolve) => (channel.port1.onmessage = ({data}) => resolve(data)));
  } catch {
    return false; // behind a certificate that the browser does not trust, for example
  }
}

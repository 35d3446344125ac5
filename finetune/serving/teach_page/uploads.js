// From dropped and chosen files to classes, and on to the server, a few at a time.

import { addImage } from "./teaching.js";

const AT_ONCE = 4; // images on their way
const AGAIN = 2000; // milliseconds until an image is sent again to a server that does not answer
const IMAGE = /\.(jpe?g|jpe|jfif|png|gif|webp|bmp|dib|tiff?|p[bgpn]m|jp2|j2k|jpx|avif|hei[cf]|hif)$/i;

const waiting = []; // of { name, file }
let sending = 0;
let added = 0;
let known = 0;
let refused = [];

/** Whether images are still on their way, so that the browser should not close yet. */
export const busy = () => waiting.length + sending > 0;
export const queued = () => waiting.length;

/** Whether an error is that of `fetch` without an answer, in the words of Chromium, Firefox or Safari. */
export const isAway = (error) => error instanceof TypeError && /fetch|network|load failed/i.test(error.message);

/** Add files to a class; `progress(text, finished, refused)` is called after each. */
export function upload(name, files, progress) {
  for (const file of files) waiting.push({ name, file, progress });
  while (sending < AT_ONCE && waiting.length) send();
}

async function send() {
  sending += 1;
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { name, file, progress } = next;
    try {
      if ((await addImage(name, file)).new) added += 1;
      else known += 1;
    } catch (error) {
      if (isAway(error)) { // the server may be starting again: the image waits
        waiting.unshift(next);
        progress(`The server does not answer; ${waiting.length} waiting.`, false, 0);
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
        continue;
      }
      refused.push(`${file.name ?? "a photo"}: ${error.message}`);
    }
    progress(summary(), waiting.length + sending === 1, refused.length);
  }
  sending -= 1;
  if (!busy()) [added, known, refused] = [0, 0, []];
}

function summary() {
  const parts = [`${added} image${added === 1 ? "" : "s"} added`];
  if (waiting.length) parts.push(`${waiting.length} waiting`);
  if (known) parts.push(`${known} already here`);
  if (refused.length) parts.push(`${refused.length} not added, the last: ${refused.at(-1)}`);
  return `${parts.join("; ")}.`;
}

/** Return the images in what was dropped, as { folder, file }; `folder` is the one directly above, "" without one. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ folder: "", file }));
  return (await Promise.all(entries.map((entry) => below(entry, "")))).flat();
}

async function below(entry, folder) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return folder === "" || IMAGE.test(file.name) ? [{ folder, file }] : []; // what was dropped by itself is tried
  }
  if (entry.name.startsWith(".")) return [];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader returns a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((each) => below(each, entry.name)))).flat();
}

/** Return the images of a chosen folder, as `dropped` does. */
export function chosen(files) {
  return [...files]
    .filter((file) => IMAGE.test(file.name))
    .map((file) => ({ folder: file.webkitRelativePath.split("/").at(-2) ?? "", file }));
}

// The page: images come in by drop, paste, choice or camera; each becomes a card with bars and a map to fade in.

import { explain, explains, model, predict, privacy } from "./engine.js";
import { percent, showBars } from "./bars.js";
import { hasCamera, openCamera } from "./camera.js";

const AT_ONCE = 8; // images in one request, so that the first results appear soon
const MOST_CARDS = 200; // on the page; more would fill the browser's memory

const $ = (id) => document.getElementById(id);
const results = $("results");
const cards = new Map(); // from the <li> to { file, url, row, label, map }

// --- from files to cards

async function add(files) {
  const images = [...files];
  if (!images.length) return;
  const items = images.map(newCard);
  results.prepend(...items);
  while (results.children.length > MOST_CARDS) drop(results.lastElementChild);
  await classify(items);
}

/** Compute cards, some at a time, and say how it goes. */
async function classify(items) {
  let done = 0;
  for (let start = 0; start < items.length; start += AT_ONCE) {
    const part = items.slice(start, start + AT_ONCE);
    $("status").textContent = `Classifying ${items.length} image${items.length > 1 ? "s" : ""}…`;
    try {
      const rows = await predict(part.map((item) => cards.get(item).file), { tenCrop: $("ten-crop").checked });
      part.forEach((item, index) => fill(item, rows[index]));
    } catch (error) {
      part.forEach((item) => fill(item, { error: error.message }));
    }
    done += part.length;
  }
  $("status").textContent = `${done} image${done > 1 ? "s" : ""} classified.`;
}

function newCard(file) {
  const item = $("card").content.firstElementChild.cloneNode(true);
  const url = URL.createObjectURL(file);
  cards.set(item, { file, url });
  const name = file.name || "photo";
  item.querySelector("h2").textContent = name;
  const photo = item.querySelector(".photo img");
  photo.alt = name;
  photo.addEventListener("error", () => item.querySelector(".photo").classList.add("unseen"), { once: true });
  photo.src = url;
  item.querySelector(".fade input").addEventListener("input", () => fade(item));
  item.querySelector(".remove").addEventListener("click", () => drop(item));
  return item;
}

function fill(item, row) {
  const card = cards.get(item);
  if (!card) return; // removed meanwhile
  card.row = row;
  card.label = row.predictions?.[0].label;
  item.classList.remove("waiting");
  item.querySelector(".fade").hidden = !explains || Boolean(row.error);
  bars(item);
  fade(item);
}

function bars(item) {
  const card = cards.get(item);
  const choose = explains && ((label) => {
    card.label = label;
    const range = item.querySelector(".fade input");
    if (range.value === "0") range.value = 60;
    bars(item);
    fade(item);
  });
  const pressed = document.activeElement?.closest?.(".bars") === item.querySelector(".bars");
  showBars(item.querySelector(".bars"), card.row, { choose, chosen: card.label });
  if (pressed) item.querySelector(".bars [aria-pressed=true]")?.focus();
}

function drop(item) {
  const { url, map } = cards.get(item);
  for (const each of [url, map?.url]) if (each) URL.revokeObjectURL(each);
  cards.delete(item);
  item.remove();
}

// --- the map

/** Show the map of the card's class as strongly as its control says; it is computed when it is first seen. */
async function fade(item) {
  const card = cards.get(item);
  const image = item.querySelector(".map");
  const strength = item.querySelector(".fade input").value / 100;
  image.style.opacity = strength;
  if (strength === 0 || card.row.error || card.map?.label === card.label) return;
  const map = { label: card.label };
  const old = card.map;
  card.map = map;
  try {
    map.url = await explain(card.file, card.label);
    if (old?.url) URL.revokeObjectURL(old.url);
    if (card.map === map) image.src = map.url;
    image.hidden = false;
  } catch (error) {
    card.map = undefined;
    $("status").textContent = error.message;
  }
}

// --- ways in

$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", async ({ target }) => {
  await add(target.files);
  target.value = ""; // so that the same file can be chosen again
});
$("ten-crop").addEventListener("change", () => classify([...cards.keys()]));
addEventListener("paste", (event) => add(event.clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget ?? $("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  add(event.dataTransfer.files);
});

let camera;

async function live() {
  try {
    camera = await openCamera($("video"));
  } catch (error) {
    $("status").textContent = `The camera cannot be used: ${error.message}`;
    return;
  }
  $("live").hidden = false;
  $("camera").disabled = true;
  $("take").focus();
  for (let mine = camera; camera === mine; ) {
    try {
      const [row] = await predict([await mine.photo()]);
      if (camera === mine) showBars($("live-bars"), row);
    } catch (error) {
      $("status").textContent = error.message;
      close();
    }
  }
}

function close() {
  camera?.stop();
  camera = undefined;
  $("live").hidden = true;
  $("camera").disabled = false;
  $("camera").focus();
}

$("camera").hidden = !hasCamera;
$("camera").addEventListener("click", live);
$("close").addEventListener("click", close);
$("take").addEventListener("click", async () => {
  const photo = await camera.photo();
  add([new File([photo], `photo ${new Date().toLocaleTimeString()}.jpg`, { type: photo.type })]);
});

// --- the model

async function about() {
  const { name, network, parameters, version, classes, sha256, source, accuracy, teaches } = await model();
  document.title = `${name} – finetune`;
  $("name").textContent = name;
  $("teach").hidden = !teaches; // only with `finetune teach`
  $("teach").href = `teach${location.hash}`;
  const rows = {
    Network: `${network}, ${parameters.toLocaleString("en")} parameters`,
    Classes: classes.length.toLocaleString("en"),
  };
  if (accuracy) {
    rows.Accuracy = `${percent(accuracy.top1)} on ${accuracy.images.toLocaleString("en")} ${accuracy.of} ` +
      `(95\u00a0% interval: ${accuracy.interval.map(percent).join(" to ")})`;
  }
  $("about").textContent = accuracy ? `Accuracy: ${rows.Accuracy}` : `${rows.Network}, ${rows.Classes} classes`;
  if (source.name && source.name !== name) rows["Trained from"] = source.name;
  rows["SHA-256"] = sha256;
  rows.Version = `finetune ${version}`;
  $("facts").replaceChildren(...Object.entries(rows).flatMap(([key, value]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = key;
    text.textContent = value;
    return [term, text];
  }));
  $("classes").replaceChildren(...classes.map((label) => {
    const item = document.createElement("li");
    item.textContent = label;
    return item;
  }));
}

$("privacy").textContent = privacy;
about().catch((error) => { $("status").textContent = error.message; });

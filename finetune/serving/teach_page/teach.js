// The second view: classes fill with images from files and the camera, a training runs, and its model is tried at once.

import { percent, showBars } from "./bars.js";
import { hasCamera, openCamera } from "./camera.js";
import { model, predict, token } from "./engine.js";
import { classCards } from "./cards.js";
import * as teaching from "./teaching.js";
import { busy, chosen, dropped, isAway, queued, upload } from "./uploads.js";

const FRAME = 200; // milliseconds between two frames of the camera that are kept
const AWAY = "The server does not answer. Is finetune teach running? Nothing in its folder is lost.";
const MOST_QUEUED = 20; // frames on their way, above which the camera waits

const $ = (id) => document.getElementById(id);
const say = (text) => { $("status").textContent = text; };

/** Run an action of the page and show in its own words why it failed. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(isAway(error) ? AWAY : error.message);
  }
}

const cards = classCards($("classes"), $("class"), {
  add: (name, files) => upload(name, files, progress),
  change: (action) => attempt(async () => {
    say((await action()) ?? "");
    await refresh();
  }),
  hold: hasCamera ? record : null,
});

let lastShown = 0; // when the page last showed how the upload goes: a screen reader reads every change

/** Show how the upload goes; in the end, what was not added stays on the page. */
function progress(text, finished, refused) {
  if (!finished && Date.now() - lastShown < 1000) return;
  lastShown = Date.now();
  say(text);
  if (!finished) return;
  refresh();
  if (!refused) setTimeout(() => { if ($("status").textContent === text) say(""); }, 5000);
}

// --- the state, asked for again and again

let shown = {}; // the last state
let asking = Promise.resolve();

/** Ask for the state, after an answer that is on its way and may be older than what was done since. */
function refresh() {
  asking = asking.then(() => attempt(async () => {
    show(await teaching.status());
    if ($("status").textContent === AWAY) say("");
  }));
  return asking;
}

function show(state) {
  const { run: before, training: { stage } = {} } = shown;
  shown = state;
  $("folder").textContent = state.folder;
  cards.show(state.classes);
  showTraining(state.training, stage);
  for (const part of document.querySelectorAll(".trained")) part.hidden = !state.run;
  $("report").hidden ||= state.training.stage === "running"; // it may not be drawn yet
  if (state.run && state.run !== before) attempt(showResult);
}

function showTraining({ stage, what, done, total, lines, error }, before) {
  const running = stage === "running";
  $("train").disabled = running;
  $("progress").hidden = !running;
  if (running && total) Object.assign($("progress"), { max: total, value: done });
  else $("progress").removeAttribute("value"); // how long it takes is not known
  $("counted").textContent = running && total ? `${done} of ${total}` : "";
  if (running && $("training").textContent !== what) $("training").textContent = what;
  if (stage !== before && stage === "done") $("training").textContent = "The model and its report are ready.";
  if (stage !== before && stage === "failed") $("training").textContent = `Not trained: ${error}`;
  $("log").hidden = !lines.length;
  $("lines").textContent = lines.join("\n");
}

async function showResult() {
  const { accuracy } = await model();
  if (!accuracy) {
    $("result").textContent = "";
    return;
  }
  const { top1, images, of, interval } = accuracy;
  $("result").textContent =
    `${percent(top1)} of ${images.toLocaleString("en")} ${of}${of.includes(",") ? "," : ""} are classified correctly ` +
    `(95\u00a0% interval: ${interval.map(percent).join(" to ")}).`;
}

async function watch() {
  if (!document.hidden) await refresh();
  setTimeout(watch, shown.training?.stage === "running" ? 500 : 2000);
}

// --- classes and files

$("new-class").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await teaching.addClass($("new-name").value);
    $("new-name").value = "";
    say("");
    await refresh();
  });
});

/** Add what was dropped on a class to it; outside of one, or in folders of folders, each folder is a class. */
async function take(found, name) {
  if (!found.length) return say("There are no images in that.");
  const groups = Map.groupBy(found, ({ folder }) => name ?? folder);
  if (groups.has("")) say("Drop single images on a class, so that it is known what they show.");
  groups.delete("");
  await refresh();
  for (const [folder, images] of groups) {
    const known = folder.normalize("NFC").trim();
    if (!shown.classes.some((each) => each.name === known)) await teaching.addClass(folder);
    upload(known, images.map(({ file }) => file), progress);
  }
}

$("choose-folder").addEventListener("click", () => $("folder-files").click());
$("folder-files").addEventListener("change", ({ target }) => attempt(async () => {
  const found = chosen(target.files);
  target.value = "";
  await take(found);
}));
addEventListener("dragover", (event) => {
  event.preventDefault();
  cards.over(event.target);
});
addEventListener("dragleave", (event) => event.relatedTarget ?? cards.over(null));
addEventListener("drop", (event) => {
  event.preventDefault();
  const name = cards.nameAt(event.target);
  cards.over(null);
  attempt(async () => take(await dropped(event.dataTransfer), name));
});
addEventListener("beforeunload", (event) => { if (busy()) event.preventDefault(); });

// --- the camera: hold a class's button to record, or watch what the model says

let camera;
let recording; // an object for as long as a button is held
let live; // an object for as long as the model watches

async function turnOn() {
  camera ??= await openCamera($("video"));
  $("video").hidden = false;
  $("view").classList.add("on");
  $("camera").textContent = "Turn the camera off";
}

function turnOff() {
  camera?.stop();
  camera = undefined;
  $("video").hidden = true;
  $("view").classList.remove("on");
  $("camera").textContent = "Turn the camera on";
  watchLive(false);
}

async function record(name) {
  const mine = recording = name && {};
  if (!mine) return;
  await attempt(async () => {
    await turnOn();
    while (recording === mine && camera) {
      if (queued() < MOST_QUEUED) upload(name, [await camera.photo()], progress);
      await new Promise((resolve) => setTimeout(resolve, FRAME));
    }
  });
}

async function watchLive(wanted) {
  const mine = live = wanted && {};
  $("live").setAttribute("aria-pressed", wanted);
  if (!mine) return;
  await attempt(async () => {
    await turnOn();
    while (live === mine && camera) {
      const [row] = await predict([await camera.photo()], { top: 10 });
      if (live === mine) showBars($("bars"), row);
      await new Promise((resolve) => setTimeout(resolve, FRAME / 2));
    }
  });
  if (live === mine) watchLive(false);
}

$("camera").hidden = !hasCamera;
$("live").hidden = !hasCamera;
$("no-camera").hidden = hasCamera;
$("camera").addEventListener("click", () => (camera ? turnOff() : attempt(turnOn)));
$("live").addEventListener("click", () => watchLive(!live));
$("choose-image").addEventListener("click", () => $("image").click());
$("image").addEventListener("change", ({ target }) => attempt(async () => {
  watchLive(false);
  const [row] = await predict([...target.files], { top: 10 });
  showBars($("bars"), row);
  target.value = "";
}));

// --- check, train, take away

$("check").addEventListener("click", () => attempt(async () => {
  $("check").disabled = true;
  $("training").textContent = "Checking the images…";
  try {
    const findings = await teaching.check();
    $("training").textContent = findings.length ? "" : "The check found nothing wrong or unusual.";
    $("findings").replaceChildren(...findings.map(finding));
  } catch (error) {
    $("training").textContent = error.message;
  } finally {
    $("check").disabled = false;
  }
}));

function finding({ severity, title, advice, count, messages, images }) {
  const item = document.createElement("li");
  item.className = severity;
  const [text, more, list] = ["p", "p", "ul"].map((tag) => document.createElement(tag));
  text.textContent = `${severity === "hard" ? "Will hurt training: " : ""}${title} (${count}). ${advice}`;
  more.textContent = `${messages.join("; ")}${messages.length < count ? "; …" : ""}`;
  list.className = "thumbs";
  list.replaceChildren(...images.map((image) => {
    const each = document.createElement("li");
    each.append(teaching.thumbnail(image, image.split("/")[0]));
    return each;
  }));
  item.append(text, more, list);
  return item;
}

$("train").addEventListener("click", () => attempt(async () => {
  $("train").disabled = true;
  $("findings").replaceChildren();
  try {
    await teaching.train();
  } finally {
    await refresh();
  }
}));

if (token) { // which a link cannot send
  $("classify").hash = location.hash;
  for (const link of document.querySelectorAll("a[data-name]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      attempt(async () => {
        const url = await teaching.download(link.getAttribute("href"));
        Object.assign(document.createElement("a"), { href: url, download: link.dataset.name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
      });
    });
  }
}

watch();

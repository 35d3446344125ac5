// Where answers come from: the model in this folder, computed in the browser by onnxruntime-web. Nothing is sent.

import * as ort from "./onnxruntime-web.js";
import { readImage } from "./image.js";
import { networkInput, shortSide, tenCrops, withMargin } from "./network_input.js";

export const explains = false; // maps need gradients, which ONNX Runtime does not compute

export const privacy = "Images stay in this browser: the model runs in it, and nothing is sent.";

const about = load("model.json").then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
const session = start();
session.catch(() => {}); // reported where it is awaited

/** Return what the page shows about the model: name, network, classes, digest, accuracy. */
export const model = () => about;

/** Return one row for each file (a File or Blob), like those of `predict --json`. */
export async function predict(files, { top = 5, tenCrop = false } = {}) {
  const rows = [];
  for (const file of files) {
    try {
      rows.push({ path: file.name, predictions: await predictions(file, top, tenCrop) });
    } catch (error) {
      rows.push({ path: file.name, error: error.message });
    }
  }
  return rows;
}

async function predictions(file, top, tenCrop) {
  const { preprocessing, classes } = await about;
  const image = await readImage(file, shortSide(tenCrop ? withMargin(preprocessing) : preprocessing));
  const crops = tenCrop ? tenCrops(image, preprocessing) : [networkInput(image, preprocessing)];
  const means = new Float64Array(classes.length);
  for (const crop of crops) {
    const found = await probabilities(crop, preprocessing.size);
    found.forEach((value, index) => { means[index] += value / crops.length; });
  }
  return Array.from(means, (probability, index) => ({ index, label: classes[index], probability }))
    .sort((a, b) => b.probability - a.probability || a.index - b.index)
    .slice(0, top);
}

let last = Promise.resolve(); // a session computes one input at a time

async function probabilities(pixels, size) {
  const running = await session;
  const tensor = new ort.Tensor("uint8", pixels, [1, size, size, pixels.length / size ** 2]);
  const result = last.then(() => running.run({ pixels: tensor }));
  last = result.catch(() => {});
  return (await result).probabilities.data;
}

/** Maps are not drawn here; see `explains`. */
export const explain = () => null;

async function start() {
  const [wasm, onnx] = await Promise.all([load("onnxruntime-wasm.wasm.gz"), load("model.onnx.gz")]);
  ort.env.wasm.numThreads = 1; // more need headers that a plain server does not send
  ort.env.wasm.wasmPaths = { mjs: new URL("./onnxruntime-wasm.js", import.meta.url).href };
  ort.env.wasm.wasmBinary = wasm;
  return ort.InferenceSession.create(onnx, { executionProviders: ["wasm"] });
}

/** Return the bytes of a file of this folder, unpacked if they are packed. */
async function load(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} is missing (${response.status}); export the model again`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes; // some servers say what .gz is, and the browser unpacks it
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

// Run the JavaScript of the export to the web in node: its folder as the argument, jobs on stdin, answers on stdout.
//
// A job is { file, preprocessing, tenCrops } for a JPEG, or { pixels (base64, RGB), width, height, preprocessing,
// tenCrops }; without preprocessing, the answer is the upright image at a part of its size that keeps `shortSide`.

import { readFileSync } from "node:fs";

const folder = process.argv[2];
const { readImage } = await import(`${folder}/image.js`);
const { networkInput, shortSide, tenCrops, withMargin } = await import(`${folder}/network_input.js`);
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

async function answer({ file, shortSide: keep, pixels, width, height, preprocessing, tenCrops: crops }) {
  const needed = keep ?? shortSide(crops ? withMargin(preprocessing) : preprocessing);
  const image = file
    ? await readImage(new Blob([readFileSync(file)]), needed)
    : { width, height, data: new Uint8Array(Buffer.from(pixels, "base64")) };
  if (!preprocessing) return { width: image.width, height: image.height, data: base64(image.data) };
  return (crops ? tenCrops(image, preprocessing) : [networkInput(image, preprocessing)]).map(base64);
}

for (const job of JSON.parse(readFileSync(0))) {
  const found = await answer(job).catch((error) => ({ error: error.message }));
  console.log(JSON.stringify(found));
}

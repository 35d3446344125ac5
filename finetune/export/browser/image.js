// From an image file to upright RGB pixels: a JPEG by our own decoder, whatever else the browser shows by the browser.

import { decodeJpeg } from "./jpeg.js";
import { DAMAGED } from "./jpeg_scan.js";

const UNREADABLE = "this browser cannot read the image; convert it to JPEG or PNG";

/** Return { width, height, data: Uint8Array (RGB) } of a File or Blob; its short side keeps `shortSide` pixels. */
export async function readImage(file, shortSide) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    const jpeg = decoded(bytes, shortSide);
    if (jpeg) return upright(jpeg);
  }
  return byBrowser(file);
}

function decoded(bytes, shortSide) {
  try {
    return decodeJpeg(bytes, shortSide);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new Error(DAMAGED); // a part is missing
    throw error;
  }
}

/** Undo an EXIF orientation: 2 to 4 mirror the image or turn it by 180°, 5 to 8 also swap height and width. */
export function upright({ width, height, data, orientation }) {
  if (orientation === 1) return { width, height, data };
  const swap = orientation >= 5;
  const [wide, high] = swap ? [height, width] : [width, height];
  const out = new Uint8Array(data.length);
  for (let y = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1) {
      const column = [2, 3, 6, 7].includes(orientation) ? wide - 1 - x : x;
      const row = [3, 4, 7, 8].includes(orientation) ? high - 1 - y : y;
      const from = 3 * (swap ? column * width + row : row * width + column);
      const to = 3 * (y * wide + x);
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return { width: wide, height: high, data: out };
}

/** Return the pixels as the browser decodes them, upright, without colour profiles, over white where transparent. */
async function byBrowser(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Error(UNREADABLE);
  }
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i += 1) data.set(rgba.subarray(4 * i, 4 * i + 3), 3 * i);
  return { width, height, data };
}

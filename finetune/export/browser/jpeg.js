// JPEG decoding as in libjpeg-turbo, to the bit, at 1/1, 1/2, 1/4 or 1/8 of the size.
//
// A browser decodes at the full size only, and a network's probabilities then differ by a tenth: reducing by DCT and
// reducing the decoded pixels are not the same. Baseline and progressive JPEGs of 8 bits, gray, YCbCr, RGB or CMYK.

import { CUT, DAMAGED, decodeScan, huffmanTable, nextMarker, ZIGZAG } from "./jpeg_scan.js";
import { INVERSE } from "./idct.js";

const MOST_PIXELS = 100e6;

/**
 * Return the pixels of a JPEG, { width, height, data: Uint8Array (RGB), orientation }, not yet turned by EXIF.
 *
 * It is decoded at a part of its size if the short side keeps `shortSide` pixels. Return null for another kind of JPEG;
 * throw an Error for damaged data.
 */
export function decodeJpeg(bytes, shortSide) {
  const jpeg = readJpeg(bytes);
  if (!jpeg) return null;
  const scale = [8, 4, 2].find((part) => Math.min(jpeg.width, jpeg.height) >= part * shortSide) ?? 1;
  const width = Math.ceil(jpeg.width / scale);
  const height = Math.ceil(jpeg.height / scale);
  const planes = jpeg.components.map((component) => plane(jpeg, component, 8 / scale, width, height));
  return { width, height, data: toRgb(planes, jpeg.isYcc), orientation: jpeg.orientation };
}

/** Return size, components with their coefficients, colour model and orientation; null for other kinds of JPEG. */
function readJpeg(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const jpeg = { orientation: 1, components: null, restartInterval: 0 };
  const tables = { quantization: [], dc: [], ac: [] };
  for (let at = 2; ;) {
    at = nextMarker(bytes, at); // past fill bytes and, as libjpeg, past what some programs leave between segments
    const marker = bytes[at + 1];
    if (marker === undefined) throw new Error(CUT);
    if (marker === 0xd9) break;
    const length = view.getUint16(at + 2);
    const segment = bytes.subarray(at + 4, at + 2 + length);
    at += 2 + length;
    if (marker === 0xdb) readQuantization(segment, tables.quantization);
    else if (marker === 0xc4) readHuffman(segment, tables);
    else if (marker >= 0xc0 && marker <= 0xc2) {
      if (!readFrame(jpeg, segment, marker === 0xc2)) return null;
    } else if (marker >= 0xc3 && marker <= 0xcf) return null; // lossless, hierarchical or arithmetic
    else if (marker === 0xdd) jpeg.restartInterval = (segment[0] << 8) | segment[1];
    else if (marker === 0xe0 && text(segment, 0, 5) === "JFIF\0") jpeg.jfif = true;
    else if (marker === 0xe1 && text(segment, 0, 6) === "Exif\0\0") jpeg.orientation = orientation(segment.subarray(6));
    else if (marker === 0xee && text(segment, 0, 5) === "Adobe") jpeg.adobe = segment[11];
    else if (marker === 0xda) at = decodeScan(bytes, at, readScan(jpeg, segment, tables), jpeg);
  }
  if (!jpeg.components?.every((component) => component.table)) throw new Error(CUT);
  jpeg.isYcc = isYcc(jpeg);
  return jpeg;
}

const text = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));

function readQuantization(segment, tables) {
  for (let at = 0; at < segment.length;) {
    const wide = segment[at] >> 4;
    const table = (tables[segment[at] & 15] = new Int32Array(64));
    at += 1;
    for (let k = 0; k < 64; k += 1) {
      table[ZIGZAG[k]] = wide ? (segment[at] << 8) | segment[at + 1] : segment[at];
      at += wide ? 2 : 1;
    }
  }
}

function readHuffman(segment, tables) {
  for (let at = 0; at < segment.length;) {
    const counts = segment.subarray(at + 1, at + 17);
    const symbols = segment.subarray(at + 17, at + 17 + counts.reduce((sum, count) => sum + count, 0));
    (segment[at] >> 4 ? tables.ac : tables.dc)[segment[at] & 15] = huffmanTable(counts, symbols);
    at += 17 + symbols.length;
  }
}

/** Read size and components; return whether they are of a kind that is decoded here. */
function readFrame(jpeg, segment, progressive) {
  const [height, width] = [1, 3].map((at) => (segment[at] << 8) | segment[at + 1]);
  const count = segment[5];
  if (segment[0] !== 8 || !width || !height || ![1, 3, 4].includes(count) || jpeg.components) return false;
  if (width * height > MOST_PIXELS) {
    throw new Error(`${width}×${height} pixels are more than the limit of 100 megapixels; shrink it`);
  }
  const components = Array.from({ length: count }, (_, index) => {
    const [id, sampling, quantization] = segment.subarray(6 + 3 * index);
    return { id, h: sampling >> 4, v: sampling & 15, quantization };
  });
  const [h, v] = ["h", "v"].map((side) => Math.max(...components.map((component) => component[side])));
  // Of gray, an MCU is one block, whatever its sampling.
  if (count === 1) Object.assign(components[0], { h: 1, v: 1 });
  Object.assign(jpeg, { width, height, components, progressive }, count === 1 ? { h: 1, v: 1 } : { h, v });
  jpeg.mcusWide = Math.ceil(width / (8 * jpeg.h));
  jpeg.mcusHigh = Math.ceil(height / (8 * jpeg.v));
  for (const component of components) {
    if (jpeg.h % component.h || jpeg.v % component.v) return false;
    component.columns = Math.ceil((width * component.h) / (8 * jpeg.h));
    component.rows = Math.ceil((height * component.v) / (8 * jpeg.v));
    component.stride = jpeg.mcusWide * component.h;
    component.blocks = new Int16Array(64 * component.stride * jpeg.mcusHigh * component.v);
  }
  return true;
}

function readScan(jpeg, segment, tables) {
  if (!jpeg.components) throw new Error(`${DAMAGED}: a scan without a frame`);
  const count = segment[0];
  const components = Array.from({ length: count }, (_, index) => {
    const component = jpeg.components.find(({ id }) => id === segment[1 + 2 * index]);
    const chosen = segment[2 + 2 * index];
    component.table ??= tables.quantization[component.quantization].slice();
    return Object.assign(component, { dc: tables.dc[chosen >> 4], ac: tables.ac[chosen & 15] });
  });
  const [from, to, bits] = segment.subarray(1 + 2 * count);
  return { components, from, to, high: bits >> 4, low: bits & 15, progressive: jpeg.progressive };
}

/** Return whether the first three components are YCbCr, as libjpeg finds out (jdapimin.c: default_decompress_parms). */
function isYcc({ components, jfif, adobe }) {
  if (components.length !== 3) return components.length === 4 && adobe === 2;
  if (jfif) return true;
  if (adobe !== undefined) return adobe !== 0;
  return text(Uint8Array.from(components, ({ id }) => id), 0, 3) !== "RGB";
}

/** Return the EXIF orientation in a TIFF block, 1 to 8; 1 if it has none or is damaged. */
function orientation(block) {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const little = block[0] !== 0x4d;
  try {
    const start = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(start, little); entry += 1) {
      const at = start + 2 + 12 * entry;
      if (view.getUint16(at, little) !== 0x0112) continue;
      const long = view.getUint16(at + 2, little) === 4; // in place of SHORT, as some phones write it
      const value = long ? view.getUint32(at + 8, little) : view.getUint16(at + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}

/** Return the samples of one component at the size of the image, in which an MCU's side is `side` for each 8 pixels. */
function plane(jpeg, component, side, width, height) {
  let own = side; // of a component with fewer samples; it is reduced less (jdmaster.c: jpeg_core_output_dimensions)
  const fits = (most, samples) => (most * side) % (samples * own * 2) === 0;
  while (own < 8 && fits(jpeg.h, component.h) && fits(jpeg.v, component.v)) own *= 2;
  const inverse = INVERSE[own];
  const { blocks, columns, rows, stride, table } = component;
  const wide = columns * own;
  const samples = new Uint8Array(wide * rows * own);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      inverse(blocks, 64 * (row * stride + column), table, samples, (row * wide + column) * own, wide);
    }
  }
  const across = (jpeg.h * side) / (component.h * own);
  const down = (jpeg.v * side) / (component.v * own);
  const image = {
    samples,
    stride: wide,
    width: Math.ceil((jpeg.width * component.h * own) / (jpeg.h * 8)),
    height: Math.ceil((jpeg.height * component.v * own) / (jpeg.v * 8)),
  };
  return enlarge(image, across, down, side > 1, width, height);
}

/** Return samples at the size of the image; with `fancy`, halves are interpolated as by a triangle (jdsample.c). */
function enlarge({ samples, stride, width: from, height: rows }, across, down, fancy, width, height) {
  const out = new Uint8Array(width * height);
  const smooth = fancy && across === 2 && from > 2 && down <= 2;
  const smoothDown = fancy && down === 2 && (smooth || across === 1);
  for (let y = 0; y < height; y += 1) {
    const near = Math.floor(y / down);
    const far = smoothDown ? Math.min(rows - 1, Math.max(0, near + (y % 2 ? 1 : -1))) : near;
    // In quarters where rows are mixed.
    const sum = smoothDown
      ? (x) => 3 * samples[near * stride + x] + samples[far * stride + x]
      : (x) => samples[near * stride + x];
    const whole = smoothDown ? 4 : 1;
    for (let x = 0; x < width; x += 1) {
      const middle = Math.floor(x / across);
      let value;
      if (smooth) {
        const side = Math.min(from - 1, Math.max(0, middle + (x % 2 ? 1 : -1)));
        const rounding = smoothDown ? (x % 2 ? 7 : 8) : (x % 2 ? 2 : 1);
        value = Math.floor((3 * sum(middle) + sum(side) + rounding) / (4 * whole));
      } else {
        value = smoothDown ? (sum(middle) + (y % 2 ? 2 : 1)) >> 2 : sum(middle);
      }
      out[y * width + x] = value;
    }
  }
  return out;
}

/** Return RGB pixels of planes: gray, three of YCbCr or RGB, or four of CMYK or YCCK (jdcolor.c, in 16 bits). */
function toRgb(planes, ycc) {
  const [first, second = first, third = first, black] = planes;
  const out = new Uint8ClampedArray(3 * first.length);
  for (let i = 0; i < first.length; i += 1) {
    const [luma, cb, cr] = [first[i], second[i] - 128, third[i] - 128];
    out[3 * i] = ycc ? luma + ((91881 * cr + 32768) >> 16) : luma;
    out[3 * i + 1] = ycc ? luma + ((-22554 * cb - 46802 * cr + 32768) >> 16) : second[i];
    out[3 * i + 2] = ycc ? luma + ((116130 * cb + 32768) >> 16) : third[i];
  }
  if (black) withBlack(out, black, ycc);
  return new Uint8Array(out.buffer);
}

/** Turn CMY, which files have inverted, into RGB in place, as simplejpeg does; those of YCCK are inverted once more. */
function withBlack(colours, black, ycck) {
  for (let i = 0; i < colours.length; i += 1) {
    const light = black[Math.floor(i / 3)];
    colours[i] = light - (((ycck ? colours[i] : 255 - colours[i]) * light) >> 8);
  }
}

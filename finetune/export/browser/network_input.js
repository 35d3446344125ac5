// From the upright pixels of an image to the square that a network takes, with the numbers of OpenCV.
//
// An image is { width, height, data: Uint8Array }, RGB, row by row. Area averages shrink, linear interpolation
// enlarges; with the interpolation "linear", it does both.

const ONE = 2048; // of the weights of linear interpolation (OpenCV's INTER_RESIZE_COEF_SCALE)
const LEAST = 1e-3; // of a pixel; OpenCV ignores a smaller part

/** Return the network's input, Uint8Array (size, size, channels), RGB or gray; `preprocessing` as in a model's file. */
export function networkInput(image, preprocessing) {
  return inChannels(square(image, preprocessing), preprocessing).data;
}

/** Return the preprocessing whose input is the larger square that `tenCrops` cuts from. */
export function withMargin(preprocessing) {
  const { size, resize_to: shortest } = preprocessing;
  const side = shortest > size ? shortest : roundHalfEven((size * 256) / 227);
  return { ...preprocessing, size: side, resize_to: side };
}

/** Return the inputs of ten crops: the four corners, the centre, and their mirror images. */
export function tenCrops(image, preprocessing) {
  const { size } = preprocessing;
  const larger = square(image, withMargin(preprocessing));
  const free = larger.width - size;
  const middle = Math.floor(free / 2);
  const corners = [[0, 0], [free, 0], [0, free], [free, free], [middle, middle]];
  const crops = corners.map(([left, top]) => crop(larger, left, top, size, size));
  return [...crops, ...crops.map(mirrored)].map((each) => inChannels(each, preprocessing).data);
}

/** Return how many pixels the short side of an image needs before it is resized; all if they are interpolated. */
export const shortSide = ({ interpolation, resize: way, resize_to: side, size }) => {
  if (interpolation === "linear") return Infinity;
  return way === "crop" ? side : size;
};

function square(image, { interpolation, size, resize: way, resize_to: side }) {
  if (way === "warp") return resize(image, size, size, interpolation);
  const middle = withoutFarEnds(image);
  const scale = side / Math.min(middle.width, middle.height);
  const [width, height] = [middle.width, middle.height].map((old) => roundHalfEven(old * scale));
  const resized = resize(middle, width, height, interpolation);
  return crop(resized, Math.floor((resized.width - size) / 2), Math.floor((resized.height - size) / 2), size, size);
}

/** Return the middle of a very long image; the crop needs one short side. */
function withoutFarEnds(image) {
  const longest = 4 * Math.min(image.width, image.height);
  const left = Math.floor(Math.max(0, image.width - longest) / 2);
  const top = Math.floor(Math.max(0, image.height - longest) / 2);
  return crop(image, left, top, image.width - 2 * left, image.height - 2 * top);
}

/** Return the image at another size; `interpolation`: "linear", or undefined for area averages to shrink. */
export function resize(image, width, height, interpolation) {
  const shrinks = interpolation !== "linear" && width * height < image.width * image.height;
  const both = width <= image.width && height <= image.height;
  return shrinks && both ? averaged(image, width, height) : interpolated(image, width, height, shrinks);
}

function averaged(image, width, height) {
  const columns = shares(image.width, width);
  const rows = shares(image.height, height);
  // OpenCV rounds .5 up at exactly half the size, and to even otherwise.
  const round = image.width === 2 * width && image.height === 2 * height ? (x) => Math.floor(x + 0.5) : roundHalfEven;
  const data = new Uint8Array(3 * width * height);
  const line = new Float64Array(3 * width);
  rows.forEach((parts, y) => {
    line.fill(0);
    for (const [row, part] of parts) addRow(line, image, row, part, columns);
    for (let i = 0; i < line.length; i += 1) data[3 * width * y + i] = round(line[i]);
  });
  return { width, height, data };
}

/** Add the averages of one old row, times its share, to a new one. */
function addRow(line, { width, data }, row, part, columns) {
  columns.forEach((parts, x) => {
    for (const [column, share] of parts) {
      const at = 3 * (row * width + column);
      for (let channel = 0; channel < 3; channel += 1) line[3 * x + channel] += part * share * data[at + channel];
    }
  });
}

/** Return for each new pixel the old ones that it covers, as [index, share]. */
function shares(old, now) {
  const scale = old / now;
  return Array.from({ length: now }, (_, index) => {
    const start = index * scale;
    const cell = Math.min(scale, old - start);
    const parts = [];
    for (let pixel = Math.floor(start); pixel < Math.min(old, start + scale); pixel += 1) {
      const overlap = Math.min(pixel + 1, start + scale) - Math.max(pixel, start);
      if (overlap > LEAST) parts.push([pixel, Math.min(overlap, 1) / cell]);
    }
    return parts;
  });
}

/** Interpolate linearly in integers; `area`: INTER_AREA, which OpenCV interpolates where only one side grows. */
function interpolated(image, width, height, area) {
  const columns = neighbours(image.width, width, area);
  // At both ends of a row, unlike a column, only the last pixel counts.
  for (const column of columns) if (column.first === column.second) Object.assign(column, { one: ONE, other: 0 });
  const data = new Uint8Array(3 * width * height);
  const value = (row, column, channel) => image.data[3 * (row * image.width + column) + channel];
  neighbours(image.height, height, area).forEach(({ first, second, one, other }, y) => {
    columns.forEach((column, x) => {
      for (let channel = 0; channel < 3; channel += 1) {
        const between = (row) => (
          value(row, column.first, channel) * column.one + value(row, column.second, channel) * column.other
        ) >> 4;
        const sum = ((between(first) * one) >> 16) + ((between(second) * other) >> 16);
        data[3 * (y * width + x) + channel] = (sum + 2) >> 2;
      }
    });
  });
  return { width, height, data };
}

/** Return for each new pixel the two old ones that it lies between, and their weights in units of 1 / 2048. */
function neighbours(old, now, area) {
  const clamp = (index) => Math.min(old - 1, Math.max(0, index));
  return Array.from({ length: now }, (_, index) => {
    const middle = Math.fround((index + 0.5) * (old / now) - 0.5);
    const start = Math.floor(area ? index * (old / now) : middle);
    const covered = Math.fround(index + 1 - (start + 1) * (now / old));
    const inArea = covered <= 0 ? 0 : covered - Math.floor(covered);
    const fraction = area ? inArea : middle - start;
    const [one, other] = [1 - fraction, fraction].map((part) => roundHalfEven(Math.fround(part) * ONE));
    return { first: clamp(start), second: clamp(start + 1), one, other };
  });
}

export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

function crop(image, left, top, width, height) {
  if (width === image.width && height === image.height) return image;
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y += 1) {
    const start = 3 * ((top + y) * image.width + left);
    data.set(image.data.subarray(start, start + 3 * width), 3 * y * width);
  }
  return { width, height, data };
}

function mirrored({ width, height, data }) {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < width * height; i += 1) {
    const from = i - (i % width) + (width - 1 - (i % width));
    out.set(data.subarray(3 * from, 3 * from + 3), 3 * i);
  }
  return { width, height, data: out };
}

/** Return the image as it is, or as one channel of gray (cv2.COLOR_BGR2GRAY: 0.299, 0.587 and 0.114 in 15 bits). */
function inChannels(image, { channel_order: order }) {
  if (order !== "GRAY") return image;
  const rgb = image.data;
  const gray = (_, i) => (9798 * rgb[3 * i] + 19235 * rgb[3 * i + 1] + 3735 * rgb[3 * i + 2] + (1 << 14)) >> 15;
  return { ...image, data: Uint8Array.from({ length: rgb.length / 3 }, gray) };
}

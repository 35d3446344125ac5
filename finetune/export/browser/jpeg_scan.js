// The entropy-coded part of a JPEG: from the bytes of a scan to DCT coefficients (ITU-T T.81, annexes F and G).

export const DAMAGED = "the JPEG data is damaged";
export const CUT = `${DAMAGED} or cut short`;

/** The position in a block, row by row, of each coefficient in zigzag order. */
export const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63,
);

/** Return a Huffman table as an array from the next 16 bits to 256 * length + symbol; length 0 is not a code. */
export function huffmanTable(counts, symbols) {
  const table = new Uint16Array(1 << 16);
  let next = 0;
  let at = 0;
  for (let length = 1; length <= 16; length += 1) {
    for (let left = counts[length - 1]; left > 0; left -= 1) {
      const end = next + (1 << (16 - length));
      table.fill(256 * length + symbols[at], next, end);
      next = end;
      at += 1;
    }
  }
  return table;
}

/** Return where the next marker is, or the end. */
export function nextMarker(bytes, at) {
  while (at < bytes.length && !(bytes[at] === 0xff && bytes[at + 1] > 0 && bytes[at + 1] < 0xff)) at += 1;
  return at;
}

/** The bits of a scan, most significant first; after its end they are 0. */
class Bits {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
    this.value = 0; // whose last `count` bits are not used yet
    this.count = 0;
    this.padding = 0; // bits that were added after the end
  }

  fill() {
    while (this.count <= 16) {
      let byte = this.bytes[this.at];
      if (byte === undefined || (byte === 0xff && this.bytes[this.at + 1] !== 0)) {
        byte = 0;
        this.padding += 8;
        if (this.padding > 64) throw new Error(CUT); // more than anybody looks ahead
      } else {
        this.at += byte === 0xff ? 2 : 1;
      }
      this.value = (this.value << 8) | byte;
      this.count += 8;
    }
  }

  /** Return the next `length` bits, 0 to 16, as a number. */
  take(length) {
    if (this.count < length) this.fill();
    this.count -= length;
    return (this.value >>> this.count) & ((1 << length) - 1);
  }

  symbol(table) {
    if (this.count < 16) this.fill();
    const entry = table[(this.value >>> (this.count - 16)) & 0xffff];
    if (entry < 256) throw new Error(DAMAGED);
    this.count -= entry >> 8;
    return entry & 0xff;
  }

  /** Return the number that `length` more bits stand for (T.81, F.2.2.1: EXTEND). */
  signed(length) {
    const value = this.take(length);
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value;
  }

  /** Go to the next marker; throw if bits after the end were used. */
  end() {
    if (this.count < this.padding) throw new Error(CUT);
    this.at = nextMarker(this.bytes, this.at);
    this.value = this.count = this.padding = 0;
  }
}

/**
 * Decode one scan that begins at `at` into the `blocks` of its components; return where the next marker is.
 *
 * `scan`: `components`, each with `blocks` (Int16Array, 64 for each block), `stride` (blocks in a line of them),
 * `columns` and `rows` (blocks that the image covers), `h` and `v` (blocks in an MCU), `dc` and `ac` (tables); `from`
 * and `to`, its first and last coefficient; `high` and `low`, its bits of successive approximation; `progressive`.
 */
export function decodeScan(bytes, at, scan, { restartInterval, mcusWide, mcusHigh }) {
  const bits = new Bits(bytes, at);
  const decode = blockDecoder(bits, scan);
  const [only] = scan.components;
  const single = scan.components.length === 1;
  const [wide, high] = single ? [only.columns, only.rows] : [mcusWide, mcusHigh];
  for (let mcu = 0; mcu < wide * high; mcu += 1) {
    if (restartInterval && mcu && mcu % restartInterval === 0) {
      bits.end();
      if ((bytes[bits.at + 1] & 0xf8) !== 0xd0) throw new Error(`${DAMAGED}: a restart marker is missing`);
      bits.at += 2;
      decode.restart();
    }
    const row = Math.floor(mcu / wide);
    const column = mcu % wide;
    if (single) {
      decode.block(only, row * only.stride + column);
      continue;
    }
    for (const component of scan.components) {
      for (let y = 0; y < component.v; y += 1) {
        for (let x = 0; x < component.h; x += 1) {
          decode.block(component, (row * component.v + y) * component.stride + column * component.h + x);
        }
      }
    }
  }
  bits.end();
  return bits.at;
}

/** Return the functions that decode a block of this kind of scan, and that forget what came before. */
function blockDecoder(bits, { components, from, to, high, low, progressive }) {
  let run = 0; // further blocks without coefficients in this scan
  const predicted = new Map();

  function restart() {
    run = 0;
    for (const component of components) predicted.set(component, 0);
  }

  function dc(component, start) {
    const length = bits.symbol(component.dc);
    const value = predicted.get(component) + (length ? bits.signed(length) : 0);
    predicted.set(component, value);
    component.blocks[start] = value << low;
  }

  function sequential(component, start) {
    dc(component, start);
    for (let k = 1; k < 64; k += 1) {
      const symbol = bits.symbol(component.ac);
      const length = symbol & 15;
      if (!length && symbol !== 0xf0) return;
      k += symbol >> 4;
      if (length) component.blocks[start + ZIGZAG[k]] = bits.signed(length);
    }
  }

  function firstAc({ blocks, ac }, start) {
    if (run) {
      run -= 1;
      return;
    }
    for (let k = from; k <= to; k += 1) {
      const symbol = bits.symbol(ac);
      const length = symbol & 15;
      if (!length && symbol !== 0xf0) {
        run = endOfBand(symbol >> 4) - 1;
        return;
      }
      k += symbol >> 4;
      if (length) blocks[start + ZIGZAG[k]] = bits.signed(length) * (1 << low);
    }
  }

  const endOfBand = (length) => (1 << length) + bits.take(length);

  /** Add one bit of precision to a coefficient that is not 0. */
  function refine(blocks, at) {
    if (bits.take(1) && !(Math.abs(blocks[at]) & (1 << low))) blocks[at] += Math.sign(blocks[at]) * (1 << low);
  }

  function refineAc({ blocks, ac }, start) {
    let k = from;
    for (; !run && k <= to; k += 1) {
      const symbol = bits.symbol(ac);
      let zeros = symbol >> 4;
      const length = symbol & 15;
      if (!length && zeros < 15) {
        run = endOfBand(zeros);
        break;
      }
      const value = length && (bits.take(1) ? 1 : -1) * (1 << low);
      for (; k <= to; k += 1) {
        const at = start + ZIGZAG[k];
        if (blocks[at]) {
          refine(blocks, at);
        } else {
          if (!zeros) {
            blocks[at] = value;
            break;
          }
          zeros -= 1;
        }
      }
    }
    if (!run) return;
    for (; k <= to; k += 1) if (blocks[start + ZIGZAG[k]]) refine(blocks, start + ZIGZAG[k]);
    run -= 1;
  }

  function refineDc({ blocks }, start) {
    blocks[start] |= bits.take(1) << low;
  }

  const kinds = from === 0 ? (high ? refineDc : dc) : (high ? refineAc : firstAc);
  const decode = progressive ? kinds : sequential;
  restart();
  return { restart, block: (component, number) => decode(component, 64 * number) };
}

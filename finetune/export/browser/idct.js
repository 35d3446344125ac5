// Inverse DCTs of libjpeg-turbo, to the bit: of 8 × 8 coefficients to 8 × 8, 4 × 4, 2 × 2 or 1 × 1 pixels.
//
// Loeffler, Ligtenberg and Moschytz 1989, in integers of 13 bits: jidctint.c, and jidctred.c for the reduced sizes.

const BITS = 13; // of the constants
const PASS = 2; // extra bits between the passes

const half = (bits) => 1 << (bits - 1);
const clamp = (value) => (value < -128 ? 0 : value > 127 ? 255 : value + 128);

const work = new Int32Array(64);

/**
 * Write the pixels of a block to `out` from position `at`, rows `stride` apart.
 *
 * `blocks`: coefficients, 64 for each block, row by row; this one begins at `start`. `table`: their quantization.
 */
export const INVERSE = { 8: inverse8, 4: inverse4, 2: inverse2, 1: inverse1 };

function inverse1(blocks, start, table, out, at) {
  out[at] = clamp((blocks[start] * table[0] + half(3)) >> 3);
}

function inverse2(blocks, start, table, out, at, stride) {
  for (let column = 0; column < 8; column += column === 0 ? 1 : 2) {
    const value = (row) => blocks[start + 8 * row + column] * table[8 * row + column];
    const even = value(0) << (BITS + 2);
    const odd = odd2(value(1), value(3), value(5), value(7));
    work[column] = (even + odd + half(BITS - PASS + 2)) >> (BITS - PASS + 2);
    work[8 + column] = (even - odd + half(BITS - PASS + 2)) >> (BITS - PASS + 2);
  }
  const bits = BITS + PASS + 3 + 2;
  for (let row = 0; row < 2; row += 1) {
    const first = 8 * row;
    const even = (work[first] << (BITS + 2)) + half(bits);
    const odd = odd2(work[first + 1], work[first + 3], work[first + 5], work[first + 7]);
    out[at + row * stride] = clamp((even + odd) >> bits);
    out[at + row * stride + 1] = clamp((even - odd) >> bits);
  }
}

const odd2 = (a, b, c, d) => 29692 * a - 10426 * b + 6967 * c - 5906 * d;

function inverse4(blocks, start, table, out, at, stride) {
  const bits = BITS - PASS + 1;
  for (let column = 0; column < 8; column += 1) {
    if (column === 4) continue; // which the rows do not use
    const value = (row) => blocks[start + 8 * row + column] * table[8 * row + column];
    const middle = (value(0) << (BITS + 1)) + half(bits);
    const even = 15137 * value(2) - 6270 * value(6);
    const a = value(1), b = value(3), c = value(5), d = value(7);
    const inner = inner4(a, b, c, d);
    const outer = outer4(a, b, c, d);
    work[column] = (middle + even + outer) >> bits;
    work[8 + column] = (middle - even + inner) >> bits;
    work[16 + column] = (middle - even - inner) >> bits;
    work[24 + column] = (middle + even - outer) >> bits;
  }
  const last = BITS + PASS + 3 + 1;
  for (let row = 0; row < 4; row += 1) {
    const first = 8 * row;
    const to = at + row * stride;
    const middle = (work[first] << (BITS + 1)) + half(last);
    const even = 15137 * work[first + 2] - 6270 * work[first + 6];
    const inner = inner4(work[first + 1], work[first + 3], work[first + 5], work[first + 7]);
    const outer = outer4(work[first + 1], work[first + 3], work[first + 5], work[first + 7]);
    out[to] = clamp((middle + even + outer) >> last);
    out[to + 1] = clamp((middle - even + inner) >> last);
    out[to + 2] = clamp((middle - even - inner) >> last);
    out[to + 3] = clamp((middle + even - outer) >> last);
  }
}

const inner4 = (a, b, c, d) => 8697 * a - 17799 * b + 11893 * c - 1730 * d;
const outer4 = (a, b, c, d) => 20995 * a + 7373 * b - 4926 * c - 4176 * d;

const line = new Int32Array(8);

function inverse8(blocks, start, table, out, at, stride) {
  for (let column = 0; column < 8; column += 1) {
    for (let row = 0; row < 8; row += 1) line[row] = blocks[start + 8 * row + column] * table[8 * row + column];
    inverseLine(BITS - PASS);
    for (let row = 0; row < 8; row += 1) work[8 * row + column] = line[row];
  }
  for (let row = 0; row < 8; row += 1) {
    for (let column = 0; column < 8; column += 1) line[column] = work[8 * row + column];
    inverseLine(BITS + PASS + 3);
    for (let column = 0; column < 8; column += 1) out[at + row * stride + column] = clamp(line[column]);
  }
}

/** Transform `line` in place and shift it right by `bits`, rounded. */
function inverseLine(bits) {
  const a0 = line[0], a1 = line[1], a2 = line[2], a3 = line[3];
  const a4 = line[4], a5 = line[5], a6 = line[6], a7 = line[7];
  const turned = 4433 * (a2 + a6);
  const sum = turned + 6270 * a2;
  const difference = turned - 15137 * a6;
  const plus = ((a0 + a4) << BITS) + half(bits);
  const minus = ((a0 - a4) << BITS) + half(bits);
  const common = 9633 * (a7 + a3 + a5 + a1);
  const z1 = -7373 * (a7 + a1);
  const z2 = -20995 * (a5 + a3);
  const z3 = -16069 * (a7 + a3) + common;
  const z4 = -3196 * (a5 + a1) + common;
  const o7 = 2446 * a7 + z1 + z3;
  const o5 = 16819 * a5 + z2 + z4;
  const o3 = 25172 * a3 + z2 + z3;
  const o1 = 12299 * a1 + z1 + z4;
  line[0] = (plus + sum + o1) >> bits;
  line[7] = (plus + sum - o1) >> bits;
  line[1] = (minus + difference + o3) >> bits;
  line[6] = (minus + difference - o3) >> bits;
  line[2] = (minus - difference + o5) >> bits;
  line[5] = (minus - difference - o5) >> bits;
  line[3] = (plus - sum + o7) >> bits;
  line[4] = (plus - sum - o7) >> bits;
}

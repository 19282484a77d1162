/** The colour scales of maps: 256 levels from low to high, packed as a canvas stores pixels. */

const AGAINST = [77, 163, 255];
const FOR = [255, 171, 77];

function pack(red, green, blue, alpha) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function scale(colour) {
  return Uint32Array.from({ length: 256 }, (_, level) => pack(...colour(level)));
}

/** Red, green, blue of each level: the very table that the server draws with. */
async function inferno() {
  const table = await (await fetch(new URL("inferno.json", import.meta.url))).json();
  return table.rgb.match(/.{6}/g).map((rgb) => rgb.match(/../g).map((byte) => Number.parseInt(byte, 16)));
}

const table = await inferno();

/** For maps that begin at nothing: the lower, the more of the film shines through. */
export const sequential = {
  overlay: scale((level) => [...table[level], level]),
  legend: scale((level) => [...table[level], 255]),
};

function signed(level) {
  return [...(level < 128 ? AGAINST : FOR), Math.round(Math.abs(level - 127.5) * 2)];
}

/** For maps with a sign: blue speaks against the target, orange for it, nothing in the middle. */
export const diverging = { overlay: scale(signed), legend: scale(signed) };

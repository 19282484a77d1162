/** The colour scales of maps: 256 levels from low to high, packed as a canvas stores pixels. */

function pack(red, green, blue, alpha) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function scale(colour) {
  return Uint32Array.from({ length: 256 }, (_, level) => pack(...colour(level)));
}

/** The very tables that the server draws with. */
async function load(name) {
  return (await fetch(new URL(`${name}.json`, import.meta.url))).json();
}

/** Red, green, blue of each of many colours that are written one after the other. */
function colours(rgb) {
  return rgb.match(/.{6}/g).map((one) => one.match(/../g).map((byte) => Number.parseInt(byte, 16)));
}

const [inferno, poles] = await Promise.all([load("inferno"), load("diverging")]);
const table = colours(inferno.rgb);
const [AGAINST, FOR] = colours(poles.against + poles.for);

/** For maps that begin at nothing: the lower, the more of the film shines through. */
export const sequential = {
  overlay: scale((level) => [...table[level], level]),
  legend: scale((level) => [...table[level], 255]),
};

function signed(level) {
  const strength = Math.max(Math.abs(level - 127.5) - 0.5, 0) / 127;
  return [...(level < 128 ? AGAINST : FOR), Math.round(strength * 255)];
}

/** For maps with a sign: blue speaks against the target, orange for it, nothing in the middle. */
export const diverging = { overlay: scale(signed), legend: scale(signed) };

/** The colour map: 256 colours from low to high, the very table that the server draws with. */

/** @returns {Promise<Uint8Array>} red, green, blue of each level, 768 bytes. */
async function load() {
  const table = await (await fetch(new URL("inferno.json", import.meta.url))).json();
  return Uint8Array.from(table.rgb.match(/../g), (pair) => Number.parseInt(pair, 16));
}

export const colours = await load();

/** A map on the model's grid, spread over the film bilinearly and coloured by value. */

import { diverging, sequential } from "./colours.js";

const LONGEST_SIDE = 1024;

/** Lower cell, upper cell and weight of the upper one, for each of `pixels` along a side. */
function stops(cells, pixels) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = ((pixel + 0.5) * cells) / pixels - 0.5;
    const lower = Math.min(Math.max(Math.floor(place), 0), cells - 1);
    const upper = Math.min(Math.max(Math.floor(place) + 1, 0), cells - 1);
    return { lower, upper, weight: place - Math.floor(place) };
  });
}

/** What the ends of the colour scale stand for; zero is the middle of a signed one. */
export function range({ grid, signed }) {
  const values = grid.flat();
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = Math.max(-low, high) || 1;
  return signed ? { low: -reach, high: reach } : { low, high };
}

/** Row and column of the greatest value, as fractions of the film's height and width. */
export function peak({ grid }) {
  const values = grid.flat();
  const index = values.indexOf(Math.max(...values));
  const width = grid[0].length;
  return {
    row: (Math.floor(index / width) + 0.5) / grid.length,
    column: ((index % width) + 0.5) / width,
  };
}

function levels(map) {
  const { low, high } = range(map);
  const scale = high > low ? 255 / (high - low) : 0;
  return map.grid.map((row) => row.map((value) => (value - low) * scale));
}

function mix(from, to, weight) {
  return from + (to - from) * weight;
}

function paintRow(pixels, above, below, weight, across, colours) {
  across.forEach(({ lower, upper, weight: side }, column) => {
    const level = mix(mix(above[lower], above[upper], side), mix(below[lower], below[upper], side), weight);
    pixels[column] = colours[Math.round(level)];
  });
}

function colouring({ signed }) {
  return signed ? diverging : sequential;
}

/**
 * Paint a map; the alpha of a pixel is its level, the canvas' own opacity scales it.
 * The canvas is smaller than the film and stretched over it, which moves nothing: the map is
 * linear between the centres of its cells, and both lie on the same unit square.
 */
export function paint(canvas, map, rows, columns) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(rows, columns));
  const width = Math.max(1, Math.round(columns * scale));
  const height = Math.max(1, Math.round(rows * scale));
  const pixels = new Uint32Array(width * height);
  const values = levels(map);
  const across = stops(values[0].length, width);
  stops(values.length, height).forEach(({ lower, upper, weight }, row) => {
    const line = pixels.subarray(row * width, (row + 1) * width);
    paintRow(line, values[lower], values[upper], weight, across, colouring(map).overlay);
  });
  put(canvas, pixels, width, height);
}

/** Paint a map's colour scale, low on the left. */
export function paintScale(canvas, map) {
  put(canvas, colouring(map).legend, 256, 1);
}

function put(canvas, pixels, width, height) {
  canvas.width = width;
  canvas.height = height;
  const bytes = new Uint8ClampedArray(pixels.buffer);
  canvas.getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
}

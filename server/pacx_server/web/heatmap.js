/** A map on the model's grid, spread over the film bilinearly and coloured by value. */

import { colours } from "./colours.js";

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

/** Least and greatest value of a grid. */
export function range(grid) {
  const values = grid.flat();
  return { low: Math.min(...values), high: Math.max(...values) };
}

/** Row and column of the greatest value, as fractions of the film's height and width. */
export function peak(grid) {
  const values = grid.flat();
  const index = values.indexOf(Math.max(...values));
  const width = grid[0].length;
  return {
    row: (Math.floor(index / width) + 0.5) / grid.length,
    column: ((index % width) + 0.5) / width,
  };
}

function levels(grid) {
  const { low, high } = range(grid);
  const scale = high > low ? 255 / (high - low) : 0;
  return grid.map((row) => row.map((value) => (value - low) * scale));
}

function paintRow(data, offset, upperRow, lowerRow, weight, across) {
  let at = offset;
  for (const { lower, upper, weight: side } of across) {
    const above = upperRow[lower] + (upperRow[upper] - upperRow[lower]) * side;
    const below = lowerRow[lower] + (lowerRow[upper] - lowerRow[lower]) * side;
    const level = Math.round(above + (below - above) * weight);
    data[at] = colours[level * 3];
    data[at + 1] = colours[level * 3 + 1];
    data[at + 2] = colours[level * 3 + 2];
    data[at + 3] = level;
    at += 4;
  }
}

/**
 * Paint a map; the alpha of a pixel is its level, the canvas' own opacity scales it.
 * The canvas is smaller than the film and stretched over it, which moves nothing: the map is
 * linear between the centres of its cells, and both lie on the same unit square.
 */
export function paint(canvas, grid, rows, columns) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(rows, columns));
  canvas.width = Math.max(1, Math.round(columns * scale));
  canvas.height = Math.max(1, Math.round(rows * scale));
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const values = levels(grid);
  const across = stops(grid[0].length, canvas.width);
  stops(grid.length, canvas.height).forEach(({ lower, upper, weight }, row) => {
    const offset = row * canvas.width * 4;
    paintRow(image.data, offset, values[lower], values[upper], weight, across);
  });
  context.putImageData(image, 0, 0);
}

/** Paint the colour scale itself, low on the left. */
export function paintScale(canvas) {
  canvas.width = 256;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  for (let level = 0; level < 256; level += 1) {
    image.data.set([...colours.subarray(level * 3, level * 3 + 3), 255], level * 4);
  }
  context.putImageData(image, 0, 0);
}

/** A picture to keep: the films at their own resolution as they are shown, and a caption below. */

import { stroke } from "./outlines.js";

const NOTICE = "Not for clinical use";
const GAP = 8;
const INK = "#e9ecef";
const GROUND = "#07090b";

/** Size of the caption's text for a film, pixels. */
function textSize({ film: { columns, rows } }) {
  return Math.max(11, Math.round(Math.min(columns, rows) / 50));
}

function drawFilm(context, { film, sheet, heat, outlines }, opacity) {
  context.drawImage(sheet, 0, 0);
  context.globalAlpha = opacity;
  if (heat.width) context.drawImage(heat, 0, 0, film.columns, film.rows);
  context.globalAlpha = 1;
  context.lineWidth = Math.max(1.5, Math.min(film.columns, film.rows) / 400);
  stroke(context, outlines);
}

/** Write a line; it is squeezed rather than cut where the film is narrow. */
function write(context, text, x, y, width) {
  context.fillStyle = INK;
  context.fillText(text, x, y, width);
}

function drawCaption(context, pane, size, opacity) {
  const { film, reading, low, high, scale } = pane;
  const { name, version } = reading.prediction.model;
  const width = film.columns - 2 * size;
  const line = (index) => film.rows + size * (1.6 + 1.6 * index);
  context.font = `${size}px system-ui, sans-serif`;
  write(context, `${pane.name} · ${NOTICE} · PaCX · ${name} ${version}`, size, line(0), width);
  if (opacity === 0) return;
  const percent = Math.round(opacity * 100);
  write(context, `${pane.caption} · opacity ${percent} %`, size, line(1), width);
  write(context, low.textContent, size, line(2), width / 4);
  context.drawImage(scale, size + width * 0.27, line(2) - size * 0.8, width * 0.46, size * 0.8);
  write(context, high.textContent, size + width * 0.75, line(2), width / 4);
}

/**
 * Draw the desk as a PNG.
 * @param {import("./pane.js").Pane[]} panes
 * @param {number} opacity Of the maps, in [0, 1].
 * @returns {Promise<Blob>}
 */
export function snapshot(panes, opacity) {
  const sizes = panes.map(textSize);
  const heights = panes.map(({ film }, i) => film.rows + Math.round(sizes[i] * 5.8));
  const widths = panes.map(({ film }) => film.columns + GAP);
  const canvas = document.createElement("canvas");
  canvas.width = widths.reduce((sum, width) => sum + width, -GAP);
  canvas.height = Math.max(...heights);
  const context = canvas.getContext("2d");
  context.fillStyle = GROUND;
  context.fillRect(0, 0, canvas.width, canvas.height);
  panes.forEach((pane, i) => {
    drawFilm(context, pane, opacity);
    drawCaption(context, pane, sizes[i], opacity);
    context.translate(widths[i], 0);
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Let the browser keep a picture. @param {string} name Says nothing of the file it was made from. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

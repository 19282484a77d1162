/** One radiograph on the desk: its film, the map over it, and what its corners say. */

import { element } from "./element.js";
import { Film } from "./film.js";
import { paint, paintScale, peak, range } from "./heatmap.js";
import { Viewport } from "./viewport.js";

const VERTICAL = ["upper", "middle", "lower"];
const HORIZONTAL = ["left", "centre", "right"];

/** Where a map is hottest, in words, as seen on the screen. */
function place(grid) {
  const { row, column } = peak(grid);
  return `${VERTICAL[Math.floor(row * 3)]} ${HORIZONTAL[Math.floor(column * 3)]}`;
}

/** Width divided by height as it would be on film; pixels need not be square. */
function aspect({ rows, columns, spacing_mm: spacing }) {
  const [high, wide] = spacing || [1, 1];
  return (columns * wide) / (rows * high);
}

/** A number as short as its scale allows. */
function short(value, span) {
  return value.toFixed(Math.min(Math.max(2 - Math.floor(Math.log10(span || 1)), 0), 6));
}

export class Pane {
  /** @param {string} name `A` or `B`. @param {() => string} dragMode What dragging does. */
  constructor(name, dragMode) {
    this.name = name;
    this.film = null;
    this.grid = null;
    this.sheet = element("canvas", { class: "film" });
    this.heat = element("canvas", { class: "heat", "aria-hidden": "true" });
    this.scale = element("canvas", { class: "scale", "aria-hidden": "true" });
    this.stage = element("div", { class: "stage" }, this.sheet, this.heat);
    this.frame = element("div", { class: "frame", tabindex: 0, role: "application" }, this.stage);
    this.facts = element("p");
    this.status = element("p", { class: "state" });
    this.low = element("span");
    this.high = element("span");
    this.legend = element("p", { class: "key" }, this.low, this.scale, this.high);
    this.plate = element("figcaption", {}, this.facts, this.status, this.legend);
    this.node = element("figure", { class: "pane", "data-name": name }, this.frame, this.plate);
    this.viewport = new Viewport(this.frame, this.stage, {
      dragMode,
      onView: () => this.#describeView(),
      onWindow: () => this.#show(),
    });
    paintScale(this.scale);
  }

  /** Put a film on the pane. */
  hang(bitmap, image) {
    this.film = new Film(this.sheet, bitmap);
    this.stage.style.setProperty("--aspect", aspect(image));
    const facts = [image.modality, image.view, `${image.columns} x ${image.rows}`];
    const known = facts.filter(Boolean).join(" · ");
    this.facts.replaceChildren(element("b", {}, this.name), ` ${known}`);
    this.viewport.reset();
  }

  /** Lay a map over the film. */
  lay(grid) {
    this.grid = grid;
    paint(this.heat, grid, this.film.rows, this.film.columns);
    const { low, high } = range(grid);
    this.low.textContent = short(low, high - low);
    this.high.textContent = short(high, high - low);
    this.frame.setAttribute(
      "aria-label",
      `Radiograph ${this.name}. The map is hottest in the ${place(grid)} of the picture. ` +
        "Arrow keys pan, plus and minus zoom, shift and arrows set the window.",
    );
  }

  /** @param {number} opacity Of the hottest colour, in [0, 1]. */
  fade(opacity) {
    this.heat.style.opacity = String(opacity);
    this.legend.hidden = opacity === 0;
  }

  /** Where the map is hottest, in words. */
  get place() {
    return place(this.grid);
  }

  /** Redraw once in a frame, however often the window moved. */
  #show() {
    this.#describeView();
    if (this.pending || !this.film) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.film.show(this.viewport.window);
    });
  }

  #describeView() {
    const { view, window } = this.viewport;
    const [width, level] = [Math.round(window.width), Math.round(window.level)];
    this.status.textContent = `Width ${width} · level ${level} · zoom ${view.zoom.toFixed(1)}`;
  }
}

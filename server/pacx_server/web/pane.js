/** One radiograph on the desk: its film, the map over it, and what its corners say. */

import * as catalogue from "./catalogue.js";
import { element } from "./element.js";
import { Film, WHOLE } from "./film.js";
import { marked } from "./findings.js";
import { paint, paintScale, peak, range } from "./heatmap.js";
import * as outlines from "./outlines.js";
import { Viewport } from "./viewport.js";

const VERTICAL = ["upper", "middle", "lower"];
const HORIZONTAL = ["left", "centre", "right"];
const KEYS = "Arrow keys pan, plus and minus zoom, shift and arrows set the window.";

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
  /**
   * @param {string} name `A` or `B`.
   * @param {object} listeners `dragMode()`, `onLook(state)` and `onModel(name)`.
   */
  constructor(name, listeners) {
    this.name = name;
    this.sheet = element("canvas", { class: "film" });
    this.heat = element("canvas", { class: "heat", "aria-hidden": "true" });
    this.outlines = outlines.sheet();
    this.stage = element("div", { class: "stage" }, this.sheet, this.heat, this.outlines);
    this.frame = element("div", { class: "frame", tabindex: 0, role: "application" }, this.stage);
    this.node = element("figure", { class: "pane", "data-name": name }, this.frame);
    this.node.append(this.#headPlate(listeners), this.#footPlate());
    this.viewport = new Viewport(this.frame, this.stage, {
      ...listeners,
      onChange: () => this.#show(),
    });
  }

  /** Put a reading on the pane; the same film stays as it is looked at. */
  hang(reading) {
    const { image, model, anatomy } = reading.prediction;
    if (reading.film !== this.reading?.film) {
      this.film = new Film(this.sheet, reading.film);
      this.stage.style.setProperty("--aspect", aspect(image));
      this.viewport.follow({ view: { zoom: 1, x: 0, y: 0 }, window: WHOLE });
    }
    this.reading = reading;
    this.map = null;
    this.heat.width = 0;
    this.legend.hidden = true;
    outlines.draw(this.outlines, anatomy, image);
    const facts = [image.modality, image.view, `${image.columns} x ${image.rows}`];
    this.facts.textContent = facts.filter(Boolean).join(" · ");
    this.model.value = model.name;
  }

  /** Lay a map over the film. */
  lay(map) {
    this.map = map;
    paint(this.heat, map, this.film.rows, this.film.columns);
    paintScale(this.scale, map);
    const { low, high } = range(map);
    this.low.textContent = short(low, high - low);
    this.high.textContent = short(high, high - low);
    this.title.textContent = this.caption;
    this.frame.setAttribute("aria-label", `Radiograph ${this.name}. ${this.hottest} ${KEYS}`);
  }

  /** @param {number} opacity Of the hottest colour, in [0, 1]. */
  fade(opacity) {
    this.heat.style.opacity = String(opacity);
    this.legend.hidden = opacity === 0;
  }

  /** What is laid over the film, in words. */
  get caption() {
    const { method, target, versus } = this.map;
    const { findings } = this.reading.prediction;
    const explained = [target, versus].map((name) => findings.find(({ label }) => label === name));
    const names = explained.filter(Boolean).map(marked).join(" against ");
    return [catalogue.title(method), names].filter(Boolean).join(" · ");
  }

  /** Where the map is hottest, as seen on the screen. */
  get hottest() {
    const { row, column } = peak(this.map);
    const place = `${VERTICAL[Math.floor(row * 3)]} ${HORIZONTAL[Math.floor(column * 3)]}`;
    return `The map is hottest in the ${place} of the picture.`;
  }

  #headPlate({ onModel }) {
    const served = catalogue.models();
    const choices = served.map(({ name, version }) =>
      element("option", { value: name }, `${name} ${version}`),
    );
    const label = `Model of radiograph ${this.name}`;
    this.facts = element("span");
    this.model = element("select", { "aria-label": label, hidden: served.length < 2 }, ...choices);
    this.model.addEventListener("change", () => onModel(this.model.value));
    const name = element("b", {}, this.name);
    return element("div", { class: "plate head" }, name, this.facts, this.model);
  }

  #footPlate() {
    this.state = element("p", { class: "state" });
    this.title = element("p");
    this.low = element("span");
    this.high = element("span");
    this.scale = element("canvas", { class: "scale", "aria-hidden": "true" });
    const key = element("p", { class: "key" }, this.low, this.scale, this.high);
    this.legend = element("div", {}, this.title, key);
    return element("figcaption", { class: "plate foot" }, this.legend, this.state);
  }

  /** Redraw once in a frame, however often the window moved. */
  #show() {
    const { view, window } = this.viewport;
    const [width, level] = [Math.round(window.width), Math.round(window.level)];
    this.state.textContent = `Width ${width} · level ${level} · zoom ${view.zoom.toFixed(1)}`;
    if (this.pending || !this.film) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.film.show(this.viewport.window);
    });
  }
}

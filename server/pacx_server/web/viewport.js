/** Where one looks: zoom and pan of a film, and its window, by mouse, touch and keyboard. */

import { WHOLE, within } from "./film.js";

const CLOSEST = 16;
const STEP = 24;
const ZOOM_STEP = 1.25;

const MOVES = {
  ArrowLeft: [1, 0],
  ArrowRight: [-1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** The state of looking at one film. */
export class Viewport {
  /**
   * @param {HTMLElement} frame What listens and clips.
   * @param {HTMLElement} stage What is moved inside it.
   * @param {object} listeners `dragMode()` is what dragging does, `onChange()` follows every change,
   *   `onLook(state)` only what the user did here.
   */
  constructor(frame, stage, listeners) {
    Object.assign(this, { frame, stage, listeners, pointers: new Map() });
    this.view = { zoom: 1, x: 0, y: 0 };
    this.window = WHOLE;
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.#press(event));
    frame.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      frame.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    frame.addEventListener("dblclick", () => this.reset());
    frame.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show the whole film through the whole window. */
  reset() {
    this.#set({ view: { zoom: 1, x: 0, y: 0 }, window: WHOLE });
    this.#tell();
  }

  /** Look as another viewport does. */
  follow({ view, window }) {
    this.#set({ view, window });
  }

  /** Zoom so that the point at (x, y), from the frame's middle, stays where it is. */
  zoomBy(factor, x = 0, y = 0) {
    const zoom = Math.min(Math.max(this.view.zoom * factor, 1), CLOSEST);
    const ratio = zoom / this.view.zoom;
    this.#look({ zoom, x: x - (x - this.view.x) * ratio, y: y - (y - this.view.y) * ratio });
  }

  /** Move the film by screen pixels; it never leaves the frame altogether. */
  panBy(x, y) {
    this.#look({ ...this.view, x: this.view.x + x, y: this.view.y + y });
  }

  /** Widen and lift the window by grey levels. */
  windowBy(width, level) {
    this.#open({ width: this.window.width + width, level: this.window.level + level });
  }

  #look(view) {
    this.#set({ view, window: this.window });
    this.#tell();
  }

  #open(window) {
    this.#set({ view: this.view, window });
    this.#tell();
  }

  #tell() {
    this.listeners.onLook({ view: this.view, window: this.window });
  }

  #set({ view: { zoom, x, y }, window }) {
    const reach = { x: (this.stage.clientWidth * zoom) / 2, y: (this.stage.clientHeight * zoom) / 2 };
    this.view = {
      zoom,
      x: Math.min(Math.max(x, -reach.x), reach.x),
      y: Math.min(Math.max(y, -reach.y), reach.y),
    };
    this.window = within(window);
    this.stage.style.transform = `translate(${this.view.x}px, ${this.view.y}px) scale(${zoom})`;
    this.listeners.onChange();
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.frame.getBoundingClientRect();
    const x = event.clientX - box.left - box.width / 2;
    const y = event.clientY - box.top - box.height / 2;
    this.zoomBy(Math.exp(-event.deltaY / 400), x, y);
  }

  #press(event) {
    this.frame.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before.x, event.clientY - before.y];
    const spread = this.#spread();
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size > 1) this.#pinch(spread, x, y);
    else if (this.#pans(event)) this.panBy(x, y);
    else this.windowBy(x / 2, y / 2);
  }

  #pans(event) {
    return event.shiftKey || event.buttons === 4 || this.listeners.dragMode() === "pan";
  }

  #pinch(before, x, y) {
    if (before > 0) this.zoomBy(this.#spread() / before);
    this.panBy(x / 2, y / 2);
  }

  /** Distance between the first two fingers, screen pixels. */
  #spread() {
    const [first, second] = [...this.pointers.values()];
    return second ? Math.hypot(first.x - second.x, first.y - second.y) : 0;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y] = MOVES[event.key] || [0, 0];
    if (x || y) event.shiftKey ? this.windowBy(-x * 8, -y * 8) : this.panBy(x * STEP, y * STEP);
    else if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }
}
